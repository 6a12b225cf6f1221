"""Candles of minutes, and those made of them."""

from tests.mmbot.builders import linear, trade

from mmbot.model.instrument import Side
from mmbot.venues.paper.klines import MINUTE_MS, Candle, Klines


def told(*trades):
    """Klines after trades of (ms, tick)."""
    klines, closed = Klines(linear()), []
    for ts_ms, tick in trades:
        closed += klines.roll(ts_ms)
        klines.trade(ts_ms, trade(Side.BUY, tick, 10))
    return klines, closed


def test_a_minute_ends_before_the_next_ones_first_millisecond():
    klines, closed = told((0, 100), (MINUTE_MS - 1, 110), (MINUTE_MS, 90))
    assert closed == [0]
    first, second = klines.minutes
    assert (first.open, first.high, first.low, first.close, first.lots) == (100, 110, 100, 110, 20)
    assert (second.open, second.high, second.low, second.close, second.lots) == (110, 110, 90, 90, 10)


def test_a_minute_without_trades_is_flat_at_the_last_close():
    klines, closed = told((0, 100), (3 * MINUTE_MS, 90))
    assert closed == [0, MINUTE_MS, 2 * MINUTE_MS]
    assert klines.minutes[1] == Candle(MINUTE_MS, 100, 100, 100, 100)


def test_longer_candles_are_made_of_minutes_on_the_clock():
    klines, _ = told((2 * MINUTE_MS, 100), (3 * MINUTE_MS, 120), (5 * MINUTE_MS, 90), (6 * MINUTE_MS, 95))
    candle = klines.candle("3", 5 * MINUTE_MS)
    assert candle is not None
    assert (candle.start_ms, candle.high, candle.low, candle.close, candle.lots) == (
        3 * MINUTE_MS,
        120,
        90,
        90,
        20,
    )
    assert [one.start_ms // MINUTE_MS for one in klines.candles("3", 0, 10**9, 10)] == [6, 3, 0]
    assert [one.start_ms // MINUTE_MS for one in klines.candles("3", MINUTE_MS, 5 * MINUTE_MS, 10)] == [3]
    assert klines.candle("1", MINUTE_MS) is None, "before the first trade there is none"


def test_three_days_are_kept():
    klines, _ = told((0, 100))
    klines.roll(10 * 1440 * MINUTE_MS)
    assert len(klines.minutes) == 3 * 1440
    assert klines.minutes[-1].start_ms == 10 * 1440 * MINUTE_MS
