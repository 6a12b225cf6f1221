"""A run over its time says in each stretch what a gate would say of that stretch alone."""

from fractions import Fraction

import numpy as np
import pytest
from tests.pytest_mmgates.report.changes import slow_from

from pytest_mmgates.report.timeline import read_timelines, stretch_of
from pytest_mmgates.units import BPS

ASKED = [("tick_total.p95", None), ("deadline_miss.ratio", None), ("md_cache.hit_ratio", "paper:ABCUSDT")]


def test_stretches_say_what_metrics_say(drawn_run):
    [line] = read_timelines(drawn_run(slow_from(20, 25)), ASKED)
    assert line.stretch_ns == 60e9
    slow = line.metrics["tick_total.p95", None] > 150e6
    assert np.flatnonzero(slow).tolist() == [20, 21, 22, 23, 24]
    assert np.array_equal(line.metrics["deadline_miss.ratio", None], slow.astype(float))
    assert line.metrics["md_cache.hit_ratio", "paper:ABCUSDT"].mean() == pytest.approx(0.9, abs=0.001)


def test_a_line_of_stretches_is_level_over_each(drawn_run):
    [line] = read_timelines(drawn_run(), ASKED)
    xs, ys = line.steps(np.array([1.0, 2.0]))
    assert (xs.tolist(), ys.tolist()) == ([0, 60e9, 60e9, 120e9], [1, 1, 2, 2])


def test_what_was_not_measured_is_not_there(drawn_run):
    [line] = read_timelines(drawn_run(stop_after=0.5), ASKED)
    missing = np.isnan(line.metrics["tick_total.p95", None])
    assert (missing[:30].any(), missing[31:].all()) == (False, True)


def test_profit_ends_where_edge_says_that_it_ends(drawn_run):
    """`pnl_bps` of the gates, by its weights, is the same money: fills marked at the last mid, less fees."""
    run = drawn_run(fills=200)
    [line] = read_timelines(run, ASKED)
    pnl = run.of(None).edge["pnl"]
    assert pnl.fills == 200
    quote = float(Fraction(pnl.product, 2**1074)) / BPS
    assert line.symbols["paper:ABCUSDT"].profit.last == pytest.approx(quote, rel=1e-9)


def test_money_and_queue_of_each_symbol(drawn_run, foreign_bot):
    times = foreign_bot.tick_times(foreign_bot.SETTINGS)
    trace = [
        {"ts_ns": at, "symbol": "paper:ABCUSDT", "bid_eta_s": 3.0 + n, "ask_eta_s": None}
        for n, at in enumerate(times[:100])
    ]
    [line] = read_timelines(drawn_run(trace=trace), ASKED)
    series = line.symbols["paper:ABCUSDT"]
    assert (series.inventory.least, series.inventory.most) == (-100, 100)
    assert (series.half_spread.least, series.half_spread.most) == (5, 5)
    assert (series.queue_eta.least, series.queue_eta.most, series.queue_eta.count) == (3, 102, 100)
    assert line.durations["fetch_md"].most == 4e6
    assert line.memory.count == 61


@pytest.mark.parametrize(
    ("minutes", "stretch_s"), [(0, 1), (60, 60), (72 * 60, 3600), (8, 10), (60 * 24 * 400, 604800)]
)
def test_stretches_are_round_and_few(minutes, stretch_s):
    assert stretch_of(int(minutes * 60e9)) == stretch_s * 10**9
