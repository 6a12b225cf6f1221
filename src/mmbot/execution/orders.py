"""Blotter: every order of ours that may still be at the venue, by client id and by slot.

A slot names side and level of the quote that an order serves; it holds at most one order, so a cancel is
confirmed before its successor is sent and exposure never doubles while messages fly.
"""

from mmbot.errors import LocalProtocolError
from mmbot.model.commands import SubmitOrder
from mmbot.model.instrument import Side
from mmbot.model.orders import OrderMove, OrderStatus, moved
from mmbot.model.quotes import Slot

Resting = tuple[tuple[str, int] | None, tuple[str, int] | None]


class WorkingOrder:
    """One order of ours. `leaves_lots` is the open rest, `decision_mid_x2` best bid + best ask in ticks when
    it was decided (None on a one-sided book).
    """

    __slots__ = ("client_id", "decision_mid_x2", "leaves_lots", "side", "slot", "status", "tick")

    def __init__(self, submit: SubmitOrder, slot: Slot, decision_mid_x2: int | None) -> None:
        self.decision_mid_x2 = decision_mid_x2
        self.client_id = submit.client_id
        self.side = submit.side
        self.slot = slot
        self.tick = submit.tick
        self.leaves_lots: int = submit.lots
        self.status = OrderStatus.PENDING_NEW


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
        return order

    def open_lots(self, side: Side) -> int:
        """Size that could still fill on a side."""
        return sum(order.leaves_lots for order in self.slots.values() if order.side is side)

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
