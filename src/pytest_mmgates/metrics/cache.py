"""The market-data cache: one read per tick and symbol."""

from functools import partial

from pytest_mmgates.metrics.measurement import Measurement, Metric, absent, measure_histogram, observed
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.tally import AGE
from pytest_mmgates.units import Dimension


def share(run: RunLog, symbol: str | None, *, outcome: str) -> Measurement:
    tally = run.of(symbol)
    return observed(tally.cache[outcome] / tally.ticks, tally.ticks) if tally.ticks else absent("no rows")


def age(run: RunLog, symbol: str | None, *, statistic: str) -> Measurement:
    """Over all reads that had a view to give; a read that found none has no age."""
    return measure_histogram(run.of(symbol).histogram_ns(AGE), statistic)


def reads_per_update(run: RunLog, symbol: str | None) -> Measurement:
    """Reads up to the last `book_updates` sample of each symbol, over the updates counted by then."""
    updates = updates_of(run, symbol)
    if isinstance(updates, Measurement):
        return updates
    reads = run.of(symbol).sampled_reads
    return observed(reads / updates, reads)


def updates_of(run: RunLog, symbol: str | None) -> int | Measurement:
    """How often the books were updated, or why nobody knows."""
    unknown = [name for name in run.symbols if symbol in (None, name) and run.of(name).updates is None]
    if unknown:
        return absent(f"no book_updates sample of {unknown[0]}")
    return run.of(symbol).updates or absent("no book update in the whole run")


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
