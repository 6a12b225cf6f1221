"""(facts, gate, blocks) -> what an experiment decides. Pure: no file, no clock.

Void comes first: a plan that was edited, labels that do not fit it, a block that is missing without a reason
of the market's, counts that do not fit the planned shares, data of another kind, a value that is no number.
Then there is nothing to decide, whatever the estimate: NO_DATA.

A live stage is looked at after every pair, in the order in which pairs were completed, each time as if it
were the last: what is decided at the first final look stands, and a controller that asks after each pair is
told the same as who asks at the end. Linearised values use the arms' ratios so far, so no look knows more
than was known then. Nothing but harm is decided before the stage is as old as it has to be
(`Facts.decides_from_ns`): a pair is looked at when it is complete, and the last of a run that has ended when
it ended.

A replay is looked at once, at its end. Neighbouring blocks are joined until they are uncorrelated, and the
sequence is tuned to as many batches as there are. What has to hold under every model that stands in for a
venue holds under all of them, or nothing is decided.

A pair goes as a whole. Stages of 10 and 100 % are for safety: there a candidate is never accepted. At 10 %
it can be rejected for harm, at 100 % also when the pairs that were held back exclude the floor. They have a
fifth of the pairs of a 50 % stage, so they are looked at from the planned number on, but from `SAFETY_LOOK`
at the earliest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pytest_mmgates.armrules import DeltaRule
from pytest_mmgates.experiment.blocks import added
from pytest_mmgates.experiment.facts import ACCEPTING, ARMS, REPLAY, Facts
from pytest_mmgates.experiment.pairing import Pair, complete_after_ns, pairs_of, sums_of
from pytest_mmgates.experiment.record import BlockRecord, VariantRecord
from pytest_mmgates.experiment.validity import balance_p, excluded_of, void_of
from pytest_mmgates.stats.acceptance import Acceptance, Decision, decide_once
from pytest_mmgates.stats.carryover import Memory, Sensitivity, memory, sensitivity
from pytest_mmgates.stats.pairs import (
    Batching,
    Sums,
    batched,
    differences_bps,
    lag1,
    sign_flip_p,
)
from pytest_mmgates.stats.sequence import FEWEST, Bounds, Floats
from pytest_mmgates.stats.sequence import Sequence as ConfidenceSequence
from pytest_mmgates.units import BPS

SAFETY_LOOK = 8
"""Pairs from which on bounds may be believed that can only reject: two equal arms are taken for harm, at some
look of 8 to 40, in 2.6 % where 2.5 % are asked for; from 4 pairs on in 5.6 % (20,000 simulated stages each).
"""
_REJECTS = {"10": (Decision.HARM,), "100": (Decision.HARM, Decision.FUTILE)}
_FLIPS = 10_000
_MOST_UNMARKED = 0.1
COMPONENTS = ("net", "gross", "adverse", "fees")
"""Of `Part`; net is the sum of the other three."""


@dataclass(frozen=True, slots=True)
class Path:
    """Estimate and bounds in bps after each pair or batch; for the chart."""

    estimate: list[float]
    low: list[float]
    high: list[float]


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """What one arm did in the pairs that count. `components` in bps of its notional."""

    blocks: int
    fills: int
    unmarked: int
    notional: float
    components: dict[str, float]


@dataclass(frozen=True, slots=True)
class VariantDecision:
    """What one set of models, or the live stage, says. `bounds` None: nothing to estimate from. `looks`:
    pairs or batches at the final look; `deviation_bps` is that of one of them. `traded`: in how many pairs
    the arm traded that did so in fewer. `slippage`: bounds at each look that had any, the newest last.
    """

    name: str
    decision: Decision
    reason: str
    bounds: Bounds | None
    looks: int
    pairs: int
    traded: int
    batching: Batching | None
    lag1: float
    deviation_bps: float
    path: Path
    arms: dict[str, ArmSummary]
    excluded: dict[str, dict[str, int]]
    slippage: tuple[Bounds, ...]
    sensitivity: Sensitivity | None
    memory: Memory | None
    balance_p: float
    sign_flip_p: float | None

    @property
    def too_short(self) -> list[str]:
        """What says that the wash-out was too short."""
        found = []
        if self.sensitivity and self.sensitivity.too_short:
            found.append("the estimate after two wash-outs differs by more than one standard error")
        if self.memory and self.memory.too_short:
            found.append(f"{self.memory.share:.0%} of an inherited position is left after two wash-outs")
        return found


@dataclass(frozen=True, slots=True)
class ExperimentDecision:
    """`void`: why there is nothing to decide; then there are no variants."""

    decision: Decision
    reason: str
    void: tuple[str, ...]
    variants: tuple[VariantDecision, ...]
    duration_ns: int


def decide(
    facts: Facts, rule: DeltaRule, sources: Sequence[str], variants: Sequence[VariantRecord]
) -> ExperimentDecision:
    """`sources`: the kinds of data that the gate takes."""
    void = tuple(dict.fromkeys(reason for variant in variants for reason in void_of(facts, sources, variant)))
    lost = {run.variant for run in facts.runs} - {variant.name for variant in variants}
    void += tuple(f"variant {name} was not played by both arms" for name in sorted(lost))
    void += () if variants else ("nothing was recorded",)
    spans = [variant.ended_ns - variant.started_ns for variant in variants]
    if void:
        return ExperimentDecision(Decision.INCONCLUSIVE, void[0], void, (), min(spans, default=0))
    decided = tuple(_decide_variant(facts, rule, variant) for variant in variants)
    decision, reason = _together(decided)
    return ExperimentDecision(decision, reason, (), decided, min(spans))


def first_look_of(facts: Facts, rule: DeltaRule) -> int:
    """After how many pairs a live stage is looked at first. A stage for safety has a fifth of the pairs: it
    is looked at where the plan says, though the rule asks for more.
    """
    if facts.stage == ACCEPTING:
        return max(rule.pairs, facts.least_pairs)
    return max(SAFETY_LOOK, min(rule.pairs, facts.least_pairs))


def most_pairs(facts: Facts, rule: DeltaRule) -> int:
    """After how many pairs a live stage that accepts is over, decided or not."""
    return max(first_look_of(facts, rule), facts.max_pairs)


def pairs_asked(facts: Facts, rule: DeltaRule) -> int:
    """How many pairs a live stage has at least, when it ends well."""
    return max(facts.least_pairs, first_look_of(facts, rule))


def _decide_variant(facts: Facts, rule: DeltaRule, variant: VariantRecord) -> VariantDecision:
    pairs = [pair for pair in pairs_of(facts, variant.blocks) if not pair.excluded]
    replay = facts.stage == REPLAY
    judged = _judge_replay(rule, pairs) if replay else _judge_live(facts, rule, pairs, variant)
    looked = pairs if replay else pairs[: judged.looks]
    decided_ns = looked[-1].end_ns if judged.decision.final and looked else variant.ended_ns
    arms: dict[str, ArmSummary] = {arm: _summary(looked, arm) for arm in ARMS}
    found = VariantDecision(
        name=variant.name,
        decision=judged.decision,
        reason=judged.reason,
        bounds=judged.bounds,
        looks=judged.looks,
        pairs=len(pairs),
        traded=traded_in(looked),
        batching=judged.batching,
        lag1=lag1(judged.values),
        deviation_bps=float(judged.values.std(ddof=1)) if len(judged.values) >= FEWEST else 0.0,
        path=judged.path,
        arms=arms,
        excluded=excluded_of(variant.blocks),
        slippage=_slippage_once(rule, looked, judged.batching)
        if replay
        else _slippage_path(facts, rule, looked),
        sensitivity=_sensitivity(looked),
        memory=_memory(facts, [block for block in variant.blocks if block.end_ns <= decided_ns]),
        balance_p=balance_p(facts, variant),
        sign_flip_p=sign_flip_p(judged.values, flips=_FLIPS, seed=facts.seed) if len(judged.values) else None,
    )
    return _with_doubts(found)


def _with_doubts(found: VariantDecision) -> VariantDecision:
    """An acceptance that something speaks against is none."""
    if found.decision is not Decision.ACCEPT:
        return found
    doubts = [f"lengthen the wash-out: {why}" for why in found.too_short]
    for arm, summary in found.arms.items():
        if summary.unmarked > _MOST_UNMARKED * (summary.fills or 1):
            doubts.append(f"{summary.unmarked} of {summary.fills} fills of arm {arm} have no net")
    return replace(found, decision=Decision.INCONCLUSIVE, reason="; ".join(doubts)) if doubts else found


@dataclass(frozen=True, slots=True)
class _Judged:
    decision: Decision
    reason: str
    bounds: Bounds | None
    looks: int
    values: Floats
    batching: Batching | None
    path: Path


def _judge_live(facts: Facts, rule: DeltaRule, pairs: Sequence[Pair], variant: VariantRecord) -> _Judged:
    """After every pair, until a decision is final."""
    first_look = first_look_of(facts, rule)
    acceptance = Acceptance(
        _sequence(facts, rule),
        rule.limit_bps,
        first_look,
        most_pairs(facts, rule),
    )
    ages_ns = _ages_ns(facts, pairs, variant)
    a, b = sums_of(pairs, "a"), sums_of(pairs, "b")
    path, bounds, decision, n = Path([], [], []), None, Decision.GO_ON, 0
    values = np.empty(0)
    for n in range(1, len(pairs) + 1):
        values = differences_bps(_first(a, n), _first(b, n))
        if n < FEWEST or not np.isfinite(values).all():
            continue
        bounds = acceptance.sequence.bounds(values)
        _extend(path, bounds)
        if traded_in(pairs[:n]) < SAFETY_LOOK:
            continue
        decision = _at_stage(facts, acceptance.of(bounds), ages_ns[n - 1])
        if decision.final:
            break
    traded = traded_in(pairs[:n])
    why = (
        f"an arm traded in {traded} of {n} pairs, expected at least {SAFETY_LOOK}"
        if n >= first_look and traded < SAFETY_LOOK
        else _why(decision, bounds, first_look, n)
    )
    return _Judged(decision, why, bounds, n, values, None, path)


def _ages_ns(facts: Facts, pairs: Sequence[Pair], variant: VariantRecord) -> list[int]:
    """How old the stage is when each pair is looked at."""
    ages_ns = [pair.end_ns + complete_after_ns(facts) - variant.started_ns for pair in pairs]
    if ages_ns and variant.complete:
        ages_ns[-1] = max(ages_ns[-1], variant.ended_ns - variant.started_ns)
    return ages_ns


def _sequence(facts: Facts, rule: DeltaRule) -> ConfidenceSequence:
    """Of a live stage: narrowest where it is planned to end, whatever was recorded so far."""
    planned = facts.max_pairs if facts.stage == ACCEPTING else first_look_of(facts, rule)
    return ConfidenceSequence.tuned(rule.alpha, planned)


def traded_in(pairs: Sequence[Pair]) -> int:
    """In how many of these pairs the arm traded that did so in fewer: a difference of blocks without a trade
    has no noise, and would look certain.
    """
    of_arms = ([pair.a for pair in pairs], [pair.b for pair in pairs])
    return min(sum(block.analysed.fills > 0 for block in blocks) for blocks in of_arms)


def _at_stage(facts: Facts, decision: Decision, age_ns: int) -> Decision:
    """At 10 and 100 % a candidate can only be rejected; neither that it is worth having nor that it is not is
    said of a stage that is too young.
    """
    if facts.stage != ACCEPTING and decision not in _REJECTS[facts.stage]:
        return Decision.GO_ON
    early = decision in (Decision.ACCEPT, Decision.FUTILE) and age_ns < facts.decides_from_ns
    return Decision.GO_ON if early else decision


def _judge_replay(rule: DeltaRule, pairs: Sequence[Pair]) -> _Judged:
    """Once, over batches that are nearly uncorrelated."""
    nothing = Path([], [], [])
    values = differences_bps(sums_of(pairs, "a"), sums_of(pairs, "b")) if pairs else np.empty(0)
    if len(values) < FEWEST or not np.isfinite(values).all():
        reason = f"{len(values)} blocks with fills of both arms, expected at least {rule.pairs}"
        return _Judged(Decision.INCONCLUSIVE, reason, None, len(values), np.empty(0), None, nothing)
    look = decide_once(values, alpha=rule.alpha, floor_bps=rule.limit_bps, first_look=rule.pairs)
    n = len(look.values)
    path = nothing
    if look.bounds is not None:
        path = Path(*(column[1:].tolist() for column in look.sequence.path(look.values)))
    why = (
        _why(look.decision, look.bounds, rule.pairs, n)
        if look.batching.usable
        else _correlated(look.batching)
    )
    return _Judged(look.decision, why, look.bounds, n, look.values, look.batching, path)


def _correlated(batching: Batching) -> str:
    return (
        f"{batching.batches} batches of {batching.size} blocks are left with a correlation of"
        f" {batching.lag1:.2f}, expected at least 24 at 0.1 or less: more market is needed"
    )


def _why(decision: Decision, bounds: Bounds | None, first_look: int, n: int) -> str:
    if bounds is None or n < first_look:
        return f"{n} pairs, the first look is after {first_look}"
    words = {
        Decision.ACCEPT: "the lower bound is above 0, and the estimate at the floor",
        Decision.HARM: "the upper bound is below 0",
        Decision.FUTILE: "the upper bound is below the floor",
        Decision.GO_ON: "nothing is decided yet",
        Decision.INCONCLUSIVE: "nothing is decided after all that was planned",
    }
    return words[decision]


def _extend(path: Path, bounds: Bounds) -> None:
    path.estimate.append(bounds.estimate)
    path.low.append(bounds.low)
    path.high.append(bounds.high)


def _first(sums: Sums, n: int) -> Sums:
    return Sums(sums.net[:n], sums.notional[:n])


def _summary(pairs: Sequence[Pair], arm: str) -> ArmSummary:
    blocks = [getattr(pair, arm.lower()) for pair in pairs]
    whole = added([block.analysed for block in blocks])
    components = (
        {name: BPS * getattr(whole, name) / whole.notional for name in COMPONENTS} if whole.notional else {}
    )
    return ArmSummary(len(blocks), whole.fills, whole.unmarked, whole.notional, components)


def _slippage_path(facts: Facts, rule: DeltaRule, pairs: Sequence[Pair]) -> tuple[Bounds, ...]:
    """B less A after every pair, like the net; nothing while too few orders say at which mid they were
    decided, or an arm traded in too few pairs.
    """
    sequence = _sequence(facts, rule)
    a, b = sums_of(pairs, "a", slippage=True), sums_of(pairs, "b", slippage=True)
    found = []
    for n in range(FEWEST, len(pairs) + 1):
        values = differences_bps(_first(a, n), _first(b, n))
        if traded_in(pairs[:n]) >= min(SAFETY_LOOK, n) and np.isfinite(values).all():
            found.append(sequence.bounds(values))
    return tuple(found)


def _slippage_once(rule: DeltaRule, pairs: Sequence[Pair], batching: Batching | None) -> tuple[Bounds, ...]:
    """Of a replay, joined as the net was."""
    if len(pairs) < FEWEST or batching is None:
        return ()
    values = differences_bps(sums_of(pairs, "a", slippage=True), sums_of(pairs, "b", slippage=True))
    values = batched(values, batching.size)
    if len(values) < FEWEST or not np.isfinite(values).all():
        return ()
    return (ConfidenceSequence.tuned(rule.alpha, len(values)).bounds(values),)


def _sensitivity(pairs: Sequence[Pair]) -> Sensitivity | None:
    if not pairs or any(pair.a.late is None or pair.b.late is None for pair in pairs):
        return None
    once = differences_bps(sums_of(pairs, "a"), sums_of(pairs, "b"))
    twice = differences_bps(sums_of(pairs, "a", late=True), sums_of(pairs, "b", late=True))
    if not (np.isfinite(once).all() and np.isfinite(twice).all()):
        return None
    return sensitivity(once, twice)


def _memory(facts: Facts, blocks: Sequence[BlockRecord]) -> Memory | None:
    """Over all blocks; a replay has no switch."""
    if facts.stage == REPLAY:
        return None
    moments = [moment for block in blocks for moment in block.positions]
    if not moments:
        return None
    before, after = np.array(moments).T
    return memory(before, after)


def _together(decided: Sequence[VariantDecision]) -> tuple[Decision, str]:
    """What all variants agree on."""
    decisions = {one.decision for one in decided}
    if len(decisions) == 1:
        return decided[0].decision, decided[0].reason
    if decisions <= {Decision.HARM, Decision.FUTILE}:
        return (
            Decision.HARM,
            "the upper bound is below 0 or below the floor, whatever stands in for the venue",
        )
    said = ", ".join(f"{one.name} {one.decision}" for one in decided)
    return Decision.INCONCLUSIVE, f"it depends on what stands in for the venue: {said}"
