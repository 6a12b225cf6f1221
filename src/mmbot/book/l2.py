"""The plain level-2 book: a dict per side with a tracked best price. Oracle of every faster book.

A message is applied whole: venues list bids before asks, so a book may cross for a moment inside a message,
and only the state after it counts. Measured on this job a dict with a tracked best beats a sorted container
about three times, because almost every update leaves the best where it was and the next level is almost
always one tick away.
"""

from collections.abc import Iterable

from mmbot.model.events import Level

_NEAR = 64
"""Ticks to walk from a vanished best before looking at the whole side."""


class L2Book:
    """Sizes in lots by price in ticks. A side without levels has best None."""

    __slots__ = ("asks", "best_ask", "best_bid", "bids")

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.best_bid: int | None = None
        self.best_ask: int | None = None

    def replace(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Take a snapshot: forget everything else. Zero sizes in it are no levels."""
        self.bids = {tick: lots for tick, lots in bids if lots}
        self.asks = {tick: lots for tick, lots in asks if lots}
        self.best_bid = max(self.bids, default=None)
        self.best_ask = min(self.asks, default=None)

    def apply(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Apply one delta. Sizes are absolute, zero removes; removing an absent one is normal on Binance."""
        side = self.bids
        best = self.best_bid
        for tick, lots in bids:
            if lots:
                side[tick] = lots
                if best is None or tick > best:
                    best = tick
            else:
                side.pop(tick, None)
        self.best_bid = best if best in side else _next_best(side, best, -1)
        side = self.asks
        best = self.best_ask
        for tick, lots in asks:
            if lots:
                side[tick] = lots
                if best is None or tick < best:
                    best = tick
            else:
                side.pop(tick, None)
        self.best_ask = best if best in side else _next_best(side, best, 1)

    @property
    def crossed(self) -> bool:
        """Best bid at or above best ask: nobody's real book (a locked one counts)."""
        return self.best_bid is not None and self.best_ask is not None and self.best_bid >= self.best_ask

    @property
    def mid_x2(self) -> int | None:
        """Best bid + best ask, so that half ticks stay integers; None on a one-sided book."""
        if self.best_bid is None or self.best_ask is None:
            return None
        return self.best_bid + self.best_ask

    def levels(self) -> tuple[list[Level], list[Level]]:
        """Both sides, best first."""
        return sorted(self.bids.items(), reverse=True), sorted(self.asks.items())


def _next_best(side: dict[int, int], gone: int | None, step: int) -> int | None:
    if gone is not None:
        for tick in range(gone + step, gone + step * _NEAR, step):
            if tick in side:
                return tick
    return max(side, default=None) if step < 0 else min(side, default=None)
