"""Quantiles of durations in memory that does not grow with a run: counted in buckets that are 0.1 % wide."""

import math
from collections import Counter


class Durations:
    """How often which duration occurred, in buckets of the same leading bits: of one relative width."""

    _BITS = 10

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._longest: dict[int, int] = {}
        """In each bucket."""

    def add(self, duration_ns: int) -> None:
        dropped = max(duration_ns.bit_length() - self._BITS - 1, 0)
        bucket = duration_ns >> dropped << dropped
        self._counts[bucket] += 1
        if duration_ns >= self._longest.get(bucket, 0):
            self._longest[bucket] = duration_ns

    def quantile(self, share: float) -> int:
        """A duration that occurred, ns: the least that `share` of all do not exceed, or up to 0.1 % more.

        Raises ValueError if there is none.
        """
        wanted = max(math.ceil(share * self._counts.total()), 1)
        for bucket in sorted(self._counts):
            wanted -= self._counts[bucket]
            if wanted <= 0:
                return self._longest[bucket]
        raise ValueError("no duration was added")
