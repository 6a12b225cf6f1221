"""Axes of charts: a range, round ticks with their texts, and where in the picture a value stands.

A tick wears its unit, so no reader has to look for it. Times that span more than a factor of 30 stand on a
logarithmic axis: a limit of 150 ms and a tick of 20 us are both to be seen.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_mmgates.tables import Floats
from pytest_mmgates.units import NS_PER_S, show

_MOST_TICKS = 5
_WIDE = 30.0
_FEW_DECADES = 2.0
_ROOM = 0.06
_NO_RANGE = 1e-6
"""Values nearer to each other than this share of them are one value."""
_NS_UNITS = (
    (1, "ns"),
    (1_000, "us"),
    (1_000_000, "ms"),
    (NS_PER_S, "s"),
    (60 * NS_PER_S, "min"),
    (3600 * NS_PER_S, "h"),
)
_STEPS_S = (
    *(1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600, 48 * 3600, 7 * 24 * 3600),
)
Tick = tuple[float, str]


@dataclass(frozen=True, slots=True)
class Axis:
    """`low` < `high`, both positive on a logarithmic axis."""

    name: str
    low: float
    high: float
    ticks: Sequence[Tick]
    log: bool = False

    def shares(self, values: Floats | Sequence[float]) -> Floats:
        """Where values stand, 0 at `low` and 1 at `high`; what lies outside stands at the edge, NaN stays."""
        inside = np.clip(np.asarray(values, dtype=np.float64), self.low, self.high)
        low, high = self.low, self.high
        if self.log:
            inside, low, high = np.log(inside), math.log(low), math.log(high)
        found: Floats = (inside - low) / (high - low)
        return found

    def share(self, value: float) -> float:
        return float(self.shares([value])[0])


def linear(name: str, values: Iterable[float], scale: float = 1.0, unit: str = "") -> Axis:
    """Around all finite values, with some room. Ticks are shown in units of `scale`, with the digits that
    tell them apart.
    """
    low, high = _range(values)
    if high - low <= _NO_RANGE * max(abs(low), abs(high)):
        low, high = min(low, 0.0), max(high, 0.0)
    room = _ROOM * (high - low) or 1.0
    low, high = low - room * (low != 0), high + room
    step, ticks = _round_values(low / scale, high / scale)
    digits = max(0, -math.floor(math.log10(step)))
    return Axis(name, low, high, [(value * scale, f"{value:.{digits}f}{unit}") for value in ticks])


def shares_of(name: str, values: Iterable[float]) -> Axis:
    """Of ratios: ticks in per cent."""
    return linear(name, values, 0.01, "%")


def durations(name: str, values: Iterable[float]) -> Axis:
    """Of times in ns, from 0 or logarithmic. A time of 0 stands at the lower edge."""
    positive = [value for value in values if math.isfinite(value) and value > 0]
    low, high = (min(positive), max(positive)) if positive else (1.0, 1.0)
    if high / low <= _WIDE:
        return durations_from_0(name, high)
    low, high = 0.8 * low, 1.25 * high
    ticks = [(at, shown_ns(at)) for at in _decades(low, high)]
    return Axis(f"{name}, logarithmic", low, high, ticks, log=True)


def durations_from_0(name: str, longest_ns: float) -> Axis:
    size, unit = _unit_of(longest_ns)
    return linear(name, [0.0, longest_ns], size, f" {unit}")


def elapsed(name: str, end_ns: float) -> Axis:
    """Of times since a beginning, in ns."""
    end_s = max(end_ns / NS_PER_S, 1.0)
    step_s = next(
        (step for step in _STEPS_S if end_s / step <= _MOST_TICKS),
        _STEPS_S[-1] * math.ceil(end_s / _STEPS_S[-1] / _MOST_TICKS),
    )
    unit_s, unit = next(
        ((size, text) for size, text in ((3600, "h"), (60, "min")) if step_s >= size), (1, "s")
    )
    ticks = [
        (at * NS_PER_S, f"{show(at / unit_s)} {unit}" if at else "0")
        for at in (step_s * n for n in range(int(end_s / step_s) + 1))
    ]
    return Axis(name, 0.0, end_s * NS_PER_S, ticks)


def _round_values(low: float, high: float) -> tuple[float, list[float]]:
    """A round step, and its multiples in a range."""
    rough = (high - low) / _MOST_TICKS
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next((scale * factor for factor in (1, 2, 5) if scale * factor >= rough), 10 * scale)
    return step, [step * n for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten of a range, every n-th where they are many; with 2 and 5 between where they are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    few = math.log10(high / low) <= _FEW_DECADES
    every = max(1, -(-(last - first) // _MOST_TICKS))
    factors = (1, 2, 5) if few else (1,)
    values = [factor * 10.0**power for power in range(first, last + 1, every) for factor in factors]
    return [value for value in values if low <= value <= high]


def shown_ns(ns: float) -> str:
    """A time in the unit in which it reads best."""
    size, unit = _unit_of(ns)
    return f"{show(round(ns / size, 9))} {unit}" if ns else "0"


def _unit_of(ns: float) -> tuple[int, str]:
    return next((one for one in reversed(_NS_UNITS) if abs(ns) >= one[0]), _NS_UNITS[0])


def _range(values: Iterable[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)]
    return (min(finite), max(finite)) if finite else (0.0, 1.0)
