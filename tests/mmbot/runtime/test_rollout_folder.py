"""A rollout's folder, and the bot that follows it: on a virtual clock, with real files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.mmbot.builders import shipped_settings
from tests.mmbot.experiment.plans import plan

from mmbot import audit
from mmbot.errors import ConfigError
from mmbot.experiment.plan import Arm, Experiment, Stage
from mmbot.experiment.rollout import Action, Status
from mmbot.experiment.switchback import Schedule
from mmbot.model.records import EventRow
from mmbot.runtime.rollout_folder import Follower, RolloutFolder
from mmbot.units import SECOND

SETTINGS: Mapping[Arm, Any] = {"A": shipped_settings(), "B": shipped_settings(spread={"base_bps": 5.0})}
BASELINE_SHA256 = SETTINGS["A"].sha256()


def experiment(**changes: Any) -> Experiment:
    return Experiment(plan(**changes), SETTINGS, {"A": {"two": BASELINE_SHA256}}, "")


@pytest.fixture
def folder(tmp_path: Path) -> RolloutFolder:
    """At 10 %, with somebody who judges."""
    folder = RolloutFolder(tmp_path / "wider")
    folder.plan(experiment(), 1)
    folder.record(Action.REHEARSED, 2)
    folder.record(Action.BEGUN, 3, stage="replay")
    folder.record(Action.PASSED, 4, stage="replay")
    folder.record(Action.BEGUN, 5, stage="10")
    folder.beat(1)
    return folder


def follower(folder: RolloutFolder, now_s: float = 0.0) -> Follower:
    return Follower(folder, experiment(), "run-1", round(now_s * SECOND), lambda: 1_000)


def in_force(course: str, sha256: str = BASELINE_SHA256) -> EventRow:
    detail: dict[str, Any] = {"course": course, "waited_ms": 120.0, "majors.config_sha256": sha256}
    return EventRow(7, None, "course_in_force", detail)


def test_a_bot_begins_in_the_stage_that_the_log_says(folder: RolloutFolder, tmp_path: Path):
    assert follower(folder).course == Schedule(plan(), Stage.TEN, 5)
    assert follower(RolloutFolder(tmp_path / "other")).course == "A"


def test_what_is_said_twice_is_written_once(folder: RolloutFolder):
    before = folder.log.read_bytes()
    folder.plan(experiment(), 9)
    folder.record(Action.BEGUN, 9, stage="10")
    assert folder.log.read_bytes() == before


def test_a_bot_follows_pause_resume_and_rollback(folder: RolloutFolder):
    bot = follower(folder)
    assert bot.look(SECOND) is None
    folder.record(Action.PAUSED, 6, reason="by hand")
    assert bot.look(2 * SECOND) == ("A", "by hand")
    assert bot.look(3 * SECOND) is None
    folder.record(Action.RESUMED, 9)
    assert bot.look(4 * SECOND) == (Schedule(plan(), Stage.TEN, 9), "10")
    folder.record(Action.ROLLBACK, 10, reason="takers")
    assert bot.look(5 * SECOND) == ("A", "takers")


def test_a_heartbeat_that_stops_for_a_minute_pauses_the_rollout(folder: RolloutFolder):
    bot = follower(folder)
    for second in range(100):
        folder.beat(second)
        assert bot.look(second * SECOND) is None
    assert bot.look(159 * SECOND) is None
    reason = "no heartbeat of whoever judges the rollout for more than 60 s"
    assert bot.look(159 * SECOND + 1) == ("A", reason)
    record = audit.records(folder.log)[-1]
    assert (record["action"], record["by"], record["reason"]) == ("paused", "run-1", reason)
    folder.beat(1_000)
    assert bot.look(161 * SECOND) is None, "only somebody who says so resumes"
    folder.record(Action.RESUMED, 9)
    assert bot.look(500 * SECOND) is not None
    assert bot.look(560 * SECOND) is None, "patience begins anew"
    assert bot.look(561 * SECOND) == ("A", reason)


def test_without_a_candidate_nobody_has_to_judge(folder: RolloutFolder):
    folder.record(Action.PAUSED, 6, reason="by hand")
    assert follower(folder).look(3_600 * SECOND) is None


def test_an_altered_log_is_the_baseline_and_stops_no_red_button(folder: RolloutFolder):
    bot = follower(folder)
    folder.log.write_bytes(folder.log.read_bytes().replace(b'"stage":"replay"', b'"stage":"xeplay"', 1))
    course, reason = bot.look(SECOND) or ("", "")
    assert course == "A"
    assert "audit.jsonl:3: the audit log was altered" in reason
    with pytest.raises(ConfigError, match="altered"):
        folder.record(Action.ROLLBACK, 6, reason="takers")
    assert folder.force_back("takers", "me", 6) is None
    assert b'"action":"rollback"' in folder.log.read_bytes().splitlines()[-1]


def test_a_record_of_another_kind_is_an_error_of_the_log(folder: RolloutFolder):
    audit.append(folder.log, "lunch", {}, 9)
    with pytest.raises(ConfigError, match="holds a record that no rollout has"):
        folder.state()


def test_another_plan_than_planned_is_the_baseline(folder: RolloutFolder):
    bot = Follower(folder, experiment(seed=2), "run-1", 0)
    assert bot.course == "A"
    with pytest.raises(ConfigError, match="edited after it was planned"):
        folder.plan(experiment(seed=2), 9)


def test_a_bot_that_is_back_on_the_baseline_proves_it(folder: RolloutFolder):
    bot = follower(folder)
    bot.rows([in_force("10")])
    assert audit.records(folder.log)[-1]["action"] == "in_force"
    folder.force_back("takers", "me", 6)
    bot.rows([in_force("baseline")])
    state = folder.state()
    assert state is not None
    assert (state.status, state.returned) == (Status.ROLLED_BACK, BASELINE_SHA256)
    assert audit.records(folder.log)[-1]["waited_ms"] == 120.0


def test_back_on_something_else_is_an_error(folder: RolloutFolder):
    bot = follower(folder)
    folder.force_back("takers", "me", 6)
    with pytest.raises(ConfigError, match="expected the baseline"):
        bot.rows([in_force("baseline", "0" * 64)])


def test_a_real_venue_asks_for_more_than_a_synthetic_market(folder: RolloutFolder):
    follower(folder).check_evidence("live")
    folder.record(Action.PASSED, 6, stage="10", data_kind="synthetic")
    follower(folder).check_evidence("synthetic")
    with pytest.raises(ConfigError, match="stage 10 passed on synthetic data, expected recorded or live"):
        follower(folder).check_evidence("live")


def test_a_log_that_was_torn_goes_on(folder: RolloutFolder):
    content = folder.log.read_bytes()
    folder.log.write_bytes(content + b'{"ts_ns":6,"action":"rollb')
    assert follower(folder).course == Schedule(plan(), Stage.TEN, 5)
    folder.record(Action.PAUSED, 7, reason="by hand")
    assert audit.broken_line(folder.log) is None
