"""A rule in words: what it asks, what it measures and where, when it looks, how often it would cry wolf.

Every word comes from the rule, the table of metrics and `pytest_mmgates.stats.alarms`; nothing is said here
that the rule does not do.
"""

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from pytest_mmgates.armrules import CandidateRule, DeltaRule, SlowerRule, parse_accept, parse_safety
from pytest_mmgates.gatefile import Evidence, Gate, JudgedRule
from pytest_mmgates.metrics import METRICS
from pytest_mmgates.regress import RegressRule, SameRule, parse_baseline_rule
from pytest_mmgates.rules import Rule, parse_rule
from pytest_mmgates.stats.alarms import (
    FILLS_PER_H,
    HEALTHY_SHARE,
    TICKS_PER_S,
    Alarms,
    Found,
    false_alarms,
    false_failures,
    is_predictable,
    is_quantile,
    times_to_find,
)
from pytest_mmgates.steps import DAILY
from pytest_mmgates.units import NS_PER_S, Dimension, show
from pytest_mmgates.watch.record import clock_text
from pytest_mmgates.watchrules import STEP_NS, Condition, WatchRule, parse_watch_rule

DAY_NS = 86_400 * NS_PER_S
_MONTH_DAYS = 30
_COMPARED = {">=": "at least", "<=": "at most", ">": "above", "<": "below", "==": "exactly"}
Line = tuple[str, str]
"""A word, and what stands under it."""


def parse_any(text: str) -> JudgedRule:
    """A rule of any section, by its form. Raises GateError."""
    head = text.lstrip()
    if head.startswith("B."):
        return parse_safety(text)
    if head.startswith("delta"):
        return parse_safety(text) if "<" in text else parse_accept(text)
    if head.startswith(("regress", "same")):
        return parse_baseline_rule(text)
    return parse_watch_rule(text) if "[" in text else parse_rule(text)


def window_of(rule: JudgedRule) -> str:
    """What it looks at."""
    match rule:
        case WatchRule():
            return str(rule.slow.window)
        case CandidateRule():
            return f"{rule.violation.slow.window} of arm B"
        case DeltaRule():
            return "all pairs so far"
        case SlowerRule():
            return "each arm's ticks"
        case RegressRule() | SameRule():
            return "both sides, side by side"
        case Rule():
            return (
                "the whole day" if rule.definition.source == DAILY else f"the whole {rule.definition.source}"
            )


def looks_of(rule: JudgedRule) -> str:
    """How often."""
    if isinstance(rule, WatchRule | CandidateRule):
        return f"every {STEP_NS // NS_PER_S}s, {DAY_NS // STEP_NS} a day"
    return "after every pair" if isinstance(rule, DeltaRule) else "once, at the end"


def false_alarms_of(rule: JudgedRule, section: str, evidence: Evidence | None) -> str:
    """In a few words, for a table."""
    match rule:
        case WatchRule() if is_predictable(rule):
            found = false_alarms(rule)
            return f"at most {_two_digits(found.at_most * _MONTH_DAYS)} in {_MONTH_DAYS} days"
        case CandidateRule(violation=violation) if is_predictable(violation):
            return false_alarms_of(violation, section, evidence)
        case DeltaRule():
            return f"at most {show(100 * rule.alpha)}% of experiments"
        case Rule() if section == "require" and evidence is not None and is_predictable(rule):
            return f"at most {_two_digits(100 * false_failures(rule, _seconds(evidence)).at_most)}% of runs"
        case SameRule():
            return "none: a replay is exact"
        case _:
            return "not predicted"


def explained(rule: JudgedRule, section: str, evidence: Evidence | None) -> Iterator[Line]:
    """All there is to say. `evidence` is that of its gate; None for a rule that stands in none."""
    match rule:
        case WatchRule():
            yield from _watching(rule, section)
        case CandidateRule():
            yield "asks for", f"{rule.bound}, of arm B while it quotes"
            yield from _watching(rule.violation, section)
        case DeltaRule():
            yield from _delta(rule, section)
        case SlowerRule():
            yield (
                "asks for",
                f"arm B's p95 of {rule.metric.removesuffix('.p95')} at most {rule.bound.limit} slower",
            )
            yield "looks", looks_of(rule)
            yield "false alarms", "not predicted: they depend on the noise of the machine"
        case RegressRule():
            yield (
                "asks for",
                f"the p95 of {rule.stage} at most {rule.bound.limit} slower than the baseline's",
            )
            yield "window", window_of(rule)
            yield "false alarms", "measured for whole gates: docs/latency-gates.md"
        case SameRule():
            yield (
                "asks for",
                "every command and fill is the baseline's, in the same order, to the last tick and lot",
            )
            yield "false alarms", false_alarms_of(rule, section, evidence)
        case Rule():
            yield from _judging(rule, section, evidence)


def _judging(rule: Rule, section: str, evidence: Evidence | None) -> Iterator[Line]:
    metric, symbol = rule.definition, f" of {rule.symbol}" if rule.symbol else ""
    does = "asks for" if section == "require" else "warns of"
    yield does, f"{metric.what}{symbol}: {_COMPARED[rule.bound.op]} {rule.bound.limit}"
    yield from _metric(rule.metric, metric.measure)
    yield "window", window_of(rule)
    yield "looks", looks_of(rule)
    if evidence is None:
        return
    kinds = ", ".join(evidence.source)
    yield "evidence", f"duration {evidence.duration}, ticks {evidence.ticks}, data {kinds}; else NO_DATA"
    if not is_predictable(rule):
        yield (
            "false alarms",
            "not predicted: no rate describes how it goes wrong; `mmgates test` shows how much room there is",
        )
        return
    found = false_failures(rule, _seconds(evidence))
    said = f"{found.fires} in {found.trials} healthy runs of {evidence.duration.limit}"
    healthy = _percent(found.healthy)
    if is_quantile(rule):
        healthy += f" of ticks above {rule.bound.limit}"
    yield (
        "false alarms",
        f"{said}, at {healthy}: at most {_two_digits(100 * found.at_most)}% of them (95%)",
    )
    yield "assumes", _assumptions(rule)


def _watching(rule: WatchRule, section: str) -> Iterator[Line]:
    does = {"stop": "halts the run", "warn": "warns", "safety": "takes the candidate away"}[section]
    yield "does", f"{does} once {_condition(rule.slow)}"
    if rule.fast is not None:
        yield "fast", f"or sooner, once {_condition(rule.fast)}"
    yield from _metric(rule.metric, rule.windowed.measure)
    yield "window", f"the last {rule.slow.window}, made of {rule.windowed.rows}"
    yield "looks", f"{looks_of(rule)}, from when the window is full"
    level = rule.slow.clear or rule.bound.limit
    yield "clears", f"at {level} or better; between, the time that it held stands still"
    if rule.slow.least > 1:
        yield "least", f"{rule.slow.least} {rule.windowed.counts} in the window; fewer are no value"
    waits = (
        "never fires for want of data"
        if rule.no_data is None
        else f"fires after {rule.no_data} without a value"
    )
    yield "no data", waits
    yield from _predicted(rule)


def _predicted(rule: WatchRule) -> Iterator[Line]:
    if not is_predictable(rule):
        yield "false alarms", "not predicted: no rate describes how it goes wrong"
        return
    yield "false alarms", _alarms(false_alarms(rule))
    yield "found", "; ".join(_found(one) for one in times_to_find(rule))
    yield "assumes", _assumptions(rule)


def _alarms(found: Alarms) -> str:
    at_most = _two_digits(found.at_most * _MONTH_DAYS)
    return (
        f"{found.fires} in {found.trials} healthy days, at {_percent(found.healthy)}:"
        f" at most {at_most} in {_MONTH_DAYS} days (95%)"
    )


def _found(one: Found) -> str:
    if one.median_s is None:
        return f"a true {_percent(one.value)} in {one.share:.0%} of runs"
    return f"a true {_percent(one.value)} after {clock_text(round(one.median_s * NS_PER_S))} (median)"


def _delta(rule: DeltaRule, section: str) -> Iterator[Line]:
    if section == "accept":
        yield "asks for", f"B to earn {rule.bound.limit} more than A, and surely more than nothing"
    else:
        yield "asks for", f"B not surely worse than A by more than {rule.bound.limit}"
    yield from _metric(rule.metric, METRICS[rule.metric].measure)
    yield "looks", f"{looks_of(rule)}, not before {rule.pairs}"
    yield "false alarms", f"{false_alarms_of(rule, section, None)}, however often one looks"
    yield "found", "depends on the noise of the market: `mmgates plan` says after how many pairs"


def _condition(condition: Condition) -> str:
    hold = "" if condition.hold is None else f" for {condition.hold}"
    return (
        f"the metric over {condition.window} is {_COMPARED[condition.bound.op]} {condition.bound.limit}{hold}"
    )


def _metric(name: str, measure: Callable[..., Any]) -> Iterator[Line]:
    metric = METRICS[name]
    yield "metric", f"{name}, a {metric.dimension}: {metric.what}"
    found = measure.func if isinstance(measure, partial) else measure
    where = inspect.getmodule(found)
    yield "computed", f"{where.__name__ if where else '?'}.{found.__name__}"


def _assumptions(rule: Rule | WatchRule) -> str:
    healthy = f"healthy is {HEALTHY_SHARE:.0%} of what the limit allows to be bad"
    if rule.metric in ("maker_share", "taker_share"):
        return f"{FILLS_PER_H:g} fills an hour, at random and of one size; {healthy}"
    return f"{TICKS_PER_S:g} tick a second, what is bad in bursts of a minute; {healthy}"


def _two_digits(value: float) -> str:
    return show(float(f"{value:.2g}"))


def _percent(share: float) -> str:
    return f"{show(round(100 * share, 6))}%"


def _seconds(evidence: Evidence) -> float:
    return evidence.duration.limit.base(Dimension.TIME) / NS_PER_S


def rules_of(gate: Gate) -> Iterator[tuple[str, JudgedRule]]:
    """Every rule of a gate with its section, warnings too."""
    sections: dict[str, tuple[JudgedRule, ...]] = {
        "require": gate.require,
        "stop": gate.stop,
        "warn": gate.warn or gate.cautions,
        "regress": gate.regress,
        "accept": gate.accept,
        "safety": gate.safety,
    }
    for section, rules in sections.items():
        yield from ((section, rule) for rule in rules)
