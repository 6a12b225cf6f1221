"""Aligner: wanted quotes against working orders -> the fewest commands that make them agree.

An order that already serves its quote keeps its queue place: it stays while its price is within `hold_bps` of
the wanted one and not more aggressive, and its open rest is at most `hold_size_ratio` above the wanted size
(a part-filled order stays). One slot, one order: a wrong order is cancelled first, its successor follows when
the cancel is confirmed. Orders in flight are left alone.
"""

from collections.abc import Sequence

import msgspec

from mmbot.execution.orders import Blotter, WorkingOrder
from mmbot.model.orders import OrderStatus
from mmbot.model.quotes import Quote
from mmbot.units import BPS


class AlignerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hold_bps: float
    hold_size_ratio: float


def align(
    wanted: Sequence[Quote], blotter: Blotter, settings: AlignerSettings
) -> tuple[list[WorkingOrder], list[Quote]]:
    """Orders to cancel and quotes to submit."""
    cancels: list[WorkingOrder] = []
    submits: list[Quote] = []
    slots = blotter.slots
    served = 0
    for quote in wanted:
        order = slots.get(quote.slot)
        if order is None:
            submits.append(quote)
            continue
        served += 1
        if order.status is OrderStatus.LIVE and not _serves(order, quote, settings):
            cancels.append(order)
    if served < len(slots):
        wanted_slots = {quote.slot for quote in wanted}
        cancels += [
            order
            for slot, order in slots.items()
            if slot not in wanted_slots and order.status is OrderStatus.LIVE
        ]
    return cancels, submits


def _serves(order: WorkingOrder, quote: Quote, settings: AlignerSettings) -> bool:
    passive_ticks = (quote.tick - order.tick) * quote.side
    near = 0 <= passive_ticks <= quote.tick * settings.hold_bps / BPS
    return near and order.leaves_lots <= quote.lots * (1.0 + settings.hold_size_ratio)
