"""The rollout's state: what may come next, what changes nothing, and where records lead."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.experiment.plans import plan

from mmbot.errors import ConfigError
from mmbot.experiment.plan import Stage
from mmbot.experiment.rollout import Action, State, Status, after, state_of
from mmbot.experiment.switchback import Schedule

PLANNED = {"plan": "wider", "plan_hash": "p", "baseline_sha256": ["a"]}
WAY = [
    (Action.PLANNED, PLANNED),
    (Action.BEGUN, {"stage": "replay"}),
    (Action.PASSED, {"stage": "replay"}),
    (Action.REHEARSED, {}),
    (Action.BEGUN, {"stage": "10"}),
    (Action.PASSED, {"stage": "10"}),
    (Action.BEGUN, {"stage": "50"}),
    (Action.PASSED, {"stage": "50"}),
    (Action.BEGUN, {"stage": "100"}),
    (Action.PASSED, {"stage": "100"}),
    (Action.ACCEPTED, {}),
]


def state_at(steps: int, *more: tuple[Action, dict[str, Any]]) -> State:
    way = [*WAY[:steps], *more]
    found = state_of(
        {"action": action, "ts_ns": number, **facts} for number, (action, facts) in enumerate(way)
    )
    assert found is not None
    return found


def test_the_whole_way():
    statuses = [state_at(count).status.value for count in range(1, len(WAY) + 1)]
    assert statuses == ["planned", *["replay"] * 3, *["10"] * 2, *["50"] * 2, *["100"] * 2, "accepted"]
    assert state_of([]) is None


@pytest.mark.parametrize("at", range(1, len(WAY)))
def test_no_step_may_be_left_out_but_the_first_that_is_allowed_again(at: int):
    for later in range(at + 1, len(WAY)):
        action, facts = WAY[later]
        if action is Action.REHEARSED:
            continue
        with pytest.raises(ConfigError, match="expected"):
            after(state_at(at), action, facts, 99)


@pytest.mark.parametrize("at", range(1, len(WAY) + 1))
def test_what_is_so_already_changes_nothing(at: int):
    action, facts = WAY[at - 1]
    assert after(state_at(at), action, facts, 99) is None


def test_who_quotes():
    one = plan()
    assert [state_at(at).course(one) for at in (1, 2, 4)] == ["A"] * 3
    assert state_at(7).course(one) == Schedule(one, Stage.FIFTY, 6)
    assert state_at(11).course(one) == "B"


def test_a_pause_is_on_the_baseline_and_the_stage_begins_anew():
    paused = state_at(8, (Action.PAUSED, {"reason": "no data"}))
    assert (paused.status, paused.reason, paused.course(plan())) == (Status.PAUSED, "no data", "A")
    again = after(paused, Action.RESUMED, {}, 77)
    assert again is not None
    assert (again.status, again.stage, again.passed) == (Status.FIFTY, Stage.FIFTY, False)
    assert again.course(plan()) == Schedule(plan(), Stage.FIFTY, 77)
    with pytest.raises(ConfigError, match="expected no pause"):
        after(paused, Action.BEGUN, {"stage": "100"}, 77)


@pytest.mark.parametrize("at", range(1, len(WAY) + 1))
def test_a_rollback_is_possible_from_everywhere_and_final(at: int):
    back = state_at(at, (Action.ROLLBACK, {"reason": "takers"}))
    assert (back.status, back.reason, back.course(plan()), back.returned) == (
        "rolled_back",
        "takers",
        "A",
        None,
    )
    for action, facts in WAY[1:]:
        with pytest.raises(ConfigError, match="expected a rollout that is not over"):
            after(back, action, facts, 99)
    assert after(back, Action.REJECTED, {"reason": "harm"}, 99) is None
    proven = after(back, Action.ROLLED_BACK, {"config_sha256": "a"}, 99)
    assert proven is not None
    assert proven.returned == "a"
    assert after(proven, Action.ROLLED_BACK, {"config_sha256": "a"}, 100) is None


def test_a_rollback_to_anything_but_the_baseline_is_none():
    with pytest.raises(ConfigError, match="rolled back to b, expected the baseline, a"):
        after(state_at(5, (Action.ROLLBACK, {})), Action.ROLLED_BACK, {"config_sha256": "b"}, 9)
    with pytest.raises(ConfigError, match="expected a rollback"):
        after(state_at(5), Action.ROLLED_BACK, {"config_sha256": "a"}, 9)


def test_an_edited_plan_is_another_plan():
    with pytest.raises(ConfigError, match="it was edited after it was planned"):
        after(state_at(5), Action.PLANNED, PLANNED | {"plan_hash": "q"}, 9)


def test_before_the_plan_there_is_nothing():
    with pytest.raises(ConfigError, match="nothing is planned: expected no begun"):
        after(None, Action.BEGUN, {"stage": "replay"}, 9)


_FACTS = st.fixed_dictionaries(
    {"stage": st.sampled_from(list(Stage)), "config_sha256": st.just("a"), "reason": st.just("r")}
)


@given(st.lists(st.tuples(st.sampled_from(list(Action)), _FACTS), max_size=25))
def test_whatever_is_tried_the_records_that_were_taken_lead_to_the_same_state(tries):
    taken: list[dict[str, Any]] = []
    state = None
    for number, (action, facts) in enumerate([(Action.PLANNED, {}), *tries]):
        record = {"action": action, "ts_ns": number, **PLANNED, **facts}
        try:
            found = after(state, action, record, number)
        except ConfigError:
            continue
        if found is not None:
            state = found
            taken.append(record)
        assert state_of(taken) == state
        assert state is not None
        if state.status in (Status.TEN, Status.FIFTY, Status.HUNDRED):
            assert state.rehearsed
