"""Statistics of a market: by hand on a small one, and against the settings of a generated one."""

import math

import pytest

from mmbot.errors import RecordingError
from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, Confirmed, MarketEvent, Trade, Trouble
from mmbot.model.instrument import Side
from mmbot.sim.market import MarketSettings, SyntheticMarket
from mmbot.sim.market_statistics import Statistics, measure
from mmbot.units import MS, SECOND, Lots, Ns, Ticks

KEY = "bybit_linear:SYNTHUSDT"
START = 1_000 * SECOND


def snapshot(at_ms: int, bid: int = 100, ask: int = 101) -> BookSnapshot:
    bids = [(bid - 2 * level, 10) for level in range(4)]
    asks = [(ask + 2 * level, 10) for level in range(4)]
    return BookSnapshot(KEY, Ns(START + at_ms * MS), Ns(0), bids, asks)


def delta(at_ms: int, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> BookDelta:
    return BookDelta(KEY, Ns(START + at_ms * MS), Ns(0), bids, asks)


def trade(at_ms: int, side: Side, tick: int, lots: int) -> Trade:
    return Trade(KEY, Ns(START + at_ms * MS), Ns(0), side, Ticks(tick), Lots(lots))


def small(*others: MarketEvent) -> list[MarketEvent]:
    """Forty seconds: every 100 ms the queue at the bid turns to 20 or to 10; every 500 ms somebody buys."""
    events: list[MarketEvent] = [snapshot(0)]
    for step in range(1, 401):
        at_ms = step * 100
        if step % 5 == 0:
            events.append(trade(at_ms - 50, Side.BUY, 101, 3))
        events.append(delta(at_ms, [(100, 20 if step % 2 else 10)], []))
    return events + list(others)


def of(events: list[MarketEvent], depth: int = 4, window_s: float = 5.0) -> Statistics:
    return measure(events, depth_levels=depth, window_s=window_s)


def test_a_clockwork_market_is_measured_exactly():
    found = of(small())

    assert found.span_s == 40.0
    assert found.start_ticks == 100
    assert found.messages_per_s == 10.0
    assert (found.message_interval_ms, found.message_interval_sd_ms) == (100.0, 0.0)
    assert (found.changes_per_message, found.change_touch_ratio, found.change_far_ratio) == (1.0, 1.0, 0.0)
    assert found.touch_change_log_mean == pytest.approx(math.log(10))
    assert found.orders_per_s == pytest.approx(2.0)
    assert (found.prints_per_order, found.sweep_ratio, found.same_side_ratio) == (1.0, 0.0, 1.0)
    assert found.order_lots_log_mean == pytest.approx(math.log(3))
    assert (found.order_gap_cv, found.order_burst_ratio) == (0.0, 0.0)
    assert (found.spread_ticks, found.spread_one_ratio, found.spread_two_ratio) == (1.0, 1.0, 0.0)
    assert found.gap_ticks == 2.0
    assert found.touch_lots_log_mean == pytest.approx((3 * math.log(10) + math.log(20)) / 4)
    assert (found.moved_ratio, found.volatility_bps_per_sqrt_min, found.response_bps) == (0.0, 0.0, 0.0)


def test_depth_goes_by_distance_and_what_was_not_seen_is_no_number():
    shape = of(small()).depth_log_means

    assert shape[2] == shape[4] == pytest.approx(math.log(10))  # at 2 and at 5 to 7 ticks
    assert math.isnan(shape[1])
    assert math.isnan(shape[8])


def test_prints_of_one_side_and_moment_are_one_order_and_two_prices_a_sweep():
    events = small(
        trade(40_200, Side.BUY, 101, 3),
        trade(40_200, Side.BUY, 103, 5),
        trade(40_200, Side.SELL, 100, 1),
        delta(46_000, [], []),
    )
    found = of(events)

    assert found.prints_per_order == pytest.approx(83 / 82)
    assert found.sweep_ratio == pytest.approx(1 / 82)
    assert found.same_side_ratio == pytest.approx(80 / 81)


def test_time_weighs_what_lasts():
    """Forty seconds at one tick, then forty at two, told in a single message."""
    found = of(small(delta(40_000, [(100, 0)], []), delta(80_000, [(98, 11)], [])))

    assert found.spread_one_ratio == pytest.approx(0.5)
    assert found.spread_ticks == pytest.approx(0.5 * 1 + 0.5 * 3)  # the next bid is two ticks lower


def test_a_move_after_an_order_is_its_response_and_is_led_by_it():
    up = [delta(41_000 + step, [(102, 10)], [(101, 0)]) for step in (0, 10_000)]
    found = of(small(trade(40_990, Side.BUY, 101, 1), *up))
    away = of(small(trade(40_990, Side.SELL, 101, 1), *up))

    move = math.log(205 / 201) * 1e4
    assert found.led_ratio == 1.0
    assert away.led_ratio == 0.0
    orders = 81
    answered = 9  # those within five seconds before, nine of the clockwork and the last
    assert found.response_bps == pytest.approx(move * (answered + 1) / orders, rel=0.15)
    assert away.response_bps == pytest.approx(move * (answered - 1) / orders, rel=0.15)


def test_what_happens_behind_the_view_is_not_seen():
    behind = [delta(40_100 + 100 * step, [(94, 5 + step)], []) for step in range(10)]

    assert of(small(*behind), depth=3).messages_per_s < of(small(*behind), depth=5).messages_per_s
    assert of(small(*behind), depth=3).changes_per_message == 1.0


def test_signs_of_life_change_nothing():
    assert of(small(Confirmed(KEY, Ns(5)))) == of(small())


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([delta(0, [], [])], "before any snapshot"),
        ([snapshot(0), delta(1, [(tick, 0) for tick in (100, 98, 96, 94)], [])], "ran empty"),
        (
            [BookTrouble(KEY, Ns(0), Ns(0), Trouble.GAP, "U=3 after u=1")],
            "the book broke .gap: U=3 after u=1",
        ),
        ([snapshot(0)], "1 book messages and 0 orders"),
        (small()[:30], "5 orders to measure, expected at least 20 and 20"),
    ],
)
def test_a_market_that_cannot_be_measured_is_an_error(events, reason):
    with pytest.raises(RecordingError, match=reason):
        of(events)


def test_a_generated_market_is_measured_as_it_was_set():
    settings = MarketSettings(
        duration_s=1_800.0,
        message_interval_ms=80,
        message_jitter_ms=9,
        gap_stop_ratio=1.0,
        activity_log_sigma=0.0,
        volatility_log_sigma=0.0,
        trades_per_s=5.0,
        informed_ratio=0.0,
        run_persistence_ratio=0.8,
        trade_lots_log_mean=3.0,
        trade_lots_log_sigma=0.5,
    )
    found = of(list(SyntheticMarket(settings, 3, Ns(0)).events()), depth=50)

    assert found.message_interval_ms == pytest.approx(80, abs=1)
    assert found.message_interval_sd_ms == pytest.approx(math.sqrt((19**2 - 1) / 12), rel=0.05)
    assert found.orders_per_s == pytest.approx(5.0, rel=0.05)
    assert found.order_gap_cv == pytest.approx(1.0, abs=0.05)  # Poisson
    assert found.order_burst_ratio == pytest.approx(1 - math.exp(-1 / 20), abs=0.01)
    assert found.same_side_ratio == pytest.approx(0.8, abs=0.02)
    assert found.order_lots_log_mean == pytest.approx(3.0, abs=0.03)
    assert found.order_lots_log_sigma == pytest.approx(0.5, abs=0.03)
