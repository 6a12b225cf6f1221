"""Stage times of both sides, measured here in pairs (`pytest_mmgates.perflab`).

Decided: what is inconclusive is measured once more with twice the time, the stages that it concerns alone; a
stage that is decided stays decided, because to repeat a FAIL until it passes would square the rate of misses.
"""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from pytest_mmgates.baseline.lockfile import Lock
from pytest_mmgates.baseline.record import Latency, StageChange
from pytest_mmgates.baseline.source import Unpacked
from pytest_mmgates.errors import BaselineError
from pytest_mmgates.perflab import Code, Comparison, PerfError, StageVerdict, compare
from pytest_mmgates.perflab.counted import compare_counted
from pytest_mmgates.perflab.evidence import second_opinion
from pytest_mmgates.perflab.instructions import count_both
from pytest_mmgates.perflab.stored import compare_stored

TOTAL = "tick_total"
CANDIDATE = "candidate"
Sides = tuple[Code, Code]
Evidence = Mapping[str, Mapping[str, tuple[float, float]]]
"""What was counted -> stage -> baseline and candidate."""


def measured(
    lock: Lock,
    baseline: Unpacked,
    root: Path,
    *,
    limits: Mapping[str, float],
    budget_s: float,
    instructions: bool,
) -> Latency:
    """Compare the stages that have a limit; `instructions` are counted beside it. BaselineError where the
    lock names no tape.
    """
    if lock.tape is None:
        raise BaselineError(f"baseline {lock.name} was locked without a latency tape: lock anew")
    sides = code("baseline", baseline.root), code(CANDIDATE, root)
    rung = f"baseline re-run here from {baseline.rung}"
    attempts, stages = _attempts(sides, lock.tape, limits, budget_s)
    counted, uncounted_why = _counted(sides, lock.tape) if instructions else ({}, None)
    found = kept(attempts, stages, rung, counted)
    return msgspec.structs.replace(found, instructions_absent=uncounted_why)


def _attempts(
    sides: Sides, tape: Mapping[str, Any], limits: Mapping[str, float], budget_s: float
) -> tuple[list[Comparison], Sequence[StageVerdict]]:
    """One or two, and what is decided of each stage."""
    first = compare(*sides, tape, limits=limits, budget_s=budget_s, seed=1)
    undecided = [stage.stage for stage in first.stages if stage.outcome == "INCONCLUSIVE"]
    if not undecided or first.outcome == "FAIL":
        return [first], first.stages
    again = {stage: limit for stage, limit in limits.items() if stage in (*undecided, TOTAL)}
    second = compare(*sides, tape, limits=again, budget_s=2 * budget_s, seed=2)
    decided_now = {stage.stage: stage for stage in second.stages if stage.stage in undecided}
    return [first, second], [decided_now.get(stage.stage, stage) for stage in first.stages]


def _counted(sides: Sides, tape: Mapping[str, Any]) -> tuple[Evidence, str | None]:
    """Instructions of both sides, or why there are none: a verdict on time does not wait for them."""
    try:
        return {"instructions": count_both(*sides, tape)}, None
    except PerfError as error:
        return {}, str(error)


def counted(lock: Lock, root: Path, why: str, *, limits: Mapping[str, float]) -> Latency:
    """The change beside the instructions that the lock keeps, because the baseline cannot run here: a
    provisional verdict. BaselineError where it keeps none, PerfError where they cannot be compared.
    """
    if lock.tape is None or lock.instructions is None:
        raise BaselineError(f"no instructions in the lock: {lock.instructions_absent}")
    profile = lock.instructions.counted()
    found = compare_counted(profile, code(CANDIDATE, root), lock.tape, limits=limits)
    return kept([found], found.stages, f"{found.rung} ({why})")


def stored(lock: Lock, root: Path, why: str) -> Latency:
    """The change beside the costs that the lock's proof keeps, because the baseline cannot run here: FAIL or
    INCONCLUSIVE. BaselineError without a proof, PerfError where the change cannot run either.
    """
    if lock.tape is None or lock.proof is None:
        raise BaselineError(why)
    proof = lock.proof
    found = compare_stored(proof.costs_ns(), proof.machine, code(CANDIDATE, root), lock.tape, seed=1)
    return kept([found], found.stages, f"{found.rung} ({why})")


def code(name: str, root: Path) -> Code:
    """One side, run by the interpreter that runs this."""
    return Code(name, root, Path(sys.executable))


def kept(
    attempts: Sequence[Comparison],
    stages: Iterable[StageVerdict],
    rung: str,
    counted: Evidence = MappingProxyType({}),
) -> Latency:
    """What is kept of one comparison, or of one and its repetition, and what was `counted` beside it."""
    last = attempts[-1]
    evidence = {**last.evidence, **counted}
    if not last.provisional:
        stages = [_with_opinion(stage, evidence) for stage in stages]
    return Latency(
        stages=tuple(map(_change, stages)),
        seconds=sum(attempt.seconds for attempt in attempts),
        rounds=last.rounds,
        lanes=last.lanes,
        load=last.load,
        attempts=len(attempts),
        rung=rung,
        evidence=_plain(evidence),
        provisional=last.provisional,
    )


def _with_opinion(stage: StageVerdict, evidence: Evidence) -> StageVerdict:
    """With what counts say of it behind its note."""
    counts = {what: by_stage[stage.stage] for what, by_stage in evidence.items() if stage.stage in by_stage}
    said = second_opinion(stage.outcome, counts)
    return replace(stage, note="; ".join(text for text in (stage.note, said) if text))


def _change(stage: StageVerdict) -> StageChange:
    """As it is kept: what too few rounds left unknown (NaN, an endless interval) is None."""
    facts = {name: getattr(stage, name) for name in StageChange.__struct_fields__}
    known = {name: None if _is_unknown(value) else value for name, value in facts.items()}
    return msgspec.convert(known, StageChange)


def _is_unknown(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _plain(evidence: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(dict(evidence))
    return found
