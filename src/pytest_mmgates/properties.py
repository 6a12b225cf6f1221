"""Facts of an item as user properties: scalars that travel with its reports to the controller and into JUnit
files.

An item carries its run and gate from collection on; each rule judged in it adds a group that opens with
`mmgate.rule`.
"""

from collections.abc import Iterable
from typing import Any, get_type_hints

from pytest_mmgates.judge import RuleVerdict
from pytest_mmgates.making import RunSpec
from pytest_mmgates.verdict import Verdict

_PREFIX = "mmgate."
Properties = list[tuple[str, object]]


def item_properties(spec: RunSpec, gate: str) -> Properties:
    facts = {"step": spec.step, "scenario": spec.scenario, "duration": spec.duration, "file": gate}
    return [(_PREFIX + name, value) for name, value in facts.items()]


def rule_properties(verdict: RuleVerdict) -> Properties:
    """Opens with the rule; facts that are not there are left out."""
    names = ("rule", *(name for name in get_type_hints(RuleVerdict) if name != "rule"))
    values = ((name, getattr(verdict, name)) for name in names)
    facts = [(_PREFIX + name, _scalar(value)) for name, value in values if value is not None]
    return [*facts, (f"{_PREFIX}label", verdict.label)]


def read_item(properties: Iterable[tuple[str, object]]) -> tuple[RunSpec, str] | None:
    """The run and the gate file of an item, or None if it is no item of ours."""
    facts = {name.removeprefix(_PREFIX): value for name, value in properties if name.startswith(_PREFIX)}
    if "step" not in facts or "file" not in facts:
        return None
    spec = RunSpec(str(facts["step"]), str(facts["scenario"]), str(facts["duration"]))
    return spec, str(facts["file"])


def read_rules(properties: Iterable[tuple[str, object]]) -> list[RuleVerdict]:
    """Every rule that was judged in an item."""
    groups: list[dict[str, Any]] = []
    for name, value in properties:
        if name == f"{_PREFIX}rule":
            groups.append({})
        if groups and name.startswith(_PREFIX):
            groups[-1][name.removeprefix(_PREFIX)] = value
    return [_verdict(group) for group in groups]


def _verdict(facts: dict[str, Any]) -> RuleVerdict:
    known: dict[str, Any] = {name: facts.get(name) for name in get_type_hints(RuleVerdict)}
    known["verdict"] = Verdict(str(facts["verdict"]))
    return RuleVerdict(**known)


def _scalar(value: object) -> object:
    return str(value) if isinstance(value, Verdict) else value
