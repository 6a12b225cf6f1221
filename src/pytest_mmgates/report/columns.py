"""A series of any length in the width of a picture: of each column of the picture the lowest and the highest
value. No spike is lost, and a week takes the memory of an hour.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from pytest_mmgates.outages import Outage
from pytest_mmgates.tables import Flags, Floats, Ints

COLUMNS = 500


class Columns:
    """Values between two moments, both included; what lies outside falls to the first or last column."""

    def __init__(self, start_ns: int, end_ns: int, outages: tuple[Outage, ...] = ()) -> None:
        self._start_ns, self._length_ns = start_ns, max(1, end_ns - start_ns)
        self.low, self.high = np.full(COLUMNS, np.inf), np.full(COLUMNS, -np.inf)
        self.last = np.nan
        self.count = 0
        self._broken = [self._column(np.array([outage.from_ns, outage.until_ns])) for outage in outages]

    def add(self, ts_ns: Ints, values: Floats | Ints) -> None:
        """Values in time order; NaN is none."""
        known = ~np.isnan(values)
        columns, kept = self._column(ts_ns[known]), values[known]
        if not kept.size:
            return
        np.minimum.at(self.low, columns, kept)
        np.maximum.at(self.high, columns, kept)
        self.last = float(kept[-1])
        self.count += kept.size

    @property
    def middles_ns(self) -> Floats:
        """Of each column with a value, and of one in each outage: since the beginning."""
        return (np.flatnonzero(self._shown) + 0.5) * self._length_ns / COLUMNS

    @property
    def lows(self) -> Floats:
        """At `middles_ns`; NaN in an outage, so that no line crosses it."""
        return self._values(self.low)

    @property
    def highs(self) -> Floats:
        return self._values(self.high)

    def line(self) -> tuple[Floats, Floats]:
        """Places and values of one line through every lowest and highest."""
        xs, lows, highs = self.middles_ns, self.lows, self.highs
        return np.repeat(xs, 2), np.column_stack((lows, highs)).ravel()

    @property
    def least(self) -> float:
        """NaN where there is no value."""
        return float(self.low.min()) if self.count else np.nan

    @property
    def most(self) -> float:
        return float(self.high.max()) if self.count else np.nan

    @property
    def _shown(self) -> Flags:
        shown = self.low <= self.high
        for first, last in self._broken:
            shown[first + 1 : last] = True
        return shown

    def _values(self, column: Floats) -> Floats:
        values = np.where(self.low <= self.high, column, np.nan)
        found: Floats = values[self._shown]
        return found

    def _column(self, ts_ns: Ints) -> Ints:
        shares = (ts_ns - self._start_ns) / self._length_ns
        found: Ints = np.clip((shares * COLUMNS).astype(np.int64), 0, COLUMNS - 1)
        return found


def kept(values: Sequence[float]) -> Ints:
    """Which of the points of a line are drawn: all, or first, last, and the lowest and highest of each of
    `COLUMNS` stretches of as many points.
    """
    ys = np.asarray(values, dtype=np.float64)
    if len(ys) <= 2 * COLUMNS:
        return np.arange(len(ys))
    edges = np.linspace(0, len(ys), COLUMNS + 1).astype(np.int64)
    extremes = [
        first + found(ys[first:last])
        for first, last in pairwise(edges.tolist())
        for found in (np.argmin, np.argmax)
    ]
    return np.unique([0, *extremes, len(ys) - 1])
