"""What is collected: one item per scenario and rule, and none of a step that was not asked for."""

import re
from collections.abc import Sequence

import pytest

from pytest_mmgates.armrules import SafetyRule
from pytest_mmgates.errors import MarkError, MmgatesError
from pytest_mmgates.making import RunSpec
from pytest_mmgates.marks import StepMark, read_mark
from pytest_mmgates.properties import item_properties
from pytest_mmgates.rules import Rule
from pytest_mmgates.state import STATE, State
from pytest_mmgates.steps import AB, DAILY, DATASET, DOCUMENTS, RUN_FIXTURES, STEPS
from pytest_mmgates.watchrules import WatchRule

_NOT_SELECTED = "not-selected"
_MADE_FROM = {DATASET: "feeds", DAILY: "day"}
"""What a document is made from, where a run has a scenario."""


def mark_of(node: pytest.Item, step: str | None = None) -> StepMark | None:
    """The closest marker of a step, or of any step; MarkError if its arguments cannot be honoured."""
    names = STEPS if step is None else (step,)
    mark = next((mark for mark in node.iter_markers() if mark.name in names), None)
    return read_mark(mark.name, mark.args, mark.kwargs) if mark else None


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Give a test of a step its scenarios and rules. What is wrong with them is an error of collection, in
    one line.
    """
    try:
        _parametrize(metafunc, metafunc.config.stash[STATE])
    except MmgatesError as error:
        where = f"{metafunc.definition.nodeid}: " if isinstance(error, MarkError) else ""
        raise pytest.Collector.CollectError(f"{where}{error}") from error


def _parametrize(metafunc: pytest.Metafunc, state: State) -> None:
    run_fixture = next((name for name in RUN_FIXTURES if name in metafunc.fixturenames), None)
    mark = mark_of(metafunc.definition, RUN_FIXTURES.get(run_fixture or ""))
    asked = [name for name in ("scenario", run_fixture) if name in metafunc.fixturenames]
    if not asked and "rule" not in metafunc.fixturenames:
        return
    if mark is None and run_fixture is None:
        return  # `scenario` and `rule` are everyday words: an unmarked test may have its own
    if mark is None:
        raise MarkError(f"uses {run_fixture} without the marker of a step, such as @pytest.mark.shadow")
    if asked:
        _parametrize_runs(metafunc, state, mark, asked)
    if "rule" in metafunc.fixturenames:
        gate = state.gate(mark.gate)
        ids = [*_rule_ids(gate.require), *(f"stop-{name}" for name in _rule_ids(gate.stop))]
        ids += [str(rule).replace(" ", "") for rule in gate.regress]
        ids += [f"accept-{rule.metric}" for rule in gate.accept]
        ids += [f"safety-{name}" for name in _rule_ids(gate.safety)]
        metafunc.parametrize("rule", gate.judged, ids=ids, indirect=True)


def _parametrize_runs(metafunc: pytest.Metafunc, state: State, mark: StepMark, asked: Sequence[str]) -> None:
    options = state.options
    scenarios = mark.scenarios_of(options.selected)
    reason = options.missing_scenario((*mark.named, *scenarios))
    if mark.step in DOCUMENTS:
        scenarios, reason = (_MADE_FROM[mark.step],), None
    elif mark.step == AB:
        # which of several plans is a question for who asks for the step, and for nobody else
        scenarios, reason = (options.experiment,) if AB in steps_asked(metafunc.config) else (), None
    if reason:
        raise MarkError(reason)
    gate = state.gate(mark.gate)  # a gate file that cannot be read is an error before any run
    if mark.gate != mark.step and (gate.stop or gate.warn):
        raise MarkError(
            f"gate {mark.gate} has stop or warn rules: a {mark.step} run is watched by gates/{mark.step}.yaml"
        )
    specs = [RunSpec(mark.step, name, str(mark.duration or "")) for name in scenarios]
    ids = [spec.name for spec in specs] or [_NOT_SELECTED]
    values = [[spec] * len(asked) for spec in specs] if specs else [[None] * len(asked)]
    metafunc.parametrize(tuple(asked), values, ids=ids, indirect=True, scope="session")


def _rule_ids(rules: Sequence[Rule | WatchRule | SafetyRule]) -> list[str]:
    """The metric alone where that names the rule, else the whole rule."""
    metrics = [rule.metric for rule in rules]
    return [rule.metric if metrics.count(rule.metric) == 1 else str(rule).replace(" ", "") for rule in rules]


def select(items: list[pytest.Item], config: pytest.Config) -> None:
    """Drop items of steps that `-m` does not name, and of scenarios that were not selected."""
    named = steps_asked(config)
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        steps = {mark.name for mark in item.iter_markers() if mark.name in STEPS}
        unasked = bool(steps) and not steps & named
        (dropped if unasked or _is_unselected(item) else kept).append(item)
    for item in kept:
        _tell_run(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


def steps_asked(config: pytest.Config) -> set[str]:
    """The steps that `-m` names."""
    return STEPS.keys() & set(re.findall(r"\w+", config.getoption("markexpr") or ""))


def _params(item: pytest.Item) -> dict[str, object]:
    callspec = getattr(item, "callspec", None)
    return dict(callspec.params) if callspec else {}


def _is_unselected(item: pytest.Item) -> bool:
    """Whether the item stands for none of the selected scenarios."""
    params = _params(item)
    return any(params.get(name, item) is None for name in ("scenario", *RUN_FIXTURES))


def _tell_run(item: pytest.Item) -> None:
    """Facts travel to the controller in user properties: nothing else does under xdist."""
    spec = next((value for value in _params(item).values() if isinstance(value, RunSpec)), None)
    mark = mark_of(item, spec.step) if spec else None
    if spec and mark:
        item.user_properties += item_properties(spec, mark.gate)
