"""One symbol's bot: its market, its pipeline, its orders and position. Events in, commands out."""

from collections import deque

import msgspec

from mmbot.book.market import Market
from mmbot.engine.pipeline import Pipeline, Stages
from mmbot.engine.quiet import Band, Quiet
from mmbot.engine.sender import Checks, Sender
from mmbot.engine.settings import BotSettings
from mmbot.errors import LocalProtocolError
from mmbot.execution.aligner import AlignerSettings, align
from mmbot.execution.batcher import BatchSettings
from mmbot.execution.orders import Blotter
from mmbot.execution.position import Position, PositionState
from mmbot.model.events import (
    AmendReject,
    Fill,
    OrderAck,
    OrderAmended,
    OrderCancelled,
    OrderEvent,
    OrderReject,
    Trouble,
)
from mmbot.model.instrument import Contract, Instrument, Side
from mmbot.model.orders import OrderStatus
from mmbot.model.quotes import Quote
from mmbot.model.records import EventRow, FillRow, TickRow
from mmbot.risk.account import reducing
from mmbot.risk.limits import Reference


class SymbolBot:
    """State of one symbol. `messages` and `rows` collect what a step produced; the engine empties them."""

    def __init__(
        self,
        instrument: Instrument,
        market: Market,
        pipeline: Pipeline,
        checks: Checks,
        aligner: AlignerSettings,
        batch: BatchSettings,
        quiet: Quiet,
        stages: Stages,
        id_prefix: str,
    ) -> None:
        """`id_prefix`: what client ids begin with, before their running number."""
        self.instrument = instrument
        self.market = market
        self.position = Position(instrument)
        self.waiting: deque[TickRow] = deque()
        """Rows of ticks that missed and whose wait is not known yet, oldest first."""
        self._pipeline = pipeline
        self._aligner = aligner
        self._amend = batch.amend and instrument.amends
        self.id_prefix = id_prefix
        self._blotter = Blotter()
        self.key = instrument.key
        self._quiet = quiet
        self.vitals = stages.vitals
        self._guards = stages.guards
        self._fast_cancel = stages.fast_cancel
        self._account = checks.account
        self._sender = Sender(
            instrument, market, self._blotter, checks, batch, id_prefix, post_only=aligner.post_only
        )
        self._held_back, self._requests = self._sender.blocks.lasting, self._sender.requests
        self.messages = self._sender.messages
        self.rows = self._sender.rows
        self._price = instrument.pricer()
        self._inverse = instrument.contract is Contract.INVERSE
        self._reference: Reference | None = None

    def resume(self, position: PositionState, orders_sent: int) -> None:
        """Go on where an order log or a run ends: with that position, and client ids that were never used."""
        self.position.restore(position)
        self._sender.orders_sent = orders_sent

    def number_ticks_behind(self, seq: int) -> None:
        """A run goes on whose last tick had this number."""
        self._pipeline.number_ticks_behind(seq)

    def reconfigure(self, settings: BotSettings) -> None:
        """Take other settings between two ticks. Position, orders, counts and what the stages remember
        stay.
        """
        self.market.reconfigure(settings.md_cache)
        self._pipeline.reconfigure(settings)
        self._quiet.reconfigure(settings.aligner, settings.inventory.max_position_quote)
        self._sender.reconfigure(settings)
        self._aligner = settings.aligner
        self._amend = settings.async_batch.amend and self.instrument.amends

    def sign(self, id_prefix: str) -> None:
        """What client ids begin with, from the next order on; their number goes on."""
        self.id_prefix = id_prefix
        self._sender.sign(id_prefix)

    def switching(self, now_ns: int) -> None:
        """Another configuration takes over: want no quote at the tick of this moment."""
        self._guards.switching(now_ns)

    def on_snapshot(self, now_ns: int) -> None:
        """The market took over a whole book: whoever waited for one has it."""
        if self.market.synced:
            self.vitals.whole()
            self._close_waiting(now_ns)

    def on_trouble(self, now_ns: int, trouble: Trouble, detail: str) -> None:
        """The market met trouble, and has already drawn its consequences for the book."""
        if trouble.breaks_book:
            self.vitals.broke(now_ns, crossed=trouble is Trouble.CROSSED)
        self._event(now_ns, trouble.value, detail=detail)

    def on_order(self, event: OrderEvent) -> None:
        """The venue answered."""
        waited_ns = self._sender.heard(event)
        if waited_ns is not None:
            self.vitals.answered(event.recv_ns, waited_ns)
        kind, client_id = type(event), event.client_id
        if kind is OrderAck:
            order = self._blotter.acked(client_id)
            self.market.rest(client_id, order.side, order.tick)
        elif kind is OrderCancelled:
            self._blotter.cancelled(client_id)
            self.market.gone(client_id)
        elif isinstance(event, Fill):
            self._filled(event)
        elif kind is OrderAmended:
            self._amended(client_id)
        elif isinstance(event, OrderReject):
            self._blotter.rejected(client_id)
            self.market.gone(client_id)
            self._event(event.recv_ns, "order_reject", client_id=client_id, reason=event.reason)
        elif isinstance(event, AmendReject):
            self._blotter.amend_rejected(client_id)
            self._event(event.recv_ns, "amend_reject", client_id=client_id, reason=event.reason)
        else:
            self._blotter.cancel_rejected(client_id)

    def tick(self, now_ns: int) -> TickRow:
        """Run the pipeline; quotes become commands."""
        if now_ns >= self._requests.due_ns:
            for waited_ns in self._sender.give_up(now_ns):
                self.vitals.answered(now_ns, waited_ns)
        if not self.vitals.calm:
            self.vitals.observe(now_ns)
        while self.waiting and self._pipeline.overdue(self.waiting[0], now_ns):
            row = self.waiting.popleft()
            self._pipeline.close(row, now_ns - row.ts_ns)
        position = self.position
        value = 0.0
        mid_x2 = self.market.mid_x2 if position.lots else None
        if mid_x2 is not None:
            value = position.quote_value(mid_x2)
        row, is_open = self._pipeline.tick(
            now_ns, position.base, value, self._blotter.resting, self._place, self.rows
        )
        if is_open:
            self.waiting.append(row)
        if self._fast_cancel.spiked_ns == now_ns:
            side = Side.SELL if self._fast_cancel.spiked_bps > 0 else Side.BUY
            self._event(now_ns, "fast_cancel", side=side.word, moved_bps=self._fast_cancel.spiked_bps)
        return row

    def quiet_band(self) -> Band | None:
        """Where the market may go before a tick would do anything; None if the next tick might."""
        slots = self._blotter.slots
        if slots.keys() != _ONE_EACH or self.waiting:
            return None
        if self._held_back or self._account.reduce_only:
            return None
        bid, ask = slots[1], slots[-1]
        if bid.status is not OrderStatus.LIVE or ask.status is not OrderStatus.LIVE:
            return None
        return self._quiet.band(bid, ask, self.position)

    def slept(self, ticks: int, last_ns: int, liquidity_score: float, mid_x2: int) -> None:
        """Ticks in the quiet band were left out, the last of them then and with that score and mid."""
        self._pipeline.slept(ticks, last_ns, liquidity_score, mid_x2)

    @property
    def working(self) -> bool:
        """An order of ours may still be at the venue, or on its way there."""
        return bool(self._blotter.slots)

    def pull_quotes(self, now_ns: int) -> None:
        """Cancel everything that works."""
        self._place(now_ns, [])

    def finish(self, now_ns: int) -> None:
        """The run ends: nothing more will arrive for rows that wait, and nothing is held back any longer."""
        self._close_waiting(now_ns)
        self._sender.finish(now_ns)

    def _close_waiting(self, now_ns: int) -> None:
        while self.waiting:
            row = self.waiting.popleft()
            self._pipeline.close(row, now_ns - row.ts_ns)

    def assess(self, now_ns: int) -> float:
        """Judge what moves slowly: the marked profit, which is returned, and how much we take."""
        profit_quote = self.mark(now_ns)
        self.vitals.marked(now_ns, profit_quote, self._sender.taker_ratio(now_ns))
        return profit_quote

    def mark(self, now_ns: int) -> float:
        """Take the mid as reference, where there is one; returns the profit marked to it, in quote
        currency.
        """
        market = self.market
        mid_x2, age_ns = market.mid_x2, market.age_ns
        if mid_x2 is not None and age_ns is not None:
            self._reference = Reference(float(mid_x2) / 2, now_ns - age_ns)
        if self._reference is None:
            return 0.0
        price = self._price(self._reference.mid_ticks)
        profit = self.position.pnl(price)
        return profit * price if self._inverse else profit

    def expose(self) -> None:
        """Tell the account what we may come to hold: the worse side of our open orders filled, at the
        reference.
        """
        if self._reference is None:
            return
        lots, blotter = self.position.lots, self._blotter
        worst_lots = max(lots + blotter.open_lots(Side.BUY), blotter.open_lots(Side.SELL) - lots)
        price = self._price(self._reference.mid_ticks)
        self._account.exposed(self.key, self.instrument.notional_quote(worst_lots, price))

    def _place(self, now_ns: int, quotes: list[Quote]) -> None:
        if not quotes and not self._blotter.slots and not self._held_back:
            return
        aligner = self._aligner
        if self._account.reduce_only:
            quotes = reducing(quotes, self.position.lots, self.instrument)
            aligner = msgspec.structs.replace(aligner, hold_size_ratio=0.0)
        wishes = align(quotes, self._blotter, aligner, amend=self._amend)
        cancels, amends, creates = wishes
        if cancels or amends or creates or self._held_back:
            if self._reference is None:
                self.mark(now_ns)
            urgent = self._fast_cancel.held
            self._sender.send(now_ns, wishes, self.position.lots, self._reference, urgent)
            if amends or creates:
                self.expose()

    def _amended(self, client_id: str) -> None:
        """It rests as it was asked to: behind what is displayed, unless it kept its place."""
        order, kept = self._blotter.amended(client_id)
        if not kept:
            self.market.rest(client_id, order.side, order.tick)

    def _filled(self, fill: Fill) -> None:
        if fill.late_tick is not None:
            self._book(fill, fill.late_tick, None)
            self._event(
                fill.recv_ns, "late_fill", client_id=fill.client_id, fill_id=fill.fill_id, lots=fill.lots
            )
            return
        order = self._blotter.filled(fill.client_id, fill.lots)
        if fill.side is not order.side:
            raise LocalProtocolError(
                f"fill {fill.fill_id} was a {fill.side.word}, order {order.client_id} was not"
            )
        self._book(fill, order.tick, order.decision_mid_x2)
        if order.done:
            self.market.gone(fill.client_id)

    def _book(self, fill: Fill, order_tick: int, decision_mid_x2: int | None) -> None:
        fee = self.position.book(fill)
        price = self.instrument.price
        self.rows.append(
            FillRow(
                ts_ns=fill.venue_ns,
                recv_ns=fill.recv_ns,
                symbol=self.instrument.key,
                fill_id=fill.fill_id,
                client_id=fill.client_id,
                side=fill.side.word,
                price=price(fill.tick),
                qty=self.instrument.quantity(fill.lots),
                liquidity="maker" if fill.maker else "taker",
                fee=fee,
                order_price=price(order_tick),
                mid=None if fill.mid_x2 is None else price(fill.mid_x2 / 2),
                decision_mid=None if decision_mid_x2 is None else price(decision_mid_x2 / 2),
            )
        )

    def _event(self, now_ns: int, kind: str, **detail: str | float | None) -> None:
        self.rows.append(EventRow(now_ns, self.instrument.key, kind, detail))


_ONE_EACH = {1, -1}
"""Slots of one level a side."""
