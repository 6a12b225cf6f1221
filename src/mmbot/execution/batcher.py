"""async_batch: cancels, amends and creates of one symbol, coalesced into messages of at most so many orders.

Cancels go before amends, amends before creates. What did not fit in a tick goes first in the next: it is not
kept as a message, which would be stale by then, but as a claim of its slot. The next tick asks again what is
wanted; a cancel that is still needed, or a quote that is still wanted there, stands at the head of the line.

A batch is one message on the wire and several orders at the venue. A replay hands its orders on one by one,
each with its own draw of latency, exactly as without batches; so nothing but a limit that binds changes what
a run decides.

An amend never waits: its order has to leave the place that it has, and is cancelled where it cannot move.
"""

from collections.abc import Iterable, Sequence

import msgspec

from mmbot.execution.orders import WorkingOrder
from mmbot.model.commands import AmendOrder, CancelOrder, Message, OrderBatch, OrderCommand, Room, SubmitOrder
from mmbot.model.quotes import Quote, Slot


class BatchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`max_orders`: of one batch, the venue's limit; `max_batches_per_tick`: of one symbol. `amend`: an order
    that has to move is amended where the venue can (`Instrument.amends`), not cancelled and created anew.
    """

    max_orders: int
    max_batches_per_tick: int
    amend: bool


class Batcher:
    """Of one symbol. `waiting`: slots whose cancel or create did not fit, longest wait first."""

    __slots__ = ("_settings", "waiting")

    def __init__(self, settings: BatchSettings) -> None:
        self._settings = settings
        self.waiting: list[Slot] = []

    def reconfigure(self, settings: BatchSettings) -> None:
        """From the next message on; who waits keeps its place in the line."""
        self._settings = settings

    def in_line(
        self, cancels: list[WorkingOrder], creates: list[Quote]
    ) -> tuple[list[WorkingOrder], list[Quote]]:
        """Those that waited first, the others behind them in their order."""
        if not self.waiting:
            return cancels, creates
        place = {slot: number for number, slot in enumerate(self.waiting)}
        last = len(place)
        return (
            sorted(cancels, key=lambda order: place.get(order.slot, last)),
            sorted(creates, key=lambda quote: place.get(quote.slot, last)),
        )

    def room(self, cancels: int, amends: int = 0) -> Room:
        """What fits into this tick's batches, when so many cancels and amends are asked for; less than no
        create where the amends do not fit.
        """
        settings = self._settings
        most = settings.max_orders
        cancels = min(cancels, most * settings.max_batches_per_tick)
        left = settings.max_batches_per_tick - -(-cancels // most) - -(-amends // most)
        return Room(cancels, left * most)

    def wait(self, slots: Iterable[Slot]) -> None:
        """These did not fit. One that waited already keeps its place in the line."""
        asked = list(slots)
        still = [slot for slot in self.waiting if slot in asked]
        self.waiting = still + [slot for slot in asked if slot not in still]

    def packed(self, symbol: str, orders: Sequence[OrderCommand]) -> list[Message]:
        """Cancels, amends and creates, each in as few messages as there can be; an order alone stays
        itself.
        """
        if len(orders) == 1:
            return [*orders]
        of_kind = ([order for order in orders if type(order) is kind] for kind in _KINDS)
        return [message for alike in of_kind for message in self._batches(symbol, alike)]

    def _batches(self, symbol: str, orders: Sequence[OrderCommand]) -> list[Message]:
        most = self._settings.max_orders
        cut = [tuple(orders[first : first + most]) for first in range(0, len(orders), most)]
        return [batch[0] if len(batch) == 1 else OrderBatch(symbol, batch) for batch in cut]


_KINDS = (CancelOrder, AmendOrder, SubmitOrder)
"""In the order in which they go."""
