"""The rules that a change is judged by: those of its own `gates/ci.yaml`, and those of the lock.

Decided: a rule that the change has edited or deleted is judged all the same, as it was locked. The edit takes
force with the next lock, which is a reviewed diff of its own.
"""

from dataclasses import replace
from pathlib import Path

from pytest_mmgates.baseline.lockfile import lock_path, read_locked
from pytest_mmgates.errors import BaselineError
from pytest_mmgates.gatefile import Gate
from pytest_mmgates.options import Options
from pytest_mmgates.regress import BaselineRule, RegressRule, parse_baseline_rule
from pytest_mmgates.rules import Rule, parse_rule

GATE = "ci"
_FUNCTIONS = ("regress(", "same(")


def with_locked(gate: Gate, options: Options) -> Gate:
    """The gate and what the selected scenarios have locked beyond it. A lock that cannot be read is reported
    by the run, not here.
    """
    texts: dict[str, None] = {}
    for scenario in options.selected:
        try:
            lock = read_locked(lock_path(options.gates_dir, scenario), shown_as=scenario)
        except BaselineError:
            continue
        texts |= dict.fromkeys(lock.rules_of(Path(gate.file).name))
    mine = {str(rule) for rule in gate.judged}
    return _extended(gate, [text for text in texts if text not in mine])


def _extended(gate: Gate, texts: list[str]) -> Gate:
    """An added rule stands nowhere in the file: its line is the first."""
    require: list[Rule] = []
    regress: list[BaselineRule] = []
    for text in texts:
        if text.startswith(_FUNCTIONS):
            regress.append(parse_baseline_rule(text))
        else:
            require.append(parse_rule(text))
    own, rest = gate.lines[: len(gate.require)], gate.lines[len(gate.require) :]
    return replace(
        gate,
        require=(*gate.require, *require),
        regress=(*gate.regress, *regress),
        lines=(*own, *(1 for _ in require), *rest, *(1 for _ in regress)),
    )


def limits(gate: Gate) -> dict[str, float]:
    """By stage, how much slower its p95 may be, as a share: the tightest where rules differ."""
    found: dict[str, float] = {}
    for rule in gate.regress:
        if isinstance(rule, RegressRule):
            found[rule.stage] = min(rule.limit, found.get(rule.stage, rule.limit))
    return found
