"""Of a calibration dataset: how much market it stands for, and how much of it was left out.

Counted from its intervals, never taken from what its maker says that they add up to.
"""

from pytest_mmgates.dataset import DatasetLog
from pytest_mmgates.metrics.measurement import Measurement, Metric, absent, observed
from pytest_mmgates.units import NS_PER_S, Dimension


def duration(dataset: DatasetLog, symbol: str | None) -> Measurement:
    """Time that there are ticks of: of the symbol and arm with the least."""
    found = [one for one in dataset.coverage if symbol in (None, one.symbol)]
    least = min(found, key=lambda one: one.covered_s)
    return observed(least.covered_s * NS_PER_S, least.ticks)


def intervals(dataset: DatasetLog, symbol: str | None) -> Measurement:
    """Zero that are left of some is a measurement, hence n = all of them."""
    kept, dropped = dataset.counts(symbol)
    return observed(kept, kept + dropped) if kept + dropped else absent("no interval")


def filtered(dataset: DatasetLog, symbol: str | None) -> Measurement:
    kept, dropped = dataset.counts(symbol)
    return observed(dropped / (kept + dropped), kept + dropped) if kept + dropped else absent("no interval")


def not_finite(dataset: DatasetLog, symbol: str | None) -> Measurement:
    """Values of NaN or infinity among those of the kept intervals."""
    found, values = dataset.not_finite(symbol)
    return observed(found, values) if values else absent("no interval was kept")


def fills(dataset: DatasetLog, symbol: str | None) -> Measurement:
    """In the kept intervals."""
    kept, _ = dataset.counts(symbol)
    return observed(dataset.fills(symbol), kept) if kept else absent("no interval was kept")


DATASET = (
    Metric(
        "dataset.duration",
        Dimension.TIME,
        "time of market with ticks, least symbol",
        duration,
        source="dataset",
    ),
    Metric("dataset.intervals", Dimension.COUNT, "intervals kept", intervals, source="dataset"),
    Metric(
        "dataset.filtered", Dimension.RATIO, "share of intervals filtered out", filtered, source="dataset"
    ),
    Metric(
        "dataset.not_finite",
        Dimension.COUNT,
        "NaN and infinite values in kept intervals",
        not_finite,
        source="dataset",
    ),
    Metric("dataset.fills", Dimension.COUNT, "fills in kept intervals", fills, source="dataset"),
)
