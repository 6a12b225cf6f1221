"""What a comparison and a proof say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_mmgates.perflab.decide import Outcome


@dataclass(frozen=True, slots=True)
class StageVerdict:
    """One stage: `change` of its p95 as a ratio (0.03 = 3 % dearer) with its 95 % interval, and that of its
    tail check. `gated_in`: the stage that gates it in its place, None = itself.
    """

    stage: str
    outcome: Outcome
    change: float
    low: float
    high: float
    tail: float
    tail_low: float
    tail_high: float
    rounds: int
    gated_in: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All stages of the tape, in its order. `load`: the machine's load average when it ended. `evidence`: by
    what is counted, stage and side, figures that do not depend on the machine; printed, never gated. `rung`:
    what the candidate was held against, for the verdict's line; `provisional`: it is none on time.
    """

    stages: tuple[StageVerdict, ...]
    outcome: Outcome
    seconds: float
    rounds: int
    lanes: int
    load: float
    evidence: Mapping[str, Mapping[str, tuple[float, float]]]
    rung: str = "baseline re-run here"
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class Proof:
    """The comparison of code with itself, made when it is locked. `z_rms`: of errors in units of what was
    believed, above 1 nothing is believed; `factors`: the errors in units of the standard errors as computed,
    of line and tail; `floor`: the least standard error believed; `profile`: per stage each tick's cost, ns;
    `errors`: per stage the standard error believed after all rounds.
    """

    z_rms: float
    factors: tuple[float, float]
    floor: float
    profile: Mapping[str, Sequence[float]]
    seconds: float
    rounds: int
    errors: Mapping[str, float]
