"""`reports/PULL_REQUEST_REPORT.md`: a change beside the locked baseline. Edits of gates come first, then what
failed.
"""

from collections.abc import Iterator

from pytest_mmgates.baseline.record import Behaviour, ComparisonRecord, Figure, Latency
from pytest_mmgates.report.markdown import ABSENT, number, render
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.report.table import figure, note
from pytest_mmgates.units import show

EDITS_GATES = "this change edits gates"


def pull_request_report(result: RunResult) -> str:
    return render(
        "pull_request.md.j2",
        {"number": number, "figure": figure, "note": note},
        result=result,
        record=result.log.comparison if result.log else None,
        edits_gates=EDITS_GATES,
        lines=list(comparison_lines(result)),
        changed=changed,
        counted=_counted(result.log.comparison) if result.log else {},
    )


def comparison_lines(result: RunResult) -> Iterator[str]:
    """For a terminal: what was compared and how, and what differs."""
    record = result.log.comparison if result.log else None
    if record is None:
        return
    yield f"baseline {record.name}, commit {record.commit[:12]}, lock {record.lock_digest[:12]}"
    yield _latency_line(record)
    if record.latency and record.latency.instructions_absent:
        yield f"instructions: not counted: {record.latency.instructions_absent}"
    if record.behaviour is None:
        yield f"decisions: not compared: {record.behaviour_absent}"
    else:
        yield from _behaviour_lines(record.behaviour)


def changed(line: Figure) -> str:
    """Candidate less baseline."""
    if line.baseline is None or line.candidate is None:
        return ABSENT
    difference = line.candidate - line.baseline
    return f"{'+' if difference > 0 else ''}{show(difference)}"


def _counted(record: ComparisonRecord | None) -> dict[str, dict[str, str]]:
    """What was counted -> stage -> text of both sides."""
    evidence = record.latency.evidence if record and record.latency else {}
    return {
        what: {stage: _sides(*sides) for stage, sides in by_stage.items()}
        for what, by_stage in evidence.items()
    }


def _sides(baseline: float, candidate: float) -> str:
    if baseline == candidate:
        return f"{candidate:.0f}, the same"
    share = f" ({100 * (candidate / baseline - 1):+.2f} %)" if baseline > 0 else ""
    return f"{baseline:.0f} -> {candidate:.0f}{share}"


def _latency_line(record: ComparisonRecord) -> str:
    if record.latency is None:
        return f"stage times: not compared: {record.latency_absent}"
    return f"stage times: {_how(record.latency)}"


def _how(latency: Latency) -> str:
    attempts = f"{latency.attempts} attempts, " if latency.attempts > 1 else ""
    return (
        f"{attempts}{latency.seconds:.0f} s, {latency.rounds} rounds, {latency.lanes} lanes,"
        f" load {latency.load:.1f}; {latency.rung}"
    )


def _behaviour_lines(behaviour: Behaviour) -> Iterator[str]:
    if behaviour.baseline != behaviour.locked:
        yield f"decisions: the baseline gives {behaviour.baseline} here, was locked with {behaviour.locked}"
    if behaviour.is_same:
        yield f"decisions: the same, digest {behaviour.candidate}"
        return
    yield f"decisions: old {behaviour.baseline}"
    yield f"decisions: new {behaviour.candidate}"
    if behaviour.acknowledged is not None:
        yield f"decisions: acknowledged: {behaviour.acknowledged}"
    for line in behaviour.figures:
        unit = f" {line.unit}" if line.unit else ""
        values = f"{number(line.baseline)} -> {number(line.candidate)}{unit} ({changed(line)})"
        yield f"decisions: {line.name} {values}"
