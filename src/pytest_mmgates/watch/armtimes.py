"""How long ticks of two arms took, bucket by bucket, in the watched arm's own time.

A window is made of the newest buckets in which the watched arm ticked, however long ago: while only the
other quotes it stands still. What the other took at the beginning, in as much of its own time as the longest
window has, is frozen: the watched arm cannot move what it is held against, and a slow drift of both is seen.
Memory is what the longest window needs.
"""

import numpy as np

from pytest_mmgates.metrics.windowed import Ints, TickTimes, p95_ns

LATEST_BUCKETS = 180
"""How far the feeds of a run may lie apart: 30 minutes."""
_NOTHING: Ints = np.empty(0, dtype=np.int64)


class ArmTimes:
    """`longest`: buckets of the longest window; 0 = nothing is kept."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._buckets: dict[int, tuple[Ints, Ints]] = {}
        self._first: dict[int, Ints] = {}
        """Of the other arm, until they are frozen."""
        self._frozen_p95_ns: float | None = None

    def add(self, number: int, own: Ints, others: Ints) -> None:
        """Ticks of one bucket, or more of them."""
        before = self._buckets.get(number, (_NOTHING, _NOTHING))
        self._buckets[number] = (np.append(before[0], own), np.append(before[1], others))
        if len(self._buckets) > self._longest + 3 * LATEST_BUCKETS:
            self._forget()
        if len(others) and self._frozen_p95_ns is None:
            self._freeze(number, others)

    def window(self, end: int, count: int) -> TickTimes:
        """The newest `count` buckets of the watched arm before `end`."""
        chosen = self._ticked(end)[-count:]
        own = [self._buckets[number][0] for number in chosen]
        others = [self._buckets[number][1] for number in chosen]
        return TickTimes(
            np.concatenate([_NOTHING, *own]), np.concatenate([_NOTHING, *others]), self._frozen_p95_ns
        )

    def _ticked(self, end: int) -> list[int]:
        """Buckets before `end` in which the watched arm ticked."""
        return sorted(number for number, (own, _) in self._buckets.items() if number < end and len(own))

    def _forget(self) -> None:
        """Keep what windows may still be made of, and what rows may still come for."""
        newest = max(self._buckets)
        kept = {*self._ticked(newest)[-self._longest - LATEST_BUCKETS :]}
        latest = newest - LATEST_BUCKETS
        self._buckets = {
            number: times for number, times in self._buckets.items() if number in kept or number >= latest
        }

    def _freeze(self, number: int, others: Ints) -> None:
        """Once the other arm is in a bucket after the last that counts."""
        if len(self._first) == self._longest and number not in self._first:
            self._frozen_p95_ns = p95_ns(np.concatenate(list(self._first.values())))
            self._first.clear()
            return
        self._first[number] = np.append(self._first.get(number, _NOTHING), others)
