"""The book of one instrument as `orderbook.{depth}` shows it: the best N levels a side, and what changed.

Deltas are differences between two shown books, so a level that is pushed out of the N best is deleted, one
that comes into view is stated, and after every message there are exactly N levels a side wherever the market
has them (https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook).
"""

import heapq
from collections.abc import Mapping

from mmbot.book.l2 import L2Book
from mmbot.model.events import Level

DEPTHS = (1, 50, 200, 1000)
_FIRST_UPDATE_ID = 10_000


class DepthView:
    """What subscribers of one depth hold. `update_id` rises by one with each change of it."""

    __slots__ = ("asks", "bids", "depth", "shown_ns", "update_id")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.update_id = _FIRST_UPDATE_ID
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.shown_ns = 0
        """When a message was last sent."""

    def follow(self, book: L2Book) -> tuple[list[Level], list[Level]]:
        """Show the book as it is now; returns the levels that differ, best first, size 0 for those gone."""
        bids = _side(book.bids, heapq.nlargest(self.depth, book.bids))
        asks = _side(book.asks, heapq.nsmallest(self.depth, book.asks))
        changed = _changes(self.bids, bids, reverse=True), _changes(self.asks, asks, reverse=False)
        self.bids, self.asks = bids, asks
        if changed[0] or changed[1]:
            self.update_id += 1
        return changed

    def levels(self) -> tuple[list[Level], list[Level]]:
        """Both sides as shown, best first."""
        return list(self.bids.items()), list(self.asks.items())


def _side(levels: Mapping[int, int], best: list[int]) -> dict[int, int]:
    return {tick: levels[tick] for tick in best}


def _changes(before: dict[int, int], now: dict[int, int], *, reverse: bool) -> list[Level]:
    if before == now:
        return []
    changed = [(tick, lots) for tick, lots in now.items() if before.get(tick) != lots]
    changed += [(tick, 0) for tick in before if tick not in now]
    return sorted(changed, reverse=reverse)
