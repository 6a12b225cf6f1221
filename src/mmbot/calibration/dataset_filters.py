"""Which intervals a dataset leaves out, and why. Only the market and the feed may drop an interval: what an
arm earned, traded or how fast it was never does, or a bad arm would look good on what is left.

    run_edge        the run began or ended inside the interval, or the range asked for cuts it
    gap             fewer ticks than `min_coverage_ratio` of those that it has room for
    warm_up         it begins within four half-lives of the slowest feature from the run's start
    low_hit_ratio   the book was a cache hit at fewer than `min_hit_ratio` of the ticks: half, where a soak
                    stops; a run whose mean passes the gates at 70 % has many five minutes below that
    not_finite      NaN or infinity in its rows, or in what they add up to
    spike           a robust z of mid_volatility_bps, mid_jump_bps or touch_bps above `max_robust_z`

Robust z of a value x: (ln x - median) / (1.4826 * MAD) over the intervals of its symbol and run that no other
reason drops, on the log scale because these features are positive, skewed, and move by factors. 1.4826 makes
it a standard deviation where the logs are normal. The scale is at least `least_scale`, ln 1.5: on a coarse
price grid nearly every jump is one tick and the MAD next to nothing, and two ticks, which is when quotes are
run over, would be a spike. So a spike is at least 25 times the median: bad data, not a bad market. Upwards
only, and not judged with fewer than `min_intervals`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

REASONS = ("run_edge", "gap", "warm_up", "low_hit_ratio", "not_finite", "spike")
SPIKE_COLUMNS = ("mid_volatility_bps", "mid_jump_bps", "touch_bps")
MAD_TO_SIGMA = 1.4826
Interval = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FilterSettings:
    min_coverage_ratio: float = 0.9
    min_hit_ratio: float = 0.5
    max_robust_z: float = 8.0
    least_scale: float = 0.405
    min_intervals: int = 12


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one symbol of one run, ns: its ticks within the range asked for, and when its features are warm."""

    first_ns: int
    last_ns: int
    warm_ns: int


def reasons_of(
    interval: Interval, bounds: Bounds, interval_ns: int, tick_ns: int, settings: FilterSettings
) -> Iterator[str]:
    """Why an interval is dropped, looked at by itself."""
    start_ns, end_ns = interval["start_ns"], interval["start_ns"] + interval_ns
    whole = bounds.first_ns < start_ns + tick_ns and bounds.last_ns >= end_ns - tick_ns
    if interval["coverage_ratio"] < settings.min_coverage_ratio:
        yield "gap" if whole else "run_edge"
    if start_ns < bounds.warm_ns:
        yield "warm_up"
    if interval["hit_ratio"] < settings.min_hit_ratio:
        yield "low_hit_ratio"
    if interval["not_finite"] or not all(map(_finite, interval.values())):
        yield "not_finite"


def spikes_of(intervals: Sequence[Interval], settings: FilterSettings) -> list[dict[str, float]]:
    """Columns with a robust z above the limit and that z, for each interval of one symbol and run."""
    found: list[dict[str, float]] = [{} for _ in intervals]
    for column in SPIKE_COLUMNS:
        for at, z in robust_z([interval[column] for interval in intervals], settings).items():
            if z > settings.max_robust_z:
                found[at][column] = z
    return found


def robust_z(values: Sequence[float | None], settings: FilterSettings) -> dict[int, float]:
    """By position, of the values above zero; empty where they are too few."""
    logs = {at: math.log(value) for at, value in enumerate(values) if value}
    if len(logs) < settings.min_intervals:
        return {}
    middle = median(logs.values())
    scale = max(MAD_TO_SIGMA * median(abs(value - middle) for value in logs.values()), settings.least_scale)
    return {at: (value - middle) / scale for at, value in logs.items()}


def _finite(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
