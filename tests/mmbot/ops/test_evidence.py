"""A verdict counts beside its record alone, and only for the code and the inputs that it was found with."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.mmbot.ops.steps_left import CODE, GATE, NOW_NS, OUT, left

from mmbot.ops.evidence import Standing, State, age_text, found, record_path, standing
from mmbot.ops.workflow import Task, task_named
from mmbot.units import DAY, HOUR, SECOND

VERDICT = OUT / "verdicts/shadow.json"
RECORD = record_path("shadow", OUT)


def task(name: str = "shadow") -> Task:
    named = task_named(name)
    assert named is not None
    return named


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def now(name: str = "shadow", *, source: str = CODE["source_sha256"], later_ns: int = 0) -> Standing:
    return standing(task(name), OUT, source_sha256=source, now_ns=NOW_NS + later_ns)


def test_a_step_that_passed_is_accepted_with_its_age():
    left(task())
    found_now = now(later_ns=3 * HOUR)
    assert (found_now.state, found_now.why, found_now.label) == (State.ACCEPTED, "", "PASS")
    assert found_now.age_ns == 3 * HOUR


def test_synthetic_stands_on_the_line():
    left(task(), data_kind="synthetic")
    assert now().accepted
    assert (now().label, now().is_synthetic) == ("PASS (SYNTHETIC)", True)


def test_a_lock_says_itself_what_it_was_locked_on():
    left(task("lock"), verdict=None, data_kind=None, market={"data_kind": "synthetic"})
    assert (now("lock").label, now("lock").state) == ("PASS (SYNTHETIC)", State.ACCEPTED)


def test_nothing_is_no_verdict():
    assert (now().state, now().label, now().age_ns) == (State.NOT_RUN, "", None)


def edit(path: Path, was: str, edited: str) -> Callable[[], None]:
    def do() -> None:
        text = path.read_text(encoding="utf-8")
        assert was in text
        path.write_text(text.replace(was, edited, 1), encoding="utf-8")

    return do


def cut(path: Path) -> Callable[[], None]:
    return lambda: path.write_bytes(path.read_bytes()[:-20])


def copied_from_soak() -> None:
    left(task("soak"))
    RECORD.write_bytes(record_path("soak", OUT).read_bytes())


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (edit(VERDICT, "PASS", "pass"), "shadow.json: sha256 was [0-9a-f]{12}, expected [0-9a-f]{12}: edi"),
        (cut(VERDICT), "verdicts/shadow.json: sha256 was"),
        (VERDICT.unlink, "verdicts/shadow.json: is gone"),
        (cut(RECORD), "workflow/shadow.json: torn, or no record"),
        (edit(RECORD, '"verdict": "PASS"', '"verdict": "PASS" , "mine": 1'), "torn, or no record: .*mine"),
        (edit(RECORD, '"passed": 4', '"passed": 5'), "workflow/shadow.json: was edited: digest was"),
        (edit(RECORD, '"schema": 1', '"schema": 2'), "schema was 2, expected 1"),
        (copied_from_soak, "is the record of soak, expected of shadow"),
        (RECORD.unlink, "verdicts/shadow.json: is there, but no session recorded it in art"),
    ],
)  # fmt: skip
def test_what_no_session_wrote_is_not_believed(harm: Callable[[], None], why: str):
    left(task())
    harm()
    assert now().state is State.NOT_BELIEVED
    assert not now().label
    assert re.search(why, now().why)


def test_a_red_verdict_that_is_edited_to_green_in_both_files_is_not_believed():
    left(task(), verdict="FAIL", reason="too slow")
    assert (now().state, now().why, now().label) == (State.NOT_ACCEPTED, "too slow", "FAIL")
    edit(VERDICT, "FAIL", "PASS")()
    edit(RECORD, '"verdict": "FAIL"', '"verdict": "PASS"')()
    assert now().state is State.NOT_BELIEVED


@pytest.mark.parametrize("verdict", ["FAIL", "INCONCLUSIVE", "NO_DATA"])
def test_only_pass_is_accepted(verdict: str):
    left(task(), verdict=verdict)
    assert (now().state, now().label) == (State.NOT_ACCEPTED, verdict)


def test_without_a_reason_it_is_that_of_the_first_rule_that_was_not_green():
    rules = [
        {"rule": "a <= 1", "verdict": "PASS", "reason": None},
        {"rule": "b <= 1", "verdict": "FAIL", "reason": None, "value": 2.5},
        {"rule": "c <= 1", "verdict": "FAIL", "reason": "late"},
    ]
    left(task(), verdict="FAIL", rules=rules)
    assert now().why == "b <= 1: 2.5"
    left(task(), verdict="FAIL", rules=rules[2:])
    assert now().why == "c <= 1: late"


def test_a_pass_of_which_a_check_was_red_is_none():
    left(task(), checks={"passed": 3, "failed": 1}, ended=1)
    assert (now().state, now().why, now().label) == (State.NOT_ACCEPTED, "1 failed", "FAIL")


def test_a_session_that_ended_badly_is_none():
    left(task(), ended=2)
    assert now().why == "pytest ended with 2"


def test_a_session_without_a_verdict_has_no_data():
    said = found(task(), OUT, {"passed": 1}, 0)
    assert said["verdict"] == "NO_DATA"
    assert said["reason"] == "artifacts/verdicts/shadow.json: no verdict was written"
    assert found(task(), OUT, {"failed": 1}, 1, "overloaded")["reason"] == "overloaded"
    VERDICT.parent.mkdir(parents=True)
    VERDICT.write_text("[1]", encoding="utf-8")
    assert found(task(), OUT, {}, 0)["reason"] == "artifacts/verdicts/shadow.json: no verdict: was no mapping"


def test_other_code_other_rules_and_time_make_it_stale():
    left(task())
    assert now(source="6" * 64).why == f"found with other code, of commit {CODE['commit'][:12]}"
    assert now(later_ns=7 * DAY + SECOND).why == "7.0 d old, good for 7.0 d"
    Path(GATE).write_text("gate: shadow\nrequire: [a, b]\n", encoding="utf-8")
    assert (now().state, now().why) == (State.STALE, "gates/shadow.yaml has changed since")
    Path(GATE).unlink()
    assert now().why == "gates/shadow.yaml: cannot be read: No such file or directory"
    assert now().label == "PASS"


def test_a_comment_in_an_input_changes_nothing():
    left(task())
    Path(GATE).write_text("require: [a]   # as before\ngate: shadow\n", encoding="utf-8")
    assert now().accepted


def test_a_baseline_does_not_age():
    left(task("lock"))
    assert now("lock", later_ns=400 * DAY).accepted


def test_an_artifact_that_is_not_there_is_named():
    left(task())
    (OUT / "md_cache/shadow_report.md").unlink()
    assert (now().state, now().why) == (State.NOT_ACCEPTED, "artifact md_cache/shadow_report.md is not there")


def test_the_record_names_command_code_and_inputs():
    left(task())
    record = json.loads(RECORD.read_bytes())
    assert record["command"] == "pytest -m shadow"
    assert record["code"] == CODE
    assert list(record["inputs"]) == [GATE]


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 s"),
        (119 * SECOND, "119 s"),
        (120 * SECOND, "2 min"),
        (2 * HOUR, "2.0 h"),
        (47 * HOUR, "47.0 h"),
        (2 * DAY, "2.0 d"),
        (-3 * HOUR, "3.0 h in the future"),
    ],
)
def test_an_age_is_told_in_its_unit(ns: int, text: str):
    assert age_text(ns) == text
