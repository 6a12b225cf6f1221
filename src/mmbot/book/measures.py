"""What a book says, in numbers: mid, weighted mid, imbalance, depth, volatility.

Prices are in ticks (floats where half ticks or estimates exist), returns in bps. `microprice` is a fitted
estimate and lives in a module of its own; the size-weighted mid is called weighted mid and nothing else.
"""

import math

from mmbot.book.l2 import L2Book
from mmbot.units import BPS, SECOND


class PricedView:
    """One book at one moment, priced: what the stages read. Built again only when the book has changed."""

    __slots__ = (
        "ask_lots",
        "ask_tick",
        "bid_lots",
        "bid_tick",
        "depth_lots",
        "mid",
        "mid_x2",
    )

    def __init__(self, bid_tick: int, ask_tick: int, bid_lots: int, ask_lots: int, depth_lots: int) -> None:
        self.bid_tick = bid_tick
        self.ask_tick = ask_tick
        self.bid_lots = bid_lots
        self.ask_lots = ask_lots
        self.depth_lots = depth_lots
        self.mid_x2 = bid_tick + ask_tick
        self.mid = self.mid_x2 / 2

    @property
    def imbalance(self) -> float:
        """Share of the bid in what the touch displays, 0..1."""
        return self.bid_lots / (self.bid_lots + self.ask_lots)

    @property
    def weighted_mid(self) -> float:
        """The touch, weighted by the size of the other side, ticks."""
        return self.bid_tick + (self.ask_tick - self.bid_tick) * self.imbalance


def priced(book: L2Book, depth_ticks: int) -> PricedView | None:
    """View of a book; None if a side is missing or the book is crossed: such a book has no mid."""
    bid, ask = book.best_bid, book.best_ask
    if bid is None or ask is None or bid >= ask:
        return None
    bids, asks = book.bids, book.asks
    depth = bids[bid] + asks[ask]
    for step in range(1, depth_ticks):
        depth += bids.get(bid - step, 0) + asks.get(ask + step, 0)
    return PricedView(bid, ask, bids[bid], asks[ask], depth)


class Volatility:
    """Short-window volatility: exponentially weighted mean of squared mid returns per second, bps per root
    second.

    sigma^2 <- sigma^2 + (1 - 2^(-dt/halflife)) * (r^2/dt - sigma^2). None until two mids were seen.
    """

    __slots__ = ("_halflife_ns", "_mid_x2", "_now_ns", "_variance", "bps")

    def __init__(self, halflife_s: float) -> None:
        self._halflife_ns = halflife_s * SECOND
        self._mid_x2 = 0
        self._now_ns = 0
        self._variance: float | None = None
        self.bps: float | None = None

    def update(self, now_ns: int, mid_x2: int) -> None:
        """Take the mid of this moment; call it at a steady pace (every tick)."""
        previous, elapsed = self._mid_x2, now_ns - self._now_ns
        self._mid_x2, self._now_ns = mid_x2, now_ns
        if not previous or elapsed <= 0:
            return
        rate = 0.0
        if mid_x2 != previous:
            move = math.log(mid_x2 / previous) * BPS
            rate = move * move * SECOND / elapsed
        if self._variance is None:
            self._variance = rate
        else:
            self._variance += (1.0 - math.exp2(-elapsed / self._halflife_ns)) * (rate - self._variance)
        self.bps = math.sqrt(self._variance)


class Liquidity:
    """Depth near the touch, over seconds, against its own mean over minutes: score 0..1, 0 at or above the
    mean, 1 when it is gone.

    Both are decayed means: the depth of a moment flickers with every order, and quotes that followed it would
    be moved for nothing.
    """

    __slots__ = ("_depth", "_fast_halflife_ns", "_halflife_ns", "_mean", "_now_ns", "score")

    def __init__(self, fast_halflife_s: float, halflife_s: float) -> None:
        self._fast_halflife_ns = fast_halflife_s * SECOND
        self._halflife_ns = halflife_s * SECOND
        self._depth = self._mean = 0.0
        self._now_ns = 0
        self.score = 0.0

    def update(self, now_ns: int, depth_lots: int) -> None:
        """Take the depth of this moment; call it at a steady pace (every tick)."""
        elapsed, first = now_ns - self._now_ns, self._now_ns == 0
        self._now_ns = now_ns
        if first:
            self._depth = self._mean = float(depth_lots)
            return
        self._depth += (1.0 - math.exp2(-elapsed / self._fast_halflife_ns)) * (depth_lots - self._depth)
        self._mean += (1.0 - math.exp2(-elapsed / self._halflife_ns)) * (depth_lots - self._mean)
        self.score = max(1.0 - self._depth / self._mean, 0.0)


class DecayedRate:
    """Amount per second, exponentially weighted: trades in, lots per second out."""

    __slots__ = ("_halflife_ns", "_now_ns", "_per_s")

    def __init__(self, halflife_s: float) -> None:
        self._halflife_ns = halflife_s * SECOND
        self._now_ns = 0
        self._per_s = 0.0

    def add(self, now_ns: int, amount: float) -> None:
        """An impulse of `amount` raises the rate so that its whole decay integrates to `amount`."""
        self._per_s = self.at(now_ns) + amount * math.log(2) * SECOND / self._halflife_ns
        self._now_ns = now_ns

    def at(self, now_ns: int) -> float:
        """Rate at this moment, per second."""
        return self._per_s * math.exp2((self._now_ns - now_ns) / self._halflife_ns)
