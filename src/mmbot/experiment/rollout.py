"""Where a rollout stands: a state that follows from the records of its audit log, and what may come next.

    planned -> replay -> 10 -> 50 -> 100 -> accepted
    from any of them: rejected, rolled_back; from a stage: paused, and from there the stage again

A record that says what is so already changes nothing and is not written, so whoever was killed does the same
again. One that may not come next is refused.

| action | what it says |
|---|---|
| `planned` | the plan, its hash, and the hashes of the baseline; the first record |
| `rehearsed` | the way back was walked on the paper exchange: no live stage begins before |
| `begun` | a stage; its blocks count from the moment of this record |
| `passed` | the stage that runs: the next may begin |
| `paused`, `resumed` | the baseline quotes until it is resumed; then the stage begins anew |
| `rollback` | the candidate has to go. Final: another try needs another plan |
| `rolled_back` | a bot is back on the baseline, with the hash to prove it |
| `accepted`, `rejected` | how it ended |
| `in_force` | a bot follows; changes nothing |

Decided: a pause is a choice of ours and may depend on how the candidate did, so what it cut through cannot be
compared; hence the stage begins anew. Accepted, the candidate quotes alone.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from mmbot.errors import ConfigError
from mmbot.experiment.arms import BASELINE, Course
from mmbot.experiment.plan import Plan, Stage
from mmbot.experiment.switchback import Schedule


class Status(StrEnum):
    PLANNED = "planned"
    REPLAY = "replay"
    TEN = "10"
    FIFTY = "50"
    HUNDRED = "100"
    PAUSED = "paused"
    ROLLED_BACK = "rolled_back"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Action(StrEnum):
    PLANNED = "planned"
    REHEARSED = "rehearsed"
    BEGUN = "begun"
    PASSED = "passed"
    PAUSED = "paused"
    RESUMED = "resumed"
    ROLLBACK = "rollback"
    ROLLED_BACK = "rolled_back"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    IN_FORCE = "in_force"


_STAGES = tuple(Stage)
_FINAL = (Status.ROLLED_BACK, Status.ACCEPTED, Status.REJECTED)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """`baseline_sha256`: of the baseline's configuration, on each scenario of the plan. `stage`: the one
    begun last, at `began_ns`; `passed`: whether it was. `returned`: after a rollback, the
    hash of the configuration that a bot is proven to be back on.
    """

    plan: str
    plan_hash: str
    baseline_sha256: list[str]
    status: Status = Status.PLANNED
    stage: Stage | None = None
    began_ns: int = 0
    passed: bool = False
    rehearsed: bool = False
    reason: str = ""
    returned: str | None = None
    passed_on: dict[str, str] = {}
    """Stage -> kind of the data that it passed on, where that is known."""

    @property
    def over(self) -> bool:
        return self.status in _FINAL

    def course(self, plan: Plan) -> Course:
        """Who quotes."""
        if self.status is Status.ACCEPTED:
            return "B"
        if self.stage is None or self.status in (Status.PLANNED, Status.REPLAY, Status.PAUSED, *_FINAL):
            return BASELINE
        return Schedule(plan, self.stage, self.began_ns)


def state_of(records: Iterable[Mapping[str, Any]]) -> State | None:
    """Where the records lead; None without any. Raises ConfigError for one that could not come next."""
    state = None
    for record in records:
        state = after(state, Action(record["action"]), record, record["ts_ns"]) or state
    return state


def after(state: State | None, action: Action, facts: Mapping[str, Any], now_ns: int) -> State | None:
    """The state that an action leads to; None if it says what is so already. Raises ConfigError for an action
    that may not come now.
    """
    if state is None:
        if action is not Action.PLANNED:
            raise ConfigError(f"nothing is planned: expected no {action}")
        return State(
            plan=facts["plan"],
            plan_hash=facts["plan_hash"],
            baseline_sha256=list(facts["baseline_sha256"]),
        )
    return _MOVES[action](state, facts, now_ns)


def _planned(state: State, facts: Mapping[str, Any], _: int) -> State | None:
    if facts["plan_hash"] == state.plan_hash:
        return None
    raise ConfigError(
        f"plan {state.plan}: its hash was {facts['plan_hash']}, expected {state.plan_hash}: it was edited "
        "after it was planned; restore it, or plan under another name"
    )


def _rehearsed(state: State, _: Mapping[str, Any], __: int) -> State | None:
    _check_going(state, Action.REHEARSED)
    return None if state.rehearsed else msgspec.structs.replace(state, rehearsed=True)


def _begun(state: State, facts: Mapping[str, Any], now_ns: int) -> State | None:
    """The next stage; the one that runs goes on."""
    _check_going(state, Action.BEGUN)
    stage = Stage(facts["stage"])
    if state.status is Status.PAUSED:
        raise _wrong(state, Action.BEGUN, "no pause: `mmbot rollout resume` ends it")
    if stage is state.stage:
        return None
    place = 0 if state.stage is None else _STAGES.index(state.stage) + state.passed
    if place >= len(_STAGES) or stage is not _STAGES[place]:
        due = _STAGES[place] if place < len(_STAGES) else "its acceptance"
        raise ConfigError(f"plan {state.plan}: stage was {stage}, expected {due}, which comes first")
    if stage is not Stage.REPLAY and not state.rehearsed:
        raise _wrong(state, Action.BEGUN, "the rollback to have been rehearsed on the paper exchange")
    return msgspec.structs.replace(
        state, status=Status(stage.value), stage=stage, began_ns=now_ns, passed=False, reason=""
    )


def _passed(state: State, facts: Mapping[str, Any], _: int) -> State | None:
    _check_going(state, Action.PASSED)
    if state.stage is None or state.status is Status.PAUSED or facts["stage"] != state.stage:
        raise _wrong(state, Action.PASSED, f"stage {facts['stage']} to run")
    if state.passed:
        return None
    kinds = {**state.passed_on, facts["stage"]: str(facts.get("data_kind", ""))}
    return msgspec.structs.replace(state, passed=True, passed_on=kinds)


def _paused(state: State, facts: Mapping[str, Any], _: int) -> State | None:
    _check_going(state, Action.PAUSED)
    if state.stage is None:
        raise _wrong(state, Action.PAUSED, "a stage that runs")
    if state.status is Status.PAUSED:
        return None
    return msgspec.structs.replace(state, status=Status.PAUSED, reason=_reason(facts))


def _resumed(state: State, _: Mapping[str, Any], now_ns: int) -> State | None:
    _check_going(state, Action.RESUMED)
    if state.stage is None:
        raise _wrong(state, Action.RESUMED, "a pause")
    if state.status is not Status.PAUSED:
        return None
    status = Status(state.stage.value)
    return msgspec.structs.replace(state, status=status, began_ns=now_ns, passed=False, reason="")


def _rollback(state: State, facts: Mapping[str, Any], _: int) -> State | None:
    """From everywhere that the candidate may quote, or might come to."""
    if state.status is Status.ROLLED_BACK:
        return None
    if state.status is Status.REJECTED:
        raise _wrong(state, Action.ROLLBACK, "a candidate that may quote")
    return msgspec.structs.replace(state, status=Status.ROLLED_BACK, reason=_reason(facts))


def _rolled_back(state: State, facts: Mapping[str, Any], _: int) -> State | None:
    """Only after a rollback, and only on the baseline; None of a hash: no bot ran."""
    found = facts["config_sha256"]
    if state.status is not Status.ROLLED_BACK:
        raise _wrong(state, Action.ROLLED_BACK, "a rollback")
    if found not in (*state.baseline_sha256, None):
        baseline = " or ".join(state.baseline_sha256)
        raise ConfigError(f"plan {state.plan}: rolled back to {found}, expected the baseline, {baseline}")
    return None if state.returned == found else msgspec.structs.replace(state, returned=found)


def _accepted(state: State, _: Mapping[str, Any], __: int) -> State | None:
    if state.status is Status.ACCEPTED:
        return None
    _check_going(state, Action.ACCEPTED)
    if state.stage is not Stage.HUNDRED or not state.passed or state.status is Status.PAUSED:
        raise _wrong(state, Action.ACCEPTED, "stage 100 to have passed")
    return msgspec.structs.replace(state, status=Status.ACCEPTED)


def _rejected(state: State, facts: Mapping[str, Any], _: int) -> State | None:
    """A candidate whose harm was seen while it traded was rolled back for it: that is over, too."""
    if state.status in (Status.REJECTED, Status.ROLLED_BACK):
        return None
    _check_going(state, Action.REJECTED)
    return msgspec.structs.replace(state, status=Status.REJECTED, reason=_reason(facts))


_MOVES: Mapping[Action, Callable[[State, Mapping[str, Any], int], State | None]] = {
    Action.PLANNED: _planned,
    Action.REHEARSED: _rehearsed,
    Action.BEGUN: _begun,
    Action.PASSED: _passed,
    Action.PAUSED: _paused,
    Action.RESUMED: _resumed,
    Action.ROLLBACK: _rollback,
    Action.ROLLED_BACK: _rolled_back,
    Action.ACCEPTED: _accepted,
    Action.REJECTED: _rejected,
    Action.IN_FORCE: lambda *_: None,
}


def _check_going(state: State, action: Action) -> None:
    if state.over:
        raise _wrong(state, action, "a rollout that is not over")


def _reason(facts: Mapping[str, Any]) -> str:
    return str(facts.get("reason", ""))


def _wrong(state: State, action: Action, expected: str) -> ConfigError:
    return ConfigError(f"plan {state.plan}: {action}: its status was {state.status}, expected {expected}")
