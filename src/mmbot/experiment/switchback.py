"""Which arm quotes which cluster when: a schedule that follows from the plan alone.

Time from the start of a stage is cut into blocks, and two consecutive blocks are a pair. At 50 % each pair
has one block of each arm, in an order that a coin chose: the coin makes differences between neighbours
uncorrelated whatever the market does (Bojinov, Simchi-Levi, Zhao, "Design and analysis of switchback
experiments", Management Science 2023). At 10 % one pair of five is drawn to be such a pair, the blocks of the
other four are arm A's: one treated block in ten, each place in the ten equally likely. At 100 % the same with
the arms exchanged: one block in ten is held back for the baseline.

Every draw is the hash of seed, stage, cluster and number. So any block can be asked for at any time, by
anybody, and is the same after a restart; no block depends on what happened before it, and a longer schedule
begins like a shorter one. A replay has no schedule: there both arms play every block.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from mmbot.experiment.plan import Arm, Plan, Stage

_PAIRS = {Stage.TEN: 5, Stage.FIFTY: 1, Stage.HUNDRED: 5}
"""Of how many consecutive pairs one has a block of each arm."""
_ALONE: dict[Stage, Arm] = {Stage.TEN: "A", Stage.FIFTY: "A", Stage.HUNDRED: "B"}
"""Whose the blocks of the other pairs are."""


@dataclass(frozen=True, slots=True)
class Block:
    """One stretch of time in which one arm quotes one cluster: from `start_ns` until before `end_ns`. What
    happens from `analysed_ns` on is analysed; before, quotes and inventory of the other arm wash out.

    `index` counts the cluster's blocks of the stage from 0, `pair` the pairs of one block of each arm; None
    for a block between them, which has no other to be compared with.
    """

    cluster: str
    index: int
    pair: int | None
    arm: Arm
    start_ns: int
    analysed_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """The blocks of one live stage that began at `start_ns`. They have no end."""

    plan: Plan
    stage: Stage
    start_ns: int

    def __post_init__(self) -> None:
        if self.stage not in _PAIRS:
            raise ValueError(f"stage was {self.stage}: there both arms play every block")

    def block(self, cluster: str, index: int) -> Block:
        """Raises ValueError before the start of the stage, and KeyError for a cluster that the plan has
        not.
        """
        if index < 0:
            raise ValueError(f"block was {index}, expected at least 0: the stage begins at {self.start_ns}")
        self.plan.clusters[cluster]
        in_group = _PAIRS[self.stage]
        group, place = divmod(index // 2, in_group)
        drawn, first = self._draw(cluster, group)
        mixed = place == drawn
        start_ns = self.start_ns + index * self.plan.block_ns
        return Block(
            cluster=cluster,
            index=index,
            pair=group if mixed else None,
            arm=_ALONE[self.stage] if not mixed else "A" if (index % 2 == 0) == first else "B",
            start_ns=start_ns,
            analysed_ns=start_ns + self.plan.washout_ns,
            end_ns=start_ns + self.plan.block_ns,
        )

    def block_at(self, cluster: str, ts_ns: int) -> Block:
        """The block that a moment lies in. Raises like `block`."""
        return self.block(cluster, (ts_ns - self.start_ns) // self.plan.block_ns)

    def arm_at(self, symbol: str, ts_ns: int) -> Arm:
        """The arm that quotes a symbol (`venue:SYMBOL`) at a moment. Raises like `block_at`."""
        return self.block_at(self.plan.cluster_of(symbol), ts_ns).arm

    def blocks(self, cluster: str, until_ns: int) -> Iterator[Block]:
        """From the first to the last that has begun before `until_ns`, in their order."""
        for index in range(-(-(until_ns - self.start_ns) // self.plan.block_ns)):
            yield self.block(cluster, index)

    def _draw(self, cluster: str, group: int) -> tuple[int, bool]:
        """Which pair of a group has both arms, and whether its first block is arm A's."""
        coin = "" if self.plan.switch == "together" else cluster
        text = f"{self.plan.seed} {self.stage} {coin} {group}"
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
        return number // 2 % _PAIRS[self.stage], number % 2 == 0
