"""Stage times of both sides, measured here in pairs (`pytest_mmgates.perflab`).

Decided: what is inconclusive is measured once more with twice the time, the stages that it concerns alone; a
stage that is decided stays decided, because to repeat a FAIL until it passes would square the rate of misses.
"""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pytest_mmgates.baseline.lockfile import Lock
from pytest_mmgates.baseline.record import Latency, StageChange
from pytest_mmgates.baseline.source import Unpacked
from pytest_mmgates.errors import BaselineError
from pytest_mmgates.perflab import Code, Comparison, StageVerdict, compare
from pytest_mmgates.perflab.stored import compare_stored

TOTAL = "tick_total"


def measured(
    lock: Lock, baseline: Unpacked, root: Path, *, limits: Mapping[str, float], budget_s: float
) -> Latency:
    """Compare the stages that have a limit. BaselineError where the lock names no tape."""
    if lock.tape is None:
        raise BaselineError(f"baseline {lock.name} was locked without a latency tape: lock anew")
    sides = code("baseline", baseline.root), code("candidate", root)
    rung = f"baseline re-run here from {baseline.rung}"
    first = compare(*sides, lock.tape, limits=limits, budget_s=budget_s, seed=1)
    undecided = [stage.stage for stage in first.stages if stage.outcome == "INCONCLUSIVE"]
    if not undecided or first.outcome == "FAIL":
        return kept([first], first.stages, rung)
    again = {stage: limit for stage, limit in limits.items() if stage in (*undecided, TOTAL)}
    second = compare(*sides, lock.tape, limits=again, budget_s=2 * budget_s, seed=2)
    decided_now = {stage.stage: stage for stage in second.stages if stage.stage in undecided}
    stages = [decided_now.get(stage.stage, stage) for stage in first.stages]
    return kept([first, second], stages, rung)


def stored(lock: Lock, root: Path, why: str) -> Latency:
    """The change beside the costs that the lock's proof keeps, because the baseline cannot run here: FAIL or
    INCONCLUSIVE. BaselineError without a proof, PerfError where the change cannot run either.
    """
    if lock.tape is None or lock.proof is None:
        raise BaselineError(why)
    proof = lock.proof
    found = compare_stored(proof.costs_ns(), proof.machine, code("candidate", root), lock.tape, seed=1)
    return kept([found], found.stages, f"{found.rung} ({why})")


def code(name: str, root: Path) -> Code:
    """One side, run by the interpreter that runs this."""
    return Code(name, root, Path(sys.executable))


def kept(attempts: Sequence[Comparison], stages: Iterable[StageVerdict], rung: str) -> Latency:
    """What is kept of one comparison, or of one and its repetition."""
    last = attempts[-1]
    return Latency(
        stages=tuple(map(_change, stages)),
        seconds=sum(attempt.seconds for attempt in attempts),
        rounds=last.rounds,
        lanes=last.lanes,
        load=last.load,
        attempts=len(attempts),
        rung=rung,
        evidence=_plain(last.evidence),
    )


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
