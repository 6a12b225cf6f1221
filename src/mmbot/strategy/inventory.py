"""Stage 4, inventory: shift of both quotes against the position, in bps of fair value, and in whole ticks.

The wish is zero inside the dead band, then linear in the position's share of its cap, never beyond
`max_skew_bps`. Positive skew moves both quotes up (we are short and want to buy).

On the grid the wish becomes half ticks of the pair's centre, to the nearest: half a tick is one quote moved
by one tick, and it is the quote that would grow the position; the next half moves the other one after it.
What a desk does by hand: step back where we have enough, then lean on the side that we want to trade. A skew
below a quarter of a tick moves nothing, wherever fair value happens to lie between two ticks, and the pair's
centre is never more than a quarter of a tick from the wish.
"""

import msgspec

from mmbot.units import BPS


class InventorySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    max_position_quote: float
    dead_band_ratio: float
    max_skew_bps: float


def skew_bps(inventory_ratio: float, settings: InventorySettings) -> float:
    """`inventory_ratio`: signed position in quote currency / max_position_quote."""
    dead_band = settings.dead_band_ratio
    if -dead_band <= inventory_ratio <= dead_band:
        return 0.0
    size = abs(inventory_ratio) - dead_band
    skew = settings.max_skew_bps * min(size / (1.0 - settings.dead_band_ratio), 1.0)
    return -skew if inventory_ratio > 0 else skew


def tick_shifts(skew_bps: float, fair_ticks: float) -> tuple[int, int]:
    """Whole ticks by which a skew moves the bid and the ask: its half ticks, bids down and asks up."""
    half_ticks = round(skew_bps * fair_ticks * (2.0 / BPS))
    return half_ticks >> 1, (half_ticks + 1) >> 1
