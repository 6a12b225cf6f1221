"""What the engine may ask for. Commands are values; the shell routes them."""

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
Command = OrderCommand | RequestSnapshot
