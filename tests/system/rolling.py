"""A rollout on the paper exchange: a plan in a desk's folder, somebody who judges it, and who has orders."""

import contextlib
import datetime as dt
import re
import shutil
import sys
from asyncio.subprocess import Process
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from tests.mmbot.builders import REPO
from tests.mmbot.experiment.plans import written
from tests.system.live import KEY, PLACE, SYMBOL, Desk, WatchedExchange

from mmbot import audit
from mmbot.clock import wall_ns
from mmbot.experiment.plan import Experiment, load_experiment
from mmbot.experiment.rollout import Action, State
from mmbot.model.orders import arm_of
from mmbot.runtime.rollout_folder import ROLLOUTS, RolloutFolder
from mmbot.units import MS, SECOND

_BEAT_EVERY_NS = 200 * MS
PLAN = Path("experiments/wider.yaml")
LONG = {"block": "10m", "washout": "1m", "seed": 1}
"""Blocks that outlast a test; at 50 % the first is the candidate's."""
CANDIDATE = "spread: {base_bps: 4.5}\npipeline: {deadline_ms: 0.00001}\n"
"""It misses every deadline, which only a judge minds."""
INI = """\
[pytest]
mmgates_sut = mmbot.sut:open_run
mmgates_experiment = mmbot.sut:open_experiment
mmgates_rollout = mmbot.sut:record_rollout
"""


class Rolling:
    """A desk whose bot follows a rollout."""

    def __init__(self, desk: Desk, **changes: Any) -> None:
        self.desk = desk
        self.both: list[set[str]] = []
        """Arms that had orders on the symbol at one moment, where there were two."""
        self.arms: set[str] = set()
        """Arms that have orders there now."""
        self.last_ns = {"A": 0, "B": 0}
        """When each was last seen with one, and with one new."""
        self.newest_ns = {"A": 0, "B": 0}
        self.looks = 0
        """How often the exchange moved."""
        self._known: set[str] = set()
        self._judging = False
        self._beat_ns = 0
        folder = desk.folder
        (folder / "experiments").mkdir()
        (folder / "experiments/wider.b.yaml").write_text(CANDIDATE)
        (folder / "gates").mkdir()
        for gate in ("ab.yaml", "gates/ab.yaml"):
            (folder / gate).write_text("gate: ab\n")
        facts: dict[str, Any] = {
            "scenario": "demo",
            "live": "paper",
            "config": ["config.yaml", "quick.yaml"],
            "arms": {"A": [], "B": ["experiments/wider.b.yaml"]},
            "clusters": {"synth": [SYMBOL]},
            "block": "2s",
            "washout": "0.5s",
        }
        (folder / PLAN).write_bytes(msgspec.json.encode(written(**facts | changes)))
        with contextlib.chdir(folder):
            self.experiment: Experiment = load_experiment(PLAN, Path("scenarios"), live=True)
        self.folder = RolloutFolder(folder / "artifacts" / ROLLOUTS / "wider")
        exchange = desk.exchange
        assert isinstance(exchange, WatchedExchange)
        exchange.seen = self._look

    async def judge(self, gate: str) -> Process:
        """A session that trades and judges the stage 50, under this gate."""
        folder = self.desk.folder
        (folder / "gates/ab.yaml").write_text(gate)
        with contextlib.chdir(folder):
            self.experiment = load_experiment(PLAN, Path("scenarios"), live=True)
        self.begin("replay", "10")
        self.folder.record(Action.PASSED, wall_ns(), stage="10")
        (folder / "pytest.ini").write_text(INI)
        shutil.copy(REPO / "scenarios/test_5_ab.py", folder / "test_ab.py")
        where = ["--mmgates-live", "paper", f"--mmgates-host=http://127.0.0.1:{self.desk.port}"]
        words = ["-m", "ab", "--mmgates-rollout", "50", *where, "--mmgates-duration=60s", "-q", "-s"]
        return await self.desk.started(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words)

    def violated_ns(self, said: str) -> int:
        """When the rule was found broken, by the run's clock."""
        [at] = set(re.findall(r"at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)", said))
        return round(dt.datetime.fromisoformat(at).timestamp()) * SECOND

    def _look(self) -> None:
        self.looks += 1
        orders = self.desk.exchange.members[KEY].account.desks[PLACE].open.values()
        now_ns = wall_ns()
        self.arms = {arm_of(order.link_id) for order in orders}
        for order in orders:
            arm = arm_of(order.link_id)
            self.last_ns[arm] = now_ns
            if order.link_id not in self._known:
                self._known.add(order.link_id)
                self.newest_ns[arm] = now_ns
        if self._judging and now_ns - self._beat_ns > _BEAT_EVERY_NS:
            self._beat_ns = now_ns
            self.folder.beat(now_ns)
        if len(self.arms) > 1:
            self.both.append(self.arms)

    @property
    def state(self) -> State:
        state = self.folder.state()
        assert state is not None
        return state

    def records(self, action: str) -> list[dict[str, Any]]:
        """Of the audit log."""
        return [record for record in audit.records(self.folder.log) if record["action"] == action]

    def gone_s(self) -> float:
        """How long after the rollback was recorded the last order of the candidate was seen. None came after
        that."""
        [asked] = self.records("rollback")
        assert self.newest_ns["B"] <= self.last_ns["B"]
        return max(0.0, (self.last_ns["B"] - asked["ts_ns"]) / SECOND)

    def begin(self, *stages: str) -> None:
        """Planned, rehearsed, and at the last of these stages; those before have passed."""
        self.folder.plan(self.experiment, wall_ns())
        self.folder.record(Action.REHEARSED, wall_ns())
        for stage, later in zip(stages, [*stages[1:], None], strict=True):
            self.folder.record(Action.BEGUN, wall_ns(), stage=stage)
            if later is not None:
                self.folder.record(Action.PASSED, wall_ns(), stage=stage)

    async def bot(self, *arguments: str) -> Process:
        """It trades as the rollout says."""
        return await self.desk.process("run", "--mode", "live", "--plan", str(PLAN), *arguments)

    @contextlib.contextmanager
    def judged(self) -> Iterator[None]:
        """Somebody who is alive judges it inside: the heart beats whenever the exchange moves."""
        self._judging = True
        try:
            yield
        finally:
            self._judging = False
