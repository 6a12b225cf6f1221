"""Invariants of the order path: what must hold after every event, whatever the venue does.

I1  Every order is closed, or listed as open with what is awaited.
I2  An execution is booked once.
I3  Our position is the sum of booked fills, and the venue's when all has been quiet.
I4  No create or amend by which we could come to hold more than the cap, all on its side filled.
I5  No create or amend after a halt.
I7  No create twice, and no create or amend at a price where another one of that side may be.
I8  Only own orders are cancelled.
I9  The log gives the same state byte for byte.
I11 What could grow is bounded.

It watches from beside and keeps books of its own: it shares no sum with what it checks.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from mmbot.errors import MmbotError
from mmbot.execution.lifecycle import Lifecycle, LifecycleCommand, LifecycleEvent
from mmbot.execution.order_records import LifecycleState
from mmbot.execution.tracked import Phase, TrackedOrder, tracked
from mmbot.model.commands import AmendOrder, CancelOrder, Message, RequestSnapshot, SubmitOrder, unpacked
from mmbot.model.events import Fill
from mmbot.model.orders import order_number
from mmbot.units import SECOND, Ns

QUIET_NS = 30 * SECOND


class InvariantError(MmbotError):
    """The order path broke a promise: a bug of ours. The message begins with which one."""


class Invariants:
    """Watches one lifecycle. `most_lots`: the caps; `opened_lots`: what was held before; both by symbol."""

    def __init__(
        self, lifecycle: Lifecycle, most_lots: Mapping[str, int], opened_lots: Mapping[str, int] | None = None
    ) -> None:
        self._lifecycle = lifecycle
        self._most_lots = most_lots
        self._held = {symbol: (opened_lots or {}).get(symbol, 0) for symbol in most_lots}
        self._fills = {symbol: lifecycle.symbol_state(symbol).fills for symbol in most_lots}
        self._unfinished: set[str] = set()
        self._numbers = dict.fromkeys(most_lots, 0)
        self._halted = False
        self._last_fill_ns = 0

    def halted(self) -> None:
        """From here on, no create."""
        self._halted = True

    def sending(self, messages: Sequence[Message]) -> None:
        """Before the lifecycle takes them: I4, I5, I7, I8."""
        orders = list(self._lifecycle.open)
        for command in unpacked(messages):
            if self._halted and not isinstance(command, CancelOrder | RequestSnapshot):
                raise InvariantError(f"I5: {_what(command)} of {command.client_id} after a halt")
            if isinstance(command, SubmitOrder):
                self._is_new(command)
                order = tracked(Ns(0), command)
                self._unfinished.add(command.client_id)
            elif isinstance(command, AmendOrder):
                order = self._amended(command, orders)
            else:
                continue
            self._alone(order, command.tick, orders)
            orders.append(order)
            self._within_cap(order, orders)
        self.cancelling(unpacked(messages))

    def cancelling(self, commands: Iterable[object]) -> None:
        """I8."""
        prefix = self._lifecycle.own_prefix
        for command in commands:
            if isinstance(command, CancelOrder) and not command.client_id.startswith(prefix):
                raise InvariantError(f"I8: cancel of {command.client_id}, which is not ours")

    def due(self, commands: Sequence[LifecycleCommand]) -> None:
        """What the lifecycle sends by itself: cancels and look-ups."""
        self.cancelling(commands)

    def heard(self, events: Sequence[LifecycleEvent]) -> None:
        """What the engine is told: I2, by numbers without a gap and lots within the order."""
        for event in events:
            if isinstance(event, Fill):
                self._count(event)

    def check(self, now_ns: int, venue_lots: Mapping[str, int] | None = None) -> None:
        """After every event: I1, I3, I11. `venue_lots`: the truth, where a simulation knows it; judged
        when no order is open and no fill was for 30 s.
        """
        self._all_accounted_for()
        for symbol, held in self._held.items():
            lots = self._lifecycle.positions[symbol].lots
            if lots != held:
                raise InvariantError(f"I3: {symbol} is {lots} lots, fills sum to {held}")
        for name, (size, most) in self._lifecycle.sizes().items():
            if size > most:
                raise InvariantError(f"I11: {size} {name}, expected at most {most}")
        quiet = not self._lifecycle.open and now_ns - self._last_fill_ns >= QUIET_NS
        for symbol, lots in (venue_lots or {}).items():
            if quiet and lots != self._held[symbol]:
                raise InvariantError(f"I3: {symbol} is {lots} lots at the venue, {self._held[symbol]} booked")

    def replays_to(self, state: LifecycleState) -> None:
        """I9: a state that the log gave is this one."""
        encode = msgspec.json.encode
        if encode(state) != encode(self._lifecycle.checkpoint()):
            raise InvariantError("I9: the log gives another state")

    def _amended(self, amend: AmendOrder, orders: list[TrackedOrder]) -> TrackedOrder:
        """Takes the order out of `orders`, and returns it as it may be by then."""
        order = next(order for order in orders if order.client_id == amend.client_id)
        orders.remove(order)
        return msgspec.structs.replace(order, amend=amend)

    def _is_new(self, command: SubmitOrder) -> None:
        number = order_number(command.client_id)
        if number <= self._numbers[command.symbol]:
            raise InvariantError(f"I7: create of {command.client_id} a second time")
        self._numbers[command.symbol] = number

    def _alone(self, order: TrackedOrder, tick: int, others: Iterable[TrackedOrder]) -> None:
        """I7: at its new price."""
        for other in others:
            at = {other.tick} if other.amend is None else {other.tick, other.amend.tick}
            if other.symbol == order.symbol and other.side is order.side and tick in at:
                raise InvariantError(f"I7: {order.client_id} where {other.client_id} is {other.phase}")

    def _count(self, fill: Fill) -> None:
        self._fills[fill.symbol] += 1
        if fill.fill_id != self._fills[fill.symbol]:
            raise InvariantError(f"I2: fill {fill.fill_id}, expected {self._fills[fill.symbol]}")
        self._held[fill.symbol] += fill.side * fill.lots
        self._last_fill_ns = fill.recv_ns

    def _all_accounted_for(self) -> None:
        for order in self._lifecycle.open:
            awaited = order.check_ns is not None or order.phase is Phase.LIVE
            if order.phase is Phase.CLOSED or not awaited:
                raise InvariantError(f"I1: {order.client_id} is {order.phase}, and nothing is awaited")
        for client_id in list(self._unfinished):
            found = self._lifecycle.order(client_id)
            if found is None:
                raise InvariantError(f"I1: {client_id} was sent and is nowhere")
            if found.phase is Phase.CLOSED:
                self._unfinished.remove(client_id)

    def _within_cap(self, order: TrackedOrder, orders: Sequence[TrackedOrder]) -> None:
        """With all `orders`, this one among them."""
        symbol, side, most = order.symbol, order.side, self._most_lots[order.symbol]
        open_lots = sum(o.leaves_lots for o in orders if o.symbol == symbol and o.side is side)
        worst_lots = side * self._held[symbol] + open_lots
        if worst_lots > most:
            raise InvariantError(f"I4: {order.client_id} could bring {symbol} to {worst_lots} lots > {most}")


def _what(command: SubmitOrder | AmendOrder) -> str:
    return "create" if isinstance(command, SubmitOrder) else "amend"
