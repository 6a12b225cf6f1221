"""`mmgates test GATE --run DIR`: a gate, or one rule, on a run that is there already."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pytest_mmgates.commands.check import GATES, Gates
from pytest_mmgates.commands.explain import named_gate
from pytest_mmgates.dataset import DatasetLog, read_dataset
from pytest_mmgates.errors import CommandError
from pytest_mmgates.explaining import parse_any
from pytest_mmgates.gatefile import Gate, JudgedRule, read_gate
from pytest_mmgates.judge import GateVerdict, RuleVerdict, judge
from pytest_mmgates.loader import load
from pytest_mmgates.report.files import write_atomically
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.report.run_page import run_page
from pytest_mmgates.report.table import figure, limit, table
from pytest_mmgates.rows import read_markets
from pytest_mmgates.rules import Rule
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.units import show
from pytest_mmgates.verdict import Verdict
from pytest_mmgates.watch.again import batches_again
from pytest_mmgates.watch.record import WatchRecord, merged_records
from pytest_mmgates.watch.watch import Watch
from pytest_mmgates.watchrules import WatchRule

_COUNTED = {"deadline_miss.ratio", *(f"md_cache.{name}_ratio" for name in ("hit", "stale", "miss"))}
"""Shares of what is counted, one by one."""


def rehearse(
    what: Annotated[
        str, typer.Argument(metavar="GATE|RULE", help="A gate's name or file, or a rule's text.")
    ],
    run: Annotated[
        Path, typer.Option(help="Run directory, artifacts/runs/shadow-demo, or a dataset's JSON.")
    ],
    gates: Gates = GATES,
    page: Annotated[Path | None, typer.Option(help="Write the page of this verdict there, as HTML.")] = None,
) -> None:
    """Judge a stored run by a gate as it is now, or by one rule on the evidence of the run's own gate: value,
    margin, and what it takes to turn each verdict. Stop rules watch its rows once more. Exit code 1 unless it
    is PASS.
    """
    subject = read_dataset(run) if run.suffix == ".json" else load(run)
    gate = named_gate(what, gates) or _alone(parse_any(what), gates / f"{subject.step}.yaml")
    if gate.accept:
        raise CommandError(f"gate {gate.name} judges an experiment: `mmgates judge DIR` does that")
    if gate.require and gate.source != subject.source:
        raise CommandError(f"gate {gate.name} judges a {gate.source}, and {run} is a {subject.source}")
    if isinstance(subject, RunLog):
        subject = replace(subject, watched=watched_again(subject, gate))
    verdict = judge(gate, subject)
    for line in table([(subject.scenario, rule) for rule in verdict.rules]):
        typer.echo(line)
    for line in (*_said(verdict), *(line for rule in verdict.rules for line in turned(rule, gate))):
        typer.echo(line)
    if page is not None:
        write_atomically({page: run_page(_result(subject, verdict, f"mmgates test {what!r} --run {run}"))})
        typer.echo(f"wrote {page}")
    if verdict.verdict is not Verdict.PASS:
        raise typer.Exit(1)


def watched_again(run: RunLog, gate: Gate) -> tuple[WatchRecord, ...]:
    """What the gate's stop rules and warnings make of a run, each part by itself. Raises RunlogError."""
    if not (gate.stop or gate.warn):
        return ()
    if run.parts:
        return merged_records([(part.directory.name, watched_again(part, gate)) for part in run.parts])
    watch = Watch(gate.stop, gate.warn, lambda: read_markets(run.directory), _silent)
    for feed, lines in batches_again(run.directory, watch):
        watch.batch(feed, lines)
    watch.finish()
    return watch.records


def turned(rule: RuleVerdict, gate: Gate) -> Iterator[str]:
    """What it takes to turn a verdict, in numbers; nothing for one without a value."""
    if rule.value is None:
        return
    if rule.section == "stop":
        yield f"{rule.rule}: the worst window showed {figure(rule.value, rule)}; {rule.reason}"
        return
    does = "breaks beyond" if rule.verdict is Verdict.PASS else "would hold at"
    times = ""
    if rule.section == "require" and rule.value > 0 < rule.limit:
        times = f", {show(float(f'{rule.limit / rule.value:.2g}'))} times the value"
    yield f"{rule.rule}: {does} {limit(rule)}{times}{_observations(rule, gate)}"


def _observations(rule: RuleVerdict, gate: Gate) -> str:
    """Of a share, the limit in what was counted."""
    metrics = {str(one): one.metric for one in gate.require}
    if metrics.get(rule.rule) not in _COUNTED or rule.value is None:
        return ""
    scale = 100 if rule.unit == "%" else 1
    was, most = (round(value / scale * rule.n) for value in (rule.value, rule.limit))
    return f": {was} of {rule.n}, the limit is {most}"


def _said(verdict: GateVerdict) -> Iterator[str]:
    """The gate as a whole, and what there is besides rules."""
    gate = verdict.gate
    yield f"{verdict.label}: gate {gate.name}, owner {gate.owner}, runbook {gate.runbook}"
    for record in verdict.warnings:
        first = record.fired.why if record.fired else ""
        yield f"warning, {record.times} times: {record.rule}: first {first}"
    for line in verdict.evidence:
        yield f"evidence {line.name}: {line.found} (asked for {line.asked}){'' if line.met else ' NOT MET'}"


def _alone(rule: JudgedRule, path: Path) -> Gate:
    """A gate of this rule alone, on the evidence of another."""
    if not isinstance(rule, Rule | WatchRule):
        raise CommandError(f"{rule}: compares two runs, expected a rule about one")
    if not path.is_file():
        raise CommandError(f"no {path}: a rule is judged on the evidence of the gate of the run's step")
    gate = replace(read_gate(path), require=(), lines=(1,), stop=(), warn=(), regress=(), cautions=())
    return replace(gate, require=(rule,)) if isinstance(rule, Rule) else replace(gate, stop=(rule,))


def _result(subject: RunLog | DatasetLog, verdict: GateVerdict, again: str) -> RunResult:
    return RunResult(
        step=subject.step,
        name=subject.scenario,
        scenario=subject.scenario,
        rerun=again,
        log=subject if isinstance(subject, RunLog) else None,
        dataset=subject if isinstance(subject, DatasetLog) else None,
        failure=None,
        verdicts=[verdict],
    )


def _silent(_line: str) -> None:
    """Nobody is told while it is watched again."""
