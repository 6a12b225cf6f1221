"""Stage latencies and the tick deadline.

A stage's time is what was measured. Only `fetch_md`, and with it the whole tick, also waits for I/O; under a
virtual clock that wait comes from a model and is kept apart, under a wall clock it was measured like the
rest.
"""

from functools import partial

import numpy as np

from pytest_mmgates.metrics.measurement import (
    STATISTICS,
    Measurement,
    Metric,
    absent,
    measure_column,
    statistic_of,
    too_few,
)
from pytest_mmgates.runlog import DURATIONS, Ints, RunLog
from pytest_mmgates.units import Dimension

WAITING = ("fetch_md", "tick_total")


def stage(run: RunLog, symbol: int | None, *, name: str, statistic: str) -> Measurement:
    ticks = run.ticks.of(symbol)
    own = ticks.duration(name)
    if name not in WAITING:
        return measure_column(own, statistic)
    if run.manifest.clock == "wall":
        return measure_column(own + ticks.wait_ns, statistic)
    return _split(own, ticks.wait_ns, statistic)


def _split(own: Ints, wait: Ints, statistic: str) -> Measurement:
    reason = too_few(statistic, len(own))
    if reason:
        return absent(reason, len(own))
    return Measurement(
        value=statistic_of(own + wait, statistic),
        n=len(own),
        measured=statistic_of(own, statistic),
        modelled=statistic_of(wait, statistic),
    )


def deadline_miss(run: RunLog, symbol: int | None) -> Measurement:
    """Ticks flagged as missed, over all ticks. Measured: those that were late by their own time; modelled:
    the others.
    """
    ticks = run.ticks.of(symbol)
    n = len(ticks)
    if not n:
        return absent("no rows")
    missed = float(ticks.deadline_miss.mean())
    own = ticks.tick_total + ticks.wait_ns if run.manifest.clock == "wall" else ticks.tick_total
    measured = int(np.count_nonzero(ticks.deadline_miss & (own > run.deadline_ns))) / n
    return Measurement(value=missed, n=n, measured=measured, modelled=missed - measured)


_WHAT = {
    "fetch_md": "time of the fetch_md stage, I/O wait included",
    "tick_total": "time of a whole tick, I/O wait included",
}

LATENCY = (
    *(
        Metric(
            f"{name}.{statistic}",
            Dimension.TIME,
            f"{statistic} of the {_WHAT.get(name, f'time of the {name} stage')}",
            partial(stage, name=name, statistic=statistic),
        )
        for name in DURATIONS
        for statistic in STATISTICS
    ),
    Metric(
        "deadline_miss.ratio", Dimension.RATIO, "share of ticks that missed their deadline", deadline_miss
    ),
)
