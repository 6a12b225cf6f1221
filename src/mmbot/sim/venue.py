"""The simulated venue: recorded market in, our orders in, answers out. No I/O, no clock; market impact none.

Assumptions, each of which decides numbers:

* Our orders are invisible: the recorded market does not react to them.
* A resting order joins behind the displayed size of its price. A trade at the price eats that queue, then us,
  first come first served (partially if it is small); a trade through the price fills us whole; so does a
  display that reaches or crosses our price from the other side.
* Displayed size that vanishes without a trade is shared by the queue model (`sim.queue`).
* Post-only orders that would take on arrival are rejected. Others take displayed levels at their prices, and
  the rest is cancelled: what we took is still displayed, since the recording does not react, and must not
  fill us twice. Where the rest is asked to stay (`enter`), it is filled by trades at once, but by the display
  only after the display has once left its price.
* An order below the venue's least size or above its largest is rejected.
* An amend to no more at the same price keeps its place in the queue. Any other is a new order under the old
  name: it joins behind the display, takes, or is cancelled where it is post-only and would take.
* Without a book that can be believed (before a snapshot, after a gap or a cross) new orders are rejected, and
  resting ones wait.
"""

from collections.abc import Iterator

from mmbot.book.l2 import L2Book
from mmbot.model.commands import AmendOrder, CancelOrder, OrderCommand, SubmitOrder
from mmbot.model.events import (
    AmendReject,
    BookDelta,
    BookSnapshot,
    BookTrouble,
    CancelReject,
    Fill,
    MarketEvent,
    OrderAck,
    OrderAmended,
    OrderCancelled,
    OrderEvent,
    OrderReject,
    Trade,
)
from mmbot.model.instrument import Instrument, Side
from mmbot.sim.queue import Place, QueueSettings
from mmbot.units import Lots, Ns, Ticks

_NO_BOOK = "no book in the recording at this time"
_NO_ORDER = "no such order: filled or never accepted"
_NO_SIZE = "size is not one that the venue takes"


class _Resting:
    __slots__ = ("client_id", "leaves_lots", "lots", "place", "post_only", "side", "tick", "took")

    def __init__(self, command: SubmitOrder, place: Place) -> None:
        self.took = False
        """What is displayed across its price is what it took already."""
        self.client_id = command.client_id
        self.side = command.side
        self.post_only = command.post_only
        self.tick = command.tick
        self.lots: int = command.lots
        self.leaves_lots: int = command.lots
        self.place = place


class SimVenue:
    """The venue's half of one instrument: its book and our orders in it.

    Answers carry `recv_ns` = 0: whoever delivers them knows when they arrive and stamps them.
    """

    def __init__(self, instrument: Instrument, queue: QueueSettings) -> None:
        self._symbol = instrument.key
        self._allowed_lots = instrument.allowed_lots
        self._queue = queue
        self._book = L2Book()
        self._in_sync = False
        self._resting: list[_Resting] = []
        self._fills = 0

    @property
    def resting_count(self) -> int:
        return len(self._resting)

    def on_market(self, now_ns: Ns, event: MarketEvent) -> list[OrderEvent]:
        """The market moved at the venue; fills of ours that follow from it."""
        match event:
            case BookDelta():
                return self._on_book(now_ns, event) if self._in_sync else []
            case Trade():
                return list(self._on_trade(now_ns, event)) if self._in_sync and self._resting else []
            case BookSnapshot():
                self._in_sync = True
                return self._on_book(now_ns, event)
            case BookTrouble():
                broken = event.trouble.breaks_book and not event.ours_alone
                self._in_sync = self._in_sync and not broken
        return []

    def on_order(self, now_ns: Ns, command: OrderCommand) -> list[OrderEvent]:
        """One of our requests arrived."""
        if isinstance(command, CancelOrder):
            return [self._cancel(command)]
        if isinstance(command, AmendOrder):
            if self._allowed_lots(command.lots) != command.lots:
                return [AmendReject(self._symbol, command.client_id, Ns(0), _NO_SIZE)]
            return self.amend(now_ns, command, rests=False)
        return list(self._submit(now_ns, command, rests=False))

    def enter(self, now_ns: Ns, command: SubmitOrder, *, rests: bool) -> list[OrderEvent]:
        """A new order; `rests`: what is left after it took stays, as a good-till-cancelled order's does."""
        return list(self._submit(now_ns, command, rests=rests))

    def amend(self, now_ns: Ns, command: AmendOrder, *, rests: bool) -> list[OrderEvent]:
        """Another price or size for a resting order; `rests` as of `enter`."""
        client_id = command.client_id
        order = next((order for order in self._resting if order.client_id == client_id), None)
        leaves = 0 if order is None else command.lots - order.lots + order.leaves_lots
        if order is None or not self._in_sync or leaves <= 0:
            why = _NO_ORDER if order is None else _NO_SIZE if self._in_sync else _NO_BOOK
            return [AmendReject(self._symbol, client_id, Ns(0), why)]
        amended = OrderAmended(self._symbol, client_id, Ns(0))
        if command.tick == order.tick and command.lots <= order.lots:
            order.lots, order.leaves_lots = command.lots, leaves
            return [amended]
        self._resting.remove(order)
        if order.post_only and self._takes(order.side, command.tick):
            return [OrderCancelled(self._symbol, client_id, Ns(0), Lots(order.leaves_lots))]
        order.tick, order.lots, order.leaves_lots, order.took = command.tick, command.lots, leaves, False
        order.place = Place(self._queue, self._displayed(order))
        return [amended, *self._arrive(now_ns, order, rests=rests)]

    def takeable(self, side: Side, tick: int) -> list[tuple[int, int]]:
        """Displayed levels (ticks, lots) that a limit order would take now, best first."""
        if not self._in_sync or not self._takes(side, tick):
            return []
        bids, asks = self._book.levels()
        opposite = asks if side is Side.BUY else bids
        return [(level, lots) for level, lots in opposite if (tick - level) * side >= 0]

    def snapshot(self, now_ns: Ns) -> BookSnapshot | None:
        """Answer to a snapshot request; None while the venue's own book is not whole in the recording."""
        if not self._in_sync:
            return None
        bids, asks = self._book.levels()
        return BookSnapshot(self._symbol, now_ns, Ns(0), bids, asks)

    def _on_book(self, now_ns: Ns, event: BookDelta | BookSnapshot) -> list[OrderEvent]:
        book = self._book
        mid_x2 = book.mid_x2
        before = [self._displayed(order) for order in self._resting]
        if isinstance(event, BookSnapshot):
            book.replace(event.bids, event.asks)
        else:
            book.apply(event.bids, event.asks)
        if book.crossed:
            self._in_sync = False
            return []
        for order, displayed in zip(self._resting, before, strict=True):
            levels = event.bids if order.side is Side.BUY else event.asks
            if isinstance(event, BookSnapshot) or any(tick == order.tick for tick, _ in levels):
                order.place.on_display(displayed, self._displayed(order))
        across = [order for order in self._resting if self._takes(order.side, order.tick)]
        reached = [order for order in across if not order.took]
        if len(across) < len(self._resting):
            self._left(across)
        return [self._fill(now_ns, order, order.leaves_lots, mid_x2) for order in reached]

    def _left(self, across: list[_Resting]) -> None:
        """The display left the price of every order but these: when it comes back, it is another."""
        for order in self._resting:
            order.took = order.took and order in across

    def _on_trade(self, now_ns: Ns, trade: Trade) -> Iterator[OrderEvent]:
        mid_x2 = self._book.mid_x2
        taken = 0  # of this print, by our own orders that stood at its price before
        for order in [order for order in self._resting if order.side is not trade.side]:
            beyond = (trade.tick - order.tick) * trade.side
            if beyond > 0:
                yield self._fill(now_ns, order, order.leaves_lots, mid_x2)
            elif beyond == 0:
                ours = min(max(order.place.on_trade(trade.lots) - taken, 0), order.leaves_lots)
                taken += ours
                if ours:
                    yield self._fill(now_ns, order, ours, mid_x2)

    def _submit(self, now_ns: Ns, command: SubmitOrder, *, rests: bool) -> Iterator[OrderEvent]:
        if self._allowed_lots(command.lots) != command.lots:
            yield OrderReject(self._symbol, command.client_id, Ns(0), _NO_SIZE)
            return
        if not self._in_sync:
            yield OrderReject(self._symbol, command.client_id, Ns(0), _NO_BOOK)
            return
        if self._takes(command.side, command.tick) and command.post_only:
            yield OrderReject(self._symbol, command.client_id, Ns(0), "post-only would take")
            return
        yield OrderAck(self._symbol, command.client_id, Ns(0))
        side = self._book.bids if command.side is Side.BUY else self._book.asks
        order = _Resting(command, Place(self._queue, side.get(command.tick, 0)))
        yield from self._arrive(now_ns, order, rests=rests)

    def _arrive(self, now_ns: Ns, order: _Resting, *, rests: bool) -> Iterator[OrderEvent]:
        """An order that may take joins the others."""
        self._resting.append(order)
        mid_x2 = self._book.mid_x2
        for tick, lots in self.takeable(order.side, order.tick):
            yield self._fill(now_ns, order, min(lots, order.leaves_lots), mid_x2, taken_at=tick)
            if not order.leaves_lots:
                return
        if not self._takes(order.side, order.tick):
            return
        order.took = rests
        if not rests:
            self._resting.remove(order)
            yield OrderCancelled(self._symbol, order.client_id, Ns(0), Lots(order.leaves_lots))

    def _cancel(self, command: CancelOrder) -> OrderEvent:
        for order in self._resting:
            if order.client_id == command.client_id:
                self._resting.remove(order)
                return OrderCancelled(self._symbol, order.client_id, Ns(0), Lots(order.leaves_lots))
        return CancelReject(self._symbol, command.client_id, Ns(0), _NO_ORDER)

    def _displayed(self, order: _Resting) -> int:
        return (self._book.bids if order.side is Side.BUY else self._book.asks).get(order.tick, 0)

    def _takes(self, side: Side, tick: int) -> bool:
        best = self._book.best_ask if side is Side.BUY else self._book.best_bid
        return best is not None and (tick - best) * side >= 0

    def _fill(
        self, now_ns: Ns, order: _Resting, lots: int, mid_x2: int | None, *, taken_at: int | None = None
    ) -> Fill:
        order.leaves_lots -= lots
        if not order.leaves_lots:
            self._resting.remove(order)
        self._fills += 1
        return Fill(
            symbol=self._symbol,
            client_id=order.client_id,
            fill_id=self._fills,
            venue_ns=now_ns,
            recv_ns=Ns(0),
            side=order.side,
            tick=Ticks(order.tick if taken_at is None else taken_at),
            lots=Lots(lots),
            maker=taken_at is None,
            mid_x2=mid_x2,
        )
