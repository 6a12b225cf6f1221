"""The one table of metrics: what a rule may name. Pure functions of what is judged; no I/O, no clock."""

from collections.abc import Mapping
from types import MappingProxyType

from pytest_mmgates.metrics.cache import CACHE
from pytest_mmgates.metrics.daily import DAILY
from pytest_mmgates.metrics.dataset import DATASET
from pytest_mmgates.metrics.edge import EDGE
from pytest_mmgates.metrics.latency import LATENCY
from pytest_mmgates.metrics.measurement import Measurement, Metric
from pytest_mmgates.metrics.trading import TRADING

METRICS: Mapping[str, Metric] = MappingProxyType(
    {metric.name: metric for metric in (*LATENCY, *CACHE, *EDGE, *TRADING, *DATASET, *DAILY)}
)

__all__ = ["METRICS", "Measurement", "Metric"]
