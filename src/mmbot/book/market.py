"""What one symbol's bot knows of its market: the book, whether it may be believed, its queue places, and
decayed features.

Three classes keep the same promises. `PlainMarket`, here, is ordinary Python over market events: the oracle,
the fallback and the default of the tests. `book.compiled.CompiledMarket` is the same arithmetic in a kernel
that plays a recording, and `book.fed.FedMarket` in a kernel that takes market events. The stages see none of
them, only this protocol; tests play them side by side and compare every number.
"""

from typing import Protocol, runtime_checkable

import msgspec

from mmbot.book.cache import MdCache, MdCacheSettings, Read
from mmbot.book.l2 import L2Book
from mmbot.book.measures import DecayedRate, Liquidity, PricedView, Volatility, priced
from mmbot.book.microprice import Transitions
from mmbot.book.places import Places
from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, MarketEvent, Trade, Trouble
from mmbot.model.instrument import Side


class FeatureSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Windows of the features; half-lives in seconds."""

    depth_ticks: int
    volatility_halflife_s: float
    liquidity_fast_halflife_s: float
    liquidity_halflife_s: float
    trade_rate_halflife_s: float


class Market(Protocol):
    """One symbol's market as the stages read it. The numbers are those of the last `observe`."""

    @property
    def synced(self) -> bool:
        """The book is whole and may be believed."""

    @property
    def updates(self) -> int:
        """Book messages applied so far."""

    @property
    def mid_x2(self) -> int | None:
        """Best bid + best ask in ticks; None on a one-sided book."""

    @property
    def age_ns(self) -> int | None:
        """Age of the book at the last observation; None if there was none to serve."""

    @property
    def view(self) -> PricedView | None:
        """The priced book; None on a miss and on a book without two sides."""

    @property
    def volatility_bps(self) -> float | None:
        """Short-window volatility, bps per root second; None until two mids were seen."""

    @property
    def liquidity_score(self) -> float:
        """How far depth near the touch is below its recent mean, 0..1."""

    @property
    def transitions(self) -> Transitions:
        """Counts of imbalance and spread states, for the microprice."""

    def reconfigure(self, cache: MdCacheSettings) -> None:
        """Read the cache by other rules from the next observation on."""

    def observe(self, now_ns: int) -> Read:
        """Read the cache, price the book, bring the features up to date. Once a tick."""

    def displayed(self, side: Side, tick: int) -> int:
        """Size displayed at a price, lots."""

    def rest(self, client_id: str, side: Side, tick: int) -> None:
        """An order of ours rests now, behind what is displayed."""

    def gone(self, client_id: str) -> None:
        """It does not rest any more."""

    def ahead_lots(self, client_id: str) -> int | None:
        """Estimated size in front of a resting order."""

    def trade_rate(self, now_ns: int, side: Side) -> float:
        """Lots a second that trade against resting orders of a side, decayed."""


@runtime_checkable
class EventMarket(Market, Protocol):
    """A market that is fed with events."""

    def apply(self, event: MarketEvent) -> tuple[Trouble, str] | None:
        """Take a market event; returns trouble that it brought or revealed.

        A book that crosses is trouble found here; sequence trouble was found by the venue's session. Either
        ends trust until the next snapshot; deltas until then are signs of life and nothing more, and a delta
        without levels is never more.
        """


class PlainMarket:
    """The market in ordinary Python, fed with events."""

    def __init__(self, cache: MdCacheSettings, features: FeatureSettings) -> None:
        self._book = L2Book()
        self._cache = MdCache(cache)
        self._depth_ticks = features.depth_ticks
        self._volatility = Volatility(features.volatility_halflife_s)
        self._liquidity = Liquidity(features.liquidity_fast_halflife_s, features.liquidity_halflife_s)
        self._rates = {side: DecayedRate(features.trade_rate_halflife_s) for side in Side}
        self._places = Places()
        self._changed = True
        self._priced: PricedView | None = None
        self.transitions = Transitions()
        self.updates = 0
        self.view: PricedView | None = None

    @property
    def synced(self) -> bool:
        return self._cache.synced

    @property
    def mid_x2(self) -> int | None:
        return self._book.mid_x2

    @property
    def age_ns(self) -> int | None:
        return self._cache.age_ns

    @property
    def volatility_bps(self) -> float | None:
        return self._volatility.bps

    @property
    def liquidity_score(self) -> float:
        return self._liquidity.score

    def reconfigure(self, cache: MdCacheSettings) -> None:
        self._cache.reconfigure(cache)

    def apply(self, event: MarketEvent) -> tuple[Trouble, str] | None:
        now_ns = event.recv_ns
        trouble: tuple[Trouble, str] | None = None
        match event:
            case BookDelta():
                if self._cache.synced and (event.bids or event.asks):
                    self._book.apply(event.bids, event.asks)
                    trouble = self._book_changed()
            case BookSnapshot():
                self._book.replace(event.bids, event.asks)
                self._cache.sync(now_ns)
                trouble = self._book_changed()
            case Trade():
                self._rates[Side(-event.side)].add(now_ns, event.lots)
                self._places.on_trade(event.side, event.tick, event.lots)
            case BookTrouble():
                if event.trouble.breaks_book:
                    self._cache.invalidate()
                trouble = event.trouble, event.detail
        self._cache.confirm(now_ns)
        return trouble

    def observe(self, now_ns: int) -> Read:
        read = self._cache.read(now_ns)
        self.view = None
        if read is Read.MISS:
            return read
        if self._changed:
            self._priced = priced(self._book, self._depth_ticks)
            self._changed = False
        view = self.view = self._priced
        if view is not None:
            self._volatility.update(now_ns, view.mid_x2)
            self._liquidity.update(now_ns, view.depth_lots)
            self.transitions.observe(view)
        return read

    def displayed(self, side: Side, tick: int) -> int:
        return (self._book.bids if side is Side.BUY else self._book.asks).get(tick, 0)

    def rest(self, client_id: str, side: Side, tick: int) -> None:
        self._places.rest(client_id, side, tick, self.displayed(side, tick))

    def gone(self, client_id: str) -> None:
        self._places.gone(client_id)

    def ahead_lots(self, client_id: str) -> int | None:
        return self._places.ahead_lots(client_id)

    def trade_rate(self, now_ns: int, side: Side) -> float:
        return self._rates[side].at(now_ns)

    def _book_changed(self) -> tuple[Trouble, str] | None:
        self.updates += 1
        self._changed = True
        self._places.on_book(self._book)
        if not self._book.crossed:
            return None
        self._cache.invalidate()
        return Trouble.CROSSED, f"bid {self._book.best_bid} ask {self._book.best_ask}"
