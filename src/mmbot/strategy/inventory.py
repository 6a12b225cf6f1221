"""Stage 4, inventory: shift of both quotes against the position, in bps of fair value.

Zero inside the dead band, then linear in the position's share of its cap, never beyond `max_skew_bps`.
Positive skew moves both quotes up (we are short and want to buy).
"""

import msgspec


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
