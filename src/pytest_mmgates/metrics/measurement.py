"""What a metric returns, and the two statistics they share.

**Quantile**: the smallest observed value such that at least q of all values are not above it (inverted CDF).
A p95 is thus a latency that really happened, never one interpolated between two. A quantile of fewer values
than it takes to have one beyond it (20 for p95, 100 for p99) would be the maximum in disguise: it is not
measured.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pytest_mmgates.runlog import Floats, Ints, RunLog
from pytest_mmgates.units import Dimension

PERCENTS = {"p50": 50, "p95": 95, "p99": 99}
STATISTICS = ("p50", "p95", "p99", "mean", "max")


@dataclass(frozen=True, slots=True)
class Measurement:
    """A value in the inside unit of its dimension, or None with the reason.

    `measured` and `modelled` are the same statistic over the measured part and over the modelled part alone;
    quantiles of parts do not add up to the quantile of the sum. `n` counts observations. `doubt` says why a
    value that exists decides nothing.
    """

    value: float | None
    n: int
    measured: float | None = None
    modelled: float | None = 0.0
    reason: str | None = None
    doubt: str | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the metric table. `measure` takes a run and a symbol code, or None for the whole run."""

    name: str
    dimension: Dimension
    what: str
    measure: Callable[[RunLog, int | None], Measurement]
    per_symbol: bool = True


def observed(value: float, n: int) -> Measurement:
    """Measured altogether."""
    return Measurement(value=value, n=n, measured=value)


def absent(reason: str, n: int = 0) -> Measurement:
    return Measurement(value=None, n=n, modelled=None, reason=reason)


def too_few(statistic: str, n: int) -> str | None:
    """Why a statistic cannot be had from `n` values, or None."""
    if n == 0:
        return "no rows"
    least = 100 // (100 - PERCENTS[statistic]) if statistic in PERCENTS else 1
    return f"{statistic} needs at least {least} values, there were {n}" if n < least else None


def statistic_of(values: Ints | Floats, statistic: str) -> float:
    """A statistic of a non-empty column; quantiles as defined above, in whole numbers so that no rounding
    moves a rank.
    """
    if statistic == "mean":
        return float(values.mean())
    if statistic == "max":
        return float(values.max())
    rank = -(-PERCENTS[statistic] * len(values) // 100) - 1
    return float(np.partition(values, rank)[rank])


def measure_column(values: Ints | Floats, statistic: str) -> Measurement:
    reason = too_few(statistic, len(values))
    return absent(reason, len(values)) if reason else observed(statistic_of(values, statistic), len(values))
