"""A real Prometheus scrapes a soak and raises the alert of its gate, with nothing in between but a port.

The soak plays on a live market (the paper exchange), because Prometheus knows one clock, the wall's. Its gate
is the shipped one with a single warning whose window and hold are ten seconds each, or the test would take
half an hour; files are made by `mmgates alerts` from it, unchanged. The fault is a feed that falls silent.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.mmbot.builders import REPO
from tests.mmbot.net.test_ws import free_port
from tests.system.live_market import PaperVenue, live_scenario

WARNING = "md_cache.hit_ratio[10s] < 50% for 10s clear 55%, n >= 20"
ALERT = "SoakWarnMdCacheHitRatio"
LASTS_S = 100
LOOKS = 600
"""At Prometheus, a quarter of a second apart: longer than the soak lasts."""
FILES = ("config.yaml", "config.soak_overrides.yaml", "pyproject.toml", "conftest.py")


class Prometheus:
    """The binary, on a port of its own, asked through its API."""

    def __init__(self, binary: str, folder: Path, target: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        config = folder / "prometheus.yml"
        scraped = {"job_name": "mmbot", "static_configs": [{"targets": [target]}]}
        config.write_text(
            yaml.safe_dump(
                {
                    "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                    "rule_files": [str(folder / "ops/prometheus/alerts.yml")],
                    "scrape_configs": [scraped],
                }
            )
        )
        where = f"--web.listen-address={self.url.removeprefix('http://')}"
        storage = f"--storage.tsdb.path={folder / 'tsdb'}"
        self._log = (folder / "prometheus.log").open("wb")
        command = [binary, f"--config.file={config}", storage, where]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def asked(self, path: str) -> Any:
        """None while it does not answer yet."""
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=30) as reply:  # noqa: S310 (ours)
                return json.loads(reply.read())["data"]
        except (urllib.error.URLError, ConnectionError):
            return None

    def value(self, query: str) -> float | None:
        found = self.asked(f"query?{urllib.parse.urlencode({'query': query})}")
        return float(found["result"][0]["value"][1]) if found and found["result"] else None

    def alerts(self, state: str) -> dict[str, Any]:
        found = self.asked("alerts") or {"alerts": []}
        return {one["labels"]["alertname"]: one for one in found["alerts"] if one["state"] == state}

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=60)
        self._log.close()


@pytest.fixture
def binary() -> str:
    found = shutil.which("prometheus")
    if found is None:
        pytest.skip("prometheus is not installed: `apt-get install prometheus`")
    return found


@pytest.fixture
def venue() -> Iterator[PaperVenue]:
    serving = PaperVenue("--scenario", "demo")
    yield serving
    serving.close()


def project(folder: Path, venue: PaperVenue, port: int) -> Path:
    """The shipped project, with the live scenario and the gate of this test."""
    for name in FILES:
        shutil.copy(REPO / name, folder)
    (folder / "tests").mkdir()
    shutil.copytree(REPO / "scenarios", folder / "scenarios", ignore=shutil.ignore_patterns("__pycache__"))
    live_scenario(folder / "scenarios" / "live", venue.url, duration=f"{LASTS_S}s")
    shutil.copytree(REPO / "gates", folder / "gates")
    gate = yaml.safe_load((REPO / "gates/soak.yaml").read_text())
    gate = {name: value for name, value in gate.items() if name != "stop"} | {"warn": [WARNING]}
    (folder / "gates/soak.yaml").write_text(yaml.safe_dump(gate))
    (folder / "served.yaml").write_text(f"telemetry: {{metrics_port: {port}, sample_interval_s: 1}}\n")
    return folder


def generated(folder: Path) -> None:
    scripts = Path(sys.executable).parent
    table = subprocess.run([scripts / "mmbot", "metrics", "--json"], capture_output=True, check=True).stdout
    command = [sys.executable, "-c", "from pytest_mmgates.cli import main; main()", "alerts"]
    subprocess.run(command, cwd=folder, input=table, capture_output=True, check=True)


@contextlib.contextmanager
def soaking(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    options = ["-m", "soak", "--mmgates-live", "paper", "-p", "no:cacheprovider"]
    config = [f"--mmgates-config={folder / name}" for name in (*FILES[:2], "served.yaml")]
    with (folder / "soak.log").open("wb") as log:
        command = [sys.executable, "-m", "pytest", *options, *config]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=60)


def until(venue: PaperVenue, seen: Callable[[], Any], soak: subprocess.Popen[bytes] | None = None) -> Any:
    """What is seen at last, while the soak runs. Time passes by answers of the exchange."""
    for _ in range(LOOKS):
        assert soak is None or soak.poll() is None, "the soak is over"
        found = seen()
        if found:
            return found
        venue.pass_time(250)
    pytest.fail("it was never seen")


@pytest.mark.slow
def test_a_feed_that_falls_silent_raises_the_alert_of_the_gate(
    binary: str, venue: PaperVenue, tmp_path: Path
) -> None:
    port = free_port()
    folder = project(tmp_path, venue, port)
    generated(folder)
    prometheus = Prometheus(binary, folder, f"127.0.0.1:{port}")
    try:
        with soaking(folder) as soak:
            until(venue, lambda: (prometheus.value("sum(mmbot_ticks_total)") or 0) > 150, soak)
            assert ALERT not in prometheus.alerts("firing") | prometheus.alerts("pending")

            venue.faults(silent=True)
            fired = until(venue, lambda: prometheus.alerts("firing").get(ALERT), soak)
            labels = fired["labels"]
            assert (labels["severity"], labels["step"], labels["job"]) == ("warning", "soak", "mmbot")
            assert fired["annotations"]["rule"] == WARNING
            assert "TargetDown" not in prometheus.alerts("firing")
            rules = [rule for group in prometheus.asked("rules")["groups"] for rule in group["rules"]]
            assert {rule["health"] for rule in rules} == {"ok"}

            soak.wait(timeout=2 * LASTS_S)
            assert until(venue, lambda: prometheus.alerts("pending").get("TargetDown"))
    finally:
        prometheus.close()
    [record] = json.loads((folder / "artifacts/runs/soak-paper/watch.json").read_text())
    assert record["times"] == 1, "the run's own watch saw it, too"
