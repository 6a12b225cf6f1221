"""When the baseline's code cannot be run here any more: its stored profile, if this is the same machine.

Stored times do not carry a few per cent, not even on one machine (the same code differs by 3 % when the load
does), so nothing passes by them: a stage that is dearer by a tenth has failed, anything else is
INCONCLUSIVE, and on any other machine than the profile's there is no verdict. The advice is to lock anew.
"""

import hashlib
import math
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_mmgates.perflab import Code, Comparison, PerfError, StageVerdict, least, with_itself
from pytest_mmgates.perflab.estimate import statistics
from pytest_mmgates.perflab.rounds import Round, cores, now_s

if TYPE_CHECKING:
    from pytest_mmgates.perflab.decide import Outcome

DEARER = 0.10
ROUNDS = 8
"""Sixteen processes."""
SAME_MACHINE = "baseline cannot run: its stored times, same machine"
OTHER_MACHINE = "baseline cannot run, and its times are of another machine: no verdict, lock anew"


def fingerprint() -> str:
    """Names what times depend on: processor, its cores, kernel, and the interpreter's build."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    processor = next((line for line in lines if line.startswith("model name")), platform.processor())
    facts = (processor, os.cpu_count(), platform.release(), platform.python_build(), platform.libc_ver())
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def compare_stored(
    profile: Mapping[str, Sequence[float]],
    machine: str,
    candidate: Code,
    tape: Mapping[str, Any],
    *,
    seed: int,
    rounds: int = ROUNDS,
) -> Comparison:
    """The candidate against a proof's `profile`, which was made on a machine with that fingerprint. FAIL or
    INCONCLUSIVE, never PASS. Raises PerfError, also where the profile is of another tape.
    """
    began_s = now_s()
    here = machine == fingerprint()
    played = with_itself(candidate, tape, rounds, seed) if here else []
    if here:
        stages = tuple(_held_against(profile, played, stage) for stage in played[0].stages)
    else:
        stages = tuple(_unknown(stage) for stage in profile)
    failed = any(one.outcome == "FAIL" for one in stages)
    return Comparison(
        stages=stages,
        outcome="FAIL" if failed else "INCONCLUSIVE",
        seconds=now_s() - began_s,
        rounds=len(played),
        lanes=len(cores()),
        load=os.getloadavg()[0],
        evidence={},
        rung=SAME_MACHINE if here else OTHER_MACHINE,
    )


def _held_against(
    profile: Mapping[str, Sequence[float]], played: Sequence[Round], stage: str
) -> StageVerdict:
    now = least(played, played[0].stages.index(stage))
    then = np.array(profile.get(stage, ()))
    if then.shape != now.shape:
        raise PerfError(f"stored profile of {stage}: has {len(then)} ticks, expected {len(now)}")
    line, tail = np.expm1(statistics(then[None], now[None], np.sqrt(then * now))[0])
    outcome: Outcome = "FAIL" if max(line, tail) >= DEARER else "INCONCLUSIVE"
    unknown = -math.inf, math.inf
    return StageVerdict(
        stage, outcome, float(line), *unknown, float(tail), *unknown, len(played), None, SAME_MACHINE
    )


def _unknown(stage: str) -> StageVerdict:
    nothing = math.nan, -math.inf, math.inf
    return StageVerdict(stage, "INCONCLUSIVE", *nothing, *nothing, 0, None, OTHER_MACHINE)
