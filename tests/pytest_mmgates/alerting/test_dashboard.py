"""The dashboard draws every rule with its limits, and every metric, and asks for nothing else."""

import json
from pathlib import Path

from tests.pytest_mmgates.alerting.promql import series_in
from tests.pytest_mmgates.alerting.test_alerts import FOREIGN

from pytest_mmgates.alerting.dashboard import dashboard
from pytest_mmgates.gatefile import read_gate

GATES = Path(__file__).parents[3] / "gates"


def panels() -> list[dict]:
    gates = [read_gate(path) for path in sorted(GATES.glob("*.yaml"))]
    return json.loads(dashboard(gates, FOREIGN))["panels"]


def thresholds(title: str) -> list[tuple[str, float | None]]:
    [panel] = [panel for panel in panels() if panel["title"] == title]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    return [(step["color"], step["value"]) for step in steps]


def test_limits_of_gates_are_lines_above_what_is_good():
    assert thresholds("deadline_miss.ratio[5m]") == [("green", None), ("orange", 0.02), ("red", 0.05)]
    assert thresholds("breaker.open_time[6m]") == [("green", None), ("orange", 30), ("red", 300)]
    assert thresholds("fetch_md.p95") == [("green", None), ("red", 0.035)]


def test_where_little_is_bad_the_lines_lie_below_what_is_good():
    assert thresholds("md_cache.hit_ratio[5m]") == [("red", None), ("orange", 0.5), ("green", 0.7)]


def test_every_metric_has_a_panel_and_no_query_names_another():
    exported = {metric.name for metric in FOREIGN.metrics}
    buckets = {f"{metric.name}_bucket" for metric in FOREIGN.metrics if metric.kind == "histogram"}
    asked = [series_in(target["expr"]) for panel in panels() for target in panel.get("targets", ())]
    assert all(asked)
    assert set().union(*asked) <= exported | buckets
    assert {name.removesuffix("_bucket") for names in asked for name in names} == exported


def test_panels_have_numbers_and_places_of_their_own():
    found = panels()
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in found]
    assert len(set(places)) == len(places)
    assert [panel["id"] for panel in found] == list(range(1, len(found) + 1))
