"""What the gates know of an experiment's plan: plain data, which the system under test makes of its own plan.

The ini `mmgates_experiment = "package.module:callable"` names what makes it. Built-in types only: one mapping
in (`plan`: path of the plan's file, `stage`: replay, 10, 50 or 100, `out_dir`: where files of the experiment
go, and of a live stage `start_ns` and `until_ns`), the fields of `Facts` out. It stands beside what was
recorded, in `experiment.json`, so that a verdict can be found again at any time.

`plan_hash` is the sha256 of `content` as JSON with sorted keys and no spaces: it is checked wherever facts
are read, so nobody edits one without the other.
"""

import hashlib
from pathlib import Path
from typing import Any, Literal

import msgspec

from pytest_mmgates.errors import ExperimentError
from pytest_mmgates.report.files import write_atomically
from pytest_mmgates.units import NS_PER_S

EXPERIMENT = "experiment.json"
REPLAY = "replay"
ACCEPTING = "50"
"""The live stage that accepts, and is played until it is decided."""
ALL = "all"
"""The cluster of a replay: there all symbols are one."""
Arm = Literal["A", "B"]
ARMS: tuple[Arm, Arm] = ("A", "B")


class PlannedBlock(msgspec.Struct, frozen=True):
    """Time in which one arm quotes one cluster. `pair` is None for a block that has no other to be compared
    with.
    """

    cluster: str
    index: int
    pair: int | None
    arm: Arm
    start_ns: int
    analysed_ns: int
    end_ns: int


class PlannedRun(msgspec.Struct, frozen=True):
    """A run that a replay stage needs: one arm under one variant of the models that stand in for a venue.
    `config`: a base, then overrides.
    """

    variant: str
    arm: Arm
    config: list[str]

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.variant}@{self.arm}"


class Seen(msgspec.Struct, frozen=True):
    """Data that the candidate was fitted to; None: without end."""

    sha256: str
    from_ns: int | None
    to_ns: int | None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of one plan. `runs` is of a replay, `blocks` of a live stage: all that have begun."""

    schema: Literal[1]
    name: str
    title: str
    stage: Literal["replay", "10", "50", "100"]
    plan_hash: str
    content: dict[str, Any]
    scenario: str
    seed: int
    metric: Literal["net_bps"]
    floor_bps: float
    effect_bps: float
    confidence: float
    max_pairs: int
    least_pairs: int
    least_duration_ns: int
    block_ns: int
    washout_ns: int
    switch: Literal["apart", "together"]
    clusters: dict[str, list[str]]
    gate: str
    minimum_ns: int = 0
    """Of a live stage: how old it has to be at the least when something other than harm is decided."""
    horizon_ns: int = 0
    """Of one that is played until it is decided: how long at most. 0: of another."""
    seen: list[Seen] = []
    runs: list[PlannedRun] = []
    blocks: list[PlannedBlock] = []

    @property
    def shares(self) -> dict[str, float]:
        """Of the blocks, by arm, as planned. In a replay each arm has every block."""
        candidate = {"10": 0.1, "50": 0.5, "100": 0.9, REPLAY: 0.5}[self.stage]
        return {"A": 1 - candidate, "B": candidate}

    @property
    def is_for_safety(self) -> bool:
        """A live stage at which nothing is accepted: of few blocks, which are looked at for harm."""
        return self.stage in ("10", "100")

    @property
    def decides_from_ns(self) -> int:
        """How old a live stage is when something other than harm can be decided at a look."""
        return max(self.minimum_ns, self.least_duration_ns if self.stage == ACCEPTING else 0)

    @property
    def hours_of_block(self) -> float:
        return self.block_ns / NS_PER_S / 3600

    def cluster_of(self, symbol: str) -> str | None:
        """Of a full name; None for a symbol that the plan does not know."""
        if self.stage == REPLAY:
            return ALL
        return next((name for name, symbols in self.clusters.items() if symbol in symbols), None)


def facts_of(made: object) -> Facts:
    """What the callable returned, or ExperimentError."""
    try:
        facts = msgspec.convert(made, Facts)
    except msgspec.ValidationError as error:
        raise ExperimentError(f"ini mmgates_experiment: {error}") from error
    _check_hash(facts, "ini mmgates_experiment")
    return facts


def read_facts(directory: Path) -> Facts:
    """Of what was recorded in a directory. Raises ExperimentError."""
    path = directory / EXPERIMENT
    try:
        facts = msgspec.json.decode(path.read_bytes(), type=Facts)
    except OSError as error:
        raise ExperimentError(f"{path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise ExperimentError(f"{path}: {error}") from error
    _check_hash(facts, str(path))
    return facts


def keep_facts(directory: Path, facts: Facts) -> None:
    text = msgspec.json.format(msgspec.json.encode(facts), indent=1).decode()
    write_atomically({directory / EXPERIMENT: text + "\n"})


def _check_hash(facts: Facts, where: str) -> None:
    found = hashlib.sha256(msgspec.json.encode(facts.content, order="sorted")).hexdigest()
    if found != facts.plan_hash:
        raise ExperimentError(
            f"{where}: plan_hash was {facts.plan_hash[:12]}, expected {found[:12]}: the plan was edited"
        )
