"""Sums by time, in a ring of buckets: memory is what the longest window needs, however long the run."""

from typing import Any

import numpy as np
import numpy.typing as npt

Sums = npt.NDArray[np.float64]


class Ring:
    """`length` buckets of one shape each, by number. Counts stay exact up to 2**53. `whole`: the sum of all
    that ever came.
    """

    def __init__(self, length: int, shape: tuple[int, ...]) -> None:
        self._cells = np.zeros((length, *shape))
        self.whole: Sums = np.zeros(shape)
        self._newest = -1
        self._summed: dict[int, Sums] = {}
        self._summed_end = -1

    def add(self, number: int, where: Any, amount: Any) -> None:
        """Add to a bucket that is not older than the ring."""
        self._advance(number)
        self._summed_end = -1
        self._cells[number % len(self._cells)][where] += amount
        self.whole[where] += amount

    def window(self, end: int, count: int) -> Sums:
        """Sum of the `count` buckets before `end`. Rules ask for the same one, so it is summed once."""
        if self._summed_end != end:
            self._summed, self._summed_end = {}, end
        if count not in self._summed:
            self._advance(end - 1)
            self._summed[count] = self._cells[np.arange(end - count, end) % len(self._cells)].sum(axis=0)
        return self._summed[count]

    def _advance(self, number: int) -> None:
        """Empty the buckets that come round again."""
        if number <= self._newest:
            return
        length = len(self._cells)
        first = max(self._newest + 1, number - length + 1)
        self._cells[np.arange(first, number + 1) % length] = 0
        self._newest = number
