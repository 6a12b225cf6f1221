"""Stage latencies and the tick deadline.

A stage's time is what was measured. Only `fetch_md`, and with it the whole tick, also waits for I/O; under a
virtual clock that wait comes from a model and is kept apart, under a wall clock it was measured like the
rest.
"""

from functools import partial

from pytest_mmgates.metrics.measurement import (
    STATISTICS,
    Measurement,
    Metric,
    absent,
    observed,
    quantile_or_max,
    too_few,
)
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.tables import DURATIONS
from pytest_mmgates.tally import WAIT, WAITING, SymbolTally, with_wait
from pytest_mmgates.units import Dimension


def stage(run: RunLog, symbol: str | None, *, name: str, statistic: str) -> Measurement:
    tally = run.of(symbol)
    reason = too_few(statistic, tally.ticks)
    if reason:
        return absent(reason, tally.ticks)
    own = _statistic(tally, name, statistic)
    if name not in WAITING:
        return observed(own, tally.ticks)
    both = _statistic(tally, with_wait(name), statistic)
    if run.manifest.clock == "wall":
        return observed(both, tally.ticks)
    return Measurement(both, tally.ticks, measured=own, modelled=_statistic(tally, WAIT, statistic))


def _statistic(tally: SymbolTally, name: str, statistic: str) -> float:
    if statistic == "mean":
        return tally.totals_ns[name] / tally.ticks
    return quantile_or_max(tally.histograms_ns[name], statistic)


def deadline_miss(run: RunLog, symbol: str | None) -> Measurement:
    """Ticks flagged as missed, over all ticks. Measured: those that were late by their own time; modelled:
    the others.
    """
    tally = run.of(symbol)
    n = tally.ticks
    if not n:
        return absent("no rows")
    missed, measured = tally.missed / n, tally.missed_measured / n
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
