"""Outages of a run on the wall clock: times in which no process played it, between two that did.

A run that was interrupted and went on says so twice: by an event `gap` of no symbol, written ahead of the
first tick after, whose detail holds `reason` outage, `from_ns` (its newest row before) and `until_ns` (that
tick); and by `outage_from_ns` of the entry in `resumes` of its manifest. Where the two differ nothing is
believed (`loader`). What was not played is no evidence: every duration leaves outages out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_mmgates.watch.record import clock_text, moment_text

REASON = "outage"


@dataclass(frozen=True, slots=True)
class Outage:
    """Nothing was played between the two."""

    from_ns: int
    until_ns: int

    @property
    def length_ns(self) -> int:
        return self.until_ns - self.from_ns

    def __str__(self) -> str:
        times = f"{moment_text(self.from_ns)} to {moment_text(self.until_ns)}"
        return f"{times} ({clock_text(self.length_ns)})"


def length_ns(outages: Sequence[Outage]) -> int:
    return sum(outage.length_ns for outage in outages)


def inside(times_ns: npt.NDArray[np.int64], outages: Sequence[Outage]) -> npt.NDArray[np.bool_]:
    """Which of these times lie in an outage; its ends were played."""
    found = np.zeros(len(times_ns), dtype=np.bool_)
    for outage in outages:
        found |= (times_ns > outage.from_ns) & (times_ns < outage.until_ns)
    return found
