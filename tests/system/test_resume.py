"""`pytest -m soak --mmgates-resume` after a kill -9 at any moment: the run of one that was not killed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.mmbot.builders import MARKET, REPO, START_NS, linear, scenario_file
from tests.system.replay_bot import asked
from tests.system.soaking import SoakProject, kill, rows, until_checkpoints

from mmbot.runtime import checkpoint
from mmbot.runtime.run import Run

KILLS, SOAKS, KILLS_A_REPLAY = 300, 30, 5
LONGEST_S, LONGEST_PLAY_S = 8.0, 2.0
"""A soak that nothing happens to takes about that long, to start, play and judge; and to play."""
SHARE_PLAYING = 0.8
"""Of the kills: from the beginning of the play on; the others from the beginning of the process."""


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> SoakProject:
    """A soak that nothing happened to."""
    project = SoakProject(tmp_path_factory.mktemp("unbroken"))
    project.soak()
    assert project.manifest()["status"] == "complete"
    return project


@pytest.fixture
def project(tmp_path: Path) -> SoakProject:
    return SoakProject(tmp_path)


def is_as(project: SoakProject, unbroken: SoakProject, run: str = "soak-demo") -> None:
    """Same orders and fills, same rows once each, same verdicts; nothing lies about."""
    found, expected = project.manifest(run), unbroken.manifest(run)
    for name in ("status", "run_digest", "counts", "started_ns", "ended_ns", "config_sha256"):
        assert found[name] == expected[name], name
    assert rows(project.runs / run) == rows(unbroken.runs / run)
    assert project.verdicts() == unbroken.verdicts()
    assert not list(project.runs.glob("*.partial-*"))
    assert not list(project.runs.glob(f"**/{checkpoint.NAME}"))


@pytest.mark.parametrize("kills", [3, pytest.param(KILLS, marks=pytest.mark.slow)])
def test_a_replay_that_was_killed_is_the_replay_that_was_not(tmp_path: Path, kills: int) -> None:
    """A draw of checkpoints, and of milliseconds behind the last of them, says when."""
    draws, resumed = np.random.default_rng(kills), 0
    expected = Run(asked(replay_folder(tmp_path / "unbroken")))
    for _ in expected:
        pass
    for number in range(-(-kills // KILLS_A_REPLAY)):
        folder = replay_folder(tmp_path / str(number))
        for _ in range(min(KILLS_A_REPLAY, kills - number * KILLS_A_REPLAY)):
            kill_replay(folder, int(draws.integers(1, 4)), draws.uniform(0.0, 0.1))
        last = Run(asked(folder))
        for _ in last:
            pass
        assert last.digest == expected.digest
        assert rows(folder / "run") == rows(tmp_path / "unbroken" / "run")
        manifest = msgspec.json.decode((folder / "run" / "manifest.json").read_bytes())
        resumed += len(manifest["resumes"])
        shutil.rmtree(folder)
    assert resumed == kills


def replay_folder(folder: Path) -> Path:
    often = {"telemetry": {"sample_interval_s": 1, "checkpoint_interval_s": 10}}
    scenario_file(folder / "scenarios", config=often, duration="10m", market=market(620))
    return folder


def kill_replay(folder: Path, checkpoints: int, after_s: float) -> None:
    """Play on, and kill -9 the process some time after it has written so many checkpoints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.system.replay_bot", folder],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPO), *sys.path])},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until_checkpoints(process, folder, checkpoints)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(after_s)
    kill(process)


def market(duration_s: int) -> dict[str, Any]:
    return {
        "seed": 7,
        "start_ns": START_NS,
        "instrument": msgspec.to_builtins(linear()),
        "settings": MARKET | {"duration_s": duration_s},
    }


@pytest.mark.slow
def test_a_soak_that_was_killed_is_the_soak_that_was_not(project: SoakProject, unbroken: SoakProject) -> None:
    project.killed_behind(3)
    project.check_synced()
    project.soak(*project.resume)
    is_as(project, unbroken)
    assert len(project.manifest()["resumes"]) == 1


@pytest.mark.slow
def test_parts_that_two_processes_played_are_resumed_by_two(project: SoakProject, tmp_path: Path) -> None:
    (tmp_path / "unbroken").mkdir()
    unbroken, arguments = SoakProject(tmp_path / "unbroken"), ("--mmgates-scenario", "parts", "-n", "2")
    unbroken.soak(*arguments[:2])
    for checkpoints in (3, 9, 14):
        project.killed_behind(checkpoints, *arguments, *project.resume)
        project.check_synced()
    project.soak(*arguments, *project.resume)
    is_as(project, unbroken, "soak-parts")
    assert project.manifest("soak-parts")["resumes"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SOAKS))
def test_it_may_be_killed_as_often_as_one_likes(
    project: SoakProject, unbroken: SoakProject, seed: int
) -> None:
    """Wherever it meets: at start-up, in a checkpoint, in a repair, while rows are read again or judged."""
    draws, killed = np.random.default_rng(seed), 0
    while killed < KILLS // SOAKS:
        playing = bool(draws.random() < SHARE_PLAYING)
        longest_s = LONGEST_PLAY_S if playing else LONGEST_S
        killed += project.killed(draws.uniform(0.0, longest_s), *project.resume, playing=playing)
        project.check_synced()
        if project.judged:
            is_as(project, unbroken)
            shutil.rmtree(project.folder / "artifacts")
    project.soak(*project.resume)
    is_as(project, unbroken)
