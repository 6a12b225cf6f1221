"""The finish line: written from records, complete only while all seven are accepted."""

from pathlib import Path

import pytest
from tests.mmbot.ops.steps_left import CODE, GATE, NOW_NS, OUT, all_left, left

from mmbot.ops import finish_line
from mmbot.ops.finish_line import Release
from mmbot.ops.workflow import TASKS, WORKFLOW, task_named
from mmbot.runtime import provenance

REPORT, COMPLETE = (OUT / "reports" / name for name in (finish_line.REPORT, finish_line.COMPLETE))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(CODE, "source_sha256", provenance.source_sha256())


def written(now_ns: int = NOW_NS) -> Release:
    release = finish_line.look(OUT, now_ns)
    finish_line.write(release)
    return release


def test_of_nothing_the_first_step_is_next():
    release = written()
    assert release.next is not None
    assert release.next.task.name == "prep"
    assert [release.action(one) for one in release.standings[:2]] == ["mmbot next", "after prep"]
    assert REPORT.read_text().startswith("# Finish line: not complete: prep is not run\n")
    assert not COMPLETE.exists()


def test_seven_accepted_steps_are_complete_and_the_next_one_that_is_not_takes_it_back():
    all_left()
    release = written()
    assert (release.complete, release.releasable) == (True, True)
    assert COMPLETE.read_text().startswith("# Finish line: complete\n")
    assert "SYNTHETIC" not in COMPLETE.read_text() + REPORT.read_text()
    assert REPORT.read_text().count("- [x] Step") == len(WORKFLOW) == 7
    Path(GATE).write_text("gate: other\n", encoding="utf-8")
    release = written()
    assert (release.complete, release.releasable) == (False, False)
    assert not COMPLETE.exists()
    assert "gates/shadow.yaml has changed since" in REPORT.read_text()


def test_on_a_generated_market_it_is_complete_and_releases_nothing():
    all_left(data_kind="synthetic")
    release = written()
    assert (release.complete, release.releasable) == (True, False)
    assert COMPLETE.read_text().startswith(
        "# Finish line: complete on SYNTHETIC data: this releases nothing\n"
    )
    for text in (COMPLETE.read_text(), REPORT.read_text()):
        rows = [line for line in text.splitlines() if line.startswith("| ") and ".json" in line]
        assert len(rows) == len(TASKS)
        assert all("SYNTHETIC" in line for line in rows)


def test_an_ab_is_accepted_with_all_of_its_stages():
    all_left()
    stage = task_named("ab.50")
    assert stage is not None
    left(stage, verdict="FAIL", reason="harm")
    release = written()
    assert [one.task.name for one in release.standings if not one.accepted] == ["ab.50"]
    assert "- [ ] Step 5: A/B, in stages" in REPORT.read_text()
    lock = task_named("lock")
    assert lock is not None
    before = release.before(lock)
    assert before is not None
    assert before.task is stage


def test_what_a_step_found_is_told_rule_by_rule():
    shadow = task_named("shadow")
    assert shadow is not None
    rules = [
        {
            "rule": "fetch_md.p95 <= 35ms",
            "label": "PASS",
            "value": 0.0123456789,
            "unit": "ms",
            "reason": None,
        },
        {"rule": "net_bps >= 0", "label": "NO_DATA", "value": None, "unit": "bps", "reason": "no fills"},
    ]
    left(shadow, rules=rules)
    written()
    text = REPORT.read_text()
    assert "- fetch_md.p95 <= 35ms: PASS, 0.0123457ms\n- net_bps >= 0: NO_DATA, no fills\n" in text


def test_the_document_says_the_same_as_the_table():
    all_left(data_kind="synthetic")
    Path(OUT / "verdicts/soak.json").unlink()
    found = finish_line.document(written())
    assert (found["complete"], found["releasable"], found["synthetic"], found["next"]) == (
        False,
        False,
        True,
        "soak",
    )
    tasks = {task["task"]: task for step in found["steps"] for task in step["tasks"]}
    assert list(tasks) == [task.name for task in TASKS]
    assert tasks["soak"]["state"] == "not believed"
    assert tasks["soak"]["next_action"] == "mmbot next"
    assert tasks["dataset"]["next_action"] is None
    assert tasks["prep"]["next_action"] is None
    assert tasks["shadow"]["label"] == "PASS (SYNTHETIC)"
    assert [step["number"] for step in found["steps"]] == [1, 2, 3, 4, 5, 6, 7]
