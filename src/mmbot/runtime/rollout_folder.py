"""A rollout's folder, and what a bot on the wall clock does about it.

    artifacts/edge/rollout/<plan>/
      audit.jsonl   every transition, a chain of hashes (`mmbot.audit`); the state is what it leads to
      heartbeat     a number that whoever judges the rollout moves every second

The bot looks at both twice a second and follows: a stage, a pause, a rollback that somebody records is in
force at the next tick. It fails to the baseline: without a heartbeat for a minute, with an audit log that was
altered or cannot be read, or with a plan that is not the one that was planned. A pause for want of a
heartbeat is recorded by the bot itself. When a course is in force the bot records that too; after a rollback
the record carries the hash of the configuration that it is back on.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmbot import audit
from mmbot.clock import wall_ns
from mmbot.errors import ConfigError, MmbotError
from mmbot.experiment.arms import BASELINE, Course, course_name
from mmbot.experiment.plan import Experiment
from mmbot.experiment.rollout import Action, State, Status, after, state_of
from mmbot.model.records import EventRow, Row
from mmbot.risk.kill_switch import DeadMan
from mmbot.runtime.heartbeat import Heartbeat
from mmbot.units import SECOND

ROLLOUTS = Path("edge/rollout")
"""Within the folder of artifacts."""
PATIENCE_S = 60.0


class RolloutFolder:
    """One rollout's files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "audit.jsonl"
        self._heartbeat = Heartbeat(path / "heartbeat")

    def state(self) -> State | None:
        """Where it stands; None where nothing was planned. Raises ConfigError for a log that was altered."""
        return _state(self.log)

    def plan(self, experiment: Experiment, now_ns: int, **facts: Any) -> State:
        """Record the plan, if it is not. Raises ConfigError where another plan of that name was."""
        return self.record(
            Action.PLANNED,
            now_ns,
            plan=experiment.plan.name,
            plan_hash=experiment.plan_hash,
            baseline_sha256=sorted(set(experiment.config_sha256[BASELINE].values())),
            **facts,
        )

    def record(self, action: Action, now_ns: int, **facts: Any) -> State:
        """Record what happened, if it is news; returns the state that it leads to. Raises ConfigError for
        what may not come now, and OutputError.
        """
        with audit.locked(self.log):
            state = _state(self.log)
            found = after(state, action, facts, now_ns)
            if found is None and action is not Action.IN_FORCE and state is not None:
                return state
            audit.append(self.log, action, facts, now_ns)
            moved = found or state
            if moved is None:
                raise ConfigError(f"{self.log}: nothing is planned")
            return moved

    def force_back(self, reason: str, by: str, now_ns: int) -> State | None:
        """The red button: record the rollback even where the log was altered; None then. A bot that finds it
        so is on the baseline already.
        """
        try:
            return self.record(Action.ROLLBACK, now_ns, reason=reason, by=by)
        except ConfigError as error:
            if audit.broken_line(self.log) is None:
                raise
            with audit.locked(self.log):
                audit.append(
                    self.log, Action.ROLLBACK, {"reason": reason, "by": by, "log": str(error)}, now_ns
                )
            return None

    def beat(self, number: int) -> None:
        """Whoever judges the rollout is alive. Raises OutputError."""
        self._heartbeat.beat(number)

    @property
    def heartbeat(self) -> int | None:
        return self._heartbeat.number


class Follower:
    """What one bot does about its rollout. `course`: what the bot was last told to follow."""

    def __init__(
        self,
        folder: RolloutFolder,
        experiment: Experiment,
        run_id: str,
        steady_ns: int,
        wall_ns: Callable[[], int] = wall_ns,
    ) -> None:
        """`steady_ns`: now, on the clock of every later look."""
        self.folder = folder
        self.experiment = experiment
        self._run_id = run_id
        self._wall_ns = wall_ns
        self._beat_ns = 0
        self._man = DeadMan(PATIENCE_S, steady_ns)
        self.course: Course = BASELINE
        self.course, _ = self._wanted(steady_ns)

    def check_evidence(self, data_kind: str) -> None:
        """At a real venue, what came before must not rest on a synthetic market. Raises ConfigError."""
        state = self.folder.state()
        if state is None or data_kind != "live":
            return
        weak = [stage for stage, kind in state.passed_on.items() if kind == "synthetic"]
        if weak:
            raise ConfigError(
                f"plan {state.plan}: stage {', '.join(weak)} passed on synthetic data, expected recorded or "
                "live data before a real venue"
            )

    def look(self, steady_ns: int) -> tuple[Course, str] | None:
        """Another course, and why; None while the bot follows the right one."""
        wanted, reason = self._wanted(steady_ns)
        if wanted == self.course:
            return None
        self.course = wanted
        return wanted, reason

    def rows(self, rows: Sequence[Row]) -> None:
        """Records that a course is in force. Raises ConfigError for a baseline that is another than planned,
        and OutputError.
        """
        for row in rows:
            if isinstance(row, EventRow) and row.kind == "course_in_force":
                self._in_force(row)

    def rolled_back(self, reason: str) -> None:
        """Somebody rolls this bot back: record it. Raises ConfigError and OutputError."""
        self.course = BASELINE
        self.folder.force_back(reason, self._run_id, self._wall_ns())

    def beat(self, steady_ns: int) -> None:
        """Whoever judges the rollout does it in this process: move the heartbeat, once a second. Raises
        OutputError.
        """
        if steady_ns - self._beat_ns >= SECOND:
            self._beat_ns = steady_ns
            self.folder.beat(steady_ns)

    def _wanted(self, steady_ns: int) -> tuple[Course, str]:
        """By the log, and by the heartbeat while the candidate may quote."""
        try:
            state = self.folder.state()
            if state is None:
                return BASELINE, "nothing is planned"
            self._check_plan(state)
            course = state.course(self.experiment.plan)
            reason = state.reason or state.status.value
            if course != BASELINE and not state.over:
                if self.course == BASELINE:  # patience begins with the candidate
                    self._man = DeadMan(PATIENCE_S, steady_ns)
                self._man.heard(self.folder.heartbeat, steady_ns)
                if self._man.dead(steady_ns):
                    return BASELINE, self._pause()
        except MmbotError as error:
            return BASELINE, str(error)
        return course, reason

    def _check_plan(self, state: State) -> None:
        if state.plan_hash != self.experiment.plan_hash:
            raise ConfigError(
                f"plan {state.plan}: its hash is {self.experiment.plan_hash}, expected {state.plan_hash}, "
                "as it was planned"
            )

    def _pause(self) -> str:
        reason = f"no heartbeat of whoever judges the rollout for more than {PATIENCE_S:g} s"
        self.folder.record(Action.PAUSED, self._wall_ns(), reason=reason, by=self._run_id)
        return reason

    def _in_force(self, row: EventRow) -> None:
        try:
            state = self.folder.state()
        except ConfigError:
            return  # altered: the baseline is in force, and nothing that is written now proves anything
        if state is None:
            return
        now_ns, detail = self._wall_ns(), row.detail
        if state.status is Status.ROLLED_BACK and detail["course"] == course_name(BASELINE):
            hashes = {str(value) for key, value in detail.items() if key.endswith(".config_sha256")}
            back_on = " and ".join(sorted(hashes))
            self.folder.record(Action.ROLLED_BACK, now_ns, config_sha256=back_on, by=self._run_id)
        self.folder.record(Action.IN_FORCE, now_ns, run_id=self._run_id, ts_of_run_ns=row.ts_ns, **detail)


def _state(log: Path) -> State | None:
    records = audit.records(log)
    try:
        return state_of(records)
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"{log}: holds a record that no rollout has: {error!r}") from error
