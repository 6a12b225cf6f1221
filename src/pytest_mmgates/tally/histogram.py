"""Quantiles of any number of values in bounded memory, from counts that can be merged.

A bucket is a float's exponent with the first 11 bits of its mantissa: whole numbers below 4096 have one each,
above that a bucket is at most 1/2048 of its values wide. Each bucket keeps how many values fell into it and
the largest of them. A quantile is that largest value of the bucket that holds the exact quantile: a value
that was observed, never below the exact one, and at most `RELATIVE_ERROR` above it. The maximum is exact.

Merging adds counts and takes the larger tops, so the order and the grouping of merges change nothing.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

_MANTISSA_BITS = 11
_SHIFT = 52 - _MANTISSA_BITS
RELATIVE_ERROR = 2.0**-_MANTISSA_BITS

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def _no_tops() -> Floats:
    return np.empty(0, dtype=np.float64)


def _no_counts() -> Ints:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Of values that are not negative. `tops[i]` is the largest value seen in a bucket, ascending;
    `counts[i]` how many were.
    """

    tops: Floats = field(default_factory=_no_tops)
    counts: Ints = field(default_factory=_no_counts)

    @classmethod
    def of(cls, values: Ints | Floats) -> "Histogram":
        ordered = np.sort(values.astype(np.float64))
        last = _last_of_buckets(ordered)
        return cls(ordered[last], np.diff(last, prepend=-1))

    def merged(self, other: "Histogram") -> "Histogram":
        tops = np.concatenate((self.tops, other.tops))
        order = np.argsort(tops, kind="stable")
        ordered = tops[order]
        last = _last_of_buckets(ordered)
        below = np.cumsum(np.concatenate((self.counts, other.counts))[order])
        return Histogram(ordered[last], np.diff(below[last], prepend=0))

    def __len__(self) -> int:
        """How many values."""
        return int(self.counts.sum())

    @property
    def max(self) -> float:
        return float(self.tops[-1])

    def quantile(self, percent: int) -> float:
        """Of at least one value. Ranks are whole numbers, so that no rounding moves one."""
        rank = -(-percent * len(self) // 100)
        return float(self.tops[np.searchsorted(np.cumsum(self.counts), rank)])


def _last_of_buckets(ordered: Floats) -> Ints:
    """Where each bucket ends in ascending values. Bits of floats that are not negative ascend like the
    floats.
    """
    buckets = ordered.view(np.int64) >> _SHIFT
    return np.flatnonzero(np.diff(buckets, append=-1))
