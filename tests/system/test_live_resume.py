"""`pytest -m soak --mmgates-live --mmgates-resume` after kill -9: the rows of before, the time between told
as an outage, and a verdict on what was covered.
"""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml
from tests.mmbot.builders import REPO
from tests.system.live_market import PaperVenue, live_scenario, read

from mmbot.errors import ConfigError, MmbotError
from mmbot.runtime import checkpoint
from mmbot.runtime.live_request import LiveRequest, live_interrupted
from mmbot.runtime.live_run import ShadowRun
from mmbot.telemetry.tails import TORN

KILLS, LONGEST_S, SHARE_PLAYING = 20, 4.0, 0.8
"""Kills: while it plays, some ticks after it began to; the others at any moment since the process began."""
GATE = """
gate: soak
evidence:
  duration: ">= {duration}"
  ticks: ">= 50"
  source: [live, synthetic]
owner: trading-infra
runbook: docs/runbooks/soak.md
require:
  - md_cache.hit_ratio >= 0.30
  - fills.count >= 1
"""
STOP = """stop:
  - deadline_miss.ratio[10s] > 99% for 10s
"""
INI = "[pytest]\nmmgates_sut = mmbot.sut:open_run\nmmgates_parts = mmbot.sut:parts\n"
CONFIG = {
    "telemetry": {"sample_interval_s": 1, "checkpoint_interval_s": 1},
    "spread": {"min_bps": 0.1, "max_bps": 5},
    "guards": {"soft_volatility_bps": 5_000, "hard_volatility_bps": 10_000},
    "pipeline": {"deadline_ms": 1_000},
}
"""Quotes that are filled every second."""
TEST = """
import pytest

@pytest.mark.soak
def test_soak(soak_run, rule, gate):
    gate(soak_run, rule)
"""


@pytest.fixture(scope="module")
def venue() -> Iterator[PaperVenue]:
    serving = PaperVenue("--scenario", "demo", "--speed", "20")
    yield serving
    serving.close()


class LiveSoak:
    """A folder in which a live market is soaked for so long."""

    def __init__(self, folder: Path, url: str, duration_s: int, stop: str = "") -> None:
        """`stop`: rules that look each ten seconds; a soak of a few has no look."""
        self.folder = folder
        shutil.copy(REPO / "config.yaml", folder)
        (folder / "gates").mkdir()
        (folder / "gates" / "soak.yaml").write_text(GATE.format(duration=f"{duration_s}s") + stop)
        (folder / "pytest.ini").write_text(INI)
        (folder / "test_soak.py").write_text(TEST)
        (folder / "overlay.yaml").write_text(yaml.safe_dump(CONFIG))
        live_scenario(folder / "scenarios" / "live", url, duration=f"{duration_s}s")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-p", "no:cacheprovider", "-m", "soak"]
        config = ["--mmgates-config=config.yaml", "--mmgates-config=overlay.yaml"]
        return subprocess.Popen(
            [*command, "--mmgates-live=paper", *config, *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPO), *sys.path])},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def resumed(self) -> subprocess.Popen[str]:
        return self.start("--mmgates-resume")

    @property
    def directory(self) -> Path:
        """Of the run, wherever it stands."""
        (found,) = (path for path in self.folder.glob("artifacts/runs/soak-paper*") if path.is_dir())
        return found

    def ticks(self) -> int:
        """Whole rows that are there."""
        with contextlib.suppress(ValueError, FileNotFoundError):
            files = list(self.directory.glob("pipeline_ticks_*.jsonl"))
            return sum(path.read_bytes().count(b"\n") for path in files)
        return 0

    def verdict(self) -> dict[str, Any]:
        return json.loads((self.folder / "artifacts" / "verdicts" / "soak.json").read_text())

    def manifest(self) -> dict[str, Any]:
        return json.loads((self.directory / "manifest.json").read_text())

    def lines(self) -> dict[str, list[bytes]]:
        """Whole rows by file."""
        return {
            path.name: [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
            for path in self.directory.glob("*.jsonl")
        }


def killed_behind(process: subprocess.Popen[str], soak: LiveSoak, ticks: int) -> None:
    """Kill -9 it and its children once the run has so many ticks."""
    while soak.ticks() < ticks:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
            raise AssertionError(process.communicate()[0])
    kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, _ = process.communicate(timeout=120)
    return process.returncode, out


def nothing_lost(before: dict[str, list[bytes]], soak: LiveSoak) -> None:
    """What was there is there still, at its place."""
    after = soak.lines()
    for name, lines in before.items():
        assert after[name][: len(lines)] == lines, name


def rows_are_right(soak: LiveSoak, outages: int, duration_s: int) -> None:
    """Each row once, the account goes on, and what was covered is what was asked for."""
    manifest, directory = soak.manifest(), soak.directory
    ticks, fills = read(directory, "pipeline_ticks"), read(directory, "fills")
    assert [row["seq"] for row in ticks] == list(range(1, len(ticks) + 1))
    assert len({row["ts_ns"] for row in ticks}) == len(ticks)
    assert [row["fill_id"] for row in fills] == list(range(1, len(fills) + 1))
    gaps = [row["detail"] for row in read(directory, "events") if row["kind"] == "gap" and not row["symbol"]]
    assert [(row["from_ns"], row["until_ns"]) for row in gaps] == [
        (resume["outage_from_ns"], resume["first_tick_ns"]) for resume in manifest["resumes"]
    ]
    assert len(gaps) == manifest["counts"]["outages"] == outages
    assert manifest["counts"]["ticks"] == len(ticks)
    assert manifest["counts"]["fills"] == len(fills)
    lost_ns = sum(gap["until_ns"] - gap["from_ns"] for gap in gaps)
    assert manifest["ended_ns"] - manifest["started_ns"] - lost_ns == duration_s * 10**9
    for gap in gaps:
        position_goes_on(gap["until_ns"], ticks, fills)


def position_goes_on(until_ns: int, ticks: list[dict[str, Any]], fills: list[dict[str, Any]]) -> None:
    """The first tick behind an outage holds what all fills before it came to."""
    first = next(row for row in ticks if row["ts_ns"] >= until_ns)
    at_ns = first["ts_ns"]
    held = [row["qty"] * (1 if row["side"] == "buy" else -1) for row in fills if row["recv_ns"] <= at_ns]
    assert first["position"] == pytest.approx(sum(held), abs=1e-9)


def asked_again(soak: LiveSoak) -> LiveRequest:
    return live_interrupted(checkpoint.read(soak.directory)[0].request, soak.directory)


def refused(soak: LiveSoak, **changes: Any) -> str:
    """What is said to a request that is another than the one that was interrupted."""
    with pytest.raises(MmbotError) as error:
        ShadowRun(dataclasses.replace(asked_again(soak), **changes))
    (line,) = str(error.value).splitlines()
    return line


def changes_are_refused(soak: LiveSoak, folder: Path) -> None:
    before = soak.lines()
    slower = folder / "slower.yaml"
    slower.write_text(yaml.safe_dump({"pipeline": {"tick_interval_ms": 200}}))
    assert "configuration is " in refused(soak, config=[*asked_again(soak).config, slower])
    live_scenario(folder / "deeper", venue_of(soak), title="another", duration="6s")
    assert "market is " in refused(soak, scenarios=folder / "deeper")
    live_scenario(folder / "other", venue_of(soak), symbols=("OTHERUSDT",))
    assert "OTHERUSDT" in refused(soak, scenarios=folder / "other")
    assert "duration is 7000000000 ns, its checkpoint was written with" in refused(soak, duration_s=7.0)
    assert "seed is 8, its checkpoint was written with 7" in refused(soak, seed=8)
    with other_code(soak):
        assert "code is " in refused(soak)
    assert soak.lines() == before


def venue_of(soak: LiveSoak) -> str:
    scenario = yaml.safe_load((soak.folder / "scenarios" / "live" / "paper.yaml").read_text())
    return str(scenario["live"]["host"])


@contextlib.contextmanager
def other_code(soak: LiveSoak) -> Iterator[None]:
    """The checkpoint is another version's."""
    path = soak.directory / checkpoint.NAME
    whole = path.read_bytes()
    line, _, state = whole.partition(b"\n")
    header = msgspec.json.decode(line)
    header["facts"]["code"] = "0" * 64
    path.write_bytes(msgspec.json.encode(header) + b"\n" + state)
    yield
    path.write_bytes(whole)


def told_before_its_first_tick(run: ShadowRun) -> None:
    """It tells of the outage all the same, and can go on."""
    run.suspend("SIGTERM")
    feeds = [feed for feed, _ in run]
    assert "pipeline_ticks" not in feeds
    assert feeds[0] == "events"


@pytest.mark.slow
def test_a_live_soak_that_was_killed_twice_is_judged_on_what_it_covered(
    venue: PaperVenue, tmp_path: Path
) -> None:
    soak = LiveSoak(tmp_path, venue.url, 6)
    killed_behind(soak.start(), soak, 15)
    first = soak.lines()
    changes_are_refused(soak, tmp_path)
    with pytest.raises(ConfigError, match="another process is playing"), checkpoint.claimed(soak.directory):
        ShadowRun(asked_again(soak))
    with (soak.directory / next(iter(first))).open("ab") as feed:
        feed.write(b'{"run_id":"torn')
    told_before_its_first_tick(ShadowRun(asked_again(soak)))
    killed_behind(soak.resumed(), soak, soak.ticks() + 15)
    second = soak.lines()
    nothing_lost(first, soak)

    code, said = ended(soak.resumed())

    assert code == 0, said
    nothing_lost(second, soak)
    rows_are_right(soak, outages=3, duration_s=6)
    verdict = soak.verdict()
    assert verdict["label"] == "PASS (SYNTHETIC)"
    assert [outage["length_s"] > 0 for outage in verdict["outages"]] == [True] * 3
    assert "(00:0" in (tmp_path / "artifacts" / "reports" / "SOAK_REPORT.md").read_text()
    (torn,) = soak.directory.glob(f"{TORN}/1/*.jsonl")
    assert torn.read_bytes() == b'{"run_id":"torn'
    assert sorted(path.name for path in soak.directory.glob("recording*")) == [
        "recording", "recording-2", "recording-3", "recording-4",
    ]  # fmt: skip
    assert not (soak.directory / checkpoint.NAME).exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_live_soak_of_two_workers_that_is_told_to_end(
    venue: PaperVenue, tmp_path: Path, number: signal.Signals
) -> None:
    """Quotes are pulled, nothing is lost, no verdict is green; and it can go on."""
    soak = LiveSoak(tmp_path, venue.url, 6)
    process = soak.start("-n", "2")
    while soak.ticks() < 15:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
            raise AssertionError(process.communicate()[0])
    process.send_signal(number)
    code, said = ended(process)
    assert code == pytest.ExitCode.INTERRUPTED, said
    assert "ABORTED by SIGTERM: run soak-paper-" in said
    assert "--mmgates-resume goes on with it" in said
    verdict, manifest = soak.verdict(), soak.manifest()
    assert (verdict["verdict"], verdict["reason"][:10]) == ("NO_DATA", "ABORTED by")
    assert (manifest["status"], manifest["reason"]) == ("halted", "SIGTERM")
    assert manifest["counts"]["ticks"] == soak.ticks()
    samples = [row for row in read(soak.directory, "samples") if row["name"] == "resting_orders"]
    assert samples[-1]["value"] == 0
    before = soak.lines()

    code, said = ended(soak.start("-n", "2", "--mmgates-resume"))

    assert code == 0, said
    nothing_lost(before, soak)
    rows_are_right(soak, outages=1, duration_s=6)
    assert soak.verdict()["label"] == "PASS (SYNTHETIC)"


@pytest.mark.slow
def test_twenty_kills_at_any_moment(venue: PaperVenue, tmp_path: Path) -> None:
    """At start-up, before the first tick, while playing, in a checkpoint: nothing is lost but the time."""
    soak, draws, kills = LiveSoak(tmp_path, venue.url, 60, STOP), np.random.default_rng(5), 0
    before: dict[str, list[bytes]] = {}
    while kills < KILLS:
        left = any(tmp_path.glob(f"artifacts/runs/*/{checkpoint.NAME}"))
        played = soak.ticks()
        process = soak.resumed() if left else soak.start()
        if draws.random() < SHARE_PLAYING:
            killed_behind(process, soak, played + int(draws.integers(1, 30)))
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(draws.uniform(0.0, LONGEST_S))
                raise AssertionError(process.communicate()[0])
            kill(process)
        kills += 1
        if left:
            nothing_lost(before, soak)
        if any(tmp_path.glob(f"artifacts/runs/*/{checkpoint.NAME}")):
            before = soak.lines()
    code, said = ended(soak.resumed())
    assert code == 0, said
    nothing_lost(before, soak)
    rows_are_right(soak, outages=len(soak.manifest()["resumes"]), duration_s=60)
    assert len(soak.manifest()["resumes"]) > KILLS // 2
    assert soak.verdict()["label"] == "PASS (SYNTHETIC)"
