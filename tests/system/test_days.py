"""A day is played by itself: from the snapshot behind midnight, in either engine, with orders of its own."""

from pathlib import Path

import msgspec
import pytest
from tests.mmbot.builders import MARKET, START_NS, linear, run_request, scenario_file

from mmbot.runtime.run import EngineKind, Run
from mmbot.units import SECOND

DAYS = ("20251231", "20260101")


@pytest.fixture
def over_midnight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A minute of market and more on each side of midnight."""
    monkeypatch.setenv("MMBOT_CACHE", str(tmp_path / "cache"))
    settings = MARKET | {"duration_s": 150.0}
    instrument = msgspec.to_builtins(linear())
    market = {"seed": 7, "start_ns": START_NS - 60 * SECOND, "instrument": instrument, "settings": settings}
    scenario_file(tmp_path / "scenarios", duration="1h", parts=["day"], market=market)
    return tmp_path


def played(folder: Path, day: str, engine: EngineKind) -> Run:
    run = Run(run_request(folder, f"{day}-{engine}", part=day, engine=engine))
    for _ in run:
        pass
    return run


@pytest.mark.parametrize("day", DAYS)
def test_both_engines_play_a_day_alike(over_midnight: Path, day: str) -> None:
    plain, compiled = (played(over_midnight, day, kind) for kind in (EngineKind.PLAIN, EngineKind.COMPILED))
    assert (compiled.digest, compiled.counts) == (plain.digest, plain.counts)
    assert plain.counts.orders > 10


def test_the_days_share_the_time_and_nothing_else(over_midnight: Path) -> None:
    before, after = (played(over_midnight, day, EngineKind.PLAIN) for day in DAYS)
    assert before.started_ns is not None
    assert after.started_ns is not None
    assert before.started_ns < START_NS <= after.started_ns < START_NS + SECOND
    assert before.tape.last_ns < after.tape.feeds[0].columns.meta.first_ns
    first = next(iter(after.tape.feeds[0].columns.meta.snapshots))
    assert (first.row, first.frame) == (0, 0)
