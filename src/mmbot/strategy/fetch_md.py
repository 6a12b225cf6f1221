"""Stage 1, fetch_md: the priced view of this tick, and the fair value that the other stages quote around."""

from typing import Literal

import msgspec

from mmbot.book.cache import MdCache, Read
from mmbot.book.l2 import L2Book
from mmbot.book.measures import PricedView, Volatility, priced
from mmbot.book.microprice import Microprice


class FetchMdSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fair_value: Literal["mid", "weighted_mid", "microprice"]
    depth_ticks: int
    volatility_halflife_s: float
    microprice_refit_ticks: int


class FetchMd:
    """Reads the cache, prices a changed book, keeps volatility and microprice up to date."""

    __slots__ = (
        "_book",
        "_cache",
        "_depth_ticks",
        "_microprice",
        "_source",
        "_view",
        "changed",
        "fair_ticks",
        "volatility",
    )

    def __init__(self, settings: FetchMdSettings, book: L2Book, cache: MdCache) -> None:
        self._book = book
        self._cache = cache
        self._depth_ticks = settings.depth_ticks
        self._source = settings.fair_value
        self._microprice = Microprice(settings.microprice_refit_ticks)
        self._view: PricedView | None = None
        self.volatility = Volatility(settings.volatility_halflife_s)
        self.changed = True
        """Set by whoever touches the book."""
        self.fair_ticks = 0.0
        """Fair value of the view last returned, in ticks."""

    @property
    def age_ns(self) -> int | None:
        """Age of the book at the last call; None if there was none to serve."""
        return self._cache.age_ns

    def __call__(self, now_ns: int) -> tuple[Read, PricedView | None]:
        """View and how it was read; no view on a miss and on a book without two sides."""
        read = self._cache.read(now_ns)
        if read is Read.MISS:
            return read, None
        if self.changed:
            self._view = priced(self._book, self._depth_ticks)
            self.changed = False
        view = self._view
        if view is not None:
            self.volatility.update(now_ns, view.mid_x2)
            microprice = self._microprice.update(view)
            self.fair_ticks = microprice if self._source == "microprice" else getattr(view, self._source)
        return read, view
