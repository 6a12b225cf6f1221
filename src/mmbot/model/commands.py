"""What the engine may ask for. Commands are values; the shell routes them."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from mmbot.model.instrument import Side
from mmbot.units import Lots, Ticks


class SubmitOrder(msgspec.Struct, frozen=True, gc=False):
    """A limit order. Post-only: the venue rejects it rather than letting it take."""

    symbol: str
    client_id: str
    side: Side
    tick: Ticks
    lots: Lots
    post_only: bool = True


class AmendOrder(msgspec.Struct, frozen=True, gc=False):
    """Another price and size for an order that is at the venue, in one message. `lots` is its whole size,
    what has filled included (Bybit's `qty`): so a fill on the way makes what is left smaller, never the whole
    larger. Less at the same price keeps its place in the queue; anything else goes to the back of one.
    """

    symbol: str
    client_id: str
    tick: Ticks
    lots: Lots


class CancelOrder(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    client_id: str


class RequestSnapshot(msgspec.Struct, frozen=True, gc=False):
    """Ask the venue for the whole book, because ours cannot be trusted."""

    symbol: str


OrderCommand = SubmitOrder | AmendOrder | CancelOrder


class OrderBatch(msgspec.Struct, frozen=True, gc=False):
    """One message about several orders of one symbol, all creates, all amends or all cancels. The venue
    answers about each order by itself.
    """

    symbol: str
    orders: tuple[OrderCommand, ...]


class Room(NamedTuple):
    """How many orders may go out now."""

    cancels: int
    creates: int


Command = OrderCommand | RequestSnapshot
"""One order, or one request."""
Message = Command | OrderBatch
"""What goes over the wire at once."""


def unpacked(messages: Iterable[Message]) -> Iterator[Command]:
    """The commands in these messages, in order."""
    for message in messages:
        if isinstance(message, OrderBatch):
            yield from message.orders
        else:
            yield message
