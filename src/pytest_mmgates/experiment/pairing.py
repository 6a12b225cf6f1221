"""Blocks -> pairs of one block of each arm, and what each arm came to in them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from pytest_mmgates.experiment.blocks import MARKED_AFTER_NS, added
from pytest_mmgates.experiment.facts import ALL, ARMS, REPLAY, Facts
from pytest_mmgates.experiment.record import BlockRecord, Part
from pytest_mmgates.stats.pairs import Sums


@dataclass(frozen=True, slots=True)
class Pair:
    """Two blocks of one cluster (or of all of them, where they switch together), one of each arm."""

    a: BlockRecord
    b: BlockRecord

    @property
    def end_ns(self) -> int:
        return max(self.a.end_ns, self.b.end_ns)

    @property
    def excluded(self) -> str | None:
        return self.a.excluded or self.b.excluded


def pairs_of(facts: Facts, blocks: Sequence[BlockRecord]) -> list[Pair]:
    """Complete pairs in the order in which they were completed. Where clusters switch together they have one
    coin, so they are one.
    """
    together = _together(facts)
    of_pair: dict[tuple[str, int], dict[str, list[BlockRecord]]] = defaultdict(lambda: defaultdict(list))
    for block in blocks:
        if block.pair is not None:
            of_pair[ALL if together else block.cluster, block.pair][block.arm].append(block)
    pairs = [Pair(_one(arms["A"]), _one(arms["B"])) for arms in of_pair.values() if set(arms) == set(ARMS)]
    return sorted(pairs, key=lambda pair: (pair.end_ns, pair.a.cluster))


def planned_pair_ends(facts: Facts) -> list[int]:
    """When each pair of the planned blocks is complete, in ns, in order."""
    together = _together(facts)
    of_pair: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
    for block in facts.blocks:
        if block.pair is not None:
            of_pair[ALL if together else block.cluster, block.pair][block.arm] = block.end_ns
    return sorted(max(ends.values()) for ends in of_pair.values() if set(ends) == set(ARMS))


def complete_after_ns(facts: Facts) -> int:
    """How long behind its end a pair of a live stage is complete: no fill of its later arm can come any more,
    and all are marked.
    """
    return facts.washout_ns + MARKED_AFTER_NS


def _together(facts: Facts) -> bool:
    """Whether clusters have one coin."""
    return facts.stage != REPLAY and facts.switch == "together"


def _one(blocks: Sequence[BlockRecord]) -> BlockRecord:
    """Blocks of several clusters at one time, as one."""
    first = blocks[0]
    if len(blocks) == 1:
        return first
    late = [block.late for block in blocks if block.late is not None]
    return msgspec.structs.replace(
        first,
        cluster=ALL,
        analysed=added([block.analysed for block in blocks]),
        late=added(late) if len(late) == len(blocks) else None,
        excluded=next((block.excluded for block in blocks if block.excluded), None),
    )


def sums_of(pairs: Sequence[Pair], arm: str, *, late: bool = False, slippage: bool = False) -> Sums:
    """Net (or slippage) and notional of one arm by pair. `late`: after two wash-outs."""
    parts = [_part_of(getattr(pair, arm.lower()), late=late) for pair in pairs]
    if slippage:
        return Sums(
            np.array([part.slippage for part in parts]), np.array([part.slippage_notional for part in parts])
        )
    return Sums(np.array([part.net for part in parts]), np.array([part.notional for part in parts]))


def _part_of(block: BlockRecord, *, late: bool) -> Part:
    return (block.late or Part()) if late else block.analysed
