"""Metrics that can be watched: what a window of a running run says, from sums that forget.

A whole-run metric of the same name says the same of the whole run. Latency quantiles and edge are not here: a
quantile of a window needs its rows, and edge needs the minute after a fill. One quantile is worth its rows
where two arms change places: how much slower the ticks of one are than those of the other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pytest_mmgates.metrics.measurement import Measurement, absent, observed
from pytest_mmgates.tally.growth import FLOOR_NS, WARM_UP_NS, Floor, slope_bytes_per_h

Ints = npt.NDArray[np.int64]
SLOWER = "regress(tick_total.p95)"
_CONTROL_TICKS = 100


class TickTimes(NamedTuple):
    """Ticks in ns, waits included, of the newest buckets in which the watched arm ticked: its own, and those
    of the other arm in the same buckets. `frozen_p95_ns`: of the other arm, None = it has not ticked for long
    enough.
    """

    own: Ints
    others: Ints
    frozen_p95_ns: float | None


class Window(Protocol):
    """What was summed up over a window, of one symbol or all."""

    def total(self, name: str) -> float:
        """Sum of one of `SUMS`."""

    def notional(self) -> dict[str, float] | None:
        """Quote notional by liquidity; None where it is in several currencies, or of unknown instruments."""

    def not_closed_ns(self) -> dict[str, int]:
        """How long the breaker of each venue was not closed."""

    def floors(self) -> list[Floor]:
        """Floors of resident memory."""

    def tick_times(self) -> TickTimes:
        """Over a window of the watched arm's own time."""


class Fresh(StrEnum):
    """What must have come within the newest bucket for a window to be current."""

    TICKS = "ticks"
    NOTHING = "nothing"


SUMS = ("ticks", "missed", "hit", "stale", "miss", "fills")


@dataclass(frozen=True, slots=True)
class Windowed:
    """How a metric is measured in a window. `n` of its measurement is what `n >=` of a rule asks for,
    and counts `counts`. `rows`: the rows that it is made from, for people. `is_share`: it means the same over
    any length of time.
    """

    measure: Callable[[Window], Measurement]
    counts: str
    rows: str
    fresh: Fresh = Fresh.TICKS
    grid_ns: int = 10_000_000_000
    warm_up_ns: int = 0
    is_share: bool = True


def tick_share(window: Window, *, of: str) -> Measurement:
    ticks = int(window.total("ticks"))
    return observed(window.total(of) / ticks, ticks) if ticks else absent("no ticks")


def notional_share(window: Window, *, liquidity: str) -> Measurement:
    fills = int(window.total("fills"))
    if not fills:
        return absent("no fills")
    notional = window.notional()
    if notional is None:
        return absent("fills in more than one quote currency, or of an unknown instrument", fills)
    return observed(notional[liquidity] / sum(notional.values()), fills)


def breaker_open(window: Window) -> Measurement:
    """Of the worst venue. Half-open is not closed: only probes pass."""
    ticks = int(window.total("ticks"))
    if not ticks:
        return absent("no ticks")
    return observed(max(window.not_closed_ns().values(), default=0), ticks)


def memory_slope(window: Window) -> Measurement:
    floors = window.floors()
    slope = slope_bytes_per_h(floors)
    return (
        absent("fewer than two floors of memory", len(floors))
        if slope is None
        else observed(slope, len(floors))
    )


def slower(window: Window) -> Measurement:
    """The share by which p95 of the watched arm is above that of the other. What is frozen is compared with;
    where both quote at the same time also what the other takes now, so that a machine which slows both of
    them is nobody's fault.
    """
    times = window.tick_times()
    if times.frozen_p95_ns is None:
        return absent("the other arm has not ticked for as long as a window")
    if not (len(times.own) and times.frozen_p95_ns):
        return absent("no ticks, or none that took any time")
    controlled = len(times.others) >= _CONTROL_TICKS
    now_ns = p95_ns(times.others) if controlled else 0.0
    return observed(p95_ns(times.own) / max(times.frozen_p95_ns, now_ns) - 1, len(times.own))


def p95_ns(values: Ints) -> float:
    """An observed value: the smallest that 95 % do not exceed."""
    rank = -(-95 * len(values) // 100) - 1
    return float(np.partition(values, rank)[rank])


_CACHE_ROWS = "`cache` in pipeline_ticks"
_FILL_ROWS = "`liquidity`, `price` and `qty` in fills"

WINDOWED: Mapping[str, Windowed] = MappingProxyType(
    {
        "deadline_miss.ratio": Windowed(
            partial(tick_share, of="missed"), "ticks", "`deadline_miss` in pipeline_ticks"
        ),
        "md_cache.hit_ratio": Windowed(partial(tick_share, of="hit"), "ticks", _CACHE_ROWS),
        "md_cache.stale_ratio": Windowed(partial(tick_share, of="stale"), "ticks", _CACHE_ROWS),
        "md_cache.miss_ratio": Windowed(partial(tick_share, of="miss"), "ticks", _CACHE_ROWS),
        "maker_share": Windowed(
            partial(notional_share, liquidity="maker"), "fills", _FILL_ROWS, Fresh.NOTHING
        ),
        "taker_share": Windowed(
            partial(notional_share, liquidity="taker"), "fills", _FILL_ROWS, Fresh.NOTHING
        ),
        "breaker.open_time": Windowed(breaker_open, "ticks", "`breaker` in events", is_share=False),
        "memory.slope": Windowed(
            memory_slope,
            "floors",
            "`rss_bytes` in samples",
            Fresh.NOTHING,
            FLOOR_NS,
            WARM_UP_NS,
            is_share=False,
        ),
    }
)
COMPARED: Mapping[str, Windowed] = MappingProxyType(
    {
        SLOWER: Windowed(
            slower, "ticks", "`tick_total_ns` and `wait_ns` in pipeline_ticks", Fresh.TICKS, is_share=False
        )
    }
)
"""What compares two arms of one run in a window: no metric of a run."""
