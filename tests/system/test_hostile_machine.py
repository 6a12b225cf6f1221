"""Machines that turn against a run: a full disk, a directory that takes nothing, a clock that jumps, SIGTERM.

Each ends in a clear line and in nothing that could be mistaken for a run; what can go on goes on.
"""

import functools
import itertools
import os
import resource
import signal
import subprocess
import sys
import time  # noqa: TID251 (the machine's clock, to be set back)
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import REPO
from tests.system.live_market import PaperVenue, Shadow, read
from tests.system.soaking import SoakProject, rows, until_checkpoints

from mmbot.runtime import checkpoint
from pytest_mmgates.errors import RunlogError
from pytest_mmgates.loader import load

MMBOT = Path(sys.executable).with_name("mmbot")
SETTINGS = (
    "telemetry: {sample_interval_s: 10, checkpoint_interval_s: 60}\npipeline: {tick_interval_ms: 500}\n"
)
JUMP_NS = 600 * 10**9


def command(folder: Path, name: str) -> list[str | Path]:
    """Ten minutes of `demo`, a checkpoint a minute."""
    (folder / "often.yaml").write_text(SETTINGS)
    return [
        *("run", "--scenario", "demo", "--scenarios", REPO / "scenarios", "--config", REPO / "config.yaml"),
        *("--config-override", folder / "often.yaml", "--duration", "10m", "--out", folder / name),
    ]


def mmbot(folder: Path, *arguments: str | Path, **options: Any) -> tuple[int, str]:
    done = subprocess.run(
        [MMBOT, *arguments], cwd=folder, capture_output=True, text=True, check=False, **options
    )
    return done.returncode, done.stderr


def manifest(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode((directory / "manifest.json").read_bytes())
    return found


def largest_file(size: int) -> None:
    """From here on the system refuses to let a file of this process grow further."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    assert mmbot(folder, *command(folder, "run")) == (0, "")
    return folder / "run"


def goes_on_as(unbroken: Path, folder: Path) -> None:
    """The run in `folder`/run can be resumed, and ends as the one that nothing happened to."""
    assert mmbot(folder, "run", "--resume", folder / "run") == (0, "")
    found, expected = manifest(folder / "run"), manifest(unbroken)
    for name in ("status", "run_digest", "counts"):
        assert found[name] == expected[name]
    assert rows(folder / "run") == rows(unbroken)


@pytest.mark.slow
def test_a_disk_that_is_full_fails_the_run_which_goes_on_when_there_is_room(tmp_path: Path, unbroken: Path):
    feed = "pipeline_ticks_20260101.jsonl"
    size = (unbroken / feed).stat().st_size
    code, said = mmbot(
        tmp_path, *command(tmp_path, "run"), preexec_fn=functools.partial(largest_file, size * 2 // 3)
    )
    assert code == 2
    assert said.startswith(f"mmbot: {tmp_path / 'run'}: feed ")
    assert said.endswith(" cannot be written: File too large\n")
    assert said.count("\n") == 1
    left = manifest(tmp_path / "run")
    assert (left["status"], left["run_digest"] is None) == ("failed", False)
    assert left["reason"] in said
    with pytest.raises(RunlogError):
        load(tmp_path / "run")
    goes_on_as(unbroken, tmp_path)


@pytest.mark.slow
def test_sigterm_halts_a_run_that_goes_on_behind_the_very_tick(tmp_path: Path, unbroken: Path):
    playing = subprocess.Popen(
        [MMBOT, *command(tmp_path, "run")], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    until_checkpoints(playing, tmp_path, 2)
    playing.send_signal(signal.SIGTERM)
    playing.communicate()
    left = manifest(tmp_path / "run")
    assert (left["status"], left["reason"]) == ("halted", "SIGTERM")
    header, _ = checkpoint.read(tmp_path / "run")
    assert header.ts_ns % (60 * 10**9) != 0
    assert header.ts_ns <= left["ended_ns"] <= header.ts_ns + 6 * 10**9
    goes_on_as(unbroken, tmp_path)


@pytest.fixture(scope="module")
def venue() -> Iterator[PaperVenue]:
    serving = PaperVenue("--scenario", "demo")
    yield serving
    serving.close()


def test_a_clock_that_jumps_back_ten_minutes_changes_nothing(
    tmp_path: Path, venue: PaperVenue, monkeypatch: pytest.MonkeyPatch
):
    shadow, told = Shadow(tmp_path, venue.url, duration_s=60.0), time.time_ns
    ticks = (row for feed, row in shadow.rows if feed == "pipeline_ticks")
    before = list(itertools.islice(ticks, 15))
    monkeypatch.setattr(time, "time_ns", lambda: told() - JUMP_NS)
    after = list(itertools.islice(ticks, 30))
    shadow.over()
    stamps = [row["ts_ns"] for row in (*before, *after)]
    assert stamps == sorted(set(stamps))
    assert stamps[-1] - stamps[0] < 60 * 10**9
    assert all(row["cache"] == "hit" and row["age_ns"] < 10**9 for row in after)
    kinds = {row["kind"] for row in read(shadow.directory, "events")}
    assert not kinds & {"lost", "gap", "answer_timeout", "resync_request"}
    every = [row["ts_ns"] for row in read(shadow.directory, "pipeline_ticks")]
    assert every == sorted(every)


@pytest.mark.slow
def test_a_soak_on_a_full_disk_says_so_and_is_resumed(tmp_path: Path):
    project = SoakProject(tmp_path)
    code, said = project.soak(preexec_fn=functools.partial(largest_file, 2_000_000))
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "cannot be written: File too large" in said
    assert "Traceback" not in said
    assert set(project.verdicts().values()) == {"NO_DATA"}
    assert project.manifest("soak-demo.failed")["status"] == "failed"
    project.soak("--mmgates-resume")
    assert project.manifest()["status"] == "complete"


@pytest.mark.slow
def test_a_soak_that_is_told_to_end_is_halted_and_resumed(tmp_path: Path):
    project = SoakProject(tmp_path)
    process = project.start()
    until_checkpoints(process, project.runs, 3)
    os.kill(process.pid, signal.SIGTERM)
    said, _ = process.communicate()
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "--mmgates-resume goes on with it" in said
    [left] = project.runs.glob("*.partial-*/manifest.json")
    found = msgspec.json.decode(left.read_bytes())
    assert (found["status"], found["reason"]) == ("halted", "SIGTERM")
    project.soak("--mmgates-resume")
    assert project.manifest()["status"] == "complete"
