"""Is a plan worth its time? What data of the past say about an experiment that has not begun.

Of arm A alone, in run directories that are there: each block of the plan's length, less its wash-out, has a
linearised value; s is the standard deviation of one, r the correlation of neighbours. The noise of a pair is
the difference of neighbours, sqrt(2 (1 - r)) s, and is measured directly. Blocks of several clusters are
pairs at the same time, so hours are pairs times two blocks over clusters; clusters that move together are
one.

A plan is refused when the effect that it is made for cannot be shown within its own largest number of pairs.
A 10 % stage has 2.8 times the variance of a 50 % stage at equal time: its pairs are a fifth of its blocks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import yaml

from pytest_mmgates.errors import ExperimentError
from pytest_mmgates.experiment.blocks import Recorded, added, read_variant
from pytest_mmgates.experiment.facts import Facts, PlannedBlock
from pytest_mmgates.experiment.record import BlockRecord
from pytest_mmgates.rows import Manifest, read_manifest
from pytest_mmgates.stats.acceptance import Acceptance
from pytest_mmgates.stats.operating import (
    Characteristic,
    characteristics,
    pairs_to_accept,
    smallest_accepted_bps,
)
from pytest_mmgates.stats.pairs import Sums, lag1
from pytest_mmgates.stats.planning import pairs_needed
from pytest_mmgates.stats.sequence import FEWEST, Floats
from pytest_mmgates.stats.sequence import Sequence as ConfidenceSequence
from pytest_mmgates.units import NS_PER_S, Dimension, parse_duration

POWER = 0.8
ASSUMED_R = (0.5, 0.8, 0.9, 0.95)
"""Correlations of the arms over the blocks of a replay: known only once both were played."""
FIRST_LOOK = 24
LEAST_BLOCKS = 12


class PlanFile(msgspec.Struct, frozen=True):
    """What the planner needs of a plan's file; the system under test reads all of it."""

    name: str
    block: str
    washout: str
    clusters: dict[str, list[str]]
    switch: Literal["apart", "together"]
    max_pairs: int
    floor_bps: float
    effect_bps: float
    confidence: float
    seed: int

    @property
    def block_ns(self) -> int:
        return _ns(self.block)

    @property
    def washout_ns(self) -> int:
        return _ns(self.washout)

    @property
    def units(self) -> int:
        """Clusters that have a coin of their own."""
        return 1 if self.switch == "together" else len(self.clusters)

    @property
    def alpha(self) -> float:
        return 1 - self.confidence


@dataclass(frozen=True, slots=True)
class Noise:
    """Of arm A. `deviation_bps` (s) and `neighbours` (r) of single blocks, `pair_bps` of the difference of
    neighbours, over `blocks`.
    """

    blocks: int
    deviation_bps: float
    neighbours: float
    pair_bps: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a plan would take. `pairs` and `hours` for 80 % power at the planned effect, None: no number of
    pairs is enough. `smallest_bps`: the smallest effect that its largest number of pairs shows.
    """

    plan: PlanFile
    noise: Noise
    pairs: int | None
    hours: float | None
    smallest_bps: float
    replay_hours: dict[float, float | None]
    table: list[Characteristic]

    @property
    def hopeless(self) -> str | None:
        """Why the plan is refused, or None."""
        if self.pairs is not None:
            return None
        return (
            f"not testable at {self.plan.effect_bps:g}; smallest testable effect is {self.smallest_bps:.2g}"
            f" bps with {self.plan.max_pairs} pairs"
        )


def read_plan(path: Path) -> PlanFile:
    """Raises ExperimentError."""
    try:
        plan = msgspec.convert(yaml.safe_load(path.read_bytes()), PlanFile)
        _ = plan.block_ns, plan.washout_ns
    except OSError as error:
        raise ExperimentError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, msgspec.ValidationError, ValueError) as error:
        raise ExperimentError(f"{path}: {' '.join(str(error).split())}") from error
    if plan.effect_bps <= plan.floor_bps or not 0 < plan.alpha < 0.5 or plan.max_pairs < FIRST_LOOK:  # noqa: PLR2004 - one side
        raise ExperimentError(
            f"{path}: effect_bps was {plan.effect_bps:g}, floor_bps {plan.floor_bps:g}, confidence"
            f" {plan.confidence:g}, max_pairs {plan.max_pairs}; expected effect > floor, confidence above"
            f" 0.5, at least {FIRST_LOOK} pairs"
        )
    return plan


def noise_of(plan: PlanFile, runs: Sequence[Path]) -> Noise:
    """Of run directories. Raises ExperimentError for too little of it, RunlogError for rows that cannot be
    believed.
    """
    values: list[Floats] = []
    for path in runs:
        values += _values(plan, path)
    together = np.concatenate(values) if values else np.empty(0)
    pairs = np.concatenate([np.diff(one)[::2] for one in values or [together]])
    if len(together) < LEAST_BLOCKS or len(pairs) < FEWEST or not pairs.std():
        raise ExperimentError(
            f"{len(together)} blocks of {plan.block} in {len(runs)} runs with fills that differ, expected at"
            f" least {LEAST_BLOCKS}"
        )
    neighbours = float(np.mean([lag1(one) for one in values if len(one) > FEWEST]))
    return Noise(len(together), float(together.std(ddof=1)), neighbours, float(pairs.std(ddof=1)))


def forecast(plan: PlanFile, noise: Noise) -> Forecast:
    hours_of_block = plan.block_ns / NS_PER_S / 3600
    sequence = ConfidenceSequence.tuned(plan.alpha, plan.max_pairs)
    rule = Acceptance(sequence, plan.floor_bps, FIRST_LOOK, plan.max_pairs)
    noisy: dict[str, Any] = {"deviation_bps": noise.pair_bps, "seed": plan.seed}
    need = pairs_to_accept(rule, effect_bps=plan.effect_bps, asked=POWER, **noisy)
    return Forecast(
        plan,
        noise,
        pairs=need,
        hours=None if need is None else need * 2 * hours_of_block / plan.units,
        smallest_bps=smallest_accepted_bps(rule, asked=POWER, **noisy),
        replay_hours={r: _replay_hours(plan, noise, r) for r in ASSUMED_R},
        table=characteristics(rule, **noisy),
    )


def _replay_hours(plan: PlanFile, noise: Noise, r: float) -> float | None:
    """Hours of market where the arms are correlated by r in each block."""
    need = pairs_needed(
        effect_bps=plan.effect_bps,
        floor_bps=plan.floor_bps,
        deviation_bps=noise.deviation_bps * math.sqrt(2 * (1 - r)),
        alpha=plan.alpha,
        asked=POWER,
    ).pairs
    return None if need is None else need * plan.block_ns / NS_PER_S / 3600


def _values(plan: PlanFile, path: Path) -> list[Floats]:
    """Linearised values of arm A's blocks in bps, one array a cluster that has a coin of its own."""
    manifest = read_manifest(path)
    facts = _as_if_planned(plan, manifest)
    blocks = read_variant(facts, "", [Recorded(path, None)]).blocks
    if plan.switch == "together":
        return [_linearised(_summed(blocks))]
    return [_linearised([one for one in blocks if one.cluster == name]) for name in plan.clusters]


def _summed(blocks: Sequence[BlockRecord]) -> list[BlockRecord]:
    """Blocks of all clusters at one time, as one."""
    found: dict[int, list[BlockRecord]] = {}
    for block in blocks:
        found.setdefault(block.index, []).append(block)
    return [
        msgspec.structs.replace(same[0], analysed=added([block.analysed for block in same]))
        for same in found.values()
    ]


def _linearised(blocks: Sequence[BlockRecord]) -> Floats:
    kept = [block for block in blocks if block.excluded is None and block.ticks]
    sums = Sums(
        np.array([block.analysed.net for block in kept]),
        np.array([block.analysed.notional for block in kept]),
    )
    values = sums.linearised_bps()
    return values[np.isfinite(values)]


def _as_if_planned(plan: PlanFile, manifest: Manifest) -> Facts:
    """The run as one that arm A had alone."""
    starts = range(manifest.started_ns, manifest.started_ns + manifest.duration_ns, plan.block_ns)
    known = set(manifest.symbols)
    clusters = {name: symbols for name, symbols in plan.clusters.items() if known & set(symbols)}
    if not known <= {symbol for symbols in clusters.values() for symbol in symbols}:
        strange = sorted(known - {symbol for symbols in clusters.values() for symbol in symbols})
        raise ExperimentError(
            f"run {manifest.run_id}: {', '.join(strange)} in no cluster of plan {plan.name}"
        )
    blocks = [
        PlannedBlock(name, at, None, "A", start, start + plan.washout_ns, start + plan.block_ns)
        for name in clusters
        for at, start in enumerate(starts)
    ]
    return Facts(
        schema=1,
        name=plan.name,
        title="",
        stage="50",
        plan_hash="",
        content={},
        scenario=manifest.scenario,
        seed=plan.seed,
        metric="net_bps",
        floor_bps=plan.floor_bps,
        effect_bps=plan.effect_bps,
        confidence=plan.confidence,
        max_pairs=plan.max_pairs,
        least_pairs=0,
        least_duration_ns=0,
        block_ns=plan.block_ns,
        washout_ns=plan.washout_ns,
        switch=plan.switch,
        clusters=clusters,
        gate="",
        blocks=blocks,
    )


def _ns(text: str) -> int:
    return int(parse_duration(text).base(Dimension.TIME))
