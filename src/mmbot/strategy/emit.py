"""Stage 6, emit: fair value, half spread and skew -> quotes on the venue's grid.

Promises, each a property test: bids round down and asks up; no quote crosses the book (post-only) and none
crosses fair value, whatever the skew and whatever is preferred; a quote whose size is below the venue's
minimum notional at its own price is left out, as is a bid below one tick; a side that would grow a position
at its cap is not quoted; levels of a side never share a price.
"""

import msgspec

from mmbot.book.measures import PricedView
from mmbot.model.instrument import Contract, Instrument, Side, floor_lots, round_passive
from mmbot.model.quotes import Quote
from mmbot.units import BPS, Lots, Ticks


class EmitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    order_notional_quote: float
    levels: int
    level_step_bps: float


class Emit:
    """Quotes of one instrument."""

    __slots__ = ("_instrument", "_inverse", "_lot_quote", "_settings")

    def __init__(self, settings: EmitSettings, instrument: Instrument) -> None:
        self._settings = settings
        self._instrument = instrument
        self._inverse = instrument.contract is Contract.INVERSE
        self._lot_quote = instrument.notional_quote(1, instrument.tick)
        """Quote value of one lot at a price of one tick; of one lot at any price for an inverse contract."""

    def lots(self, fair_ticks: float, size_ratio: float) -> Lots:
        """Order size in lots; zero if it is below the venue's minimum notional."""
        notional = self._settings.order_notional_quote * size_ratio
        per_lot = self._per_lot(fair_ticks)
        lots = floor_lots(notional, per_lot)
        return lots if lots * per_lot >= self._instrument.min_notional else Lots(0)

    def _per_lot(self, ticks: float) -> float:
        """Quote value of one lot at a price."""
        return self._lot_quote if self._inverse else self._lot_quote * ticks

    def __call__(
        self,
        view: PricedView,
        fair_ticks: float,
        half_spread_bps: float,
        skew_bps: float,
        size_ratio: float,
        inventory_ratio: float,
        preferred: tuple[int | None, int | None],
    ) -> list[Quote]:
        lots = self.lots(fair_ticks, size_ratio)
        if not lots:
            return []
        centre = fair_ticks * (1.0 + skew_bps / BPS)
        bid_cap = min(fair_ticks, view.ask_tick - 1)
        ask_floor = max(fair_ticks, view.bid_tick + 1)
        quotes: list[Quote] = []
        for level in range(self._settings.levels):
            half = (half_spread_bps + level * self._settings.level_step_bps) / BPS
            if inventory_ratio < 1.0:
                bid = round_passive(Side.BUY, min(centre * (1.0 - half), bid_cap))
                if level == 0 and preferred[0] == bid + 1 <= bid_cap:
                    bid = Ticks(bid + 1)
                bid_cap = bid - 1  # the next level stands behind this one, however coarse the grid
                if bid > 0 and lots * self._per_lot(bid) >= self._instrument.min_notional:
                    quotes.append(Quote(Side.BUY, level, bid, lots))
            if inventory_ratio > -1.0:
                ask = round_passive(Side.SELL, max(centre * (1.0 + half), ask_floor))
                if level == 0 and preferred[1] == ask - 1 >= ask_floor:
                    ask = Ticks(ask - 1)
                ask_floor = ask + 1
                quotes.append(Quote(Side.SELL, level, ask, lots))
        return quotes
