"""Aligner: wanted quotes against working orders -> the fewest commands that make them agree.

An order that already serves its quote keeps its queue place: it stays while its price is at most `hold_bps`
behind the wanted one or `lead_bps` in front of it (on a fine grid the wanted price moves at every tick, and a
venue counts messages), and while its open rest is at most `hold_size_ratio` above the wanted size (a
part-filled order stays). One slot, one order: a wrong order is amended into what is wanted, and one that is
only too large is made smaller where it stands; or it is cancelled first, and its successor follows when the
cancel is confirmed. What is not wanted any more is cancelled. Orders in flight are left alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from mmbot.execution.orders import Blotter, WorkingOrder
from mmbot.model.orders import OrderStatus
from mmbot.model.quotes import Quote
from mmbot.units import BPS


class AlignerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`post_only` false: an order that comes late takes instead of being rejected."""

    hold_bps: float
    lead_bps: float
    hold_size_ratio: float
    post_only: bool


Amend = tuple[WorkingOrder, Quote]
"""An order, and the quote that it is to serve."""


class Alignment(NamedTuple):
    """What makes working orders agree with wanted quotes."""

    cancels: list[WorkingOrder]
    amends: list[Amend]
    creates: list[Quote]


def align(wanted: Sequence[Quote], blotter: Blotter, settings: AlignerSettings, *, amend: bool) -> Alignment:
    """`amend`: orders may be amended."""
    cancels: list[WorkingOrder] = []
    amends: list[Amend] = []
    creates: list[Quote] = []
    slots, size_hold = blotter.slots, 1.0 + settings.hold_size_ratio
    hold_bps, lead_bps = settings.hold_bps, -settings.lead_bps
    served = 0
    for quote in wanted:
        side = quote.side
        order = slots.get(side * (quote.level + 1))
        if order is None:
            creates.append(quote)
            continue
        served += 1
        tick = quote.tick
        near = tick * lead_bps / BPS <= (tick - order.tick) * side <= tick * hold_bps / BPS
        serves = near and order.leaves_lots <= quote.lots * size_hold
        if not serves and order.status is OrderStatus.LIVE:
            if amend:  # only too large: less of it at its own price keeps its place
                amends.append((order, Quote(side, quote.level, order.tick, quote.lots) if near else quote))
            else:
                cancels.append(order)
    if served < len(slots):
        wanted_slots = {quote.slot for quote in wanted}
        cancels += [
            order
            for slot, order in slots.items()
            if slot not in wanted_slots and order.status is OrderStatus.LIVE
        ]
    return Alignment(cancels, amends, creates)
