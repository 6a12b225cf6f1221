"""One tick: each stage in its own field, decisions from the book alone, and a row that says all of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mmbot.builders import (
    KEY,
    HandStopwatch,
    confirmed,
    delta,
    engine_of,
    ms,
    shipped_settings,
    snapshot,
)

from mmbot.engine.engine import Engine
from mmbot.model.commands import SubmitOrder, unpacked
from mmbot.model.events import Tick
from mmbot.model.instrument import Side
from mmbot.model.records import Row, TickRow
from mmbot.units import MS, Ns

STAGES = ("fetch_md_ns", "spread_ns", "guards_ns", "inventory_ns", "queue_aware_ns", "emit_ns")
BIDS, ASKS = [(7_490, 500), (7_489, 500)], [(7_510, 500), (7_511, 500)]


def opened(clock: HandStopwatch | None = None, **sections: dict) -> Engine:
    """An engine whose one book is in sync; the stopwatch moves as told."""
    engine = engine_of(shipped_settings(**sections), clock=clock)
    engine.step(snapshot(BIDS, ASKS))
    return engine


def ticked(engine: Engine, at_ms: float = 0.0) -> TickRow:
    engine.step(Tick(Ns(ms(at_ms))))
    (row,) = [row for row in engine.drain() if isinstance(row, TickRow)]
    return row


def test_each_stage_lands_in_its_own_field():
    row = ticked(opened(HandStopwatch(100, 1, 2, 4, 8, 16, 32)))
    assert [getattr(row, name) for name in STAGES] == [1, 2, 4, 8, 16, 32]
    assert row.tick_total_ns == 63


@given(st.lists(st.integers(0, 10**8), min_size=6, max_size=6))
@settings(max_examples=30)
def test_the_total_is_the_sum_of_the_stages_and_misses_when_it_is_above_the_deadline(durations: list[int]):
    row = ticked(opened(HandStopwatch(0, *durations)))
    assert [getattr(row, name) for name in STAGES] == durations
    assert row.tick_total_ns == sum(durations)
    assert row.deadline_miss == (sum(durations) > 200 * MS)


@pytest.mark.parametrize(("total_ns", "miss"), [(200 * MS, False), (200 * MS + 1, True)])
def test_a_deadline_is_missed_by_a_nanosecond(total_ns: int, *, miss: bool):
    assert ticked(opened(HandStopwatch(0, total_ns, 0))).deadline_miss is miss


def test_a_row_says_what_was_seen_and_decided():
    row = ticked(opened(), 100)
    assert (row.ts_ns, row.symbol, row.seq, row.cache, row.age_ns) == (ms(100), KEY, 1, "hit", 100 * MS)
    assert (row.guard, row.reasons, row.wait_ns) == ("NONE", (), 0)
    assert (row.mid, row.bid, row.ask, row.half_spread_bps) == (75.0, 74.97, 75.03, 3.0)
    assert (row.position, row.position_quote) == (0.0, 0.0)


def test_rows_count_up_per_symbol():
    engine = opened()
    assert [ticked(engine, at_ms).seq for at_ms in (0, 100, 200)] == [1, 2, 3]


def test_quotes_are_post_only_orders_with_ids_that_name_arm_and_symbol():
    commands = list(unpacked(opened().step(Tick(Ns(ms(0))))))
    assert [type(command) for command in commands] == [SubmitOrder, SubmitOrder]
    assert commands == [
        SubmitOrder(KEY, "mmA-SYNTHUSDT-1", Side.BUY, 7_497, 666, post_only=True),
        SubmitOrder(KEY, "mmA-SYNTHUSDT-2", Side.SELL, 7_503, 666, post_only=True),
    ]


def test_what_the_stopwatch_reads_changes_no_command():
    slow, fast = opened(HandStopwatch(10**12)), opened(HandStopwatch(1))
    for at_ms in (0, 100, 200):
        assert slow.step(Tick(Ns(ms(at_ms)))) == fast.step(Tick(Ns(ms(at_ms))))


def test_a_stale_book_is_served_and_named():
    engine = opened()
    row = ticked(engine, 300)
    assert (row.cache, row.age_ns, row.guard) == ("stale", 300 * MS, "NONE")
    assert ticked(engine, 1_001).reasons == ("stale",)


def test_a_book_too_old_to_price_from_pulls_the_quotes_and_keeps_its_mid():
    row = ticked(opened(), 1_001)
    assert (row.cache, row.guard, row.mid) == ("stale", "HARD", 75.0)
    assert (row.bid, row.ask, row.half_spread_bps) == (None, None, None)


def test_a_one_sided_book_pulls_the_quotes():
    engine = opened()
    engine.step(delta([(tick, 0) for tick, _ in BIDS], []))
    row = ticked(engine)
    assert (row.cache, row.guard, row.reasons, row.mid, row.bid) == ("hit", "HARD", ("no_book",), None, None)


def test_levels_of_a_ladder_are_reported_by_their_first():
    row = ticked(opened(emit={"levels": 3}))
    assert (row.bid, row.ask) == (74.97, 75.03)


def test_a_deadline_is_the_settings():
    assert ticked(opened(HandStopwatch(0, 6 * MS, 0), pipeline={"deadline_ms": 5.0})).deadline_miss


def rows_of(engine: Engine) -> list[Row]:
    return engine.drain()


def test_idle_ticks_send_nothing_again():
    engine = opened()
    assert engine.step(Tick(Ns(ms(0))))
    engine.step(confirmed(ms(50)))
    assert not engine.step(Tick(Ns(ms(100))))
    assert len(rows_of(engine)) == 2
