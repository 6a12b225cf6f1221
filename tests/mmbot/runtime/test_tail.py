"""A run directory read while it is written: the same state as in the run's own process."""

import json
from pathlib import Path

import msgspec
import pytest
from tests.mmbot.builders import run_request

from mmbot.errors import ConfigError, RecordingError
from mmbot.model.records import Row
from mmbot.runtime.run import Run
from mmbot.runtime.shown import facts_of
from mmbot.runtime.tail import Tail
from mmbot.telemetry.view import RuleState, RunState, View


class Collected:
    """A view of a run that plays in this process, state by state."""

    def __init__(self, run: Run) -> None:
        self.view = View(facts_of(run))
        run.observers.append(self)

    def rows(self, rows: list[Row]) -> None:
        self.view.rows(rows)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(run_request(tmp_path))


@pytest.fixture
def played(run: Run) -> Run:
    for _ in run:
        pass
    return run


def comparable(state: RunState) -> RunState:
    """Without what a directory does not tell: how long the run was meant to be, the least notional."""
    facts = msgspec.structs.replace(state.facts, planned_ns=None, instruments=[])
    return msgspec.structs.replace(state, facts=facts)


def test_the_directory_tells_what_the_run_itself_would(run: Run):
    seen = Collected(run)
    batches = iter(run)
    next(batches)
    tail = Tail(run.directory)
    assert tail.state().state in ("starting", "quoting")
    for _ in batches:
        pass
    seen.view.ended("complete", None)
    state = tail.state()
    assert comparable(state) == comparable(seen.view.state())
    assert state.results[0].fills > 0
    assert tail.state() == state  # each row counts once


def test_a_line_that_is_being_written_waits(played: Run):
    (path,) = played.directory.glob("pipeline_ticks_*.jsonl")
    whole = path.read_bytes()
    torn = whole.rstrip(b"\n").rfind(b"\n") + 20
    path.write_bytes(whole[:torn])
    tail = Tail(played.directory)
    assert tail.state().ticks == played.counts.ticks - 1
    path.write_bytes(whole)
    assert tail.state().ticks == played.counts.ticks


def test_a_run_that_failed_says_why(played: Run):
    path = played.directory / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "status": "failed", "reason": "disk full"}))
    state = Tail(played.directory).state()
    assert (state.state, state.reason) == ("failed", "disk full")


def test_what_rules_came_to_is_read_when_the_run_was_judged(played: Run):
    assert Tail(played.directory).state().rules is None
    fired = {"rule": "a", "section": "stop", "judged": 9, "fired": {"why": "a[5m] 7% > 5% at noon", "n": 3}}
    quiet = {"rule": "b", "section": "warn", "judged": 12, "fired": None}
    (played.directory / "watch.json").write_text(json.dumps([fired, quiet, {**quiet, "judged": 0}]))
    assert Tail(played.directory).state().rules == [
        RuleState("a", "stop", "fired, a[5m] 7% > 5% at noon", fired=True),
        RuleState("b", "warn", "did not fire at 12 looks", fired=False),
        RuleState("b", "warn", None, fired=False),
    ]


def test_what_is_no_run_is_one_line(tmp_path: Path, played: Run):
    with pytest.raises(ConfigError, match=r"manifest\.json: was No such file .*, expected a run directory"):
        Tail(tmp_path)
    (path,) = played.directory.glob("fills_*.jsonl")
    path.write_bytes(b"{}\n")
    with pytest.raises(RecordingError, match=r"fills_20260101\.jsonl: corrupt row: "):
        Tail(played.directory).state()
    manifest = played.directory / "manifest.json"
    whole = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**whole, "parts": [{"name": "ONE"}, {"name": "TWO"}]}))
    with pytest.raises(ConfigError, match=r"was a run in parts, expected one of .*/parts: ONE, TWO"):
        Tail(played.directory)
    manifest.write_text("[]")
    with pytest.raises(ConfigError, match="was no manifest of a run"):
        Tail(played.directory)
