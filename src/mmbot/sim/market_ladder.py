"""One side of the synthetic book: whole numbers, best level first, always as deep as the venue shows it.

A key is the price in ticks, negated for bids, so that on both sides the least key is the best price and one
code serves both. `changes` says what a message would have to say: the difference to what was shown last,
however the levels got there.
"""

from bisect import insort

from mmbot.model.events import Level
from mmbot.model.instrument import Side

_FLOOR_DEPTHS = 5
"""Ticks left below the visible bids, in depths: room for all of them to move down once."""


class Ladder:
    """Levels of one side. `outermost` remembers where the visible book ended, even after all of it was
    eaten.
    """

    __slots__ = ("_shown", "_touched", "_traded", "depth", "keys", "lots", "outermost", "sign")

    def __init__(self, side: Side, depth: int, first_key: int) -> None:
        self.sign = -int(side)
        self.depth = depth
        self.keys: list[int] = []
        self.lots: dict[int, int] = {}
        self.outermost = first_key - 1
        self._shown: dict[int, int] = {}
        self._touched: set[int] = set()
        self._traded: set[int] = set()

    def add(self, key: int, lots: int) -> None:
        """More size at a price, a new level where there was none."""
        if key in self.lots:
            self.lots[key] += lots
        else:
            insort(self.keys, key)
            self.lots[key] = lots
        self._touched.add(key)

    def take(self, key: int, wanted: int) -> int:
        """Remove up to `wanted` lots from a level; how many it gave. An empty level is gone.

        Near a price of zero the last lot stays: the levels behind need a price too.
        """
        held = self.lots[key]
        if wanted >= held and self._at_floor:
            wanted = held - 1
        self._touched.add(key)
        if wanted < held:
            self.lots[key] = held - wanted
            return wanted
        self.outermost = self.keys[-1]
        self.keys.remove(key)
        del self.lots[key]
        return held

    def trade(self, key: int, wanted: int) -> int:
        """`take` by a trade: the next message states the level, even if it has refilled to the very size
        shown.
        """
        got = self.take(key, wanted)
        if got:
            self._traded.add(key)
        return got

    @property
    def _at_floor(self) -> bool:
        return self.sign < 0 and -self.keys[-1] <= _FLOOR_DEPTHS * self.depth

    def append(self, gap: int, lots: int) -> None:
        """The next level behind the visible ones comes into view."""
        key = (self.keys[-1] if self.keys else self.outermost) + gap
        self.keys.append(key)
        self.lots[key] = lots
        self._touched.add(key)

    def cut(self) -> None:
        """Levels pushed out of view are gone, as the venue deletes them."""
        while len(self.keys) > self.depth:
            key = self.keys.pop()
            del self.lots[key]
            self._touched.add(key)

    def levels(self) -> list[Level]:
        """All levels, best first."""
        return [(self.sign * key, self.lots[key]) for key in self.keys]

    def changes(self) -> list[Level]:
        """Levels that differ from what was shown last, best first, size 0 for those gone; now they are
        shown.
        """
        shown, lots, sign = self._shown, self.lots, self.sign
        changed: list[Level] = []
        for key in sorted(self._touched):
            now = lots.get(key, 0)
            if now != shown.get(key, 0) or key in self._traded:
                changed.append((sign * key, now))
                if now:
                    shown[key] = now
                else:
                    del shown[key]
        self._touched.clear()
        self._traded.clear()
        return changed
