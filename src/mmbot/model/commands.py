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


class CancelOrder(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    client_id: str


class RequestSnapshot(msgspec.Struct, frozen=True, gc=False):
    """Ask the venue for the whole book, because ours cannot be trusted."""

    symbol: str


OrderCommand = SubmitOrder | CancelOrder


class OrderBatch(msgspec.Struct, frozen=True, gc=False):
    """One message about several orders of one symbol, all creates or all cancels. The venue answers about
    each order by itself.
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
