"""A walk stops at what is not accepted, or says in every artifact why it could not be played."""

import json
import shutil
from pathlib import Path

import pytest
from tests.mmbot.builders import REPO
from tests.mmbot.ops.steps_left import CODE, OUT, left

from mmbot.clock import wall_ns
from mmbot.ops.evidence import State, record_path
from mmbot.ops.walk import Walk, walk
from mmbot.ops.workflow import TASKS, task_named
from mmbot.runtime import provenance

AB_REPORT = "ab_replay_20260104.md"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project whose only session is red."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(CODE, "source_sha256", provenance.source_sha256())
    scenarios = Path("scenarios")
    scenarios.mkdir()
    shutil.copy(REPO / "scenarios/demo-14d.yaml", scenarios)
    (scenarios / "test_it.py").write_text("def test_it(): assert True")
    Path("pytest.ini").write_text("[pytest]\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/FEATURE_FLAGS_REGISTRY.md").touch()


def walked(said: list[str], *, show_blocked: bool) -> dict[str, str]:
    """State and reason of each task."""
    release = walk(Walk("demo-14d", Path("scenarios"), None, OUT, show_blocked, said.append))
    return {one.task.name: f"{one.state}: {one.why}" for one in release.standings}


def test_a_walk_says_what_is_blocked_everywhere_and_goes_on_where_it_stopped():
    """One walk after the other: each is a session of pytest, which costs seconds."""
    ab = task_named("ab.replay")
    assert ab is not None
    left(ab, ended_ns=wall_ns())
    somebodys = record_path(ab.name, OUT).read_bytes()
    said: list[str] = []
    found = walked(said, show_blocked=True)
    assert len(said) == len(TASKS)
    assert record_path(ab.name, OUT).read_bytes() == somebodys
    assert found.pop(ab.name).startswith(State.ACCEPTED)
    for name, stands in found.items():
        by_prep = "blocked by prep, which is not accepted"
        blocked = "no step prep in scenarios/: see " if name == "prep" else by_prep
        assert stands.startswith(f"not accepted: {blocked}")
        _says_so(name, blocked)
    for task in TASKS[:3]:
        left(task, ended_ns=wall_ns())
    _goes_on()


def _says_so(name: str, blocked: str) -> None:
    """In its verdict, and in every artifact that is due."""
    task = task_named(name)
    assert task is not None
    verdict = json.loads((OUT / task.evidence).read_bytes())
    assert (verdict["verdict"], verdict["data_kind"]) == ("NO_DATA", None)
    assert verdict["reason"].startswith(blocked)
    for pattern, files in task.found(OUT):
        assert files, pattern
        mine = [path for path in files if path.parts[0] != "docs" and path.name != AB_REPORT]
        assert all("NO_DATA" in path.read_text() and blocked in path.read_text() for path in mine)


def _goes_on() -> None:
    """Behind three accepted steps it plays the fourth, and no more."""
    said: list[str] = []
    found = walked(said, show_blocked=False)
    assert [line[2:9].strip() for line in said] == ["prep", "shadow", "soak", "dataset"]
    assert all("accepted" in line for line in said[:3])
    why = "no step dataset in scenarios/: see artifacts/workflow/dataset.log"
    assert found["dataset"] == f"not accepted: {why}"
    assert said[3].startswith("4 dataset   NO_DATA in ")
    assert said[3].endswith(why)
    assert (OUT / "workflow/dataset.log").stat().st_size > 0
    assert found["lock"] == "not accepted: blocked by prep, which is not accepted"
