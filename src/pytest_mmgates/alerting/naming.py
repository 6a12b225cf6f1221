"""What an alert is called and labelled, whether Prometheus raises it or the run's own watch tells it."""

import re
from collections.abc import Iterator, Mapping

from pytest_mmgates.gatefile import Gate
from pytest_mmgates.watch.changes import Change
from pytest_mmgates.watch.record import By, Section
from pytest_mmgates.watchrules import WatchRule

_SEVERITY: Mapping[Section, str] = {"stop": "critical", "warn": "warning"}
_SUFFIX: Mapping[By, str] = {"slow": "", "fast": "Fast", "no_data": "NoData"}


def watched_rules(gate: Gate) -> Iterator[tuple[Section, WatchRule]]:
    yield from (("stop", rule) for rule in gate.stop or gate.of_candidate)
    yield from (("warn", rule) for rule in gate.warn)


def alert_name(gate: Gate, section: Section, rule: WatchRule, by: By) -> str:
    """`SoakStopDeadlineMissRatioFast`. Rules of one section that watch the same metric are numbered, from the
    second on.
    """
    rules = gate.stop or gate.of_candidate if section == "stop" else gate.warn
    before = [other.metric for other in rules[: rules.index(rule)]].count(rule.metric)
    words = re.findall("[a-zA-Z0-9]+", f"{gate.name} {section} {rule.metric}")
    name = "".join(word.capitalize() for word in words)
    return f"{name}{before + 1 if before else ''}{_SUFFIX[by]}"


def alert_labels(gate: Gate, section: Section) -> dict[str, str]:
    return {"severity": _SEVERITY[section], "owner": gate.owner, "step": gate.name}


def alert_annotations(gate: Gate, rule: WatchRule, summary: str) -> dict[str, str]:
    return {"summary": summary, "rule": str(rule), "runbook": gate.runbook_of(rule.metric)}


def news_of(gate: Gate, change: Change) -> dict[str, object]:
    """What a run is told when a rule fires or is over: built-in types, see `pytest_mmgates.sut`."""
    return {
        "alert": alert_name(gate, change.section, change.rule, change.by),
        "status": "firing" if change.until_ns is None else "resolved",
        "labels": alert_labels(gate, change.section),
        "annotations": alert_annotations(gate, change.rule, change.why),
        "since_ns": change.since_ns,
        "until_ns": change.until_ns,
    }
