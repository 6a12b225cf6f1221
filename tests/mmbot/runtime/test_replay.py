"""A replay is a function of tape, settings and seed, on any machine; silences cost what is modelled."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import (
    MARKET,
    NEXO,
    REPO,
    START_NS,
    HandStopwatch,
    capture,
    linear,
    ms,
    recorded_file,
    run_request,
    scenario_file,
    wire_depth,
    wire_snapshot,
    wire_trade,
)

from mmbot.model.records import EventRow, FillRow, Row, SampleRow, TickRow
from mmbot.runtime.run import Run
from mmbot.units import MS, SECOND


class Seen:
    """Everything that a run wrote, as rows."""

    def __init__(self) -> None:
        self.all: list[Row] = []

    def rows(self, rows: list[Row]) -> None:
        self.all += rows

    def of(self, kind: type) -> list[Any]:
        return [row for row in self.all if isinstance(row, kind)]

    def events(self, *kinds: str) -> list[tuple[str, int]]:
        return [(row.kind, row.ts_ns) for row in self.of(EventRow) if not kinds or row.kind in kinds]


def play(
    folder: Path, run_id: str = "run", clock: HandStopwatch | None = None, **changes: Any
) -> tuple[Run, Seen]:
    return finished(Run(run_request(folder, run_id, **changes), clock=clock or HandStopwatch(1_000)))


def finished(run: Run) -> tuple[Run, Seen]:
    seen = Seen()
    run.observers.append(seen)
    for _ in run:
        pass
    return run, seen


def test_the_same_replay_twice_writes_the_same_rows(tmp_path: Path):
    (first, one), (second, other) = play(tmp_path, "first"), play(tmp_path, "second")
    assert first.digest == second.digest
    assert first.counts == second.counts
    assert first.counts.fills > 10

    def kept(seen: Seen) -> list[Row]:
        return [row for row in seen.all if not (isinstance(row, SampleRow) and row.name == "rss_bytes")]

    assert kept(one) == kept(other)


def test_measured_durations_move_no_decision_and_no_fill(tmp_path: Path):
    steady, _ = play(tmp_path, "steady")
    jumping, seen = play(tmp_path, "jumping", clock=HandStopwatch(0, 5, 10**9, 3, 0, 10**12, 7, 10**10))
    assert steady.digest == jumping.digest
    assert any(row.deadline_miss for row in seen.of(TickRow))


PLAY = """
import sys
from pathlib import Path
from mmbot.runtime.run import Run, RunRequest
scenarios, config, directory = map(Path, sys.argv[1:])
run = Run(RunRequest("short", scenarios, [config], None, "run", directory))
for _ in run:
    pass
print(run.digest)
"""


def test_the_digest_does_not_depend_on_the_process_or_its_hash_seed(tmp_path: Path):
    run, _ = play(tmp_path)
    found = set()
    for hash_seed in ("0", "1"):
        command = [sys.executable, "-c", PLAY, str(tmp_path / "scenarios"), str(REPO / "config.yaml")]
        done = subprocess.run(
            [*command, str(tmp_path / f"hash{hash_seed}")],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout.strip())
    assert found == {run.digest}


def test_another_seed_of_the_latencies_is_another_run(tmp_path: Path):
    digests = {play(tmp_path, f"seed{seed}", seed=seed)[0].digest for seed in (1, 2, 3)}
    assert len(digests) == 3


def test_another_arm_names_its_orders(tmp_path: Path):
    _, seen = play(tmp_path, arm="B")
    assert all(row.client_id.startswith("mmB-SYNTHUSDT-") for row in seen.of(FillRow))


@pytest.mark.parametrize(("duration_s", "ticks"), [(5.0, 50), (0.1, 1), (0.05, 1), (12.34, 124)])
def test_a_shorter_duration_is_so_many_ticks_from_the_first_book(
    tmp_path: Path, duration_s: float, ticks: int
):
    run, seen = play(tmp_path, duration_s=duration_s)
    found = seen.of(TickRow)
    assert run.started_ns == found[0].ts_ns == START_NS + 100 * MS
    assert len(found) == run.counts.ticks == ticks
    assert found[-1].ts_ns < run.started_ns + duration_s * SECOND


def test_the_whole_of_a_tape_ends_with_it_and_never_loops_it(tmp_path: Path):
    whole, seen = play(tmp_path, "whole", duration_s=float("inf"))
    assert whole.started_ns is not None
    assert len(seen.of(TickRow)) == -(-(whole.tape.last_ns - whole.started_ns) // (100 * MS))
    assert max(row.ts_ns for row in seen.all) == whole.tape.last_ns


def test_a_shorter_run_is_the_beginning_of_the_longer_one(tmp_path: Path):
    (_, short), (_, long) = play(tmp_path, "short", duration_s=4.0), play(tmp_path, "long", duration_s=9.0)
    ticks = short.of(TickRow)
    assert long.of(TickRow)[: len(ticks)] == ticks


def test_ticks_stand_on_whole_intervals_in_time_order(tmp_path: Path):
    _, seen = play(tmp_path)
    stamps = [row.ts_ns for row in seen.of(TickRow)]
    assert stamps == [START_NS + number * 100 * MS for number in range(1, 151)]
    assert [row.seq for row in seen.of(TickRow)] == list(range(1, 151))


def test_every_fill_is_at_its_orders_price_or_better_and_adds_up_to_the_position(tmp_path: Path):
    run, seen = play(tmp_path)
    fills = seen.of(FillRow)
    assert fills
    assert all(row.liquidity == "maker" and row.price == row.order_price for row in fills)
    assert all(row.recv_ns > row.ts_ns for row in fills)
    signed = sum(row.qty if row.side == "buy" else -row.qty for row in fills)
    position = run.engine.bots[linear().key].position
    assert position.base == pytest.approx(signed)
    spent = sum((row.qty if row.side == "buy" else -row.qty) * row.price + row.fee for row in fills)
    assert position.pnl(75.0) == pytest.approx(position.base * 75.0 - spent)


def test_samples_come_at_their_interval_and_at_the_end(tmp_path: Path):
    override = tmp_path / "override.yaml"
    override.write_text("telemetry:\n  sample_interval_s: 5\n")
    _, seen = play(tmp_path, config=[REPO / "config.yaml", override])
    stamps = [row.ts_ns - START_NS for row in seen.of(SampleRow) if row.name == "rss_bytes"]
    assert stamps == [at_ms * MS for at_ms in (100, 5_100, 10_100, 15_100)]
    updates = [row.value for row in seen.of(SampleRow) if row.name == "book_updates"]
    assert updates == sorted(updates)
    assert updates[0] > 0


class TestHalt:
    def halted(self, folder: Path, *, after: int) -> tuple[Run, Seen]:
        """A run that somebody halts when so many batches were written."""
        run = Run(
            run_request(folder, config=[REPO / "config.yaml", self.often(folder)]), HandStopwatch(1_000)
        )
        seen = Seen()
        run.observers.append(seen)
        for number, _ in enumerate(run):
            if number == after:
                run.halt("red button")
                run.halt("a second button")
        return run, seen

    def often(self, folder: Path) -> Path:
        """Sample every second, so that batches come often."""
        (folder / "often.yaml").write_text("telemetry:\n  sample_interval_s: 1\n")
        return folder / "often.yaml"

    def test_quotes_are_pulled_and_their_cancels_awaited(self, tmp_path: Path):
        run, seen = self.halted(tmp_path, after=5)
        assert not run.engine.working
        assert [row.value for row in seen.of(SampleRow) if row.name == "resting_orders"][-1] == 0
        assert len(seen.of(TickRow)) < 60

    def test_the_first_reason_is_written_down(self, tmp_path: Path):
        _, seen = self.halted(tmp_path, after=5)
        (halt,) = [row for row in seen.of(EventRow) if row.kind == "halt"]
        assert halt.detail == {"reason": "red button"}
        manifest = msgspec.json.decode((tmp_path / "run" / "manifest.json").read_bytes())
        assert (manifest["status"], manifest["reason"]) == ("halted", "red button")
        assert manifest["ended_ns"] >= halt.ts_ns

    def test_nothing_is_ticked_after_it(self, tmp_path: Path):
        _, seen = self.halted(tmp_path, after=5)
        (halt,) = [row for row in seen.of(EventRow) if row.kind == "halt"]
        assert max(row.ts_ns for row in seen.of(TickRow)) < halt.ts_ns


class TestFinish:
    def finished(self, folder: Path, **asked: float) -> tuple[Run, list[Row]]:
        """A run that lasts so many seconds (`duration_s`), or is told after them that it has all (`at_s`). Of
        its rows all but memory.
        """
        folder.mkdir()
        (folder / "often.yaml").write_text("telemetry:\n  sample_interval_s: 1\n")
        at_s = asked.pop("at_s", None)
        config = [REPO / "config.yaml", folder / "often.yaml"]
        run, seen = Run(run_request(folder, config=config, **asked), HandStopwatch(1_000)), Seen()
        run.observers.append(seen)
        for _ in run:
            if at_s is not None and run.counts.ticks >= 10 * at_s:
                run.finish("decided")
                run.finish("decided twice")
        return run, [row for row in seen.all if not (isinstance(row, SampleRow) and row.name == "rss_bytes")]

    def manifest(self, run: Run) -> Any:
        return msgspec.json.decode((run.directory / "manifest.json").read_bytes())

    def test_it_is_the_run_that_was_to_last_so_long(self, tmp_path: Path):
        short, rows = self.finished(tmp_path / "short", duration_s=8.1)
        told, same = self.finished(tmp_path / "told", at_s=8)
        assert same == rows
        assert (told.digest, told.counts) == (short.digest, short.counts)
        assert told.counts.fills > 0
        one, other = self.manifest(short), self.manifest(told)
        assert (one["status"], one["reason"]) == ("complete", None)
        assert (other["status"], other["reason"]) == ("complete", "decided")
        assert other["ended_ns"] == one["ended_ns"]

    def test_a_halt_goes_first(self, tmp_path: Path):
        run = Run(run_request(tmp_path), HandStopwatch(1_000))
        run.finish("decided")
        run.halt("red button")
        list(run)
        manifest = self.manifest(run)
        assert (manifest["status"], manifest["reason"]) == ("halted", "red button")


BIDS = [["1.200", "500"], ["1.199", "500"]]
ASKS = [["1.203", "500"], ["1.204", "500"]]
NEAR = """\
sim:
  resync: {model: constant, median_ms: 60, sigma: 0.0}
  market_data: {model: constant, median_ms: 0}
"""
WIDE = """\
spread: {base_bps: 14.0, min_bps: 12.0, max_bps: 60.0}
limits: {max_order_notional_quote: 1000, max_position_quote: 6000, collar_reference_max_age_ms: 60000}
"""


def taped_run(folder: Path, frames: list[tuple[int, bytes]], override: str) -> Run:
    """A run over a NEXOUSDT capture made by hand."""
    capture(folder / "data" / "nexo.dat", frames)
    recorded_file(folder / "scenarios", [(NEXO, "nexo.dat")])
    (folder / "override.yaml").write_text(override + WIDE)
    config = [REPO / "config.yaml", folder / "override.yaml"]
    request = run_request(folder, scenario="taped", data=folder / "data", config=config)
    return Run(request, HandStopwatch(1_000))


def taped(folder: Path, frames: list[tuple[int, bytes]], override: str = "") -> tuple[Run, Seen]:
    """It played to its end; by default resynced in 60 ms."""
    return finished(taped_run(folder, frames, override or NEAR))


def depth(first_id: int, last_id: int | None = None) -> bytes:
    return wire_depth(first_id, last_id or first_id, [["1.199", f"{first_id}"]], [])


def steady(first_ms: int, last_ms: int, first_id: int) -> list[tuple[int, bytes]]:
    """A depth frame every 100 ms, at 50 ms past it."""
    return [
        (ms(at_ms + 50), depth(first_id + number))
        for number, at_ms in enumerate(range(first_ms, last_ms, 100))
    ]


OPENING = (ms(0), wire_snapshot(100, BIDS, ASKS))


class TestGap:
    def frames(self, *, healed_at_ms: int | None = None) -> list[tuple[int, bytes]]:
        """A second of market, then a lost frame; a snapshot later if it heals."""
        frames = [OPENING, *steady(0, 1_000, 101), *steady(1_000, 3_000, 112)]
        if healed_at_ms is None:
            return frames
        snapshot = (ms(healed_at_ms), wire_snapshot(200, BIDS, ASKS))
        return [frame for frame in frames if frame[0] < snapshot[0]] + [
            snapshot,
            *steady(healed_at_ms, 3_000, 201),
        ]

    def test_after_a_gap_every_read_is_a_miss_and_every_miss_is_overdue(self, tmp_path: Path):
        _, seen = taped(tmp_path, self.frames())
        reads = [(row.ts_ns, row.cache) for row in seen.of(TickRow)]
        assert {cache for ts_ns, cache in reads if ts_ns <= ms(1_000)} == {"hit"}
        assert {cache for ts_ns, cache in reads if ts_ns > ms(1_050)} == {"miss"}
        misses = [row for row in seen.of(TickRow) if row.cache == "miss"]
        overdue = [row for row in misses if row.ts_ns < ms(2_700)]
        assert {(row.wait_ns, row.deadline_miss) for row in overdue} == {(200 * MS, True)}

    def test_the_book_is_asked_for_again_until_it_comes(self, tmp_path: Path):
        _, seen = taped(tmp_path, self.frames())
        assert seen.events() == [
            ("gap", ms(1_050)),
            ("resync_request", ms(1_100)),
            ("resync_request", ms(2_100)),
        ]

    def test_quotes_are_pulled_and_the_venue_freezes(self, tmp_path: Path):
        run, seen = taped(tmp_path, self.frames())
        assert all(row.bid is None and row.guard == "HARD" for row in seen.of(TickRow) if row.cache == "miss")
        assert not run.engine.working

    def test_a_snapshot_in_the_recording_heals_it_and_closes_what_waits(self, tmp_path: Path):
        _, seen = taped(tmp_path, self.frames(healed_at_ms=1_230))
        assert seen.events() == [
            ("gap", ms(1_050)),
            ("resync_request", ms(1_100)),
            ("resync_done", ms(1_230)),
        ]
        misses = [(row.ts_ns, row.wait_ns) for row in seen.of(TickRow) if row.cache == "miss"]
        assert misses == [(ms(1_100), 130 * MS), (ms(1_200), 30 * MS)]
        assert all(row.cache == "hit" for row in seen.of(TickRow) if row.ts_ns > ms(1_230))


SLOW = """\
sim:
  entry: {model: constant, median_ms: 250, sigma: 0.0}
  response: {model: constant, median_ms: 7, sigma: 0.0}
  market_data: {model: constant, median_ms: 0}
"""


def test_orders_on_their_way_at_a_halt_are_pulled_as_soon_as_they_are_known(tmp_path: Path):
    """Sent at 0 ms, there at 250, known at 257, cancelled by the tick at 300, gone at 550, known at 557."""
    run = taped_run(tmp_path, [OPENING, *steady(0, 3_000, 101)], SLOW)
    seen = Seen()
    run.observers.append(seen)
    for _ in run:
        run.halt("red button")
    assert run.counts.orders == run.counts.cancels == 2
    assert not run.engine.working
    last = {row.name: (row.ts_ns, row.value) for row in seen.of(SampleRow)}
    assert last["resting_orders"] == (ms(600), 0)
    assert len(seen.of(TickRow)) == 1


class TestSilence:
    FRAMES = (OPENING, *steady(0, 1_000, 101), *steady(7_000, 9_000, 111))

    def test_silence_beyond_the_bound_is_resynced_at_the_modelled_cost(self, tmp_path: Path):
        _, seen = taped(tmp_path, list(self.FRAMES))
        # the last frame came at 950 ms, so silence is longer than 5 s from 5 950 ms on
        assert seen.events() == [("resync_request", ms(6_000)), ("resync_done", ms(6_060))]
        misses = [row for row in seen.of(TickRow) if row.cache == "miss"]
        assert [(row.ts_ns, row.wait_ns, row.deadline_miss) for row in misses] == [
            (ms(6_000), 60 * MS, False)
        ]

    def test_between_hit_and_miss_the_book_is_stale_and_then_not_priced_from(self, tmp_path: Path):
        _, seen = taped(tmp_path, list(self.FRAMES))
        at = {row.ts_ns: row for row in seen.of(TickRow)}
        assert (at[ms(1_200)].cache, at[ms(1_200)].age_ns) == ("hit", 250 * MS)
        assert (at[ms(1_300)].cache, at[ms(1_300)].guard) == ("stale", "NONE")
        assert (at[ms(2_000)].cache, at[ms(2_000)].reasons) == ("stale", ("stale",))
        assert at[ms(6_100)].cache == "hit"
        assert at[ms(6_100)].mid == at[ms(1_200)].mid

    def test_events_that_the_snapshot_contained_are_not_applied_twice(self, tmp_path: Path):
        _, seen = taped(tmp_path, list(self.FRAMES))
        last = seen.of(TickRow)[-1]
        assert (last.cache, last.mid) == ("hit", 1.2015)


FAR = """\
sim:
  resync: {model: constant, median_ms: 60, sigma: 0.0}
  entry: {model: constant, median_ms: 5, sigma: 0.0}
  response: {model: constant, median_ms: 7, sigma: 0.0}
  market_data: {model: constant, median_ms: 200}
"""


def test_a_snapshot_that_overtakes_the_feed_is_not_spoiled_by_what_it_already_contains(tmp_path: Path):
    """Market data takes 200 ms and a snapshot 60: the one asked for at 6 000 ms has the new bid and its
    removal, which arrive at 6 100 and 6 150 ms.
    """
    frames = [
        *(OPENING, *steady(0, 1_000, 101)),
        (ms(6_100), wire_depth(111, 111, [["1.201", "5"]], [])),
        (ms(6_150), wire_depth(112, 112, [["1.201", "0"]], [])),
        (ms(6_290), wire_depth(113, 113, [["1.202", "5"]], [])),
        (ms(6_400), wire_depth(114, 114, [], [])),
    ]
    _, seen = taped(tmp_path, frames, override=FAR)
    news = [("resync_request", ms(6_000)), ("resync_done", ms(6_060)), ("fast_cancel", ms(6_300))]
    assert seen.events() == news
    mids = {row.ts_ns: row.mid for row in seen.of(TickRow)}
    assert [mids[ms(at_ms)] for at_ms in (6_100, 6_200, 6_300)] == [1.2015, 1.2015, 1.2025]


def test_the_venue_acts_before_we_see_it_and_its_answer_takes_its_time(tmp_path: Path):
    """A trade through our bid that we receive at 750 ms was at the venue at 550; we know of it at 557."""
    frames = [OPENING, *steady(0, 2_000, 101), (ms(750), wire_trade("1.195", "1", sold=True))]
    run, seen = taped(tmp_path, sorted(frames), override=FAR)
    fill = seen.of(FillRow)[0]
    assert (fill.ts_ns, fill.recv_ns, fill.side) == (ms(550), ms(557), "buy")
    assert fill.price == fill.order_price == 1.199
    assert fill.mid == 1.2015
    assert run.counts.fills == 1


@pytest.mark.parametrize(("venue_ms", "fills"), [(4, 0), (6, 1)])
def test_an_order_of_ours_is_at_the_venue_after_its_latency(tmp_path: Path, venue_ms: int, fills: int):
    """The first tick is at 0 ms and its orders are there at 5."""
    frames = [OPENING, *steady(0, 1_000, 101), (ms(200 + venue_ms), wire_trade("1.195", "1", sold=True))]
    run, _ = taped(tmp_path, sorted(frames), override=FAR)
    assert run.started_ns == ms(0)
    assert run.counts.fills == fills


def test_a_symbol_whose_book_never_comes_makes_a_run_without_ticks(tmp_path: Path):
    frames = [(ms(0), wire_snapshot(100, [], [])), *steady(0, 500, 105)]
    run, seen = taped(tmp_path, frames)
    assert seen.of(FillRow) == []
    assert run.started_ns == ms(0)
    assert all(row.mid is None for row in seen.of(TickRow))


def test_a_run_starts_when_every_symbol_has_a_book_and_ends_with_the_first_tape(tmp_path: Path):
    other = linear(venue="binance_spot", symbol="OTHER", tick_size="0.001", lot_size="0.01")
    late = [(ms(730), wire_snapshot(5, BIDS, ASKS)), (ms(2_000), wire_depth(6, 6, [], [], symbol="OTHER"))]
    capture(tmp_path / "data" / "other.dat", late)
    capture(tmp_path / "data" / "nexo.dat", [OPENING, *steady(0, 3_000, 101)])
    recorded_file(tmp_path / "scenarios", [(NEXO, "nexo.dat"), (other, "other.dat")])
    run, seen = play(tmp_path, scenario="taped", data=tmp_path / "data")
    ticks = [(row.ts_ns, row.symbol) for row in seen.of(TickRow)]
    assert ticks[:2] == [(ms(800), NEXO.key), (ms(800), other.key)]
    assert ticks[-1] == (ms(1_900), other.key)
    assert run.counts.ticks == len(ticks) == 24


def test_what_a_scenario_overlays_and_its_own_seed_count(tmp_path: Path):
    facts = {"seed": 7, "start_ns": START_NS, "instrument": msgspec.to_builtins(linear()), "settings": MARKET}
    scenario_file(tmp_path / "scenarios", market=facts, seed=5, config={"emit": {"levels": 2}})
    run, _ = play(tmp_path)
    assert run.settings.emit.levels == 2
    assert run.digest == play(tmp_path, "again", seed=5)[0].digest
