"""Trace: which ticks, what a row says, and that it changes nothing."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import (
    KEY,
    confirmed,
    delta,
    engine_of,
    linear,
    market_of,
    ms,
    shipped_settings,
    snapshot,
    trade,
)

from mmbot.engine.engine import Engine
from mmbot.engine.pipeline import Stages
from mmbot.engine.trace import Tracer, TraceSettings
from mmbot.model.commands import Message
from mmbot.model.events import LatencySample, OrderAck, Tick
from mmbot.model.instrument import Side
from mmbot.model.records import TickRow, TraceRow
from mmbot.units import MS, Ns

BIDS, ASKS = [(9_990, 500)], [(10_010, 500)]
EVERY = {"sample_rate": 1.0}


def tracer(sample_rate: float) -> Tracer:
    stages: Stages = engine_of(shipped_settings()).bots[KEY]._pipeline._stages
    return Tracer(TraceSettings(sample_rate), linear(), market_of(), stages)


def traced(watched: Tracer, ticks: int) -> list[int]:
    """Numbers of the ticks that are traced, as the pipeline asks."""
    found = []
    for seq in range(1, ticks + 1):
        if seq >= watched.next_seq:
            watched.passed(seq)
            found.append(seq)
    return found


@pytest.mark.parametrize(
    ("sample_rate", "seqs"),
    [(0.0, []), (0.2, [5, 10, 15, 20]), (0.3, [4, 7, 10, 14, 17, 20]), (1.0, list(range(1, 21)))],
)
def test_ticks_are_traced_by_number_evenly(sample_rate: float, seqs: list[int]):
    assert traced(tracer(sample_rate), 20) == seqs


@given(st.floats(0, 1), st.integers(0, 400))
def test_of_the_first_n_ticks_the_rate_is_traced(sample_rate: float, ticks: int):
    assert len(traced(tracer(sample_rate), ticks)) == math.floor(Fraction(str(sample_rate)) * ticks)


def test_ticks_that_were_left_out_are_not_made_up_for():
    watched = tracer(0.1)
    watched.passed(34)
    assert watched.next_seq == 40


def opened(**sections: dict) -> Engine:
    engine = engine_of(shipped_settings(**{"trace": EVERY, "fetch_md": {"fair_value": "mid"}, **sections}))
    engine.step(snapshot(BIDS, ASKS))
    return engine


def ticked(engine: Engine, at_ms: float) -> tuple[TickRow, TraceRow]:
    engine.step(confirmed(ms(at_ms)))
    engine.step(Tick(Ns(ms(at_ms))))
    rows = engine.drain()
    (tick,) = [row for row in rows if isinstance(row, TickRow)]
    (trace,) = [row for row in rows if isinstance(row, TraceRow)]
    assert (trace.ts_ns, trace.symbol, trace.seq) == (tick.ts_ns, tick.symbol, tick.seq)
    assert trace.guard == tick.guard
    assert trace.half_spread_bps == tick.half_spread_bps
    return tick, trace


def test_a_row_says_what_each_stage_thought():
    tick, trace = ticked(opened(), 0)
    assert trace.fair == 100.0
    assert (trace.spread_bps, trace.half_spread_bps, trace.skew_bps, trace.size_ratio) == (3.0, 3.0, 0.0, 1.0)
    assert (trace.soft, trace.hard, trace.held) == ((), (), ())
    assert trace.quotes == [(1, tick.bid, 500), (-1, tick.ask, 500)]
    assert (trace.bid_ahead_lots, trace.bid_eta_s) == (None, None)


def test_a_row_says_what_the_market_shows():
    engine = opened()
    engine.step(snapshot([(9_990, 300), (9_989, 50)], [(10_010, 100)], ns=ms(10)))
    engine.step(trade(Side.BUY, 10_010, 40, ns=ms(50)))
    _, trace = ticked(engine, 50)
    assert trace.touch_bps == pytest.approx(20.0)
    assert (trace.imbalance, trace.depth_lots) == (0.75, 450)
    assert trace.ask_trade_lots_per_s == pytest.approx(40 * math.log(2) / 60)
    assert trace.bid_trade_lots_per_s == 0.0


def test_scores_and_guards_are_named_with_what_they_were_made_of():
    engine = opened()
    engine.step(LatencySample(KEY, Ns(ms(0)), 300 * MS))
    _, trace = ticked(engine, 0)
    assert (trace.latency_ms, trace.latency_score, trace.guard, trace.soft) == (
        300.0,
        1.0,
        "SOFT",
        ("latency",),
    )
    assert (trace.spread_bps, trace.half_spread_bps, trace.size_ratio) == (5.0, 7.5, 0.5)


def test_a_queue_is_told_with_its_eta_and_without_trades_with_none():
    engine = opened(spread={"base_bps": 10.0}, queue_aware={"max_reprice_bps": 0.0})
    ticked(engine, 0)
    for number in (1, 2):
        engine.step(OrderAck(KEY, f"mmA-SYNTHUSDT-{number}", Ns(ms(10))))
    _, trace = ticked(engine, 100)
    assert (trace.bid_ahead_lots, trace.bid_eta_s, trace.ask_ahead_lots, trace.ask_eta_s) == (
        500,
        None,
        500,
        None,
    )
    engine.step(trade(Side.SELL, 9_990, 100, ns=ms(200)))
    _, trace = ticked(engine, 200)
    assert trace.bid_ahead_lots == 400
    assert trace.bid_eta_s == pytest.approx(400 / (100 * math.log(2) / 60))
    assert trace.ask_eta_s is None


def test_a_spike_names_the_side_that_is_kept_empty():
    engine = opened(guards={"soft_volatility_bps": 1e6, "hard_volatility_bps": 1e6})
    ticked(engine, 0)
    engine.step(snapshot([(9_980, 500)], [(10_000, 500)], ns=ms(50)))
    _, trace = ticked(engine, 100)
    assert trace.held == ("buy",)
    assert [slot for slot, *_ in trace.quotes] == [-1]


def test_without_a_book_nothing_is_made_up():
    engine = opened()
    engine.step(delta([(9_990, 0)], [], ns=ms(50)))
    _, trace = ticked(engine, 100)
    assert (trace.fair, trace.spread_bps, trace.half_spread_bps, trace.quotes) == (None, None, None, [])
    assert (trace.volatility_bps, trace.volatility_score, trace.liquidity_score) == (None, None, None)
    assert (trace.touch_bps, trace.imbalance, trace.depth_lots) == (None, None, None)
    assert trace.hard == ("no_book",)


@given(
    st.floats(0, 1), st.lists(st.tuples(st.integers(-8, 8), st.booleans(), st.integers(0, 400)), max_size=25)
)
def test_at_any_rate_the_commands_are_the_same(sample_rate: float, path: list[tuple[int, bool, int]]):
    def commands(rate: float) -> list[list[Message]]:
        engine, found = opened(trace={"sample_rate": rate}), list[list[Message]]()
        for number, (moved, whole, late_ms) in enumerate(path):
            at_ms = 100 * number + 50
            bids, asks = ([(tick + moved, lots) for tick, lots in side] for side in (BIDS, ASKS))
            engine.step(snapshot(bids if whole else [], asks, ns=ms(at_ms)))
            engine.step(LatencySample(KEY, Ns(ms(at_ms)), late_ms * MS))
            found.append(list(engine.step(Tick(Ns(ms(at_ms + 50))))))
        return found

    assert commands(sample_rate) == commands(0.0)
