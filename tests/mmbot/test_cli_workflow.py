"""`mmbot status`, `next` and `all` from the command line: what they say, refuse and exit with."""

import json
import shutil
from pathlib import Path

import pytest
from tests.mmbot.builders import REPO, Command
from tests.mmbot.ops.steps_left import CODE, OUT, all_left, left

from mmbot.clock import wall_ns
from mmbot.ops.workflow import TASKS, task_named
from mmbot.runtime import provenance


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CODE, "source_sha256", provenance.source_sha256())


def test_status_of_nothing_is_not_complete(mmbot: Command):
    code, out, _ = mmbot("status", "--json")
    assert code == 1
    assert json.loads(out)["next"] == "prep"
    assert (OUT / "reports/FINISH_LINE_REPORT.md").is_file()


def test_status_of_seven_accepted_steps_is_zero(mmbot: Command):
    all_left(ended_ns=wall_ns(), data_kind="synthetic")
    code, out, _ = mmbot("status")
    assert code == 0
    rows = [line for line in out.splitlines() if "accepted" in line]
    assert len(rows) == len(TASKS)
    assert all("SYNTHETIC" in row for row in rows)


def test_a_file_that_cannot_be_believed_is_two(mmbot: Command):
    all_left(ended_ns=wall_ns())
    (OUT / "verdicts/soak.json").write_text("{}")
    assert mmbot("status")[0] == 2
    assert mmbot("status", "--json")[0] == 2


def test_next_refuses_a_step_whose_step_before_is_not_accepted(mmbot: Command):
    code, out, err = mmbot("next", "--step", "soak")
    assert (code, out) == (2, "")
    assert err == "mmbot: soak: prep is not run, expected accepted before it\n"
    prep = task_named("prep")
    assert prep is not None
    left(prep, ended_ns=wall_ns())
    assert "soak: shadow is not run" in mmbot("next", "--step", "soak")[2]
    assert "--step: was 'soap', expected one of prep, shadow," in mmbot("next", "--step", "soap")[2]


def test_next_of_a_release_that_is_complete_runs_nothing(mmbot: Command):
    all_left(ended_ns=wall_ns())
    assert mmbot("next") == (0, "all seven steps are accepted\n", "")


def test_next_is_a_session_of_pytest_with_the_words_it_prints(mmbot: Command):
    scenarios = Path("scenarios")
    scenarios.mkdir()
    shutil.copy(REPO / "scenarios/demo-14d.yaml", scenarios)
    (scenarios / "test_it.py").write_text("def test_it(): assert True")
    Path("pytest.ini").write_text("[pytest]\n")
    code, out, _ = mmbot("next", "--scenario", "demo-14d", "--", "--collect-only", "-q")
    words = "-m prep scenarios --mmgates-out=artifacts --mmgates-scenario demo-14d --collect-only -q"
    assert out == f"pytest {words}\n"
    assert code == 5


def test_all_is_of_the_virtual_clock_and_of_a_scenario_that_is_there(mmbot: Command):
    assert "all: expected --virtual" in mmbot("all")[2]
    code, _, err = mmbot("all", "--virtual", "--scenario", "none")
    assert code == 2
    assert "no such scenario" in err
