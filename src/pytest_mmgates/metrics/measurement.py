"""What a metric returns, and the statistics of a histogram.

**Quantile**: an observed value such that at least q of all values are not above it. It is never below the
smallest such value, and at most `tally.RELATIVE_ERROR` (1/2048, less than 0.05 %) above it; for whole numbers
below 4096, and where all values of a bucket are equal, it is that value itself. So a p95 is a latency that
really happened, never one interpolated between two, and a limit is never met by rounding. Maximum, mean,
counts and shares are exact. A quantile of fewer values than it takes to have one beyond it (20 for p95, 100
for p99) would be the maximum in disguise: it is not measured.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pytest_mmgates.tally import Histogram
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
    """One line of the metric table. `measure` takes what is judged, by `source` a RunLog, a DatasetLog or a
    DailyLog, and the full name of a symbol, or None for all.
    """

    name: str
    dimension: Dimension
    what: str
    measure: Callable[[Any, str | None], Measurement]
    per_symbol: bool = True
    source: Literal["run", "dataset", "daily"] = "run"


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


def quantile_or_max(values: Histogram, statistic: str) -> float:
    """A statistic of at least one value."""
    return values.max if statistic == "max" else values.quantile(PERCENTS[statistic])


def measure_histogram(values: Histogram, statistic: str) -> Measurement:
    """A quantile, or the maximum."""
    n = len(values)
    reason = too_few(statistic, n)
    return absent(reason, n) if reason else observed(quantile_or_max(values, statistic), n)
