"""Pre-trade limits, independent of the strategy that should have kept them.

A refusal names its limit; it never changes an order into another one.
"""

import msgspec

from mmbot.model.instrument import Instrument, Side


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    max_order_notional_quote: float
    max_position_quote: float


class Limits:
    """Limits of one symbol."""

    __slots__ = ("_instrument", "_settings")

    def __init__(self, settings: LimitSettings, instrument: Instrument) -> None:
        self._settings = settings
        self._instrument = instrument

    def refusal(
        self, side: Side, lots: int, price: float, *, position_lots: int, open_lots: int
    ) -> str | None:
        """Why this order may not go out; None if it may. `open_lots`: working size on the same side.

        The position that counts is the worst one: everything working on this side filled, this order too.
        """
        notional = self._instrument.notional_quote(lots, price)
        if notional > self._settings.max_order_notional_quote:
            return f"max_order_notional_quote: {notional:.2f} > {self._settings.max_order_notional_quote:g}"
        worst_lots = side * position_lots + open_lots + lots
        worst = self._instrument.notional_quote(max(worst_lots, 0), price)
        if worst > self._settings.max_position_quote:
            return f"max_position_quote: {worst:.2f} > {self._settings.max_position_quote:g}"
        return None
