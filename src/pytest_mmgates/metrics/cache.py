"""The market-data cache: one read per tick and symbol."""

from functools import partial

import numpy as np

from pytest_mmgates.metrics.measurement import Measurement, Metric, absent, measure_column, observed
from pytest_mmgates.runlog import CACHE_CODES, RunLog
from pytest_mmgates.units import Dimension


def share(run: RunLog, symbol: int | None, *, outcome: str) -> Measurement:
    reads = run.ticks.of(symbol).cache
    return (
        observed(float(np.mean(reads == CACHE_CODES[outcome])), len(reads))
        if len(reads)
        else absent("no rows")
    )


def age(run: RunLog, symbol: int | None, *, statistic: str) -> Measurement:
    """Over all reads that had a view to give; a read that found none has no age."""
    ages = run.ticks.of(symbol).age_ns
    return measure_column(ages[~np.isnan(ages)], statistic)


def reads_per_update(run: RunLog, symbol: int | None) -> Measurement:
    """Reads up to the last `book_updates` sample of each symbol, over the updates counted by then."""
    reads = updates = 0
    for code in range(len(run.symbols)) if symbol is None else (symbol,):
        times, values = run.samples.series("book_updates", code)
        if not len(values):
            return absent(f"no book_updates sample of {run.symbols[code]}")
        reads += int(np.searchsorted(run.ticks.of(code).ts_ns, times[-1], side="right"))
        updates += int(values[-1])
    return observed(reads / updates, reads) if updates else absent("no book update in the whole run", reads)


CACHE = (
    Metric(
        "md_cache.hit_ratio",
        Dimension.RATIO,
        "share of reads served in sync and within ttl_ms",
        partial(share, outcome="hit"),
    ),
    Metric(
        "md_cache.stale_ratio",
        Dimension.RATIO,
        "share of reads served older than ttl_ms",
        partial(share, outcome="stale"),
    ),
    Metric(
        "md_cache.miss_ratio",
        Dimension.RATIO,
        "share of reads that had to rebuild or resync",
        partial(share, outcome="miss"),
    ),
    Metric("md_cache.reads_per_update", Dimension.COUNT, "reads per book update", reads_per_update),
    *(
        Metric(
            f"md_cache.age_{name}",
            Dimension.TIME,
            f"{name} of the age of what was read",
            partial(age, statistic=name),
        )
        for name in ("p50", "p95", "p99", "max")
    ),
)
