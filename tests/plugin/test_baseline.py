"""`pytest -m lock` and `pytest -m ci` in a repository of their own, with a bot that has no latency tape."""

import json
import shutil
import sys
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from pytest_mmgates.baseline.lockfile import AcceptedProof, InstructionProfile, encoded_lock, read_lock
from pytest_mmgates.cli import app
from pytest_mmgates.perflab import Code
from pytest_mmgates.perflab.instructions import VALGRIND, count_instructions
from pytest_mmgates.tables import STAGES

needs_valgrind = pytest.mark.skipif(shutil.which(VALGRIND) is None, reason=f"{VALGRIND} is not installed")


def said(result, *lines):
    result.stdout.fnmatch_lines([f"*{line}*" for line in lines])


def test_a_lock_is_written_and_a_clean_change_passes(repository):
    repository.locked()
    assert (
        repository.lock.read_bytes()
        == repository.project.artifact("baseline/stage_budgets.locked.json").read_bytes()
    )
    held = json.loads(repository.lock.read_text())
    assert (held["kind"], held["status"], held["proof_absent"][:16]) == (
        "pull-request",
        "locked",
        "ini mmgates_tape",
    )
    assert held["source"]["commit"] == repository.git("rev-parse", "HEAD^")
    for name in ("BASELINE_LOCK_REPORT.md", "CI_GATES_STATUS.md"):
        assert held["source"]["commit"] in repository.project.artifact(f"reports/{name}").read_text()
    repository.run("-m", "lock").assert_outcomes(passed=1)
    result = repository.run("-m", "ci", "-W", "error")
    result.assert_outcomes(passed=3)
    said(result, "PASS (SYNTHETIC)*same(decisions)", "decisions: the same, digest")
    assert repository.project.verdict("ci")["comparison"]["behaviour"]["candidate"] == held["run_digest"]
    asked = json.loads(repository.project.artifact("runs/ci-demo/baseline.request.json").read_text())
    assert {"live", "host", "status_port"}.isdisjoint(asked["request"])  # the baseline may be older than they


def test_a_change_that_quotes_otherwise_fails_until_it_is_acknowledged(repository):
    repository.locked().change(fills=44)
    result = repository.run("-m", "ci")
    result.assert_outcomes(passed=2, failed=1)
    said(result, "FAIL*same(decisions)", "decisions: fills.count 40 -> 44 (+4)")
    found = repository.project.verdict("ci")["comparison"]["behaviour"]
    assert (
        "| fills.count | 40 | 44 | +4 |"
        in repository.project.artifact("reports/PULL_REQUEST_REPORT.md").read_text()
    )
    (repository.path / "gates" / "baselines" / "acknowledged.yaml").write_text(
        f"- {{baseline: demo, old: {found['baseline']}, new: {found['candidate']}, reason: four more}}\n"
    )
    result = repository.run("-m", "ci", "--mmgates-base", "HEAD", "--mmgates-report", "html")
    result.assert_outcomes(passed=3)
    said(result, "this change edits gates: baselines/acknowledged.yaml is not as in HEAD")
    said(result, "acknowledged: four more")
    page = repository.project.artifact("reports/PULL_REQUEST_REPORT.html").read_text()
    assert "baselines/acknowledged.yaml is not as in HEAD" in page
    assert "acknowledged: four more" in page
    assert page.count('<svg class="chart"') > 5


@pytest.mark.parametrize(
    ("change", "rule"),
    [({"hits": 0.55}, "md_cache.hit_ratio >= 60%"), ({"misses": 0.03}, "deadline_miss.ratio <= 2%")],
)
def test_a_worse_cache_and_missed_deadlines_fail(repository, change, rule):
    repository.locked().change(**change)
    result = repository.run("-m", "ci")
    result.assert_outcomes(passed=2, failed=1)
    said(result, f"FAIL (SYNTHETIC)*{rule}")


def test_a_loosened_or_deleted_gate_is_told_on_top_and_judged_as_locked(repository):
    repository.locked().change(hits=0.55, fills=44)
    ci = repository.path / "gates" / "ci.yaml"
    loose = ci.read_text().replace(">= 60%", ">= 10%").replace("regress:\n  - same(decisions)\n", "")
    ci.write_text(loose)
    (repository.path / "gates" / "capture.yaml").unlink()
    result = repository.run("-m", "ci")
    result.assert_outcomes(passed=2, failed=2)
    said(
        result,
        "this change edits gates: capture.yaml was deleted",
        "this change edits gates: ci.yaml: `md_cache.hit_ratio >= 60%` became `md_cache.hit_ratio >= 10%`",
        "this change edits gates: ci.yaml: `same(decisions)` was deleted",
        "FAIL (SYNTHETIC)*md_cache.hit_ratio >= 60%",
    )


def test_a_deleted_gate_file_is_an_error(repository):
    repository.locked()
    (repository.path / "gates" / "ci.yaml").unlink()
    result = repository.run("-m", "ci")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    said(result, "gates/ci.yaml:1:1: cannot be read: No such file or directory")


def test_the_baseline_runs_without_its_history(repository):
    repository.locked()
    commit = json.loads(repository.lock.read_text())["source"]["commit"]
    shutil.rmtree(repository.path / ".git")
    repository.git("init", "--quiet")
    repository.commit()
    result = repository.run("-m", "ci")
    result.assert_outcomes(passed=3)
    said(result, f"baseline demo, commit {commit[:12]}", "decisions: the same")


@pytest.mark.parametrize(
    ("breaks", "line"),
    [
        (lambda held: held["stages"]["emit"].update(p95_ms=0.1), "was edited: its digest is"),
        (lambda held: held.update(schema=2), "schema was 2, expected 1"),
        (lambda held: held["stages"].pop("emit"), "was edited: its digest is"),
    ],
)
def test_a_lock_that_cannot_be_believed_is_one_line(repository, breaks, line):
    held = json.loads(repository.locked().lock.read_text())
    breaks(held)
    repository.lock.write_text(json.dumps(held))
    result = repository.run("-m", "ci")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    said(result, f"gates/baselines/demo.locked.json: {line}")
    result.stdout.no_fnmatch_line("*Traceback*")


def test_another_scenario_needs_another_lock(repository):
    repository.locked().project.scenario("demo", tick_ms=10_000)
    result = repository.run("-m", "ci")
    said(result, "scenarios/demo.yaml: sha256 was *as locked: another market needs another lock")
    repository.project.scenario("other", tick_ms=20_000)
    result = repository.run("-m", "ci", "--mmgates-scenario", "other")
    said(result, "gates/baselines/other.locked.json: no such baseline: `mmgates baseline lock` makes one")


def test_only_a_clean_commit_that_passed_can_be_locked(repository):
    lock = ("-m", "lock", "--mmgates-lock")
    said(repository.run(*lock), "no shadow run to lock: *pytest -m shadow --mmgates-scenario demo")
    repository.run("-m", "shadow")
    repository.change(fills=44)
    said(repository.run(*lock), "tuning.json is not committed: only a commit can be locked")
    repository.commit()
    said(repository.run(*lock), "was made by commit *, expected *: play it anew")
    repository.change(hits=0.1)
    repository.commit()
    repository.run("-m", "shadow")
    said(repository.run(*lock), "only a PASS can be locked: md_cache.hit_ratio >= 0.7 is FAIL")
    assert not repository.lock.exists()


def test_a_lock_is_replaced_only_after_it_was_unlocked(repository):
    repository.locked()
    said(repository.run("-m", "lock", "--mmgates-lock"), "is locked at *; first `mmgates baseline unlock`")
    gates = str(repository.path / "gates")
    asked = ["baseline", "unlock", "demo", "--reason", "longer tick", "--gates", gates]
    assert CliRunner().invoke(app, asked).exit_code == 0
    result = repository.run("-m", "ci")
    said(result, "demo.locked.json: is unlocked: longer tick")
    repository.change(fills=44)
    repository.commit()
    repository.locked()
    held = json.loads(repository.lock.read_text())
    assert [event["action"] for event in held["history"]] == ["lock", "unlock", "lock"]
    repository.run("-m", "ci").assert_outcomes(passed=3)


def test_a_release_needs_an_accepted_ab_or_a_reason(repository):
    repository.change(kind="recorded")
    repository.commit()
    repository.run("-m", "shadow").assert_outcomes(passed=4)
    lock = ("-m", "lock", "--mmgates-lock")
    said(repository.run(*lock), "artifacts/verdicts/ab.json: no verdict: a release needs an accepted A/B")
    ab = repository.project.artifact("verdicts/ab.json")
    ab.write_text(json.dumps({"verdict": "PASS", "label": "PASS (SYNTHETIC)", "data_kind": "synthetic"}))
    said(repository.run(*lock), "ab.json: PASS (SYNTHETIC): a release needs an accepted A/B")
    ab.write_text(json.dumps({"verdict": "PASS", "data_kind": "recorded", "stage": "replay"}))
    said(repository.run(*lock), "ab.json: accepted in a replay alone: a release needs an A/B that was traded")
    repository.run(*lock, "--mmgates-without-ab=first release").assert_outcomes(passed=1)
    held = json.loads(repository.lock.read_text())
    assert (held["kind"], held["without_ab"]) == ("release", "first release")
    assert "--mmgates-without-ab" in held["recipe"][2]


def test_a_reason_without_a_lock_is_refused(repository):
    result = repository.run("-m", "lock", "--mmgates-without-ab=x")
    result.stderr.fnmatch_lines(["*--mmgates-without-ab: is of --mmgates-lock, which was not given"])


def test_every_session_is_a_row_of_the_history_and_a_lock_a_point_in_it(repository):
    repository.locked()
    for misses in (0.0, 0.01):
        repository.change(misses=misses)
        repository.run("-m", "ci")
    asked = ["history", "deadline_miss.ratio", "--out", str(repository.path / "artifacts")]
    shown = CliRunner().invoke(app, asked)
    assert shown.exit_code == 0
    first, second, last = shown.stdout.splitlines()
    assert first.startswith("from the beginning: ")
    assert first.endswith(" 1 sessions, 0 not PASS")
    assert second.startswith("from lock ")
    assert second.endswith("%, 2 sessions, 0 not PASS")
    assert last == "creep: not known: 2 passes since the last lock, expected 12"


@pytest.fixture
def taped(repository):
    """Locked with rules about stage times; the lock then gets the bot's tape, without a proof's minutes."""
    ci = repository.path / "gates" / "ci.yaml"
    ci.write_text(ci.read_text() + "  - regress(emit.p95) <= 3%\n  - regress(tick_total.p95) <= 10%\n")
    repository.commit()
    repository.locked()
    lock = read_lock(repository.lock, shown_as="lock")
    tape = {"door": "foreign_bot:open_tape", "scenario": "demo"}
    repository.lock.write_text(encoded_lock(msgspec.structs.replace(lock, tape=tape)))
    return repository


TOO_SHORT = ("-m", "ci", "-o", "mmgates_compare=50ms")


def test_what_is_undecided_is_tried_once_more_with_twice_the_time_and_then_blocks(taped):
    result = taped.run(*TOO_SHORT)
    result.assert_outcomes(passed=3, failed=2)
    said(
        result,
        "INCONCLUSIVE (SYNTHETIC)*regress(emit.p95) <= 3%*second attempt; baseline re-run here from archive",
    )
    latency = taped.project.verdict("ci")["comparison"]["latency"]
    assert latency["attempts"] == 2
    assert latency["rounds"] < 4


def test_what_is_undecided_may_warn_instead_and_is_never_a_pass(taped):
    result = taped.run(*TOO_SHORT, "-o", "mmgates_inconclusive=warn")
    result.assert_outcomes(passed=5)
    said(result, "gate ci on demo is INCONCLUSIVE (SYNTHETIC) as a whole")
    assert taped.project.verdict("ci")["verdict"] == "INCONCLUSIVE"
    result = taped.run(*TOO_SHORT, "-o", "mmgates_inconclusive=pass")
    result.stderr.fnmatch_lines(["*ini mmgates_inconclusive: found 'pass', expected fail or warn"])


def test_stage_times_that_cannot_be_had_are_no_data_with_the_reason(taped):
    tape = {"door": "foreign_bot:open_another", "scenario": "demo"}
    lock = read_lock(taped.lock, shown_as="lock")
    taped.lock.write_text(encoded_lock(msgspec.structs.replace(lock, tape=tape)))
    result = taped.run(*TOO_SHORT)
    result.assert_outcomes(passed=3, failed=2)
    said(
        result,
        "NO_DATA (SYNTHETIC)*regress(emit.p95) <= 3%*has no open_another: this code has no latency tape",
    )


def test_a_baseline_that_cannot_run_is_never_passed_by_its_stored_times(taped):
    """The lock's proof is of another machine, its instructions were counted under another valgrind."""
    costs = dict.fromkeys(("emit", "tick_total"), "1000.0 " * 40)
    proof = AcceptedProof(0.5, (1.0, 1.0), 0.0025, costs, "another machine", 1.0, 8)
    counts = dict.fromkeys(("emit", "tick_total"), "9000000 " * 40)
    profile = InstructionProfile({"valgrind": "valgrind-1.0"}, "ab" * 32, counts, 1.0)
    lost(taped, proof=proof, instructions=profile, instructions_absent=None)
    result = taped.run(*TOO_SHORT)
    result.assert_outcomes(passed=3, failed=2)
    said(
        result,
        "INCONCLUSIVE*(emit.p95) <= 3%*its times are of another machine: no verdict, lock anew"
        " (*later*; instructions c*valgrind*)",
    )


def test_a_change_whose_stage_times_cannot_be_had_does_not_fall_to_another_rung(taped):
    """Its tape fails, the baseline's does not; the lock keeps times and instructions."""
    lock = read_lock(taped.lock, shown_as="lock")
    costs = dict.fromkeys((*STAGES, "tick_total"), "1000.0 " * 40)
    proof = AcceptedProof(0.5, (1.0, 1.0), 0.0025, costs, "another machine", 1.0, 8)
    profile = InstructionProfile({}, "ab" * 32, dict.fromkeys(costs, "9000000 " * 40), 1.0)
    taped.lock.write_text(encoded_lock(msgspec.structs.replace(lock, proof=proof, instructions=profile)))
    bot = taped.path / "foreign_bot.py"
    bot.write_text(bot.read_text().replace("return Tape(", "raise OSError('no ticks')\n    return Tape("))
    result = taped.run(*TOO_SHORT)
    result.assert_outcomes(passed=3, failed=2)
    said(result, "NO_DATA (SYNTHETIC)*regress(emit.p95) <= 3%*candidate (*): OSError: no ticks")


def lost(taped, **changes):
    """The lock's tape becomes one that the baseline does not have, and the change does."""
    (taped.path / "later.py").write_text("from foreign_bot import open_tape\n")
    lock = read_lock(taped.lock, shown_as="lock")
    tape = {"door": "later:open_tape", "scenario": "demo"}
    taped.lock.write_text(encoded_lock(msgspec.structs.replace(lock, tape=tape, **changes)))


@needs_valgrind
@pytest.mark.slow
def test_a_baseline_that_cannot_run_is_replaced_by_its_instructions(taped):
    lock = read_lock(taped.lock, shown_as="lock")
    found = count_instructions(Code("baseline", taped.path, Path(sys.executable)), lock.tape)
    lost(taped, instructions=InstructionProfile.of(found), instructions_absent=None)
    result = taped.run(*TOO_SHORT)
    result.assert_outcomes(passed=5)
    rung = "instructions counted here, against its stored ones (*later*); provisional"
    said(result, f"PASS*(emit.p95) <= 3%*PROVISIONAL*{rung}")
    bot = taped.path / "foreign_bot.py"
    bot.write_text(bot.read_text().replace("sum(range(200 +", "sum(range(240 +"))
    result = taped.run(*TOO_SHORT)
    result.assert_outcomes(passed=3, failed=2)
    said(result, f"FAIL*(emit.p95) <= 3%*PROVISIONAL*{rung}")


@needs_valgrind
@pytest.mark.slow
def test_instructions_are_counted_beside_the_times_on_request(taped):
    taped.run(*TOO_SHORT, "--mmgates-instructions")
    latency = taped.project.verdict("ci")["comparison"]["latency"]
    baseline, candidate = latency["evidence"]["instructions"]["emit"]
    assert baseline == pytest.approx(candidate, rel=0.0015)
    emit = next(stage for stage in latency["stages"] if stage["stage"] == "emit")
    assert "leans PASS" in emit["note"]
    report = taped.project.artifact("reports/PULL_REQUEST_REPORT.md").read_text()
    assert "| stage | bytecodes | blocks | instructions |" in report


def test_instructions_cannot_be_asked_for_without_valgrind(project, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    result = project.run("-m", "ci", "--mmgates-instructions")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--mmgates-instructions: no valgrind on the path, which counts them"])
