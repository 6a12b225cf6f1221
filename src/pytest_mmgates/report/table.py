"""The terminal's table: plain ASCII, worst first."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from pytest_mmgates.judge import RuleVerdict
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.units import show

_HEAD = ("verdict", "gate", "scenario", "rule", "value", "measured", "modelled", "n", "reason")
Row = tuple[str, RuleVerdict]


def table(rows: Sequence[Row]) -> list[str]:
    """One line per rule, `rows` being (run name, verdict) pairs."""
    ordered = sorted(rows, key=lambda row: -row[1].verdict.badness)
    cells = [_HEAD, *(_cells(name, rule) for name, rule in ordered)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEAD))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return [line.rstrip().encode("ascii", "backslashreplace").decode() for line in lines]


def short(result: RunResult) -> list[str]:
    """One line per gate."""
    return [
        f"{verdict.label} {verdict.gate.name} on {result.name}"
        + (f": {verdict.reason}" if verdict.reason else "")
        for verdict in result.verdicts
    ]


def sentence(rule: RuleVerdict) -> str:
    """One rule's outcome as one line: the message of a test that failed."""
    if rule.value is None or rule.section == "stop":
        return f"{rule.label} {rule.rule}: {rule.reason}"
    split = f"measured {figure(rule.measured, rule)}, modelled {figure(rule.modelled, rule)}, n {rule.n}"
    more = f"; {note(rule)}" if note(rule) else ""
    return f"{rule.label} {rule.rule}: value {figure(rule.value, rule)} ({split}){more}"


def figure(value: float | None, rule: RuleVerdict) -> str:
    """A value in the rule's unit, with as many digits as it takes to tell it from the limit."""
    return "-" if value is None else f"{show(value, near=rule.limit)}{rule.unit}"


def note(rule: RuleVerdict) -> str:
    return "; ".join(text for text in (rule.mark, rule.reason) if text)


def limit(rule: RuleVerdict) -> str:
    return f"{show(rule.limit)}{rule.unit}"


def margin(rule: RuleVerdict) -> str:
    """Room to the limit, as a share of it."""
    return "-" if rule.margin is None else f"{100 * rule.margin:+.1f}%"


RULE_FILTERS: Mapping[str, Callable[..., str]] = MappingProxyType(
    {"figure": figure, "note": note, "limit": limit, "margin": margin}
)
"""How templates show a rule."""


def _cells(name: str, rule: RuleVerdict) -> tuple[str, ...]:
    return (
        rule.label,
        rule.gate,
        name,
        f"stop {rule.rule}" if rule.section == "stop" else rule.rule,
        figure(rule.value, rule),
        figure(rule.measured, rule),
        figure(rule.modelled, rule),
        str(rule.n),
        note(rule),
    )
