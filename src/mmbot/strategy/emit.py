"""Stage 6, emit: fair value, half spread and skew -> quotes on the venue's grid.

Promises, each a property test: bids round down and asks up; no quote crosses the book (post-only) and none
crosses fair value, whatever the skew and whatever is preferred; a quote whose size is below the venue's
least size, or below its minimum notional at its own price, is left out, as is a bid below one tick; none is
larger than the venue takes; a side that would grow a position at its cap is not quoted; levels of a side
never share a price.
"""

from math import ceil, floor

import msgspec

from mmbot.book.measures import PricedView
from mmbot.model.instrument import Contract, Instrument, Side, floor_lots
from mmbot.model.quotes import Quote
from mmbot.strategy.inventory import tick_shifts
from mmbot.strategy.queue_aware import Preferred
from mmbot.units import BPS, Lots, Ticks


class EmitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    order_notional_quote: float
    levels: int
    level_step_bps: float


class Emit:
    """Quotes of one instrument."""

    __slots__ = (
        "_allowed_lots",
        "_inverse",
        "_lot_quote",
        "_min_notional",
        "_settings",
        "_size",
        "_sized_by",
        "_sized_for",
    )

    def __init__(self, settings: EmitSettings, instrument: Instrument) -> None:
        self.reconfigure(settings)
        self._inverse = instrument.contract is Contract.INVERSE
        self._min_notional = instrument.min_notional
        self._allowed_lots = instrument.allowed_lots
        self._lot_quote = instrument.notional_quote(1, instrument.tick)
        """Quote value of one lot at a price of one tick; of one lot at any price for an inverse contract."""

    def reconfigure(self, settings: EmitSettings) -> None:
        """From the next tick on."""
        self._settings = settings
        self._sized_for, self._sized_by = 0.0, 0.0
        self._size = Lots(0)
        """Size at the fair value and ratio for which it was worked out last: both change seldom."""

    def lots(self, fair_ticks: float, size_ratio: float) -> Lots:
        """Order size in lots, no more than the venue takes; zero if it is below what the venue takes."""
        per_lot = self._per_lot(fair_ticks)
        lots = self._allowed_lots(floor_lots(self._settings.order_notional_quote * size_ratio, per_lot))
        return lots if lots * per_lot >= self._min_notional else Lots(0)

    @property
    def levels(self) -> int:
        return self._settings.levels

    def least_lots(self, low_ticks: float, high_ticks: float) -> Lots:
        """The least full size while fair value and bids stay between; zero if a quote might be left out."""
        lots = self.lots(high_ticks, 1.0)
        return lots if low_ticks > 0 and lots * self._per_lot(low_ticks) >= self._min_notional else Lots(0)

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
        preferred: Preferred,
    ) -> list[Quote]:
        """Wanted quotes, first levels first. `preferred`: prices that queue_aware would rather stand at."""
        if fair_ticks != self._sized_for or size_ratio != self._sized_by:
            self._sized_for, self._sized_by = fair_ticks, size_ratio
            self._size = self.lots(fair_ticks, size_ratio)
        lots = self._size
        quotes: list[Quote] = []
        if not lots:
            return quotes
        settings = self._settings
        bid_shift, ask_shift = tick_shifts(skew_bps, fair_ticks) if skew_bps else _NO_SHIFT
        passive_bid, passive_ask = view.ask_tick - 1, view.bid_tick + 1
        # comparisons, because min and max cost a call each, twice a side, at every tick
        bid_cap: float = fair_ticks if fair_ticks < passive_bid else passive_bid  # noqa: FURB136
        ask_floor: float = fair_ticks if fair_ticks > passive_ask else passive_ask  # noqa: FURB136
        preferred_bid, preferred_ask = preferred
        for level in range(settings.levels):
            away = fair_ticks * ((half_spread_bps + level * settings.level_step_bps) / BPS)
            if inventory_ratio < 1.0:
                wish = fair_ticks - away + bid_shift
                bid = floor(wish if wish < bid_cap else bid_cap)  # noqa: FURB136
                if level == 0 and preferred_bid == bid + 1 <= bid_cap:
                    bid += 1
                bid_cap = bid - 1  # the next level stands behind this one, however coarse the grid
                per_lot = self._lot_quote if self._inverse else self._lot_quote * bid
                if bid > 0 and lots * per_lot >= self._min_notional:
                    quotes.append(Quote(_BUY, level, Ticks(bid), lots))
            if inventory_ratio > -1.0:
                wish = fair_ticks + away + ask_shift
                ask = ceil(wish if wish > ask_floor else ask_floor)  # noqa: FURB136
                if level == 0 and preferred_ask == ask - 1 >= ask_floor:
                    ask -= 1
                ask_floor = ask + 1
                quotes.append(Quote(_SELL, level, Ticks(ask), lots))
        return quotes


_NO_SHIFT = 0, 0
_BUY, _SELL = Side.BUY, Side.SELL
