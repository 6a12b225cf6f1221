"""perflab: is the candidate slower than the baseline, stage by stage, on a machine that others use too?

No latency is stored. The baseline's code runs again beside the candidate's, in pairs of fresh processes that
take turns on one core over one tape (`rounds`, `worker`); noise is taken out tick by tick, the pairs are the
unit of replication (`estimate`), and rounds are added until each stage is decided or the time is up
(`decide`). What is gated is the p95 over the tape's ticks of what the *code* costs; what the machine adds is
not the change's doing.

A tape request is the mapping that the code's latency tape takes, and `door`, the import string of what opens
it.
"""

import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pytest_mmgates.perflab.decide import (
    EVERY,
    FIRST_LOOK,
    FLOOR,
    LEAST_ROUNDS,
    MOST_ROUNDS,
    Outcome,
    believed,
    decide,
)
from pytest_mmgates.perflab.estimate import Estimate, Floats, estimate
from pytest_mmgates.perflab.rounds import Code, Lanes, Pairs, PerfError, Record, Round, cores, now_s
from pytest_mmgates.perflab.verdict import Comparison, Proof, StageVerdict

__all__ = ["Code", "Comparison", "PerfError", "Proof", "StageVerdict", "compare", "prove"]

TOTAL = "tick_total"
CARRIES = 0.01
"""A stage whose standard error stays above this cannot carry a gate of a few per cent by itself."""
_TWO_SIDED_95 = 1.96


def compare(
    baseline: Code,
    candidate: Code,
    tape: Mapping[str, Any],
    *,
    limits: Mapping[str, float],
    budget_s: float,
    seed: int,
    record: Record | None = None,
) -> Comparison:
    """Play both over the tape until every stage is decided, for `budget_s` at most.

    `limits`: stage -> how much dearer its p95 may become, 0.03 = 3 %. A stage of the tape without one is
    gated within tick_total, and says so. `seed` draws who starts, where blocks begin, and the swaps behind
    the standard errors. `record` gets every round. Raises PerfError.
    """
    began_s = now_s()
    pairs = Pairs(baseline, candidate, tape, seed)
    counted = pairs.count()
    gate = Gate(tuple(counted[0]["stages"]), limits, seed)
    lanes = cores()
    with Lanes(pairs, lanes, began_s + budget_s, MOST_ROUNDS) as playing:
        for done in playing.rounds():
            if record is not None:
                record(done)
            if gate.add(done):
                break
    return Comparison(
        stages=gate.verdicts(),
        outcome=gate.outcome,
        seconds=now_s() - began_s,
        rounds=len(gate.rounds),
        lanes=len(lanes),
        load=os.getloadavg()[0],
        evidence=_evidence(*counted),
    )


def check_limits(limits: Mapping[str, float], stages: Collection[str]) -> None:
    """Raises PerfError for limits of stages that the tape does not have, or without tick_total."""
    for stage in (*limits, TOTAL):
        if stage not in stages:
            raise PerfError(f"limit for stage {stage!r}: the tape has {', '.join(stages)}")
    if TOTAL not in limits:
        raise PerfError(f"limits name {', '.join(limits) or 'no stage'}, expected {TOTAL} among them")


def worst_of(outcomes: Collection[Outcome]) -> Outcome:
    """Of a whole gate, from those of its stages."""
    return "FAIL" if "FAIL" in outcomes else "INCONCLUSIVE" if "INCONCLUSIVE" in outcomes else "PASS"


def within_total(stage: StageVerdict, total: StageVerdict) -> StageVerdict:
    """A stage without a limit of its own."""
    return replace(stage, outcome=total.outcome, gated_in=TOTAL, note=f"gated within {TOTAL}")


class Gate:
    """The stages of one comparison, and what is decided of them. Rounds in, verdicts out."""

    def __init__(self, stages: tuple[str, ...], limits: Mapping[str, float], seed: int) -> None:
        """Raises PerfError like `check_limits`."""
        check_limits(limits, stages)
        self._stages = stages
        self._limits = dict(limits)
        self._seed = seed
        self._decided: dict[str, StageVerdict] = {}
        self.rounds: list[Round] = []

    def add(self, done: Round) -> bool:
        """Take a round, look when a look is due; returns whether nothing is open any more."""
        self.rounds.append(done)
        count = len(self.rounds)
        if count >= FIRST_LOOK and (count - FIRST_LOOK) % EVERY == 0:
            self._look(last=count == MOST_ROUNDS)
        return all(stage in self._decided for stage in self._limits)

    def verdicts(self) -> tuple[StageVerdict, ...]:
        """Of every stage; what is still open is decided now."""
        self._look(last=True)
        return tuple(self._decided.get(stage) or self._within_total(stage) for stage in self._stages)

    @property
    def outcome(self) -> Outcome:
        """Of the whole gate, once nothing is open."""
        return worst_of([verdict.outcome for verdict in self._decided.values()])

    def _look(self, *, last: bool) -> None:
        for stage, limit in self._limits.items():
            if stage in self._decided:
                continue
            if len(self.rounds) < LEAST_ROUNDS:
                self._decided[stage] = _nothing(stage, len(self.rounds))
                continue
            found = self._estimate(stage)
            outcome = decide(found, limit, len(self._limits), last=last)
            if outcome is not None:
                self._decided[stage] = self._verdict(stage, outcome, found)

    def _estimate(self, stage: str) -> Estimate:
        column = self._stages.index(stage)
        rng = np.random.default_rng((self._seed, len(self.rounds), column))
        return estimate(*costs(self.rounds, column), rng)

    def _verdict(self, stage: str, outcome: Outcome, found: Estimate) -> StageVerdict:
        changed = max(done.changed_ticks for done in self.rounds)
        note = f"decides otherwise on {changed} ticks" if changed else ""
        return _verdict(stage, outcome, found, len(self.rounds), note=note)

    def _within_total(self, stage: str) -> StageVerdict:
        total = self._decided[TOTAL]
        if len(self.rounds) < LEAST_ROUNDS:
            return _nothing(stage, len(self.rounds), gated_in=TOTAL)
        found = _verdict(stage, total.outcome, self._estimate(stage), len(self.rounds))
        return within_total(found, total)


def costs(rounds: Sequence[Round], column: int) -> tuple[Floats, Floats]:
    """Of one stage, baseline and candidate: shapes [rounds, ticks]."""
    return (
        np.stack([done.baseline[:, column] for done in rounds]),
        np.stack([done.candidate[:, column] for done in rounds]),
    )


def least(rounds: Sequence[Round], column: int) -> Floats:
    """Of one stage, the least cost of each tick in any process, ns: shape [ticks]."""
    a, b = costs(rounds, column)
    lowest: Floats = np.minimum(a.min(axis=0), b.min(axis=0))
    return lowest


def with_itself(code: Code, tape: Mapping[str, Any], rounds: int, seed: int) -> list[Round]:
    """Rounds of code against itself, in the very way in which two codes are compared."""
    twin = Code(f"{code.name} again", code.root, code.python)
    with Lanes(Pairs(code, twin, tape, seed), cores(), None, rounds) as playing:
        return list(playing.rounds())


def prove(code: Code, tape: Mapping[str, Any], *, rounds: int, seed: int) -> Proof:
    """Compare code with itself: what this machine and tape do to a comparison. Raises PerfError where the
    errors are larger than the rule believes (z_rms above 1).
    """
    if rounds < FIRST_LOOK:
        raise PerfError(f"proof: rounds was {rounds}, expected at least {FIRST_LOOK}")
    began_s = now_s()
    played = with_itself(code, tape, rounds, seed)
    return proof_of(code.name, played, seed, now_s() - began_s)


def proof_of(name: str, played: Sequence[Round], seed: int, seconds: float) -> Proof:
    """The proof that these rounds of code with itself are; groups of as many as a first look has are gates of
    their own. Raises PerfError for rounds that prove the contrary.
    """
    stages = played[0].stages
    scores: list[tuple[float, float]] = []
    ratios: list[tuple[float, float]] = []
    for first in range(0, len(played) - FIRST_LOOK + 1, FIRST_LOOK):
        for column in range(len(stages)):
            rng = np.random.default_rng((seed, first, column))
            found = estimate(*costs(played[first : first + FIRST_LOOK], column), rng)
            se = believed(found)
            scores.append((found.line / se.line, found.tail / se.tail))
            ratios.append((found.line / found.line_se, found.tail / found.tail_se))
    factors = np.sqrt(np.mean(np.square(ratios), axis=0))
    profile, errors = {}, {}
    for column, stage in enumerate(stages):
        a, b = costs(played, column)
        profile[stage] = least(played, column).tolist()
        errors[stage] = believed(estimate(a, b, np.random.default_rng((seed, column)))).line
    z_rms = float(np.sqrt(np.mean(np.square(scores))))
    if z_rms > 1.0:
        raise PerfError(
            f"{name} compared with itself: errors were {z_rms:.2f} times what the rule believes, expected at "
            f"most 1; is the machine overloaded?"
        )
    return Proof(
        z_rms=z_rms,
        factors=(float(factors[0]), float(factors[1])),
        floor=FLOOR,
        profile=profile,
        seconds=seconds,
        rounds=len(played),
        errors=errors,
    )


def _verdict(stage: str, outcome: Outcome, found: Estimate, rounds: int, *, note: str = "") -> StageVerdict:
    se = believed(found)
    reach, tail_reach = _TWO_SIDED_95 * se.line, _TWO_SIDED_95 * se.tail
    return StageVerdict(
        stage=stage,
        outcome=outcome,
        change=math.expm1(found.line),
        low=math.expm1(found.line - reach),
        high=math.expm1(found.line + reach),
        tail=math.expm1(found.tail),
        tail_low=math.expm1(found.tail - tail_reach),
        tail_high=math.expm1(found.tail + tail_reach),
        rounds=rounds,
        note=note,
    )


def _nothing(stage: str, rounds: int, gated_in: str | None = None) -> StageVerdict:
    note = f"{rounds} rounds in the time given, expected at least {LEAST_ROUNDS}"
    unknown = (math.nan, -math.inf, math.inf)
    return StageVerdict(stage, "INCONCLUSIVE", *unknown, *unknown, rounds, gated_in, note)


def _evidence(
    baseline: Mapping[str, Any], candidate: Mapping[str, Any]
) -> dict[str, dict[str, tuple[float, float]]]:
    """By what is counted and stage: baseline and candidate, sums over the tape."""
    return {
        what: {
            stage: (float(a), float(b))
            for stage, a, b in zip(baseline["stages"], baseline[what], candidate[what], strict=True)
        }
        for what in ("bytecodes", "blocks")
    }
