"""A day beside the seven before it, figure by figure.

A figure moved when it is farther from the median of the days before than 3.5 robust standard deviations, that
is 3.5 * 1.4826 * MAD (Iglewicz and Hoaglin, How to Detect and Handle Outliers, ASQC 1993: a modified z-score
above 3.5), and farther than the least change that anybody would act on: days that happen to be alike have a
MAD of nearly nothing. Fewer than four days decide nothing. Of seven days of pure noise the first rule alone
calls an eighth one moved in about 6 % of cases, four days in about 15 % (a test measures it): a figure that
moved is a reason to look, and no verdict.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pytest_mmgates.daily.facts import ERRORS, Group
from pytest_mmgates.units import Dimension

HISTORY_DAYS = 7
FEWEST_DAYS = 4
MOST_SIGMAS = 3.5
MAD_TO_SIGMA = 1.4826
"""Of a normal distribution."""


class Moved(StrEnum):
    """Where a figure went."""

    WORSE = "worse"
    BETTER = "better"
    UP = "up"
    DOWN = "down"
    NO = "no"
    TOO_FEW_DAYS = "too few days"
    NO_DATA = "NO_DATA"


@dataclass(frozen=True, slots=True)
class Figure:
    """What is compared. `worse`: +1 larger is worse, -1 smaller is, 0 neither. A change below `least_ratio`
    of the median, or below `least` (in the inside unit), is none.
    """

    name: str
    dimension: Dimension
    worse: int
    least_ratio: float
    least: float
    of: Callable[[Group], Mapping[str, float | None]]
    """By suffix of the name: a currency, or nothing."""
    metric: str | None = None
    """Of the gate, where it is one: what to do about it."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure. `days` are those before that have it, oldest first."""

    name: str
    figure: Figure
    value: float | None
    days: tuple[tuple[str, float], ...]
    moved: Moved

    @property
    def median(self) -> float | None:
        return statistics.median(value for _, value in self.days) if self.days else None

    @property
    def low(self) -> float | None:
        return min((value for _, value in self.days), default=None)

    @property
    def high(self) -> float | None:
        return max((value for _, value in self.days), default=None)


def compared(group: Group, before: Sequence[tuple[str, Group]]) -> tuple[Compared, ...]:
    """Every figure that the day or a day before has, with that of the same group of each day before."""
    return tuple(one for figure in FIGURES for one in _compared(figure, group, before))


def _compared(figure: Figure, group: Group, before: Sequence[tuple[str, Group]]) -> Iterator[Compared]:
    today = figure.of(group)
    earlier = [(day, figure.of(other)) for day, other in before]
    for suffix in dict.fromkeys([*today, *(suffix for _, values in earlier for suffix in values)]):
        found = ((day, values.get(suffix)) for day, values in earlier)
        days = tuple((day, value) for day, value in found if value is not None)
        value = today.get(suffix)
        if value is not None or days:
            name = f"{figure.name} {suffix}".rstrip()
            yield Compared(name, figure, value, days, moved(figure, value, [value for _, value in days]))


def moved(figure: Figure, value: float | None, days: Sequence[float]) -> Moved:
    """By the rule of this module."""
    if value is None:
        return Moved.NO_DATA
    if len(days) < FEWEST_DAYS:
        return Moved.TOO_FEW_DAYS
    median = statistics.median(days)
    mad = statistics.median(abs(day - median) for day in days)
    most = max(MOST_SIGMAS * MAD_TO_SIGMA * mad, figure.least_ratio * abs(median), figure.least)
    if abs(value - median) <= most:
        return Moved.NO
    up = value > median
    if not figure.worse:
        return Moved.UP if up else Moved.DOWN
    return Moved.WORSE if up == (figure.worse > 0) else Moved.BETTER


def _earned(name: str) -> Callable[[Group], Mapping[str, float | None]]:
    return lambda group: {result.currency: getattr(result, name) for result in group.results}


def _one(of: Callable[[Group], float | None]) -> Callable[[Group], Mapping[str, float | None]]:
    return lambda group: {"": of(group)}


def _p95(stage: str) -> Callable[[Group], Mapping[str, float | None]]:
    def of(group: Group) -> float | None:
        times = group.stage(stage)
        return None if times is None else times.p95_ns

    return _one(of)


def hit_ratio(group: Group) -> float | None:
    return group.ticks.hits / group.ticks.ticks if group.ticks else None


def miss_ratio(group: Group) -> float | None:
    return group.ticks.deadline_misses / group.ticks.ticks if group.ticks else None


def quoted_ratio(group: Group) -> float | None:
    return group.ticks.quoted / group.ticks.ticks if group.ticks else None


def hard_ratio(group: Group) -> float | None:
    return group.guards.levels.get("HARD", 0) / group.ticks.ticks if group.guards and group.ticks else None


def covered_ratio(group: Group) -> float | None:
    return min((one.covered_ratio for one in group.coverage), default=None)


def rss_max(group: Group) -> float | None:
    return max((one.rss_max_bytes for one in group.processes), default=None)


def _per_100k_ticks(kinds: Sequence[str]) -> Callable[[Group], float | None]:
    return lambda group: 1e5 * group.count(*kinds) / group.ticks.ticks if group.ticks else None


FIGURES: tuple[Figure, ...] = (
    Figure("pnl", Dimension.QUOTE, -1, 0.5, 1.0, _earned("pnl"), "daily.net_bps"),
    Figure("net", Dimension.BPS, -1, 0.0, 0.2, _earned("net_bps"), "daily.net_bps"),
    Figure("gross", Dimension.BPS, -1, 0.1, 0.2, _earned("gross_bps"), "daily.net_bps"),
    Figure("adverse_60s", Dimension.BPS, -1, 0.1, 0.2, _earned("adverse_60s_bps"), "daily.net_bps"),
    Figure("slippage", Dimension.BPS, +1, 0.1, 0.2, _earned("slippage_bps"), "daily.net_bps"),
    Figure("taker_share", Dimension.RATIO, +1, 0.1, 0.01, _earned("taker_share"), "daily.taker_share"),
    Figure("fills", Dimension.COUNT, 0, 0.3, 10.0, _earned("fills")),
    Figure("coverage", Dimension.RATIO, -1, 0.0, 0.01, _one(covered_ratio), "daily.coverage"),
    Figure("quoted", Dimension.RATIO, -1, 0.0, 0.02, _one(quoted_ratio), "daily.hard_ratio"),
    Figure("fetch_md p95", Dimension.TIME, +1, 0.2, 1_000.0, _p95("fetch_md"), "daily.fetch_md.p95"),
    Figure("tick_total p95", Dimension.TIME, +1, 0.2, 5_000.0, _p95("tick_total"), "daily.tick_total.p95"),
    Figure("hit_ratio", Dimension.RATIO, -1, 0.0, 0.01, _one(hit_ratio), "daily.md_cache.hit_ratio"),
    Figure("deadline misses", Dimension.RATIO, +1, 0.2, 0.001, _one(miss_ratio), "daily.deadline_miss.ratio"),
    Figure("HARD", Dimension.RATIO, +1, 0.2, 0.005, _one(hard_ratio), "daily.hard_ratio"),
    Figure(
        "errors per 100k ticks", Dimension.COUNT, +1, 0.5, 5.0, _one(_per_100k_ticks(ERRORS)), "daily.errors"
    ),
    Figure("rss max", Dimension.BYTES, +1, 0.2, 2e7, _one(rss_max), "daily.memory.slope"),
)
