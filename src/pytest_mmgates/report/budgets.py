"""`baseline/stage_budgets.json`: latency and cache figures of one run. Its keys are a public interface and
only grow.

Every figure is the metric of the same name; null where the run cannot give it. Times include the modelled
wait; the two parts of each p95 stand beside it.
"""

from datetime import UTC, datetime
from typing import Any

from pytest_mmgates.metrics import METRICS, Measurement
from pytest_mmgates.metrics.measurement import STATISTICS
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.tables import STAGES
from pytest_mmgates.units import NS_PER_MS, NS_PER_S


def stage_budgets(result: RunResult) -> dict[str, Any]:
    log = result.log
    minutes = log and log.duration_ns / (60 * NS_PER_S)
    return {
        "schema": 1,
        "verdict": str(result.verdict),
        "label": result.label,
        "reason": result.headline.reason,
        "gates": {verdict.gate.name: verdict.label for verdict in result.verdicts},
        "data_kind": result.data_kind,
        **result.identity,
        "generated_at": log and iso_time(log.manifest.ended_ns),
        "test_duration_min": minutes,
        "tick_count": log.of(None).ticks if log else None,
        "stages": {stage: _latency(log, stage) for stage in STAGES},
        "tick_total": {
            **_latency(log, "tick_total"),
            "deadline_ms": log and log.manifest.deadline_ns / NS_PER_MS,
            "deadline_miss_rate": _value(log, "deadline_miss.ratio"),
        },
        "md_cache": _cache(log),
        "models": dict(sorted(log.manifest.models.items())) if log else None,
        "host": dict(sorted(log.manifest.host.items())) if log else None,
    }


def iso_time(ns: int | None) -> str | None:
    """UTC with milliseconds; of the run's own clock."""
    if ns is None:
        return None
    whole = datetime.fromtimestamp(ns // NS_PER_S, tz=UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{ns % NS_PER_S // NS_PER_MS:03d}Z"


def _latency(log: RunLog | None, name: str) -> dict[str, float | None]:
    p95 = _measure(log, f"{name}.p95")
    return {
        **{f"{statistic}_ms": _ms(_measure(log, f"{name}.{statistic}").value) for statistic in STATISTICS},
        "p95_measured_ms": _ms(p95.measured),
        "p95_modelled_ms": _ms(p95.modelled),
    }


def _cache(log: RunLog | None) -> dict[str, Any]:
    ratios = ("hit_ratio", "stale_ratio", "miss_ratio", "reads_per_update")
    return {
        **{name: _value(log, f"md_cache.{name}") for name in ratios},
        "ttl_ms": log and log.manifest.ttl_ms,
        "age_ms": {name: _ms(_value(log, f"md_cache.age_{name}")) for name in ("p50", "p95", "p99", "max")},
    }


def _value(log: RunLog | None, metric: str) -> float | None:
    return _measure(log, metric).value


def _measure(log: RunLog | None, metric: str) -> Measurement:
    return METRICS[metric].measure(log, None) if log else Measurement(None, 0, modelled=None)


def _ms(ns: float | None) -> float | None:
    return None if ns is None else ns / NS_PER_MS
