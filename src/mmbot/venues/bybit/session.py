"""One public Bybit v5 connection, sans-IO: websocket messages in, market events out.

The book rule (https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook): the first message of a
subscription is a snapshot, then deltas; "if you receive a new snapshot message, you will have to reset your
local orderbook"; `u` = 1 is a snapshot after a restart of the service. The documentation does not promise
that `u` rises by one, but 1,143 of 1,143 recorded deltas did, and after every one of them the book had
exactly the subscribed number of levels a side: the venue sends the deletes of levels that are pushed out.
What follows:

- delta with u = last + 1: applied;
- delta with u <= last: DUPLICATE, dropped. A delta with u = 1 while we hold a book is no duplicate: the
  service restarted and its snapshot never came, so dropping would keep a dead book for ever. It is a GAP;
- any other delta: GAP; every delta until the next snapshot is then BEFORE_SNAPSHOT;
- another number of levels than subscribed: DEPTH; best bid at or above best ask: CROSSED. Both hold for
  snapshots too, and both end the chain like a gap. A message that breaks the book is not handed on. A market
  with fewer levels than the subscribed depth therefore never gets a book: subscribe to a smaller depth.

To check the last rule the session keeps which prices hold a level, not how much.

A trade is stamped with `T`, a book with `cts`: the matching engine's clock. The trade arrives before the book
delta that contains its effect. Which prints are no trades says the codec; one whose id was told before, of
the last thousand of its connection, is no second trade: it confirms, and no more. Every frame that is neither
book nor trade confirms every instrument of the connection. A note that the connection was lost
(`model.notes`) ends every chain: LOST.
"""

from collections.abc import Sequence

from mmbot.book.sequencer import Sequencer
from mmbot.errors import ConfigError, RemoteProtocolError
from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, Confirmed, Level, MarketEvent, Trouble
from mmbot.model.instrument import Instrument, Side
from mmbot.model.notes import Happened, noted
from mmbot.units import Ns
from mmbot.venues.bybit.codec import BookFrame, Codec, NoteFrame, TradesFrame, category, decode

_RESTART_ID = 1
_PRINTS = 1_000
"""Ids of prints that are remembered, of an instrument."""
ARGS_A_REQUEST = 10
"""Spot takes at most 10 args a request: https://bybit-exchange.github.io/docs/v5/ws/connect"""


class BybitSession:
    """All instruments of one connection: one category, one book depth.

    `depth` None: the depth that an instrument's first book frame names, for captures that say it nowhere
    else.
    """

    def __init__(self, instruments: Sequence[Instrument], depth: int | None) -> None:
        categories = sorted({category(instrument) for instrument in instruments})
        if len(categories) != 1:
            raise ConfigError(f"a Bybit connection was given categories {categories}, expected exactly one")
        self._books = {instrument.symbol: _Book(instrument, depth) for instrument in instruments}
        if len(self._books) != len(instruments):
            raise ConfigError("a Bybit connection was given an instrument twice")

    def receive(self, payload: bytes, recv_ns: Ns) -> list[MarketEvent]:
        """What one websocket message says. Raises RemoteProtocolError if it may not be said."""
        note = noted(payload)
        if note is not None:
            return self._lost(note.detail, recv_ns) if note.mmbot is Happened.LOST else []
        frame = decode(payload)
        if isinstance(frame, BookFrame):
            return [self._book(frame.symbol).receive(frame, recv_ns)]
        if isinstance(frame, TradesFrame):
            return self._book(frame.symbol).trades(frame, recv_ns)
        if isinstance(frame, NoteFrame):
            return []
        return [Confirmed(book.codec.instrument.key, recv_ns) for book in self._books.values()]

    def _lost(self, reason: str, recv_ns: Ns) -> list[MarketEvent]:
        for book in self._books.values():
            book.forget()
        return [
            BookTrouble(book.codec.instrument.key, recv_ns, recv_ns, Trouble.LOST, reason)
            for book in self._books.values()
        ]

    def _book(self, symbol: str) -> "_Book":
        book = self._books.get(symbol)
        if book is None:
            raise RemoteProtocolError(f"symbol was {symbol!r}, expected one of {', '.join(self._books)}")
        return book


class _Book:
    """The chain of one instrument's book, and the prices that hold a level."""

    __slots__ = ("_asks", "_bids", "_depth", "_sequencer", "_told", "codec")

    def __init__(self, instrument: Instrument, depth: int | None) -> None:
        self.codec = Codec(instrument)
        self._depth = depth
        self._sequencer = Sequencer()
        self._bids = _Levels(Side.BUY)
        self._asks = _Levels(Side.SELL)
        self._told: dict[str, None] = {}
        """Ids of the last prints, oldest first."""

    def trades(self, frame: TradesFrame, recv_ns: Ns) -> list[MarketEvent]:
        """Prints that were not told before; a frame without any confirms."""
        told = self._told
        fresh = [one for one in frame.prints if one.i not in told]
        if not fresh:
            return [Confirmed(self.codec.instrument.key, recv_ns)]
        for one in fresh:
            told[one.i] = None
        while len(told) > _PRINTS:
            del told[next(iter(told))]
        return list(self.codec.trades(TradesFrame(frame.symbol, fresh), recv_ns))

    def receive(self, frame: BookFrame, recv_ns: Ns) -> MarketEvent:
        if self._depth is None:
            self._depth = frame.depth
        if frame.depth != self._depth:
            raise RemoteProtocolError(
                f"book depth was {frame.depth}, expected {self._depth} for {frame.symbol}"
            )
        event = self.codec.book(frame, recv_ns)
        fault = self._snapshot(event) if isinstance(event, BookSnapshot) else self._delta(event)
        if fault is None:
            return event
        trouble, detail = fault
        return BookTrouble(event.symbol, event.exch_ns, recv_ns, trouble, detail)

    def forget(self) -> None:
        """The connection was lost: only a snapshot can be believed. Another connection repeats no print."""
        self._sequencer.last = None
        self._told.clear()

    def _snapshot(self, event: BookSnapshot) -> tuple[Trouble, str] | None:
        self._sequencer.snapshot(event.update_id)
        self._bids.clear()
        self._asks.clear()
        return self._apply(event)

    def _delta(self, event: BookDelta) -> tuple[Trouble, str] | None:
        last, found = self._sequencer.last, event.update_id
        if last is None:
            return Trouble.BEFORE_SNAPSHOT, f"update id was {found}, expected a snapshot first"
        if found == _RESTART_ID:
            self._sequencer.last = None
            return Trouble.GAP, f"update id was {found}, a restart without its snapshot; expected {last + 1}"
        if found == last:  # the sequencer lets another venue's first delta repeat the snapshot's id
            return Trouble.DUPLICATE, f"update id was {found}, expected {last + 1}"
        refused = self._sequencer.delta(found, links=found == last + 1)
        return (
            self._apply(event)
            if refused is None
            else (refused, f"update id was {found}, expected {last + 1}")
        )

    def _apply(self, event: BookSnapshot | BookDelta) -> tuple[Trouble, str] | None:
        self._bids.apply(event.bids)
        self._asks.apply(event.asks)
        fault = self._fault()
        if fault is not None:
            self._sequencer.last = None
        return fault

    def _fault(self) -> tuple[Trouble, str] | None:
        bids, asks = self._bids, self._asks
        if not len(bids.keys) == len(asks.keys) == self._depth:
            return (
                Trouble.DEPTH,
                f"levels were {len(bids.keys)} and {len(asks.keys)}, expected {self._depth} a side",
            )
        if bids.best >= asks.best:
            return Trouble.CROSSED, f"best bid was {bids.best} ticks, expected less than best ask {asks.best}"
        return None


class _Levels:
    """The prices of one side that hold a level; keys are negated for bids, so that the least is the best."""

    __slots__ = ("_best", "_sign", "keys")

    def __init__(self, side: Side) -> None:
        self._sign = -int(side)
        self.keys: set[int] = set()
        self._best: int | None = None

    def clear(self) -> None:
        self.keys.clear()
        self._best = None

    def apply(self, levels: Sequence[Level]) -> None:
        sign, keys = self._sign, self.keys
        for tick, lots in levels:
            key = sign * tick
            if lots:
                keys.add(key)
                if self._best is not None and key < self._best:
                    self._best = key
            else:
                keys.discard(key)
                if key == self._best:
                    self._best = None

    @property
    def best(self) -> int:
        """Best price in ticks of a side that has levels; looked for again only after it was deleted."""
        if self._best is None:
            self._best = min(self.keys)
        return self._sign * self._best


def topics(instruments: Sequence[Instrument], depth: int) -> list[str]:
    """Book and trades of each instrument, as `subscribe` names them."""
    return [
        topic
        for instrument in instruments
        for topic in (f"orderbook.{depth}.{instrument.symbol}", f"publicTrade.{instrument.symbol}")
    ]
