"""`reports/BASELINE_LOCK_REPORT.md` and `.html`, and `reports/CI_GATES_STATUS.md`: what was locked, and what
a pull request is held to from now on.
"""

from collections.abc import Iterator

from pytest_mmgates.baseline.lockfile import Lock
from pytest_mmgates.gatefile import Gate
from pytest_mmgates.judge import section_of
from pytest_mmgates.regress import RegressRule
from pytest_mmgates.report.markdown import number, render
from pytest_mmgates.report.page import Banner, Table, facts_page
from pytest_mmgates.verdict import Verdict


def lock_report(lock: Lock) -> str:
    stages = [*lock.stages.items(), ("tick_total", lock.tick_total)]
    return render("lock_report.md.j2", {"number": number}, lock=lock, stages=stages)


def lock_page(lock: Lock, gate: Gate) -> str:
    """Both as one page."""
    stages = [*lock.stages.items(), ("tick_total", lock.tick_total)]
    statistics = ("p50_ms", "p95_ms", "p99_ms", "mean_ms", "max_ms")
    market, source = lock.market, lock.source
    banner = Banner(
        title=f"{lock.kind} baseline of {lock.name}",
        verdict=Verdict.PASS,
        label=lock.status,
        reason=f"no A/B stands behind it: {lock.without_ab}" if lock.without_ab else "",
        next="commit gates/baselines, so that every pull request is held against it",
        rerun="\n".join(lock.recipe),
        data_kind=market.data_kind,
    )
    return facts_page(
        banner,
        [
            Table("What a pull request is held to", ("section", "rule", "state"), _rules(lock, gate)),
            Table(
                "Figures of the locked run, ms",
                ("stage", *(name.removesuffix("_ms") for name in statistics)),
                [(name, *(number(stage[key]) for key in statistics)) for name, stage in stages],
                "For reading: a change is never compared with these times, but with this code beside it.",
            ),
            Table("The baseline against itself", ("what", "found"), list(_proofs(lock))),
            Table(
                "History",
                ("what", "commit", "reason"),
                [(event.action, event.commit, event.reason) for event in lock.history],
            ),
            Table(
                "Provenance",
                ("what", "value"),
                [
                    ("commit", f"{source.commit} of {source.committed_at}"),
                    ("code", f"{source.archive}, sha256 {source.sha256} uncompressed"),
                    ("market", f"{market.scenario}, {market.data_kind}, {number(market.duration_min)} min"),
                    ("data", f"sha256 {market.data_sha256}"),
                    ("configuration", f"sha256 {lock.config_sha256}"),
                    ("decisions", f"digest {lock.run_digest}"),
                    ("digest of the lock", lock.digest),
                    *sorted(lock.machine.items()),
                ],
            ),
        ],
    )


def _proofs(lock: Lock) -> Iterator[tuple[str, str]]:
    proof, counted = lock.proof, lock.instructions
    yield (
        "times",
        f"z has rms {number(proof.z_rms)} over {proof.rounds} rounds"
        if proof
        else f"none: {lock.proof_absent}",
    )
    yield (
        "instructions",
        f"counted in {number(counted.seconds)} s" if counted else f"none: {lock.instructions_absent}",
    )


def gates_status(lock: Lock, gate: Gate) -> str:
    """Each rule with what it is measured by, and whether the lock has what it takes."""
    return render("gates_status.md.j2", {}, lock=lock, gate=gate, rows=_rules(lock, gate))


def _rules(lock: Lock, gate: Gate) -> list[tuple[str, str, str]]:
    return [(section_of(rule), str(rule), _readiness(lock, rule)) for rule in gate.judged]


def _readiness(lock: Lock, rule: object) -> str:
    if not isinstance(rule, RegressRule):
        return "active"
    return "active" if lock.proof else f"NO_DATA: {lock.proof_absent}"
