"""Alerts as the two files of Prometheus: rules, and unit tests for `promtool test rules`."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from pytest_mmgates.alerting.alerts import Alert, Case
from pytest_mmgates.alerting.queries import STEP_S, duration
from pytest_mmgates.units import NS_PER_S
from pytest_mmgates.watchrules import STEP_NS

RULES, TESTS = "alerts.yml", "alerts_test.yml"
_LATE_NS = 2 * STEP_NS
"""How long before its time an alert must not fire: one look more or less is the edge of a window."""
DOWN = {
    "alert": "TargetDown",
    "expr": 'up{job="mmbot"} == 0',
    "for": "1m",
    "labels": {"severity": "critical"},
    "annotations": {
        "summary": "a bot that Prometheus was told of does not answer",
        "runbook": "docs/runbooks/rollback.md",
        "differs": "no rule of a gate: a process that is gone writes no rows. A bot of a few days belongs"
        " into a file of targets that comes and goes with it",
    },
}
"""Of `up`, which is Prometheus's own: the one thing that no bot can say of itself."""


class _Dumper(yaml.SafeDumper):
    """Text of several lines stands in lines."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def rule_files(alerts: Mapping[str, Sequence[Alert]], header: str) -> dict[str, str]:
    """Text by file name. `alerts`: by gate, each gate a group."""
    groups = [
        {"name": f"mmgates-{gate}", "interval": f"{STEP_S}s", "rules": [rule(alert) for alert in of_gate]}
        for gate, of_gate in alerts.items()
    ]
    groups.append({"name": "mmgates-targets", "interval": f"{STEP_S}s", "rules": [DOWN]})
    tests = [test for of_gate in alerts.values() for alert in of_gate for test in _tests(alert)]
    unit = {"rule_files": [RULES], "evaluation_interval": f"{STEP_S}s", "tests": [*tests, *_down_tests()]}
    return {RULES: _dumped({"groups": groups}, header), TESTS: _dumped(unit, header)}


def _dumped(document: dict[str, Any], header: str) -> str:
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return f"# {header}\n{text}"


def rule(alert: Alert) -> dict[str, Any]:
    """As a rule file of Prometheus has it."""
    found: dict[str, Any] = {"alert": alert.name, "expr": alert.expr}
    if alert.hold_ns:
        found["for"] = duration(alert.hold_ns)
    if alert.keep_ns:
        found["keep_firing_for"] = duration(alert.keep_ns)
    return found | {"labels": alert.labels, "annotations": alert.annotations}


def _tests(alert: Alert) -> list[dict[str, Any]]:
    fired = {"exp_labels": {**alert.labels, **alert.carries}, "exp_annotations": alert.annotations}
    return [
        _test(f"{alert.name} fires in time", alert.name, alert.fires, fired),
        _test(f"{alert.name} stays quiet", alert.name, alert.quiet, fired),
    ]


def _test(name: str, alert: str, case: Case, fired: dict[str, Any]) -> dict[str, Any]:
    """Not before its time, and then; or never, at each quarter of the streams."""
    if case.from_ns is None:
        times = [(case.lasts_ns * part // 4, False) for part in range(1, 5)]
    else:
        times = [(max(case.from_ns - _LATE_NS, 0), False), (case.from_ns, True)]
    return {
        "name": name,
        "interval": f"{STEP_S}s",
        "input_series": [{"series": series, "values": values} for series, values in case.streams.items()],
        "alert_rule_test": [
            {"eval_time": f"{at_ns // NS_PER_S}s", "alertname": alert, "exp_alerts": [fired] if fires else []}
            for at_ns, fires in times
        ],
    }


def _down_tests() -> list[dict[str, Any]]:
    series = 'up{job="mmbot"}'
    fired = {
        "exp_labels": {"severity": "critical", "job": "mmbot"},
        "exp_annotations": DOWN["annotations"],
    }
    down = Case({series: "0x20"}, 60 * NS_PER_S, 200 * NS_PER_S)
    up = Case({series: "1x20"}, None, 200 * NS_PER_S)
    return [
        _test("TargetDown fires in time", "TargetDown", down, fired),
        _test("TargetDown stays quiet", "TargetDown", up, fired),
    ]
