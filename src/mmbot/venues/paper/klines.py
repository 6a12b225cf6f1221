"""Candles from trades. One-minute candles are kept; longer ones are made of them when asked.

A minute without a trade is a flat candle at the last close, as the venue shows it; before the first trade of
the tape there is none.
"""

import msgspec

from mmbot.model.events import Trade
from mmbot.model.instrument import Instrument

MINUTE_MS = 60_000
INTERVALS = {"1": 1, "3": 3, "5": 5, "15": 15, "30": 30, "60": 60, "120": 120, "240": 240, "360": 360}
INTERVALS |= {"720": 720, "D": 1440}
"""Minutes by Bybit's name of the interval."""
_KEPT = 3 * 1440


class Candle(msgspec.Struct, gc=False):
    """Prices in ticks, volume in lots, `turnover` in quote currency (base for inverse contracts)."""

    start_ms: int
    open: int
    high: int
    low: int
    close: int
    lots: int = 0
    turnover: float = 0.0


class Klines:
    """Candles of one instrument."""

    __slots__ = ("_instrument", "minutes")

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self.minutes: list[Candle] = []

    def trade(self, ts_ms: int, trade: Trade) -> None:
        """Take a trade; `roll` to its time first."""
        tick = int(trade.tick)
        if not self.minutes:
            self.minutes.append(Candle(ts_ms - ts_ms % MINUTE_MS, tick, tick, tick, tick))
        last = self.minutes[-1]
        last.high = tick if tick > last.high else last.high  # noqa: FURB136 - once per trade
        last.low = tick if tick < last.low else last.low  # noqa: FURB136 - once per trade
        last.close = tick
        last.lots += trade.lots
        last.turnover += self._instrument.notional(trade.lots, self._instrument.price(tick))

    def roll(self, ts_ms: int) -> list[int]:
        """Open the minutes up to this time; returns the starts of those that it closed."""
        closed: list[int] = []
        while self.minutes and ts_ms >= self.minutes[-1].start_ms + MINUTE_MS:
            last = self.minutes[-1]
            closed.append(last.start_ms)
            self.minutes.append(
                Candle(last.start_ms + MINUTE_MS, last.close, last.close, last.close, last.close)
            )
        if len(self.minutes) > _KEPT:
            del self.minutes[: len(self.minutes) - _KEPT]
        return closed

    def candle(self, interval: str, at_ms: int) -> Candle | None:
        """The candle of this interval that holds a time; None without a trade in it or before it."""
        length_ms = INTERVALS[interval] * MINUTE_MS
        start_ms = at_ms - at_ms % length_ms
        parts: list[Candle] = []
        for minute in reversed(self.minutes):
            if minute.start_ms < start_ms:
                break
            if minute.start_ms < start_ms + length_ms:
                parts.append(minute)
        return _joined(start_ms, parts[::-1]) if parts else None

    def candles(self, interval: str, start_ms: int, end_ms: int, limit: int) -> list[Candle]:
        """Newest first, those that start in [start_ms, end_ms]."""
        length_ms = INTERVALS[interval] * MINUTE_MS
        groups: dict[int, list[Candle]] = {}
        for minute in self.minutes:
            groups.setdefault(minute.start_ms - minute.start_ms % length_ms, []).append(minute)
        wanted = [start for start in reversed(groups) if start_ms <= start <= end_ms][:limit]
        return [_joined(start, groups[start]) for start in wanted]


def _joined(start_ms: int, parts: list[Candle]) -> Candle:
    return Candle(
        start_ms,
        parts[0].open,
        max(part.high for part in parts),
        min(part.low for part in parts),
        parts[-1].close,
        sum(part.lots for part in parts),
        sum(part.turnover for part in parts),
    )
