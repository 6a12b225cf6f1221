"""Sender: the last word before an order of one symbol leaves.

What the aligner asks for passes here. Those that had to wait stand first, cancels before creates; a create is
judged by limits, taker cap and breaker, and so is an amend, as the order that it makes; the throttle counts
messages and the batcher packs them. What may not go is a counted fact: refused, or deferred to the head of
the next tick. A cancel is never refused. An amend that is, or that has no room, becomes one: its order has to
leave its place either way.
"""

from dataclasses import dataclass

import msgspec

from mmbot.book.market import Market
from mmbot.engine.settings import BotSettings
from mmbot.execution.aligner import Alignment, Amend
from mmbot.execution.batcher import Batcher, BatchSettings
from mmbot.execution.orders import Blotter, WorkingOrder
from mmbot.execution.requests import Requests
from mmbot.model.commands import AmendOrder, CancelOrder, Message, OrderCommand, Room, SubmitOrder
from mmbot.model.events import (
    AmendReject,
    Fill,
    OrderAck,
    OrderAmended,
    OrderCancelled,
    OrderEvent,
    OrderReject,
)
from mmbot.model.instrument import Instrument, Side
from mmbot.model.quotes import Quote
from mmbot.model.records import EventRow, Row
from mmbot.risk.account import Account
from mmbot.risk.blocks import Blocked, Blocks, Held
from mmbot.risk.breaker import Breaker
from mmbot.risk.limits import Limits, Reference, Standing
from mmbot.risk.taker_cap import TakerCap
from mmbot.risk.throttle import Throttle
from mmbot.units import MS, Lots


@dataclass(frozen=True, slots=True)
class Checks:
    """What judges the orders of one symbol. Breaker and throttle are the venue's, the account the bot's."""

    limits: Limits
    taker_cap: TakerCap
    breaker: Breaker
    throttle: Throttle
    account: Account


class Sender:
    """Orders of one symbol on their way out. `rows` and `messages` collect what a tick produced; the bot's
    engine empties them.
    """

    __slots__ = (
        "_batcher",
        "_blotter",
        "_checks",
        "_id_prefix",
        "_key",
        "_market",
        "_post_only",
        "_venue",
        "blocks",
        "messages",
        "orders_sent",
        "requests",
        "rows",
    )

    def __init__(
        self,
        instrument: Instrument,
        market: Market,
        blotter: Blotter,
        checks: Checks,
        batch: BatchSettings,
        id_prefix: str,
        *,
        post_only: bool,
    ) -> None:
        self._key = instrument.key
        self._venue = instrument.venue
        self._market = market
        self._blotter = blotter
        self._checks = checks
        self._batcher = Batcher(batch)
        self._id_prefix = id_prefix
        self._post_only = post_only
        self.orders_sent = 0
        """The running number of the last client id."""
        self.blocks = Blocks(self._key)
        self.requests = Requests(checks.breaker.answer_timeout_ns)
        self.messages: list[Message] = []
        self.rows: list[Row] = []

    def reconfigure(self, settings: BotSettings) -> None:
        """For the next order. What was sent, what waits and what was counted stays."""
        checks = self._checks
        self._post_only = settings.aligner.post_only
        self._batcher.reconfigure(settings.async_batch)
        self.requests.reconfigure(settings.breaker.answer_timeout_ns)
        checks.limits.reconfigure(settings.limits)
        checks.taker_cap.reconfigure(settings.taker_cap)
        # of the venue and of the bot: told once a symbol, which changes nothing
        checks.breaker.reconfigure(settings.breaker)
        checks.throttle.reconfigure(settings.throttle)
        checks.account.reconfigure(settings.limits)

    def sign(self, id_prefix: str) -> None:
        """What client ids begin with, from the next order on; their number goes on."""
        self._id_prefix = id_prefix

    def send(
        self,
        now_ns: int,
        wishes: Alignment,
        position_lots: int,
        reference: Reference | None,
        urgent: tuple[Side, ...] = (),
    ) -> None:
        """One tick's wishes become messages, or are held back. `urgent`: sides whose cancels go first."""
        batcher, throttle = self._batcher, self._checks.throttle
        standing = self._standing(position_lots, reference)
        blocked: list[Blocked] = []
        cancels, amends, creates = wishes
        amended = self._amends(now_ns, amends, cancels, standing, blocked) if amends else []
        cancels, creates = batcher.in_line(cancels, creates)
        if urgent:
            cancels = sorted(cancels, key=lambda order: order.side not in urgent)
        room, limit = self._room(now_ns, len(cancels), len(amended))
        orders: list[OrderCommand] = [self._cancel(now_ns, order) for order in cancels[: room.cancels]]
        orders += amended
        late = cancels[room.cancels :]
        blocked += [(Held.DEFERRED, "cancel", limit)] * len(late)
        left, waiting = room.creates, []
        for quote in creates:
            refusal = self._refusal(now_ns, quote, standing)
            if refusal is not None:
                blocked.append((Held.REFUSED, quote.side.word, refusal))
            elif not left:
                blocked.append((Held.DEFERRED, quote.side.word, limit))
                waiting.append(quote)
            else:
                orders.append(self._create(now_ns, quote))
                left -= 1
        throttle.spent(now_ns, len(orders))
        if late or waiting or batcher.waiting:
            throttle.owes(self._key, len(late), len(waiting))
            batcher.wait([order.slot for order in late] + [quote.slot for quote in waiting])
        if blocked or self.blocks.lasting:
            self.rows += self.blocks.tick(now_ns, blocked)
        self.messages += batcher.packed(self._key, orders)

    def _amends(
        self,
        now_ns: int,
        amends: list[Amend],
        cancels: list[WorkingOrder],
        standing: Standing,
        blocked: list[Blocked],
    ) -> list[AmendOrder]:
        """Those that may go, with room for all others as cancels. Whoever may not joins the cancels."""
        amended: list[AmendOrder] = []
        for later, (order, quote) in zip(reversed(range(len(amends))), amends, strict=True):
            others = [other for other in standing.open_orders if other is not order]
            without = msgspec.structs.replace(standing, open_orders=others)
            room, limit = self._room(now_ns, len(cancels) + later, len(amended) + 1)
            refusal = limit if room.creates < 0 else self._refusal(now_ns, quote, without, order.filled_lots)
            if refusal is None:
                amended.append(self._amend(now_ns, order, quote))
            else:
                blocked.append((Held.REFUSED, quote.side.word, refusal))
                cancels.append(order)
        return amended

    def _room(self, now_ns: int, cancels: int, amends: int) -> tuple[Room, str]:
        """What may go out at this tick, and which limit says so; less than no create where the amends may
        not.
        """
        fit = self._batcher.room(cancels, amends)
        may = self._checks.throttle.room(now_ns, self._key, cancels)
        room = Room(min(fit.cancels, may.cancels), min(fit.creates, may.creates - amends))
        return room, "async_batch" if room == fit else "message_throttle"

    def _standing(self, position_lots: int, reference: Reference | None) -> Standing:
        account = self._checks.account
        return Standing(
            position_lots=position_lots,
            open_orders=self._blotter.slots.values(),
            reference=reference,
            elsewhere_quote=account.elsewhere_quote(self._key),
            reduce_only=account.reduce_only,
        )

    def heard(self, event: OrderEvent) -> int | None:
        """The venue answered, or a fill came. Returns how long the answer took; None where it answers no
        request that waits.
        """
        checks = self._checks
        if isinstance(event, Fill):
            checks.taker_cap.filled(event.recv_ns, event.tick, event.lots, maker=event.maker)
            return None
        sent_ns = self.requests.answered(event.client_id)
        if sent_ns is None:
            return None
        kind = type(event)
        unamended = kind in (AmendReject, OrderCancelled) and self._blotter.amend_failed(event.client_id)
        if kind is OrderReject or unamended:
            checks.breaker.failed(sent_ns, event.recv_ns)
        else:
            checks.breaker.answered(sent_ns, event.recv_ns, create=kind in (OrderAck, OrderAmended))
        return event.recv_ns - sent_ns

    def give_up(self, now_ns: int) -> list[int]:
        """Count the requests that waited too long, and return how long. What they are about stays as it was:
        the venue may still have it.
        """
        waits: list[int] = []
        for client_id, sent_ns in self.requests.overdue(now_ns):
            self._checks.breaker.failed(sent_ns, now_ns)
            waits.append(now_ns - sent_ns)
            waited_ms = waits[-1] / MS
            detail: dict[str, str | int | float | None] = {"client_id": client_id, "waited_ms": waited_ms}
            self.rows.append(EventRow(now_ns, self._key, "answer_timeout", detail))
        return waits

    def taker_ratio(self, now_ns: int) -> float | None:
        """Share of our recent fills that took; None where they are too few."""
        return self._checks.taker_cap.taker_ratio(now_ns)

    def finish(self, now_ns: int) -> None:
        """The run ends: what is still held back is told with its count."""
        self.rows += self.blocks.tick(now_ns, ())

    def _refusal(self, now_ns: int, quote: Quote, standing: Standing, filled_lots: int = 0) -> str | None:
        checks = self._checks
        refusal = checks.limits.refusal(now_ns, quote.side, quote.tick, quote.lots, standing, filled_lots)
        if refusal is None and not self._post_only:
            refusal = checks.taker_cap.refusal(now_ns, quote.tick, quote.lots)
        return refusal or self._broken(now_ns)

    def _broken(self, now_ns: int) -> str | None:
        breaker = self._checks.breaker
        before = breaker.state
        refusal = breaker.refusal(now_ns)
        if breaker.state is not before:
            detail: dict[str, str | int | float | None] = {"venue": self._venue, "state": breaker.state.value}
            self.rows.append(EventRow(now_ns, None, "breaker", detail))
        return refusal

    def _cancel(self, now_ns: int, order: WorkingOrder) -> CancelOrder:
        self._blotter.cancelling(order)
        self.requests.sent(now_ns, order.client_id)
        return CancelOrder(self._key, order.client_id)

    def _amend(self, now_ns: int, order: WorkingOrder, quote: Quote) -> AmendOrder:
        amend = AmendOrder(self._key, order.client_id, quote.tick, Lots(order.filled_lots + quote.lots))
        self._blotter.amending(order, amend, self._market.mid_x2)
        self.requests.sent(now_ns, order.client_id)
        self._checks.breaker.created()
        return amend

    def _create(self, now_ns: int, quote: Quote) -> SubmitOrder:
        self.orders_sent += 1
        client_id = f"{self._id_prefix}{self.orders_sent}"
        order = SubmitOrder(self._key, client_id, quote.side, quote.tick, quote.lots, self._post_only)
        self._blotter.submitted(order, quote.slot, self._market.mid_x2)
        self.requests.sent(now_ns, client_id)
        self._checks.breaker.created()
        return order
