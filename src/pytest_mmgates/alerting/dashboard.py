"""A dashboard of Grafana: what gates judge, with their limits as lines, and below every exported metric.

Panels are drawn from the two texts that alerts are made from. It asks for its data source, so it is imported
anywhere as it is.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pytest_mmgates.alerting.exports import Exported, Exports
from pytest_mmgates.alerting.queries import QUERIES, quantile, selected
from pytest_mmgates.armrules import CANDIDATE
from pytest_mmgates.gatefile import Gate
from pytest_mmgates.grammar import Bound
from pytest_mmgates.metrics import METRICS
from pytest_mmgates.units import NS_PER_S, Dimension

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH, _HEIGHT, _ACROSS = 8, 7, 24
_RATE = "$__rate_interval"
_UNITS = {
    Dimension.TIME: "s", Dimension.RATIO: "percentunit", Dimension.BYTES: "bytes",
    Dimension.GROWTH: "bytes", Dimension.BPS: "none", Dimension.COUNT: "none", Dimension.QUOTE: "none",
}  # fmt: skip
_EXPORTED_UNITS = {"seconds": "s", "bytes": "bytes", "bool": "bool"}
_GOOD, _WARN, _STOP = "green", "orange", "red"

Panel = dict[str, Any]
Limit = tuple[float, str, bool]
"""Value, colour beyond it, and whether beyond is above."""


def dashboard(gates: Sequence[Gate], exports: Exports) -> str:
    """JSON that Grafana imports. Raises CommandError where the exported metrics do not suffice."""
    panels = [*_row("Gates", _judged(gates, exports))]
    panels += _row("Metrics", (_of_metric(metric) for metric in exports.metrics))
    document = {
        "uid": "mmbot",
        "title": "mmbot",
        "tags": ["mmbot", "generated"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
        "panels": _placed(panels),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"


def _row(title: str, panels: Iterator[Panel]) -> list[Panel]:
    return [{"type": "row", "title": title, "collapsed": False}, *panels]


def _placed(panels: Sequence[Panel]) -> list[Panel]:
    """From left to right, three across; a row begins anew."""
    placed, x, y = [], 0, 0
    for number, panel in enumerate(panels, 1):
        if panel["type"] == "row":
            y += _HEIGHT if x else 0
            place = {"x": 0, "y": y, "w": _ACROSS, "h": 1}
            x, y = 0, y + 1
        else:
            place = {"x": x, "y": y, "w": _WIDTH, "h": _HEIGHT}
            x += _WIDTH
            if x == _ACROSS:
                x, y = 0, y + _HEIGHT
        placed.append({"id": number, **panel, "gridPos": place})
    return placed


def _judged(gates: Sequence[Gate], exports: Exports) -> Iterator[Panel]:
    """One panel for each metric and window that a rule judges, its limits as lines."""
    limits: dict[tuple[str, str, str], list[Limit]] = {}
    for gate in gates:
        for arm, colour, rules in (
            (None, _STOP, gate.stop),
            (CANDIDATE, _STOP, gate.of_candidate),
            (None, _WARN, gate.warn),
        ):
            for watched in rules:
                query = QUERIES[watched.metric](exports, selected(watched.symbol, arm))
                expr = query.value(watched.slow.window_ns)
                title = f"{f'{arm}.' if arm else ''}{watched.subject}[{watched.slow.window}]"
                limit = _limit(watched.metric, watched.bound, colour, above=watched.above)
                limits.setdefault((title, watched.metric, expr), []).append(limit)
        for rule in gate.require:
            found = quantile(exports, rule.metric, _RATE)
            if found is not None:
                limit = _limit(rule.metric, rule.bound, _STOP, above=rule.bound.op in ("<", "<="))
                limits.setdefault((rule.metric, rule.metric, found), []).append(limit)
    for (title, metric, expr), lines in limits.items():
        definition = METRICS[metric]
        yield _panel(title, definition.what, expr, _UNITS[definition.dimension], _steps(lines))


def _limit(metric: str, bound: Bound, colour: str, *, above: bool) -> Limit:
    dimension = METRICS[metric].dimension
    base = bound.limit.base(dimension)
    return base / NS_PER_S if dimension is Dimension.TIME else base, colour, above


def _steps(limits: Sequence[Limit]) -> list[dict[str, Any]]:
    """Colours from below to above: each from its value on. Where small values are bad, a limit ends its
    colour instead of beginning it.
    """
    lines = sorted(set(limits))
    colours = [colour for _, colour, _ in lines]
    above = all(above for _, _, above in lines)
    shown = [_GOOD, *colours] if above else [*colours, _GOOD]
    values = [None, *(value for value, _, _ in lines)]
    return [{"color": colour, "value": value} for colour, value in zip(shown, values, strict=True)]


def _of_metric(metric: Exported) -> Panel:
    """A counter as a rate a second, a histogram as its p95, a gauge as it is."""
    unit = _EXPORTED_UNITS.get(metric.unit, "none")
    if metric.kind == "counter":
        return _panel(metric.name, metric.help, f"rate({metric.name}[{_RATE}])", "none")
    if metric.kind == "histogram":
        expr = f"histogram_quantile(0.95, rate({metric.name}_bucket[{_RATE}]))"
        return _panel(f"{metric.name} p95", metric.help, expr, unit)
    return _panel(metric.name, metric.help, metric.name, unit)


def _panel(title: str, what: str, expr: str, unit: str, steps: Sequence[dict[str, Any]] = ()) -> Panel:
    defaults: dict[str, Any] = {"unit": unit}
    if steps:
        defaults["custom"] = {"thresholdsStyle": {"mode": "dashed"}}
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    return {
        "type": "timeseries",
        "title": title,
        "description": what,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [{"refId": "A", "datasource": _SOURCE, "expr": expr}],
    }
