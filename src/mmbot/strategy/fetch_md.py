"""Stage 1, fetch_md: the priced view of this tick, and the fair value that the other stages quote around.

An estimated fair value is held inside the touch: whatever a few observations make the estimator believe,
nobody else would trade there.
"""

from typing import Literal

import msgspec

from mmbot.book.cache import Read
from mmbot.book.market import Market
from mmbot.book.measures import PricedView
from mmbot.book.microprice import Microprice


class FetchMdSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fair_value: Literal["mid", "weighted_mid", "microprice"]
    depth_ticks: int
    volatility_halflife_s: float
    microprice_refit_ticks: int


class FetchMd:
    """Observes the market and names its fair value."""

    __slots__ = ("_estimated", "_market", "fair_ticks", "microprice", "weighted")

    def __init__(self, settings: FetchMdSettings, market: Market) -> None:
        self._market = market
        self.reconfigure(settings)
        self.microprice = Microprice(settings.microprice_refit_ticks)
        self.fair_ticks = 0.0
        """Fair value of the view last returned, in ticks."""

    def reconfigure(self, settings: FetchMdSettings) -> None:
        """Another fair value from the next tick on; windows and the estimator's table stay."""
        self._estimated = settings.fair_value == "microprice"
        self.weighted = settings.fair_value == "weighted_mid"

    @property
    def adjustments(self) -> list[float] | None:
        """What is added to the mid in each state; None where the mid is not adjusted."""
        return self.microprice.table if self._estimated else None

    def __call__(self, now_ns: int) -> tuple[Read, PricedView | None]:
        """View and how it was read; no view on a miss and on a book without two sides."""
        market = self._market
        read = market.observe(now_ns)
        view = market.view
        if view is not None:
            if self._estimated:
                estimate = self.microprice(market.transitions, view.mid)
                self.fair_ticks = min(max(estimate, view.bid_tick), view.ask_tick)
            else:
                self.fair_ticks = view.weighted_mid if self.weighted else view.mid
        return read, view
