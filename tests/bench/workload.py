"""What every measured process has in common: its arguments, the tape, CPU time, one JSON line.

Standard library and numpy only: it also runs where mmbot is not installed. `python -m tests.bench.<runner>
--columns FOLDER --tick-ms 100 --repeat 3` in the root of the repository.
"""

import argparse
import json
import platform
import statistics
import sys
import time  # noqa: TID251 (CPU time of this process: what is measured here is measured nowhere else)
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

MS = 1_000_000
ORDER_NS = 10 * MS
"""From us to the venue."""
ANSWER_NS = 10 * MS
"""From the venue to us."""
TICK_SIZE = 0.1
LOT_SIZE = 1.0
"""For peers that count in floats: whole numbers of lots are exact there too."""

BID, ASK, BUY, SELL, SNAPSHOT = 0, 1, 2, 3, 5
LAST = 0x80

cpu_time = time.process_time
"""Seconds of CPU of this process so far."""

T = TypeVar("T")
Columns = dict[str, npt.NDArray[np.integer]]


@dataclass
class Outcome:
    """What one replay did. `fills`, where asked for: when we learned of it, side, tick, lots."""

    ticks: int
    orders: int
    cancels: int
    position_lots: int
    fills: list[tuple[int, int, int, int]] = field(default_factory=list)


@dataclass
class Asked:
    """Arguments of a runner."""

    columns: Path
    tick_ms: int
    repeat: int
    order_lots: int
    variant: str
    fills: bool


def load(folder: Path) -> Columns:
    """The tape as integer columns, in memory."""
    return {name: np.load(folder / f"{name}.npy") for name in ("exch_ns", "recv_ns", "kind", "tick", "lots")}


def levels_and_trades(columns: Columns) -> Columns:
    """Without the marks that only mmbot's layout has: kinds 0 to 3, and `last` on its own."""
    plain = {name: column[columns["kind"] != SNAPSHOT] for name, column in columns.items()}
    plain["last"] = (plain["kind"] & LAST) != 0
    plain["kind"] = plain["kind"] & ~np.uint8(LAST)
    return plain


def asked(variants: Sequence[str]) -> Asked:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--columns", type=Path, required=True)
    parser.add_argument("--tick-ms", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--order-lots", type=int, default=1)
    parser.add_argument("--variant", choices=variants, default=variants[0])
    parser.add_argument("--fills", action="store_true", help="also list the fills (never while measuring)")
    return Asked(**vars(parser.parse_args()))


def timed(play: Callable[[], T]) -> tuple[float, T]:
    """CPU seconds of a call, and what it returned."""
    before = cpu_time()
    found = play()
    return cpu_time() - before, found


def _peak_mb() -> float:
    """Most memory that this process held; `getrusage` would count what its parent held when it forked."""
    status = Path("/proc/self/status")
    peaks = (
        [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        if status.exists()
        else []
    )
    return int(peaks[0].split()[1]) / 1024 if peaks else 0.0


def report(what: Asked, events: int, runs: list[tuple[float, Outcome]], versions: dict[str, str]) -> None:
    """The one line that a measured process prints."""
    outcomes = [asdict(outcome) for _, outcome in runs]
    if any(outcome != outcomes[0] for outcome in outcomes):
        raise SystemExit("replays of one process differ")
    line = {
        "cpu_s": [round(cpu_s, 6) for cpu_s, _ in runs],
        "median_cpu_s": statistics.median(cpu_s for cpu_s, _ in runs),
        "process_cpu_s": cpu_time(),
        "rss_mb": _peak_mb(),
        "events": events,
        "tick_ms": what.tick_ms,
        "order_lots": what.order_lots,
        "variant": what.variant,
        "versions": {"python": platform.python_version(), **versions},
        **outcomes[0],
    }
    sys.stdout.write(json.dumps(line) + "\n")
