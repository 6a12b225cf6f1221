"""md_cache through a silence and a gap: what is read, when quotes go, when the book is asked for and when it
comes, when quotes are back. On a market whose times are known, in both engines.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import MARKET, linear, ms, run_request, scenario_file

from mmbot.model.records import EventRow, Row, TickRow
from mmbot.runtime.faults import parse_fault
from mmbot.runtime.run import EngineKind, Run
from mmbot.units import MS

BOTH = pytest.mark.parametrize("engine", [EngineKind.PLAIN, EngineKind.COMPILED])
CONFIG = {
    "fast_cancel": {"enabled": False},
    "md_cache": {"ttl_ms": 250, "fresh_ms_for_pricing": 1000, "invalidate_on_ws_gap_ms": 5000},
    "limits": {"collar_reference_max_age_ms": 20_000},
    "sim": {"resync": {"model": "constant", "median_ms": 60, "sigma": 0.0}},
}


class Seen:
    """Observes ticks and events."""

    def __init__(self) -> None:
        self.ticks: list[TickRow] = []
        self.events: list[EventRow] = []

    def rows(self, rows: Sequence[Row]) -> None:
        self.ticks += [row for row in rows if isinstance(row, TickRow)]
        self.events += [row for row in rows if isinstance(row, EventRow)]

    def at(self, kind: str) -> list[int]:
        return [event.ts_ns for event in self.events if event.kind == kind]

    def read(self, after_ns: int, cache: str) -> int:
        """The first tick after that which read the book so."""
        return next(tick.ts_ns for tick in self.ticks if tick.ts_ns >= after_ns and tick.cache == cache)

    def quoted(self, after_ns: int, *, quotes: bool) -> int:
        """The first tick after that with two quotes, or with none."""
        sides = {True: 2, False: 0}[quotes]
        return next(
            tick.ts_ns
            for tick in self.ticks
            if tick.ts_ns >= after_ns and (tick.bid is not None) + (tick.ask is not None) == sides
        )


def played(folder: Path, engine: EngineKind, *faults: str) -> tuple[Run, Seen]:
    settings = {**MARKET, "duration_s": 40.0}
    market = {"seed": 7, "start_ns": ms(0), "instrument": msgspec.to_builtins(linear()), "settings": settings}
    scenario_file(folder / "scenarios", market=market, duration="35s", config=CONFIG)
    asked = tuple(map(parse_fault, faults))
    run, seen = Run(run_request(folder, f"run-{len(faults)}", engine=engine, faults=asked)), Seen()
    run.observers.append(seen)
    for _ in run:
        pass
    return run, seen


@BOTH
def test_a_silence_pulls_quotes_asks_for_the_book_and_quotes_again(tmp_path: Path, engine: EngineKind):
    run, seen = played(tmp_path, engine, "silence@10s+8s")
    columns = run.tape.feeds[0].columns
    start_ns = columns.meta.first_ns + 10_000 * MS
    over_ns = start_ns + 8_000 * MS
    arrived: Any = columns.arrays["recv_ns"]
    confirmed_ns = int(arrived[arrived < start_ns][-1])

    stale_ns = seen.read(start_ns, "stale")
    assert 250 * MS < stale_ns - confirmed_ns <= 350 * MS
    pulled_ns = seen.quoted(start_ns, quotes=False)
    assert 1_000 * MS < pulled_ns - confirmed_ns <= 1_100 * MS
    missed_ns = seen.read(start_ns, "miss")
    assert 5_000 * MS < missed_ns - confirmed_ns <= 5_100 * MS
    assert seen.at("resync_request") == [missed_ns]
    assert seen.at("resync_done") == [missed_ns + 60 * MS]
    assert {tick.wait_ns for tick in seen.ticks if tick.ts_ns == missed_ns} == {60 * MS}
    back_ns = seen.quoted(missed_ns, quotes=True)
    assert back_ns == missed_ns + 100 * MS
    # the book that was sent is old again a second later, until the silence ends
    again_ns = seen.quoted(back_ns, quotes=False)
    assert 1_000 * MS < again_ns - seen.at("resync_done")[0] <= 1_100 * MS
    hit_ns = seen.read(again_ns, "hit")
    assert 0 <= hit_ns - over_ns < 100 * MS
    assert seen.quoted(again_ns, quotes=True) == hit_ns


@BOTH
def test_a_gap_pulls_quotes_until_the_book_has_come(tmp_path: Path, engine: EngineKind):
    run, seen = played(tmp_path, engine, "gap@10s")
    gap_ns = run.tape.feeds[0].columns.meta.first_ns + 10_000 * MS
    (found_ns,) = seen.at("gap")
    assert gap_ns <= found_ns < gap_ns + 1_000 * MS
    missed_ns = seen.read(gap_ns, "miss")
    assert 0 <= missed_ns - found_ns < 100 * MS
    assert seen.quoted(gap_ns, quotes=False) == missed_ns
    assert (seen.at("resync_request"), seen.at("resync_done")) == ([missed_ns], [missed_ns + 60 * MS])
    assert seen.quoted(missed_ns, quotes=True) == missed_ns + 100 * MS


def test_both_engines_meet_faults_alike_and_the_manifest_names_them(tmp_path: Path):
    asked = ("silence@5s+6s", "gap@15s", "silence@20s+300ms")
    digests = set()
    for engine in (EngineKind.PLAIN, EngineKind.COMPILED):
        run, _ = played(tmp_path / engine.value, engine, *asked)
        digests.add(run.digest)
        manifest = msgspec.json.decode((tmp_path / engine.value / "run-3" / "manifest.json").read_bytes())
        assert manifest["data"]["injected"] == list(asked)
        assert manifest["data"]["kind"] == "synthetic"
    assert len(digests) == 1
    untouched, seen = played(tmp_path, EngineKind.PLAIN)
    assert untouched.digest not in digests
    assert {tick.cache for tick in seen.ticks} == {"hit"}
