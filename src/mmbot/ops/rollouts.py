"""Which running bots follow a rollout, whether they are back on the baseline, and what is recorded of it.

A bot says which rollout it follows in its status file, and in the rollout's audit log which course is in
force. One that ends meanwhile is on no configuration any more.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmbot import audit
from mmbot.clock import Stopwatch, pause, stopwatch, wall_ns
from mmbot.errors import ConfigError
from mmbot.experiment.plan import Stage, load_experiment
from mmbot.experiment.rollout import Action, State
from mmbot.runtime.rollout_folder import RolloutFolder
from mmbot.runtime.running import Status, read_status
from mmbot.units import SECOND

_POLL_S = 0.05
_BY = "pytest -m ab"


def record(
    path: Path,
    scenarios: Path,
    rollouts: Path,
    action: str,
    stage: Stage,
    *,
    live: bool,
    known: Mapping[str, Any],
) -> State:
    """What a session that judges a stage knows of it: `begun`, `passed`, `rejected` or `rollback`. A stage
    that runs already begins anew: whoever judged it before has ended. Raises ConfigError and OutputError.
    """
    experiment = load_experiment(path, scenarios, live=live)
    folder = RolloutFolder(rollouts / experiment.plan.name)
    asked, now_ns = Action(action), wall_ns()
    state = folder.plan(experiment, now_ns)
    if asked is Action.BEGUN:
        return _begun(folder, state, stage, known)
    if stage is Stage.REPLAY:
        if state.stage not in (None, Stage.REPLAY) or state.over:
            return state  # played again while a later stage is under way, or when all is over
        folder.record(Action.BEGUN, now_ns, stage=stage, by=_BY)
    state = folder.record(asked, now_ns, stage=stage, by=_BY, **known)
    if asked is Action.PASSED and stage is Stage.HUNDRED:
        state = folder.record(Action.ACCEPTED, now_ns, by=_BY)
    return state


def _begun(folder: RolloutFolder, state: State, stage: Stage, known: Mapping[str, Any]) -> State:
    if state.status.value == stage.value:
        folder.record(Action.PAUSED, wall_ns(), reason="whoever judged it has ended", by=_BY)
        return folder.record(Action.RESUMED, wall_ns(), by=_BY, **known)
    return folder.record(Action.BEGUN, wall_ns(), stage=stage, by=_BY, **known)


def followers(running: Path, rollout: Path) -> list[Status]:
    """Living bots of this machine that follow it. A status file that cannot be read may be such a bot: raises
    ConfigError.
    """
    found = [read_status(path) for path in sorted(running.glob("*.json"))]
    wanted = str(rollout.resolve())
    return [one for one in found if one is not None and one.rollout == wanted and one.alive]


def wait_for(
    folder: RolloutFolder,
    bots: Sequence[Status],
    wait_s: float,
    stopwatch: Stopwatch = stopwatch,
    pause: Callable[[float], None] = pause,
) -> list[Status]:
    """Wait until each is back on the baseline, as it says in the log, or has ended; returns those that are
    not in time.
    """
    give_up_ns = stopwatch() + round(wait_s * SECOND)
    while True:
        back = _back(folder)
        late = [bot for bot in bots if bot.run_id not in back and bot.alive]
        if not late or stopwatch() >= give_up_ns:
            return late
        pause(_POLL_S)


def _back(folder: RolloutFolder) -> set[str]:
    """Bots whose last word is that the baseline is in force, after the rollback."""
    found: set[str] = set()
    rolled = False
    for record in _records(folder):
        rolled = rolled or record["action"] == Action.ROLLBACK
        if rolled and record.get("course") == "baseline":
            found.add(record["run_id"])
    return found


def _records(folder: RolloutFolder) -> list[dict[str, str]]:
    try:
        return audit.records(folder.log)
    except ConfigError:
        return []
