"""What a comparison with the baseline found: kept as `comparison.json` beside the rows of the run, so that
any process can judge it.
"""

from typing import Any, Literal

import msgspec

Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]


class StageChange(msgspec.Struct, frozen=True):
    """How a stage's p95 changed: shares (0.03 = 3 % slower), with 95 % intervals, None where there were
    too few rounds. `gated_in` names the stage that carries the verdict where this one cannot be timed by
    itself.
    """

    stage: str
    outcome: Outcome
    change: float | None
    low: float | None
    high: float | None
    tail: float | None
    tail_low: float | None
    tail_high: float | None
    rounds: int
    gated_in: str | None = None
    note: str = ""


class Latency(msgspec.Struct, frozen=True):
    """The paired comparison of stage times. `attempts` is 2 where the first decided nothing and was repeated
    with twice the time; `rung` says how the baseline was made to run, and `provisional` that it was
    not and nothing was timed. `evidence`: what was counted -> stage -> baseline and candidate;
    `instructions_absent`: why they were not, where they were asked for.
    """

    stages: tuple[StageChange, ...]
    seconds: float
    rounds: int
    lanes: int
    load: float
    attempts: int
    rung: str
    evidence: dict[str, Any] = {}
    provisional: bool = False
    instructions_absent: str | None = None

    def stage(self, name: str) -> StageChange | None:
        return next((stage for stage in self.stages if stage.stage == name), None)


class Figure(msgspec.Struct, frozen=True):
    """One line of the table of differences; None where a side could not be measured."""

    name: str
    unit: str
    baseline: float | None
    candidate: float | None


class Behaviour(msgspec.Struct, frozen=True):
    """Digests over every command and fill of both sides, played here. `acknowledged` is the reason that the
    change gives for a difference; `locked` is the digest where the baseline was locked.
    """

    baseline: str
    candidate: str
    locked: str
    acknowledged: str | None = None
    figures: tuple[Figure, ...] = ()

    @property
    def is_same(self) -> bool:
        return self.baseline == self.candidate


class ComparisonRecord(msgspec.Struct, frozen=True):
    """A run against the baseline `name`, locked from `commit`. What could not be compared is None, and says
    why. `edits` says what the change does to the gates themselves, a line each.
    """

    name: str
    lock_digest: str
    commit: str
    behaviour: Behaviour | None = None
    behaviour_absent: str | None = None
    latency: Latency | None = None
    latency_absent: str | None = None
    edits: tuple[str, ...] = ()


def encoded_comparison(record: ComparisonRecord) -> str:
    return msgspec.json.format(msgspec.json.encode(record), indent=1).decode() + "\n"


def decoded_comparison(text: bytes) -> ComparisonRecord:
    """Raises msgspec.MsgspecError for what is no record."""
    return msgspec.json.decode(text, type=ComparisonRecord)
