"""The venue's half of a public connection: market events in, Bybit v5 frames out, with the venue's own
counters.

Events carry no cross sequence, no trade id and no tick direction; on the wire each frame has them. `seq`
rises by one from frame to frame, book and trades together, as it strictly rises on the real venue. Trade ids
are counters in the venue's shape (UUID for futures, number for spot). A frame is pushed in the millisecond of
its event: `ts` = `cts`.
"""

from collections.abc import Sequence
from itertools import pairwise

from mmbot.model.events import BookDelta, BookSnapshot, Trade
from mmbot.model.instrument import Instrument
from mmbot.units import MS
from mmbot.venues.bybit.codec import Codec, Print, TickDirection, category

FIRST_SEQ = 1_000_000_001
_FIRST_SPOT_ID = 2_290_000_000_000_000_001


class BybitFeed:
    """Frames of one instrument, in the order of the calls."""

    __slots__ = ("_codec", "_depth", "_prints", "_seq")

    def __init__(self, instrument: Instrument, depth: int) -> None:
        self._codec = Codec(instrument)
        self._depth = depth
        self._prints = Prints(instrument)
        self._seq = FIRST_SEQ

    def frame(self, event: BookSnapshot | BookDelta | Trade) -> bytes:
        """The frame of one event."""
        return self.trades([event]) if isinstance(event, Trade) else self.book(event)

    def book(self, event: BookSnapshot | BookDelta) -> bytes:
        ts_ms = event.exch_ns // MS
        return self._codec.encode_book(event, depth=self._depth, seq=self._next_seq(), ts_ms=ts_ms)

    def trades(self, trades: Sequence[Trade]) -> bytes:
        """One frame for one or more trades, ascending in time."""
        if any(later.exch_ns < earlier.exch_ns for earlier, later in pairwise(trades)):
            raise ValueError("trades were out of time order, expected them ascending")
        seq = self._next_seq()
        prints = [self._prints.of(trade, seq) for trade in trades]
        return self._codec.encode_trades(prints, ts_ms=trades[-1].exch_ns // MS)

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq


class Prints:
    """What Bybit says beside each trade of one instrument, in the order of the calls."""

    __slots__ = ("_direction", "_last_tick", "_spot", "_trades")

    def __init__(self, instrument: Instrument) -> None:
        self._spot = category(instrument) == "spot"
        self._trades = 0
        self._last_tick: int | None = None
        self._direction: TickDirection = "PlusTick"

    def of(self, trade: Trade, seq: int) -> Print:
        """The print of one trade; `seq` is the number of the frame that carries it."""
        return Print(trade, self._trade_id(), seq, self._towards(trade.tick))

    def _trade_id(self) -> str:
        self._trades += 1
        if self._spot:
            return str(_FIRST_SPOT_ID + self._trades)
        return f"00000000-0000-5000-8000-{self._trades:012x}"

    def _towards(self, tick: int) -> TickDirection:
        """`L`: up or down from the last trade; at the same price, the last change with Zero before it."""
        if self._last_tick is not None and tick == self._last_tick:
            self._direction = "ZeroPlusTick" if self._direction.endswith("PlusTick") else "ZeroMinusTick"
        else:
            up = self._last_tick is None or tick > self._last_tick
            self._direction = "PlusTick" if up else "MinusTick"
        self._last_tick = tick
        return self._direction
