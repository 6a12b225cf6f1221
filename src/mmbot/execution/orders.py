"""Blotter: every order of ours that may still be at the venue, by client id and by slot.

A slot names side and level of the quote that an order serves; it holds at most one order, so a cancel is
confirmed before its successor is sent and exposure never doubles while messages fly.

An order whose amend is on its way may be either at the venue, the old or the new one. Until the answer it
counts with the larger of what the two leave, at both prices; a fill is of whichever.
"""

from mmbot.errors import LocalProtocolError
from mmbot.model.commands import AmendOrder, SubmitOrder
from mmbot.model.instrument import Side
from mmbot.model.orders import OrderMove, OrderStatus, moved
from mmbot.model.quotes import Slot

Resting = tuple[tuple[str, int] | None, tuple[str, int] | None]


class WorkingOrder:
    """One order of ours. `tick` and `lots`, its whole size, are what the venue was last known to hold,
    `next_tick` and `next_lots` what it was last asked for: the same but for an amend that is not answered.
    `leaves_lots` is the most that can still fill, `decision_mid_x2` best bid + best ask in ticks when it was
    decided (None on a one-sided book).
    """

    __slots__ = (
        "client_id",
        "decision_mid_x2",
        "filled_lots",
        "leaves_lots",
        "lots",
        "next_decision_mid_x2",
        "next_lots",
        "next_tick",
        "side",
        "slot",
        "status",
        "tick",
    )

    def __init__(self, submit: SubmitOrder, slot: Slot, decision_mid_x2: int | None) -> None:
        self.decision_mid_x2 = self.next_decision_mid_x2 = decision_mid_x2
        self.client_id = submit.client_id
        self.side = submit.side
        self.slot = slot
        self.tick = self.next_tick = submit.tick
        self.lots = self.next_lots = submit.lots
        self.filled_lots = 0
        self.leaves_lots: int = submit.lots
        self.status = OrderStatus.PENDING_NEW

    @property
    def done(self) -> bool:
        """All has filled that the venue was last known to hold."""
        return self.filled_lots >= self.lots


class Blotter:
    """Working orders of one symbol."""

    __slots__ = ("_by_id", "_resting", "slots")

    def __init__(self) -> None:
        self._by_id: dict[str, WorkingOrder] = {}
        self._resting: Resting | None = None
        self.slots: dict[Slot, WorkingOrder] = {}

    @property
    def resting(self) -> Resting:
        """Client id and tick of the live first-level bid and ask."""
        found = self._resting
        if found is None:
            found = self._resting = _live(self.slots.get(1)), _live(self.slots.get(-1))
        return found

    def submitted(self, submit: SubmitOrder, slot: Slot, decision_mid_x2: int | None = None) -> None:
        if slot in self.slots:
            raise LocalProtocolError(f"slot {slot} already works order {self.slots[slot].client_id}")
        order = WorkingOrder(submit, slot, decision_mid_x2)
        self._by_id[order.client_id] = order
        self.slots[slot] = order

    def cancelling(self, order: WorkingOrder) -> None:
        self._resting = None
        order.status = moved(order.status, OrderMove.CANCEL_SENT)

    def amending(self, order: WorkingOrder, amend: AmendOrder, decision_mid_x2: int | None = None) -> None:
        """Raises LocalProtocolError for an order that is not live, and for a size that has filled already."""
        if amend.lots <= order.filled_lots:
            raise LocalProtocolError(
                f"amend of {order.client_id} to {amend.lots} lots: {order.filled_lots} have filled"
            )
        order.status = moved(order.status, OrderMove.AMEND_SENT)
        self._resting = None
        order.next_tick, order.next_lots = amend.tick, amend.lots
        order.next_decision_mid_x2 = decision_mid_x2
        order.leaves_lots = max(order.lots, amend.lots) - order.filled_lots

    def amended(self, client_id: str) -> tuple[WorkingOrder, bool]:
        """The order, and whether it kept its place in the queue."""
        order = self._move(client_id, OrderMove.AMENDED)
        kept = order.next_tick == order.tick and order.next_lots <= order.lots
        order.tick, order.lots = order.next_tick, order.next_lots
        order.decision_mid_x2 = order.next_decision_mid_x2
        self._answered(order)
        return order, kept

    def amend_rejected(self, client_id: str) -> None:
        """It stands as it was, if it has not filled. One that its last fill closed is done with."""
        if client_id in self._by_id:
            order = self._move(client_id, OrderMove.AMEND_REJECT)
            order.next_tick, order.next_lots = order.tick, order.lots
            order.next_decision_mid_x2 = order.decision_mid_x2
            self._answered(order)

    def amend_failed(self, client_id: str) -> bool:
        """Whether an answer that is no success means that the venue would not amend this order, and not that
        its last fill was faster.
        """
        order = self._by_id.get(client_id)
        return order is not None and order.status is OrderStatus.PENDING_AMEND and not order.done

    def acked(self, client_id: str) -> WorkingOrder:
        return self._move(client_id, OrderMove.ACK)

    def rejected(self, client_id: str) -> WorkingOrder:
        return self._move(client_id, OrderMove.REJECT)

    def cancelled(self, client_id: str) -> WorkingOrder:
        return self._move(client_id, OrderMove.CANCELLED)

    def cancel_rejected(self, client_id: str) -> None:
        """A cancel that lost its race. The fill that beat it usually closed the order before."""
        if client_id in self._by_id:
            self._move(client_id, OrderMove.CANCEL_REJECT)

    def filled(self, client_id: str, lots: int) -> WorkingOrder:
        """Raises LocalProtocolError for a fill of an order that is not ours or of more than it leaves."""
        order = self._by_id.get(client_id)
        if order is None or lots > order.leaves_lots:
            leaves = "no such order" if order is None else f"{order.leaves_lots} lots open"
            raise LocalProtocolError(f"fill of {lots} lots for {client_id}: {leaves}")
        self._move(client_id, OrderMove.PARTIAL_FILL if lots < order.leaves_lots else OrderMove.LAST_FILL)
        order.leaves_lots -= lots
        order.filled_lots += lots
        return order

    def open_lots(self, side: Side) -> int:
        """Size that could still fill on a side."""
        return sum(order.leaves_lots for order in self.slots.values() if order.side is side)

    def _answered(self, order: WorkingOrder) -> None:
        """It is known again what the venue holds, and that may be all filled."""
        order.leaves_lots = order.lots - order.filled_lots
        if order.done:
            self._move(order.client_id, OrderMove.LAST_FILL)

    def _move(self, client_id: str, move: OrderMove) -> WorkingOrder:
        order = self._by_id.get(client_id)
        if order is None:
            raise LocalProtocolError(f"{move.name} for {client_id}: no such order")
        status = order.status = moved(order.status, move)
        self._resting = None
        if status is OrderStatus.CLOSED:
            del self._by_id[client_id]
            del self.slots[order.slot]
        return order


def _live(order: WorkingOrder | None) -> tuple[str, int] | None:
    return (order.client_id, order.tick) if order is not None and order.status is OrderStatus.LIVE else None
