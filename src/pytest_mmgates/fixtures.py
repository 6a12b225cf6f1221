"""Fixtures of a gate author. `pytest --fixtures` prints these docstrings."""

from typing import Any

import pytest

from pytest_mmgates.baseline.compare import checked_lock
from pytest_mmgates.baseline.lockfile import Lock
from pytest_mmgates.baseline.locking import lock_baseline
from pytest_mmgates.collection import mark_of
from pytest_mmgates.daily.log import DailyLog
from pytest_mmgates.dataset import DatasetLog
from pytest_mmgates.errors import GateError, MmgatesError, Place, Suspended
from pytest_mmgates.experiment.log import ExperimentLog
from pytest_mmgates.gatefile import JudgedRule
from pytest_mmgates.judge import RuleVerdict, judge_rule
from pytest_mmgates.properties import rule_properties
from pytest_mmgates.report.table import sentence
from pytest_mmgates.rules import parse_rule
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.state import STATE
from pytest_mmgates.subject import Subject
from pytest_mmgates.verdict import Verdict


class GateCheck:
    """The value of the `gate` fixture: judges a rule on a run, and fails the test unless it is PASS."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item

    def __call__(self, run: Subject, rule: JudgedRule | str) -> RuleVerdict:
        __tracebackhide__ = True
        verdict = self._judge(run, rule)
        self._item.user_properties += rule_properties(verdict)
        if verdict.verdict is not Verdict.PASS and not self._only_warns(verdict):
            pytest.fail(self._message(run, verdict), pytrace=False)
        return verdict

    def _only_warns(self, verdict: RuleVerdict) -> bool:
        options = self._item.config.stash[STATE].options
        undecided = verdict.section == "regress" and verdict.verdict is Verdict.INCONCLUSIVE
        return undecided and options.inconclusive_warns

    def _judge(self, run: Subject, rule: JudgedRule | str) -> RuleVerdict:
        __tracebackhide__ = True
        try:
            mark = mark_of(self._item, run.step)
            gate = self._item.config.stash[STATE].gate(mark.gate if mark else run.step)
            parsed = parse_rule(rule, self._place(rule)) if isinstance(rule, str) else rule
        except GateError as error:
            raise _failed(error) from None
        return judge_rule(parsed, gate, run)

    def _message(self, run: Subject, verdict: RuleVerdict) -> str:
        gate = self._item.config.stash[STATE].gate(verdict.gate)
        where = f"[{run.scenario}, gate {gate.name}, owner {gate.owner}, runbook {gate.runbook}]"
        return f"{sentence(verdict)} {where}"

    def _place(self, text: str) -> Place:
        """Inline rules stand in the test; its first line is the best place known."""
        file, line, _ = self._item.location
        return Place(file, (line or 0) + 1, 1, text)


@pytest.fixture
def gate(request: pytest.FixtureRequest) -> GateCheck:
    """Judge a rule: `gate(run, rule)` with a rule of the gate file, or `gate(run, "inventory.abs_p99_quote <=
    500")`.

    The evidence (duration, ticks, source) is that of the gate file named by the test's marker. Returns the
    verdict if it is PASS and fails the test with one line if it is FAIL, INCONCLUSIVE or NO_DATA.
    """
    item: pytest.Item = request.node
    return GateCheck(item)


@pytest.fixture
def rule(request: pytest.FixtureRequest) -> JudgedRule:
    """One rule of the gate file named by the test's marker: the test becomes one item per line of `require`,
    `stop`, `regress`, `accept` and `safety`.
    """
    found: JudgedRule = _param(request)
    return found


@pytest.fixture(scope="session")
def scenario(request: pytest.FixtureRequest) -> str:
    """Name of the scenario that the test runs on: one item per selected scenario."""
    name: str = _param(request).scenario
    return name


@pytest.fixture(scope="session")
def shadow_run(request: pytest.FixtureRequest) -> RunLog:
    """The bot's run on the scenario: `manifest`, and as columns `ticks`, `fills`, `samples`.

    A run in parts has no columns of its own: each of its `parts` is a run that has them. One engine run per
    scenario and session, whatever the number of rules, tests and xdist workers.
    """
    return _run(request)


@pytest.fixture(scope="session")
def soak_run(request: pytest.FixtureRequest) -> RunLog:
    """The bot's long run on the scenario, watched by the `stop` and `warn` rules of `gates/soak.yaml` while
    it played; otherwise as `shadow_run`.
    """
    return _run(request)


@pytest.fixture(scope="session")
def ci_run(request: pytest.FixtureRequest) -> RunLog:
    """The run of a change beside the locked baseline, whose code played the same market here: `comparison`
    holds what came of it. Otherwise as `shadow_run`.
    """
    return _run(request)


@pytest.fixture(scope="session")
def locked_baseline(request: pytest.FixtureRequest) -> Lock:
    """The baseline of the first selected scenario, in force: locked now under `--mmgates-lock`, else read and
    checked, its archive unpacked and its market compared with the scenario.
    """
    state = request.config.stash[STATE]
    try:
        if state.options.lock:
            paths = lock_baseline(state.options, state.gate("shadow"), state.gate("ci"))
            state.written += [state.options.shown(path) for path in paths]
        lock = checked_lock(state.options, state.options.selected[0])
    except MmgatesError as error:
        raise _failed(error) from None
    state.locked += [lock] if state.options.lock else []
    return lock


@pytest.fixture(scope="session")
def calibration_dataset(request: pytest.FixtureRequest) -> DatasetLog:
    """The dataset that the feeds of a soak come to, between --mmgates-from and --mmgates-to: `columns` of its
    kept intervals, `coverage`, and `path`, the JSON that it was read from. Made once per session.
    """
    try:
        return request.config.stash[STATE].runs.dataset(_param(request))
    except MmgatesError as error:
        raise _failed(error) from None


@pytest.fixture(scope="session")
def daily_facts(request: pytest.FixtureRequest) -> DailyLog:
    """What all runs did on the UTC day of --mmgates-date: `group` holds those of the most believable kind of
    data and mode, `history` the days before. Put together once per session.
    """
    try:
        return request.config.stash[STATE].runs.daily(_param(request))
    except MmgatesError as error:
        raise _failed(error) from None


@pytest.fixture(scope="session")
def ab_experiment(request: pytest.FixtureRequest) -> ExperimentLog:
    """The experiment that --mmgates-experiment names, at its stage: both arms were played, and `decision`
    says what came of it. Played once per session, by all workers together.
    """
    try:
        return request.config.stash[STATE].runs.experiment(_param(request))
    except MmgatesError as error:
        raise _failed(error) from None
    except Suspended as suspended:
        pytest.exit(str(suspended), returncode=pytest.ExitCode.INTERRUPTED)


def _run(request: pytest.FixtureRequest) -> RunLog:
    try:
        return request.config.stash[STATE].runs.run(_param(request))
    except MmgatesError as error:
        raise _failed(error) from None
    except Suspended as suspended:
        request.session.shouldstop = str(suspended)
        raise pytest.fail.Exception(str(suspended), pytrace=False) from None


def _failed(error: MmgatesError) -> BaseException:
    """Its message alone: no traceback, and no chain of exceptions."""
    return pytest.fail.Exception(str(error), pytrace=False)


def _param(request: pytest.FixtureRequest) -> Any:
    """A fixture of this plugin gets its value at collection; asking for it later by name is too late."""
    try:
        return request.param
    except AttributeError:
        pytest.fail(
            f"{request.fixturename}: name it as an argument of a test with the marker of a step",
            pytrace=False,
        )
