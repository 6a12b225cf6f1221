"""No rule that compares without a change that turns it red: a slowed stage, and a decision that differs.

Rounds are made by arithmetic here and go through the real estimate and its real decision; that a slowed stage
of the real bot is found by running it is in `tests/system/test_pull_requests.py`.
"""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pytest_mmgates.baseline.behaviour import behaviour
from pytest_mmgates.baseline.in_force import limits
from pytest_mmgates.baseline.latency import kept
from pytest_mmgates.baseline.record import ComparisonRecord
from pytest_mmgates.errors import BaselineError
from pytest_mmgates.gatefile import read_gate
from pytest_mmgates.judge import judge
from pytest_mmgates.loader import keep_comparison, load
from pytest_mmgates.perflab import Comparison, Gate, worst_of
from pytest_mmgates.perflab.counted import RUNG, held_against
from pytest_mmgates.perflab.decide import FIRST_LOOK
from pytest_mmgates.perflab.instructions import Instructions
from pytest_mmgates.perflab.rounds import Round
from pytest_mmgates.regress import RegressRule
from pytest_mmgates.report.pull_request import comparison_lines, pull_request_report
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.report.table import note
from pytest_mmgates.tables import DURATIONS
from pytest_mmgates.verdict import Verdict

CI = read_gate(Path(__file__).parents[3] / "gates" / "ci.yaml", shown_as="gates/ci.yaml")
STAGES = [rule.stage for rule in CI.regress if isinstance(rule, RegressRule)]
TICKS = 400


def compared(slowed=(), by=1.0, rounds=FIRST_LOOK, noise=0.002):
    """What perflab makes of rounds in which the candidate's `slowed` stages cost `by` times as much."""
    rng = np.random.default_rng(5)
    cost_ns = 2_000 * (1 + rng.random((TICKS, len(DURATIONS))))
    factor = np.array([by if stage in slowed else 1.0 for stage in DURATIONS])
    gate = Gate(DURATIONS, limits(CI), seed=1)
    for number in range(rounds):
        own, other = (cost_ns * rng.normal(1, noise, cost_ns.shape).clip(0.9) for _ in "ab")
        facts = {"sha256": "ab", "kind": "synthetic", "changed_ticks": 0, "baseline_led": True, "core": 0}
        if gate.add(
            Round(DURATIONS, baseline=own, candidate=other * factor, began_s=number, seconds=1, **facts)
        ):
            break
    return Comparison(gate.verdicts(), gate.outcome, 1.0, len(gate.rounds), 2, 1.0, {})


@pytest.fixture
def judged(make_run, lock, tmp_path):
    """`judged(latency)`: the verdicts of ci.yaml on a run, beside a baseline that is the same run."""

    def make(latency, digest=None, acknowledged=None):
        run = make_run(minutes=60, kind="recorded")
        same = behaviour(
            msgspec.structs.replace(lock, run_digest=run.manifest.run_digest), run, run, tmp_path
        )
        changed = {"candidate": digest or same.candidate, "acknowledged": acknowledged}
        record = ComparisonRecord(
            "demo", "d" * 64, "c" * 40, msgspec.structs.replace(same, **changed), latency=latency
        )
        keep_comparison(run.directory, record)
        return judge(CI, load(run.directory))

    return make


def verdicts(judged_gate):
    return {rule.rule: rule.verdict for rule in judged_gate.rules}


def latency_of(*comparisons):
    return kept(comparisons, comparisons[-1].stages, "baseline re-run here from archive demo.source.tar.xz")


def test_the_same_code_passes_every_rule(judged):
    found = judged(latency_of(compared()))
    assert set(verdicts(found).values()) == {Verdict.PASS}
    assert found.verdict is Verdict.PASS
    assert all(
        "re-run here from archive demo.source.tar.xz" in rule.reason
        for rule in found.rules
        if "p95" in rule.rule
    )


@pytest.mark.parametrize("stage", STAGES)
def test_a_slowed_stage_turns_its_own_rule_red(judged, stage):
    by = 1.12 if stage == "tick_total" else 1.04
    found = judged(latency_of(compared([stage], by)))
    [red] = [rule for rule in found.rules if rule.verdict is not Verdict.PASS]
    assert (red.rule.split(")")[0], red.verdict) == (f"regress({stage}.p95", Verdict.FAIL)
    assert red.value == pytest.approx(100 * (by - 1), abs=0.5)
    assert red.margin < 0
    assert "95 % CI [+" in red.reason


def test_a_decision_that_differs_turns_its_rule_red_unless_it_is_acknowledged(judged):
    red = verdicts(judged(latency_of(compared()), digest="f" * 64))
    assert {rule for rule, verdict in red.items() if verdict is Verdict.FAIL} == {"same(decisions)"}
    found = judged(latency_of(compared()), digest="f" * 64, acknowledged="wider while stale")
    assert found.verdict is Verdict.PASS
    assert found.rules[-1].reason.endswith("; acknowledged: wider while stale")


def test_too_few_rounds_are_inconclusive_and_survive_the_file(judged):
    found = judged(latency_of(compared(rounds=2)))
    assert {rule.verdict for rule in found.rules if "p95" in rule.rule} == {Verdict.INCONCLUSIVE}
    assert all(rule.value is None for rule in found.rules if "p95" in rule.rule)


def counted(**by):
    """What is found where instructions are counted in place of time; stages dearer by that much."""
    profile = Instructions({}, "ab", dict.fromkeys(DURATIONS, [10_000] * 40), 1.0)
    counts = {stage: [round(10_000 * by.get(stage, 1.0))] * 40 for stage in DURATIONS}
    stages = held_against(profile, replace(profile, counts=counts), limits(CI))
    outcome = worst_of([one.outcome for one in stages])
    found = Comparison(stages, outcome, 1.0, 1, 1, 1.0, {}, rung=RUNG, provisional=True)
    return kept([found], stages, f"{RUNG} (no archive)")


def test_instructions_give_a_verdict_that_says_it_is_provisional(judged):
    found = judged(counted(emit=1.06, guards=1.02))
    timed = {rule.rule: rule for rule in found.rules if "p95" in rule.rule}
    assert {rule.mark for rule in timed.values()} == {"PROVISIONAL"}
    assert all(
        f"{RUNG} (no archive); provisional: instructions, not time" in rule.reason for rule in timed.values()
    )
    assert timed["regress(emit.p95) <= 3%"].verdict is Verdict.FAIL
    assert timed["regress(guards.p95) <= 3%"].verdict is Verdict.INCONCLUSIVE
    passed = timed["regress(spread.p95) <= 3%"]
    assert (passed.verdict, passed.value) == (Verdict.PASS, 0.0)
    assert "CI" not in passed.reason
    assert note(passed).startswith("PROVISIONAL; tail +0.0; ")


def test_counts_stand_beside_the_verdict_on_time(judged, make_run, lock):
    slow = compared(["emit"], 1.05)
    same = dict.fromkeys(DURATIONS, (7_000.0, 7_000.0))
    evidence = {"bytecodes": same, "blocks": same, "instructions": {**same, "spread": (7_000.0, 7_350.0)}}
    latency = kept([slow], slow.stages, "baseline re-run here from archive", evidence)
    reasons = {rule.rule: rule.reason for rule in judged(latency).rules}
    assert reasons["regress(emit.p95) <= 3%"].endswith(
        "; instructions +0.00%: layout or cache effect, not work"
    )
    assert reasons["regress(spread.p95) <= 3%"].endswith("; instructions +5.00%")

    def report(latency):
        run = make_run(minutes=60)
        keep_comparison(run.directory, ComparisonRecord("demo", lock.digest, lock.commit, latency=latency))
        log = load(run.directory)
        return pull_request_report(RunResult("ci", "demo", "demo", "", log, None, [judge(CI, log)]))

    assert "| stage | bytecodes | blocks | instructions |\n|---|---|---|---|\n" in report(latency)
    assert "| spread | 7000, the same | 7000, the same | 7000 -> 7350 (+5.00 %) |\n" in report(latency)
    assert "counted" not in report(latency_of(slow))
    uncounted = msgspec.structs.replace(latency_of(slow), instructions_absent="no book")
    assert "- instructions: not counted: no book\n" in report(uncounted)


def test_without_stage_times_the_rules_say_why(judged):
    found = judged(None)
    absent = [rule for rule in found.rules if rule.verdict is Verdict.NO_DATA]
    assert len(absent) == len(STAGES)
    assert {rule.value for rule in absent} == {None}


def test_a_run_that_was_not_compared_is_no_pass(make_run):
    found = judge(CI, make_run(minutes=60, kind="recorded"))
    assert {rule.verdict for rule in found.rules if rule.section == "regress"} == {Verdict.NO_DATA}


def test_another_market_is_refused_with_both_hashes(make_run, lock, tmp_path):
    run = make_run(minutes=5)
    other = msgspec.structs.replace(lock, market=msgspec.structs.replace(lock.market, data_sha256="77" * 32))
    with pytest.raises(BaselineError, match="was played on data abababababab, expected 777777777777"):
        behaviour(other, run, run, tmp_path)


def test_the_table_of_differences_shows_both_sides(make_run, lock, tmp_path):
    one, other = make_run(minutes=60, fills=40), make_run(minutes=60, fills=44)
    found = behaviour(lock, one, other, tmp_path)
    assert not found.is_same
    figures = {figure.name: (figure.baseline, figure.candidate) for figure in found.figures}
    assert figures["fills.count"] == (40, 44)
    assert figures["inventory.abs_max_quote"][0] is not None


def test_the_report_has_edits_first_and_then_what_failed(make_run, lock, tmp_path):
    one, other = make_run(minutes=60, fills=40), make_run(minutes=60, fills=44)
    record = ComparisonRecord(
        "demo", lock.digest, lock.commit, behaviour(lock, one, other, tmp_path),
        latency=latency_of(compared(["emit"], 1.05)), edits=("ci.yaml: `same(decisions)` was deleted",),
    )  # fmt: skip
    keep_comparison(other.directory, record)
    log = load(other.directory)
    result = RunResult("ci", "demo", "demo", "pytest -m ci", log, None, [judge(CI, log)])
    text = pull_request_report(result)
    assert text == pull_request_report(result)
    at = [text.index(part) for part in ("This change edits gates", "`same(decisions)` was deleted", "| FAIL")]
    assert at == sorted(at)
    assert "| fills.count | 40 | 44 | +4 |" in text
    assert any("decisions: fills.count 40 -> 44 (+4)" in line for line in comparison_lines(result))
    assert record.behaviour.candidate in text
