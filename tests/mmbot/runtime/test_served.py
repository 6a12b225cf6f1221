"""A run that is served: metrics of what it has done so far, for as long as it runs."""

import asyncio
import socket
from pathlib import Path

import msgspec
import pytest
from tests.mmbot.builders import REPO, Command, HandStopwatch, run_request

from mmbot.errors import ConfigError, TransportError
from mmbot.net.http import HttpClient
from mmbot.runtime.run import Run


def fetched(url: str, target: str) -> bytes:
    async def ask() -> bytes:
        async with HttpClient(url) as http:
            return (await http.get(target)).body

    return asyncio.run(ask())


def served(folder: Path, port: int = 0) -> Run:
    run = Run(run_request(folder), HandStopwatch(1_000))
    run.metrics_port = port
    return run


def manifest(run: Run) -> dict:
    return msgspec.json.decode((run.directory / "manifest.json").read_bytes())


def test_metrics_of_the_rows_so_far_are_served_while_it_runs(tmp_path: Path):
    run = served(tmp_path)
    playing, seen = iter(run), 0
    for feed, lines in playing:
        seen += lines.count(b"\n") if feed == "pipeline_ticks" else 0
        if feed == "trace":
            break
    assert run.url is not None
    text = fetched(run.url, "/metrics").decode()
    assert seen > 0
    assert f'mmbot_ticks_total{{arm="A",symbol="bybit_linear:SYNTHUSDT"}} {seen}.0\n' in text
    assert manifest(run)["metrics_url"] == f"{run.url}/metrics"
    for _ in playing:
        pass
    with pytest.raises(TransportError, match="no connection"):
        fetched(run.url, "/metrics")


def test_a_port_in_use_ends_it_before_anything_is_written(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = served(tmp_path, taken.getsockname()[1])
        with pytest.raises(
            ConfigError, match=r"^metrics port: was \d+, expected a free port of 127\.0\.0\.1"
        ):
            next(iter(run))
    assert not run.directory.exists()


def test_nothing_is_served_unless_asked_for(tmp_path: Path):
    run = Run(run_request(tmp_path), HandStopwatch(1_000))
    for _ in run:
        assert run.url is None
    assert manifest(run)["metrics_url"] is None
    assert run.observers == []


def test_serving_changes_no_decision(tmp_path: Path):
    digests = []
    for number, port in enumerate((None, 0)):
        run = Run(run_request(tmp_path, run_id=f"run{number}"), HandStopwatch(1_000))
        run.metrics_port = port
        for _ in run:
            pass
        digests.append(run.digest)
    assert digests[0] == digests[1]


def test_the_port_of_the_configuration_is_the_default(tmp_path: Path):
    overlay = tmp_path / "served.yaml"
    overlay.write_text("telemetry:\n  metrics_port: 0\n")
    run = Run(run_request(tmp_path, config=[REPO / "config.yaml", overlay]), HandStopwatch(1_000))
    assert run.metrics_port == 0


def test_a_port_that_is_none_is_refused_with_its_place(tmp_path: Path):
    overlay = tmp_path / "served.yaml"
    overlay.write_text("telemetry:\n  metrics_port: 65536\n")
    with pytest.raises(ConfigError, match=r"served\.yaml:2: telemetry\.metrics_port"):
        Run(run_request(tmp_path, config=[REPO / "config.yaml", overlay]))


def test_the_command_says_where(mmbot: Command, tmp_path: Path):
    options = ("--scenario", "short", "--scenarios", tmp_path / "scenarios", "--config", REPO / "config.yaml")
    code, out, err = mmbot("run", *options, "--duration", "5s", "--metrics-port", "0")
    assert (code, err) == (0, "")
    assert "metrics on http://127.0.0.1:" in out


def test_the_command_ends_with_one_line_for_a_port_in_use(mmbot: Command, tmp_path: Path):
    options = ("--scenario", "short", "--scenarios", tmp_path / "scenarios", "--config", REPO / "config.yaml")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = mmbot("run", *options, "--metrics-port", port)
    assert code == 2
    assert err.startswith(f"mmbot: metrics port: was {port}, expected a free port of 127.0.0.1: ")
    assert err.count("\n") == 1
