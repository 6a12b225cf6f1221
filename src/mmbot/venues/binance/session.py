"""Binance market-data session, sans-IO: bytes in, market events out, by the venue's rule for a local book.

Rule, "How to manage a local order book correctly" (developers.binance.com): buffer the stream, take the REST
snapshot, drop what it already contains, bridge with the event that spans it, then chain.

* Spot: drop u <= lastUpdateId; the first event has U <= lastUpdateId + 1 <= u; then U = previous u + 1.
* Futures: drop u < lastUpdateId; the first event has U <= lastUpdateId <= u; then pu = previous u. U is
  usually not previous u + 1, so the chain is on pu alone.

The bridging event may arrive before the snapshot reply, hence the buffer from the first message. What was
buffered is stamped with the snapshot's receive time: only then could anybody apply it. A broken chain is a
BookTrouble(GAP) and the session waits, buffering, for the next snapshot. `bookTicker` is an oracle of the
same update ids, not an input: the two streams are not ordered against each other.
"""

from collections import deque
from collections.abc import Callable, Sequence

from mmbot.book.sequencer import Sequencer
from mmbot.errors import RemoteProtocolError
from mmbot.model.events import (
    BookDelta,
    BookSnapshot,
    BookTrouble,
    Confirmed,
    Level,
    MarketEvent,
    TopOfBook,
    Trade,
    Trouble,
)
from mmbot.model.instrument import Instrument, Side, parser
from mmbot.model.notes import Happened, noted
from mmbot.units import MS, Lots, Ns, Ticks
from mmbot.venues.binance.codec import (
    BookTicker,
    DepthUpdate,
    Frame,
    Snapshot,
    TradeMessage,
    WireLevel,
    decode,
)

_BUFFER = 10_000
"""Depth events kept while waiting for a snapshot; the venue's own advice needs a few dozen."""

VENUES = ("binance_spot", "binance_usdm", "binance_coinm")


class BinanceSession:
    """One connection's instruments. `trade_stream`: which of `trade` and `aggTrade` to believe when both are
    recorded.
    """

    def __init__(self, instruments: Sequence[Instrument], trade_stream: str = "trade") -> None:
        self._feeds = {instrument.symbol: _Feed(instrument) for instrument in instruments}
        self._trade_stream = trade_stream

    def receive(self, payload: bytes, recv_ns: Ns) -> list[MarketEvent]:
        """Events of one frame, in order. Raises RemoteProtocolError for a frame that is none of ours."""
        note = noted(payload)
        if note is not None:
            return self._lost(note.detail, recv_ns) if note.mmbot is Happened.LOST else []
        kind, message = decode(payload)
        if isinstance(message, Snapshot):
            return self._feed(kind.partition(":")[2] or None).snapshot(message, recv_ns)
        if message.s is None:
            return [feed.confirmed(recv_ns) for feed in self._feeds.values()]
        feed = self._feed(message.s)
        if isinstance(message, TradeMessage) and kind != self._trade_stream:
            return [feed.confirmed(recv_ns)]
        return feed.stream(message, recv_ns)

    def _lost(self, reason: str, recv_ns: Ns) -> list[MarketEvent]:
        return [feed.lost(reason, recv_ns) for feed in self._feeds.values()]

    def _feed(self, symbol: str | None) -> "_Feed":
        if symbol is None and len(self._feeds) == 1:
            return next(iter(self._feeds.values()))
        feed = self._feeds.get(symbol or "")
        if feed is None:
            raise RemoteProtocolError(
                f"symbol was {symbol or 'not named'}, expected {', '.join(self._feeds)}"
            )
        return feed


class _Feed:
    """One instrument: its chain, its buffer, its grids."""

    def __init__(self, instrument: Instrument) -> None:
        self._key = instrument.key
        self._spot = instrument.venue == "binance_spot"
        self._price: Callable[[str], int] = parser(instrument.tick_size, f"{instrument.symbol} price")
        self._size: Callable[[str], int] = parser(instrument.lot_size, f"{instrument.symbol} size")
        self._chain = Sequencer()
        self._waiting: deque[DepthUpdate] = deque(maxlen=_BUFFER)

    def confirmed(self, recv_ns: Ns) -> Confirmed:
        return Confirmed(self._key, recv_ns)

    def lost(self, reason: str, recv_ns: Ns) -> BookTrouble:
        """The connection was lost: wait for a snapshot, and buffer what comes from now on."""
        self._chain.last = None
        self._waiting.clear()
        return BookTrouble(self._key, recv_ns, recv_ns, Trouble.LOST, reason)

    def snapshot(self, message: Snapshot, recv_ns: Ns) -> list[MarketEvent]:
        self._chain.snapshot(message.lastUpdateId)
        exch_ns = Ns(message.T * MS) if message.T is not None else recv_ns
        bids, asks = self._levels(message.bids), self._levels(message.asks)
        events: list[MarketEvent] = [
            BookSnapshot(self._key, exch_ns, recv_ns, bids, asks, message.lastUpdateId)
        ]
        buffered, self._waiting = self._waiting, deque(maxlen=_BUFFER)
        for delta in buffered:
            events += self._depth(delta, recv_ns)
        return events

    def stream(self, message: Frame, recv_ns: Ns) -> list[MarketEvent]:
        match message:
            case DepthUpdate():
                return self._depth(message, recv_ns)
            case TradeMessage():
                return [self._trade(message, recv_ns)]
            case BookTicker():
                return [self._top(message, recv_ns)]
            case _:
                return [self.confirmed(recv_ns)]

    def _depth(self, message: DepthUpdate, recv_ns: Ns) -> list[MarketEvent]:
        last = self._chain.last
        if last is None:
            self._waiting.append(message)
            return [self.confirmed(recv_ns)]
        if self._chain.fresh and (message.u <= last if self._spot else message.u < last):
            return [self.confirmed(recv_ns)]
        trouble = self._chain.delta(message.u, links=self._links(message, last))
        exch_ns = Ns((message.T or message.E) * MS)
        if trouble is None:
            bids, asks = self._levels(message.b), self._levels(message.a)
            return [BookDelta(self._key, exch_ns, recv_ns, bids, asks, message.u)]
        if self._chain.last is None:
            self._waiting.append(message)
        found = f"U={message.U} u={message.u}" + ("" if self._spot else f" pu={message.pu}")
        return [BookTrouble(self._key, exch_ns, recv_ns, trouble, f"{found} after u={last}")]

    def _links(self, message: DepthUpdate, last: int) -> bool:
        if self._chain.fresh:
            return message.U <= (last + 1 if self._spot else last) <= message.u
        return last + 1 == message.U if self._spot else message.pu == last

    def _trade(self, message: TradeMessage, recv_ns: Ns) -> MarketEvent:
        if message.X != "MARKET":
            return self.confirmed(recv_ns)
        side = Side.SELL if message.m else Side.BUY
        tick, lots = Ticks(self._price(message.p)), Lots(self._size(message.q))
        return Trade(self._key, Ns(message.T * MS), recv_ns, side, tick, lots)

    def _top(self, message: BookTicker, recv_ns: Ns) -> TopOfBook:
        exch_ns = Ns(message.T * MS) if message.T is not None else recv_ns
        bid, ask = (
            (self._price(message.b), self._size(message.B)),
            (self._price(message.a), self._size(message.A)),
        )
        return TopOfBook(
            self._key, exch_ns, recv_ns, Ticks(bid[0]), Lots(bid[1]), Ticks(ask[0]), Lots(ask[1]), message.u
        )

    def _levels(self, levels: list[WireLevel]) -> list[Level]:
        price, size = self._price, self._size
        return [(price(p), size(q)) for p, q in levels]
