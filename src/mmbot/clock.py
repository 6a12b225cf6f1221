"""The one reader of time, and the one sleeper.

The core never imports this module: "now" is the stamp of the event in hand, and the pipeline's stopwatch is
handed in as a plain callable.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from mmbot.units import Ns


class Stopwatch(Protocol):
    """Monotonic nanoseconds; only differences mean anything."""

    def __call__(self) -> int: ...


stopwatch: Stopwatch = time.perf_counter_ns
"""Elapsed time of a stage. It includes time that the machine gave to others: an honest, conservative latency.

A CPU-time clock would hide that, and costs a system call per reading (about 0.3 us against 0.05 us).
"""


def pause(seconds: float) -> None:
    """Let that much time pass. For commands that wait on another process; a bot never sleeps."""
    time.sleep(seconds)


def wall_ns() -> Ns:
    """Nanoseconds since the epoch, UTC."""
    return Ns(time.time_ns())


class RisingClock:
    """Wall time that never runs backwards, for stamps of what is received.

    After a step back of the machine's clock it goes on from where it was, at the machine's own pace, until
    the wall clock has caught up; a step forward is followed at once.
    """

    __slots__ = ("_at", "_last_ns", "_steady", "_wall")

    def __init__(self, wall: Callable[[], int] | None = None, steady: Stopwatch | None = None) -> None:
        """The machine's own clocks, unless a simulation has others."""
        self._wall, self._steady = wall or time.time_ns, steady or time.perf_counter_ns
        self._last_ns, self._at = self._wall(), self._steady()

    def __call__(self) -> Ns:
        wall_ns = self._wall()  # before the stopwatch: what passes between the two must not add up
        at = self._steady()
        self._last_ns = max(wall_ns, self._last_ns + at - self._at)
        self._at = at
        return Ns(self._last_ns)


async def sleep(duration_ns: int) -> None:
    """Let others work for so long."""
    await asyncio.sleep(duration_ns / 1e9)


async def sleep_until(at_ns: int, clock: Callable[[], int]) -> None:
    """Let others work until that clock says so; once in any case, so that who is late starves nobody."""
    await asyncio.sleep(0)
    while (left_ns := at_ns - clock()) > 0:  # noqa: ASYNC110 (a timer may fire a little early)
        await asyncio.sleep(left_ns / 1e9)
