"""`reports/BASELINE_LOCK_REPORT.md` and `reports/CI_GATES_STATUS.md`: what was locked, and what a pull
request is held to from now on.
"""

from pytest_mmgates.baseline.lockfile import Lock
from pytest_mmgates.gatefile import Gate
from pytest_mmgates.judge import section_of
from pytest_mmgates.regress import RegressRule
from pytest_mmgates.report.markdown import number, render


def lock_report(lock: Lock) -> str:
    stages = [*lock.stages.items(), ("tick_total", lock.tick_total)]
    return render("lock_report.md.j2", {"number": number}, lock=lock, stages=stages)


def gates_status(lock: Lock, gate: Gate) -> str:
    """Each rule with what it is measured by, and whether the lock has what it takes."""
    rows = [(section_of(rule), str(rule), _readiness(lock, rule)) for rule in gate.judged]
    return render("gates_status.md.j2", {}, lock=lock, gate=gate, rows=rows)


def _readiness(lock: Lock, rule: object) -> str:
    if not isinstance(rule, RegressRule):
        return "active"
    return "active" if lock.proof else f"NO_DATA: {lock.proof_absent}"
