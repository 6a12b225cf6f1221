"""A rule that fires in the plugin is posted by the bot, under the name and labels that Prometheus would give
it, and is an event of the run.
"""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from tests.contract.test_stop_rules import CAUSES, ROOT
from tests.mmbot.net.receiver import receiving

from mmbot.runtime.run import Run, RunRequest
from pytest_mmgates.gatefile import Gate, read_gate
from pytest_mmgates.playing import HaltNotes, WatchJudge
from pytest_mmgates.rows import read_markets
from pytest_mmgates.sut import drive
from pytest_mmgates.watch.watch import Watch

pytestmark = pytest.mark.asyncio
WARNING = "deadline_miss.ratio[1m] > 2%"
"""Beside the shipped ones, which hold for ten minutes."""


def gate_of(folder: Path) -> Gate:
    text = yaml.safe_load((ROOT / "gates" / "soak.yaml").read_text())
    path = folder / "soak.yaml"
    path.write_text(yaml.safe_dump(text | {"warn": [WARNING]}))
    return read_gate(path)


def played(folder: Path, url: str) -> Path:
    """A soak that a stop rule ends; its directory."""
    gate, override, directory = gate_of(folder), folder / "cause.yaml", folder / "run"
    settings = f"pipeline: {{tick_interval_ms: 1000}}\nalerts: {{webhook_url: '{url}'}}\n"
    override.write_text(settings + CAUSES["deadline_miss.ratio"].settings)
    run = Run(
        RunRequest(
            scenario="demo",
            scenarios=ROOT / "scenarios",
            config=[ROOT / "config.yaml", ROOT / "config.soak_overrides.yaml", override],
            data=None,
            run_id="r1",
            directory=directory,
            step="soak",
        )
    )
    watch = Watch(gate.stop, gate.warn, lambda: read_markets(directory), lambda _: None)
    drive(lambda _: run, {}, WatchJudge(gate, watch, HaltNotes(folder, None)))
    return directory


def events(directory: Path) -> list[dict[str, Any]]:
    [path] = directory.glob("events_*.jsonl")
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


async def test_what_fires_is_posted_and_written_down(tmp_path: Path) -> None:
    async with receiving(200) as (receiver, url):
        directory = await asyncio.to_thread(played, tmp_path, url)
    messages = [msgspec.json.decode(body) for _, body, _ in receiver.heard]
    names = [message["groupLabels"]["alertname"] for message in messages]
    assert names == ["SoakWarnDeadlineMissRatio", "SoakStopDeadlineMissRatioFast"]
    assert {message["status"] for message in messages} == {"firing"}

    [stop] = messages[1]["alerts"]
    groups = yaml.safe_load((ROOT / "ops/prometheus/alerts.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    [generated] = [rule for rule in rules if rule["alert"] == "SoakStopDeadlineMissRatioFast"]
    assert stop["labels"].items() >= generated["labels"].items()
    assert stop["labels"]["run_id"] == "r1"
    assert stop["labels"]["data_kind"] == "synthetic"
    assert stop["annotations"]["rule"] == generated["annotations"]["rule"]
    assert "deadline_miss.ratio[2m]" in stop["annotations"]["summary"]

    sent = [row["detail"] for row in events(directory) if row["kind"] == "alert_sent"]
    assert [(one["alert"], one["tries"]) for one in sent] == [(f"{name} firing", 1) for name in names]
    assert msgspec.json.decode((directory / "manifest.json").read_bytes())["status"] == "halted"
