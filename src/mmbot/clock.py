"""The one reader of time.

The core never imports this module: "now" is the stamp of the event in hand, and the pipeline's stopwatch is
handed in as a plain callable.
"""

import time
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
