"""The end of a session, on the controller alone: judge whole gate files, write artifacts, show the table.

An artifact judges every rule of each gate file that was in play, whatever `-k`, `--lf` or `-x` selected: a
report of the one green rule that somebody looked at would be a lie about the gate. A run that failed gets
NO_DATA artifacts, so that an older PASS does not stay.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_mmgates.daily.log import DailyLog
from pytest_mmgates.dataset import DatasetLog
from pytest_mmgates.errors import OutputError
from pytest_mmgates.experiment.log import ExperimentLog
from pytest_mmgates.gatefile import Gate
from pytest_mmgates.history import HISTORY, Row, append
from pytest_mmgates.judge import GateVerdict, RuleVerdict, judge, judge_failed_run
from pytest_mmgates.making import RunSpec
from pytest_mmgates.properties import read_item, read_rules
from pytest_mmgates.regress import SameRule
from pytest_mmgates.report.artifacts import artifacts
from pytest_mmgates.report.files import write_atomically
from pytest_mmgates.report.publish import publish
from pytest_mmgates.report.pull_request import EDITS_GATES, comparison_lines
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.report.table import short, table
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.state import State
from pytest_mmgates.subject import Subject
from pytest_mmgates.verdict import Verdict


class Controller:
    """Hooks of the one process that writes. Never registered in an xdist worker, where they would run too."""

    def __init__(self, state: State) -> None:
        self._state = state

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember the run and the gate of each item that began, and the rules that its text added to the
        gate's own.
        """
        found = read_item(report.user_properties)
        if found is None:
            return
        spec, gate = found
        gates = self._state.in_play.setdefault(spec, [])
        if gate not in gates:
            gates.append(gate)
        if report.when == "call":
            self._state.inline += [(spec.name, verdict) for verdict in read_rules(report.user_properties)]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        _finish(self._state)
        if self._state.error and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
        if not self._state.results:
            for path in self._state.written:
                terminalreporter.write_line(f"wrote {path}")
        else:
            _summarize(self._state, terminalreporter, green=exitstatus == pytest.ExitCode.OK)
        if self._state.error:
            terminalreporter.write_line(f"ERROR: {self._state.error}", red=True)


def _finish(state: State) -> None:
    """Judge what ran in this session and write it down; an output that cannot be written is kept in
    `state.error`.
    """
    order = {name: index for index, name in enumerate(state.options.selected)}
    specs = sorted(state.in_play, key=lambda spec: (order.get(spec.name, len(order)), str(spec)))
    state.results = [result for spec in specs if (result := _result(state, spec))]
    options = state.options
    try:
        files = artifacts(state.results, options.selected[0], options.out_dir, options.formats, options.stage)
        write_atomically(files)
        state.written += [options.shown(path) for path, text in files.items() if text is not None]
        state.written += [options.shown(path) for path in _publish(state)]
        append(options.out_dir / HISTORY, list(_history(state)))
    except OutputError as error:
        state.error = f"--mmgates-out {error}"


def _history(state: State) -> Iterator[Row]:
    """A row for each rule that was judged, and for a lock that was made."""
    for result in state.results:
        for verdict in result.verdicts:
            yield from (_row(state, result, verdict.gate, rule) for rule in verdict.rules)
    for lock in state.locked:
        yield Row(
            state.session_id, "lock", "lock", lock.name, commit_sha=lock.commit, lock_digest=lock.digest
        )


def _row(state: State, result: RunResult, gate: Gate, rule: RuleVerdict) -> Row:
    log = result.log
    bounds = {str(one): one.bound for one in gate.judged if not isinstance(one, SameRule)}
    return Row(
        session=state.session_id,
        kind="verdict",
        step=result.step,
        scenario=result.name,
        gate=rule.gate,
        metric=rule.rule.split(" ", 1)[0],
        rule=rule.rule,
        verdict=str(rule.verdict),
        value=rule.value,
        unit=rule.unit,
        op=bounds[rule.rule].op if rule.rule in bounds else None,
        data_kind=rule.data_kind,
        commit_sha=str(log.manifest.code.get("commit")) if log else None,
        lock_digest=log.comparison.lock_digest if log and log.comparison else None,
    )


def _publish(state: State) -> list[Path]:
    """The feeds of the soak that owns the workflow's names, if it came to an end."""
    soaks = [
        result.log
        for result in state.results
        if result.step == "soak" and result.name == state.options.selected[0]
        if result.log and not result.log.elsewhere
    ]
    target = state.options.out_dir / "edge" / "feeds"
    for log in soaks:
        publish(log, target)
    return [target for _ in soaks]


def _result(state: State, spec: RunSpec) -> RunResult | None:
    found = state.runs.finished(spec)
    if found is None:
        return None
    log = found if isinstance(found, RunLog) else None
    failure = found if isinstance(found, str) else None
    return RunResult(
        step=spec.step,
        name=spec.name,
        scenario=spec.scenario,
        rerun=state.options.rerun(
            spec.step, found.scenario if isinstance(found, DailyLog) else spec.scenario
        ),
        log=log,
        dataset=found if isinstance(found, DatasetLog) else None,
        daily=found if isinstance(found, DailyLog) else None,
        experiment=found if isinstance(found, ExperimentLog) else None,
        failure=failure,
        verdicts=[_verdict(state, name, found) for name in state.in_play[spec]],
    )


def _verdict(state: State, gate: str, found: Subject | str) -> GateVerdict:
    return (
        judge_failed_run(state.gate(gate), found)
        if isinstance(found, str)
        else judge(state.gate(gate), found)
    )


def _summarize(state: State, terminal: pytest.TerminalReporter, *, green: bool) -> None:
    """One table, or one line per gate under `-q`."""
    terminal.write_sep("-", "release gates")
    for result in state.results:
        _write_edits(result, terminal)
    if terminal.verbosity < 0:
        for line in (line for result in state.results for line in short(result)):
            terminal.write_line(line)
    else:
        _write_table(state, terminal)
    for result in state.results if green else ():
        _write_contradiction(result, terminal)


def _write_table(state: State, terminal: pytest.TerminalReporter) -> None:
    rows = [
        (result.name, rule) for result in state.results for gate in result.verdicts for rule in gate.rules
    ]
    known = {(name, rule.gate, rule.rule) for name, rule in rows}
    rows += [row for row in state.inline if (row[0], row[1].gate, row[1].rule) not in known]
    for line in table(rows):
        terminal.write_line(line)
    for result in state.results:
        for verdict in result.verdicts:
            for record in verdict.warnings:
                first = record.fired.why if record.fired else ""
                terminal.write_line(f"warning on {result.name}, {record.times} times, first {first}")
    for result in state.results:
        for outage in result.log.outages if result.log else ():
            terminal.write_line(f"outage of {result.name}, {outage}: no part of the duration")
    for result in state.results:
        _write_elsewhere(result, terminal)
    for line in (line for result in state.results for line in comparison_lines(result)):
        terminal.write_line(line)
    for path in state.written:
        terminal.write_line(f"wrote {path}")


def _write_edits(result: RunResult, terminal: pytest.TerminalReporter) -> None:
    """What a change does to the gates themselves stands above what they say of it."""
    for line in result.log.comparison.edits if result.log and result.log.comparison else ():
        terminal.write_line(f"{EDITS_GATES}: {line}", yellow=True)


def _write_elsewhere(result: RunResult, terminal: pytest.TerminalReporter) -> None:
    """What is made of rows is not made of these, and an older one that is there is not theirs."""
    places = result.log.elsewhere if result.log else ()
    if places:
        more = f" and {len(places) - 1} more places" if len(places) > 1 else ""
        without = "no charts, and edge/feeds is not replaced" if result.step == "soak" else "no charts"
        terminal.write_line(f"rows of {result.step} on {result.name} are in {places[0]}{more}: {without}")


def _write_contradiction(result: RunResult, terminal: pytest.TerminalReporter) -> None:
    for verdict in result.verdicts:
        if verdict.verdict is not Verdict.PASS:
            text = f"gate {verdict.gate.name} on {result.name} is {verdict.label} as a whole"
            terminal.write_line(f"{text}; only the selected tests passed, and the artifacts say so", red=True)
