"""What makes recorded blocks no experiment, whatever they show."""

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from pytest_mmgates.experiment.blocks import LEAST_TICKS
from pytest_mmgates.experiment.facts import ARMS, REPLAY, Facts
from pytest_mmgates.experiment.record import BlockRecord, Part, VariantRecord
from pytest_mmgates.stats.balance import MISMATCH_BELOW, exact_p


def void_of(facts: Facts, sources: Sequence[str], variant: VariantRecord) -> Iterator[str]:
    """Every reason, of one variant."""
    where = f" ({variant.name})" if variant.name else ""
    unfinished = [one for one in variant.origins if one.status != "complete" and facts.stage == REPLAY]
    yield from (
        f"run {one.run_id} of arm {one.arm}{where} is {one.status}: {one.reason}" for one in unfinished
    )
    if unfinished:
        return
    for origin in variant.origins:
        if origin.plan_hash != facts.plan_hash:
            was = "no plan" if origin.plan_hash is None else f"plan {origin.plan_hash[:12]}"
            yield f"the plan was edited: run {origin.run_id} is of {was}, this is {facts.plan_hash[:12]}"
        if origin.data_kind not in sources:
            yield f"run {origin.run_id} is on {origin.data_kind} data, asked for {' or '.join(sources)}"
    if len({origin.data_sha256 for origin in variant.origins}) > 1 and facts.stage == REPLAY:
        yield f"the arms played different recordings{where}"
    yield from (f"{reason}{where}" for reason in variant.void)
    for block in variant.blocks:
        name = f"block {block.index} of {block.cluster}, arm {block.arm}{where}"
        if block.excluded is None and block.ticks < LEAST_TICKS * block.expected:
            found = f"{block.ticks} of {block.expected} ticks"
            yield f"{name}, is missing, and not for the market's sake: {found}"
        if not all(np.isfinite(msgspec.structs.astuple(part)).all() for part in _parts(block)):
            yield f"{name}: a sum is not a finite number"
    p = balance_p(facts, variant)
    if p < MISMATCH_BELOW:
        yield f"the arms did not get their planned shares of the blocks{where}: p {p:.2g}"


def balance_p(facts: Facts, variant: VariantRecord) -> float:
    """The least p over all blocks and over those left out for each reason, against the planned share."""
    counts: dict[str, Counter[str]] = {"": Counter(block.arm for block in variant.blocks)}
    for reason, arms in excluded_of(variant.blocks).items():
        counts[reason] = Counter(arms)
    share = facts.shares["B"]
    return min(exact_p(arms["B"], arms.total(), share) for arms in counts.values())


def excluded_of(blocks: Sequence[BlockRecord]) -> dict[str, dict[str, int]]:
    """Blocks left out, by reason and arm."""
    found: dict[str, dict[str, int]] = {}
    for block in blocks:
        if block.excluded is not None:
            found.setdefault(block.excluded, dict.fromkeys(ARMS, 0))[block.arm] += 1
    return found


def _parts(block: BlockRecord) -> list[Part]:
    return [block.analysed] if block.late is None else [block.analysed, block.late]
