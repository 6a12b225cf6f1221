"""When the baseline's code cannot be run here any more, but its instructions were counted when it was locked:
the candidate's are counted now, under the same conditions, and compared.

Instructions are not time. Three per cent more time read as three to six per cent more instructions, so a
stage fails at five thirds of its limit (5 % for 3 %); only one that is dearer by half a per cent at most has
passed, provisionally: work that takes longer without an instruction more is not seen. What lies between is
INCONCLUSIVE.
"""

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_mmgates.perflab import (
    TOTAL,
    Code,
    Comparison,
    PerfError,
    StageVerdict,
    check_limits,
    within_total,
    worst_of,
)
from pytest_mmgates.perflab.evidence import UNCHANGED
from pytest_mmgates.perflab.instructions import (
    Instructions,
    changes,
    conditions,
    count_instructions,
    differing,
    sums,
)
from pytest_mmgates.perflab.rounds import now_s

if TYPE_CHECKING:
    from pytest_mmgates.perflab.decide import Outcome

_TAIL_UNCHANGED = 0.01
"""The tail is of a few ticks: in the same code it moves by 0.3 %, where the line does not move."""
RUNG = "baseline cannot run: instructions counted here, against its stored ones"
PROVISIONAL = "provisional: instructions, not time"
_FAILS_AT = 5.0 / 3.0
"""Of a limit: 3 % of time read +6 % at most, and the factor of 2 is rounded down."""


def compare_counted(
    profile: Instructions, candidate: Code, tape: Mapping[str, Any], *, limits: Mapping[str, float]
) -> Comparison:
    """The candidate against a profile. Raises PerfError where the profile was made under other conditions, or
    like `held_against`.
    """
    began_s = now_s()
    differs = differing(profile.conditions, conditions(candidate))
    if differs:
        raise PerfError(f"instructions cannot be compared: {differs}")
    found = count_instructions(candidate, tape)
    stages = held_against(profile, found, limits)
    return Comparison(
        stages=stages,
        outcome=worst_of([one.outcome for one in stages]),
        seconds=now_s() - began_s,
        rounds=1,
        lanes=1,
        load=os.getloadavg()[0],
        evidence={"instructions": sums(profile, found)},
        rung=RUNG,
        provisional=True,
    )


def held_against(
    profile: Instructions, found: Instructions, limits: Mapping[str, float]
) -> tuple[StageVerdict, ...]:
    """A stage without a limit is judged within tick_total. Raises PerfError for counts of another tape or of
    other stages.
    """
    _check_same_tape(profile, found)
    check_limits(limits, found.counts)
    own = {stage: _judged(profile, found, stage, limits.get(stage, limits[TOTAL])) for stage in found.counts}
    return tuple(one if stage in limits else within_total(one, own[TOTAL]) for stage, one in own.items())


def _check_same_tape(then: Instructions, now: Instructions) -> None:
    if then.sha256 != now.sha256:
        raise PerfError(f"instructions were counted on tape {then.sha256[:12]}, is {now.sha256[:12]}")
    sizes = [{stage: len(counts) for stage, counts in one.counts.items()} for one in (then, now)]
    if sizes[0] != sizes[1]:
        raise PerfError(f"instructions were counted of ticks {sizes[0]}, expected {sizes[1]}")


def _judged(then: Instructions, now: Instructions, stage: str, limit: float) -> StageVerdict:
    line, tail = changes(then.counts[stage], now.counts[stage])
    outcome: Outcome = "INCONCLUSIVE"
    if max(line, tail) >= _FAILS_AT * limit:
        outcome = "FAIL"
    elif line <= UNCHANGED and tail <= _TAIL_UNCHANGED:
        outcome = "PASS"
    unknown = -math.inf, math.inf
    return StageVerdict(stage, outcome, line, *unknown, tail, *unknown, 1, None, PROVISIONAL)
