"""What can happen, as the engine sees it. Events never change after creation and are not subclassed.

Market events carry two stamps: `exch_ns` by the venue's clock and `recv_ns` by ours. The two clocks are not
synchronised in most captures (a recorder 1.5 s slow is in our test data), so nothing may assume recv >= exch.
"""

from enum import StrEnum

import msgspec

from mmbot.model.instrument import Side
from mmbot.units import Lots, Ns, Ticks

Level = tuple[int, int]
"""(price in ticks, size in lots). Size is absolute; zero removes the level."""


class BookSnapshot(msgspec.Struct, frozen=True, gc=False):
    """The whole visible book; replaces whatever we held."""

    symbol: str
    exch_ns: Ns
    recv_ns: Ns
    bids: list[Level]
    asks: list[Level]
    update_id: int = 0


class BookDelta(msgspec.Struct, frozen=True, gc=False):
    """Changed levels, one message of the venue, applied as a whole."""

    symbol: str
    exch_ns: Ns
    recv_ns: Ns
    bids: list[Level]
    asks: list[Level]
    update_id: int = 0


class Trade(msgspec.Struct, frozen=True, gc=False):
    """Somebody's public trade. `side` is the taker's."""

    symbol: str
    exch_ns: Ns
    recv_ns: Ns
    side: Side
    tick: Ticks
    lots: Lots


class TopOfBook(msgspec.Struct, frozen=True, gc=False):
    """The venue's own statement of best bid and ask at an update id: an oracle for the rebuilt book, not an
    input.
    """

    symbol: str
    exch_ns: Ns
    recv_ns: Ns
    bid_tick: Ticks
    bid_lots: Lots
    ask_tick: Ticks
    ask_lots: Lots
    update_id: int


class Confirmed(msgspec.Struct, frozen=True, gc=False):
    """A frame without book content arrived: the connection lives, so an unchanged book is still the book."""

    symbol: str
    recv_ns: Ns


class Trouble(StrEnum):
    """Why a book cannot be trusted, or a frame was not used. Each is counted; none is repaired in silence."""

    GAP = "gap"
    LOST = "lost"
    """The connection ended: nothing is known until the next snapshot."""
    CROSSED = "crossed"
    DEPTH = "depth"
    DUPLICATE = "duplicate"
    BEFORE_SNAPSHOT = "before_snapshot"
    RANGE = "range"
    """A price or size that no market of this instrument could have."""

    @property
    def breaks_book(self) -> bool:
        return self in (Trouble.GAP, Trouble.LOST, Trouble.CROSSED, Trouble.DEPTH, Trouble.RANGE)


class BookTrouble(msgspec.Struct, frozen=True, gc=False):
    """The sequencer or the book found a fault in the stream; `detail` says expected and found.

    `ours_alone`: what is missing was lost on its way to us, and the venue's book is whole; it can be had by
    asking. A recording cannot know that of its own gaps, an injected one can.
    """

    symbol: str
    exch_ns: Ns
    recv_ns: Ns
    trouble: Trouble
    detail: str
    ours_alone: bool = False


MarketEvent = BookSnapshot | BookDelta | Trade | TopOfBook | Confirmed | BookTrouble


class OrderAck(msgspec.Struct, frozen=True, gc=False):
    """The venue holds our order; it rests (or has already traded)."""

    symbol: str
    client_id: str
    recv_ns: Ns


class OrderReject(msgspec.Struct, frozen=True, gc=False):
    """The venue refused a create; the order never existed there."""

    symbol: str
    client_id: str
    recv_ns: Ns
    reason: str


class OrderCancelled(msgspec.Struct, frozen=True, gc=False):
    """The order is gone from the venue with `leaves` lots unfilled."""

    symbol: str
    client_id: str
    recv_ns: Ns
    leaves: Lots


class OrderAmended(msgspec.Struct, frozen=True, gc=False):
    """The venue holds our order as the amend that it was sent last asked for."""

    symbol: str
    client_id: str
    recv_ns: Ns


class AmendReject(msgspec.Struct, frozen=True, gc=False):
    """The venue did not amend: the order stands as it was, or had filled before."""

    symbol: str
    client_id: str
    recv_ns: Ns
    reason: str


class CancelReject(msgspec.Struct, frozen=True, gc=False):
    """A cancel lost its race: the venue no longer knew the order."""

    symbol: str
    client_id: str
    recv_ns: Ns
    reason: str


class Fill(msgspec.Struct, frozen=True, gc=False):
    """Our execution. `fill_id` is a running number within its symbol (of a real venue: in the order in which
    the order log booked them). `mid_x2` is best bid + best ask in ticks at the venue just before it (None on
    a one-sided book, or where it is not known).

    `fee` is what the venue charged, in settlement currency, positive = paid; None: the fee tier says it.
    `late_tick` is the limit price of an order that was already done with when it filled, after "cancelled",
    after "lost" or before a restart; None for an order that works.
    """

    symbol: str
    client_id: str
    fill_id: int
    venue_ns: Ns
    recv_ns: Ns
    side: Side
    tick: Ticks
    lots: Lots
    maker: bool
    mid_x2: int | None
    fee: float | None = None
    late_tick: Ticks | None = None


class Funding(msgspec.Struct, frozen=True, gc=False):
    """Cash that a perpetual's holder paid (positive) or received (negative) at a funding time, in settlement
    currency. `rate` is what the venue charged on the position, as a share of its value.
    """

    symbol: str
    venue_ns: Ns
    recv_ns: Ns
    rate: float
    payment: float


class LatencySample(msgspec.Struct, frozen=True, gc=False):
    """A latency that only a live shell can measure, as how late a tick was. Decisions know the machine by
    these events alone, so a replay that is given them decides the same.
    """

    symbol: str
    recv_ns: Ns
    latency_ns: int


class Tick(msgspec.Struct, frozen=True, gc=False):
    """The pipeline is due."""

    now_ns: Ns


OrderEvent = OrderAck | OrderReject | OrderAmended | AmendReject | OrderCancelled | CancelReject | Fill
Event = MarketEvent | OrderEvent | Funding | LatencySample | Tick
