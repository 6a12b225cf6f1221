"""`pytest -m soak --mmgates-resume` after a kill -9 at any moment: the run of one that was not killed."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.system.soaking import SoakProject, rows

from mmbot.runtime import checkpoint

KILLS, SOAKS = 300, 30
LONGEST_S = 8.0
"""A soak that nothing happens to takes about that long."""


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


def is_as(project: SoakProject, unbroken: SoakProject) -> None:
    """Same orders and fills, same rows once each, same verdicts; nothing lies about."""
    found, expected = project.manifest(), unbroken.manifest()
    for name in ("status", "run_digest", "counts", "started_ns", "ended_ns", "config_sha256"):
        assert found[name] == expected[name], name
    assert rows(project.runs / "soak-demo") == rows(unbroken.runs / "soak-demo")
    assert project.verdicts() == unbroken.verdicts()
    assert not list(project.runs.glob("*.partial-*"))
    assert not list(project.runs.glob(f"**/{checkpoint.NAME}"))


def test_a_soak_that_was_killed_is_the_soak_that_was_not(project: SoakProject, unbroken: SoakProject) -> None:
    project.killed_behind(3)
    project.check_synced()
    project.soak(*project.resume)
    is_as(project, unbroken)
    assert len(project.manifest()["resumes"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SOAKS))
def test_it_may_be_killed_as_often_as_one_likes(
    project: SoakProject, unbroken: SoakProject, seed: int
) -> None:
    """Wherever it meets: at start-up, in a checkpoint, in a repair, while rows are read again or judged."""
    draws, killed = np.random.default_rng(seed), 0
    while killed < KILLS // SOAKS:
        killed += project.killed(draws.uniform(0.0, LONGEST_S), *project.resume)
        project.check_synced()
        if project.judged:
            is_as(project, unbroken)
            shutil.rmtree(project.folder / "artifacts")
    project.soak(*project.resume)
    is_as(project, unbroken)
