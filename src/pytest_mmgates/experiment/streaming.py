"""The pairs of a live stage, judged while it is played: rows as they are written -> why it ends.

After each pair, once its fills are marked, everything that was read so far is decided as at the end, by the
same code. Harm ends the stage at once, and takes the candidate away: a `delta` of safety whose lower bound is
above its limit, or a net whose upper bound is below 0. What else is decided at a look (`ending.done_of`)
ends it, too: it has all that it is for.

A pair is judged when every symbol has ticks a wash-out and a mark-out behind its later block: until then
fills of the arm before may come. Rows wait as they are, and are decoded some megabytes at a time. A look is
made when ticks come round again, so that all feeds of a time are in. A fill that comes later than that counts
from the next look on, as at the end.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pytest_mmgates.armrules import DeltaRule
from pytest_mmgates.errors import RunlogError
from pytest_mmgates.experiment.blocks import MARKED_AFTER_NS, BlockReader, variant_of
from pytest_mmgates.experiment.decide import first_look_of
from pytest_mmgates.experiment.ending import decided_after, done_of
from pytest_mmgates.experiment.facts import Facts
from pytest_mmgates.experiment.log import ExperimentLog
from pytest_mmgates.experiment.pairing import complete_after_ns, planned_pair_ends
from pytest_mmgates.feeds import Feeds
from pytest_mmgates.gatefile import Gate
from pytest_mmgates.judgearms import harm_of
from pytest_mmgates.rows import read_running

_TICKS, _FILLS = "pipeline_ticks", "fills"
_MOST_BYTES = 4_000_000


class _Stamp(msgspec.Struct):
    ts_ns: int


@dataclass(frozen=True, slots=True)
class _Stage:
    """What is known once it has begun. `ends_ns`: when each pair is complete, in order."""

    facts: Facts
    feeds: Feeds
    reader: BlockReader
    ends_ns: list[int]

    @property
    def after_ns(self) -> int:
        """How long behind its end a pair can be judged."""
        return complete_after_ns(self.facts)


class PairJudge:
    """Judges one run of a live stage. Its methods raise RunlogError for rows that cannot be believed."""

    def __init__(self, gate: Gate, run_dir: Path, facts: Callable[[int], Facts]) -> None:
        """`facts`: of the stage, with all of its blocks, by when the run began."""
        self._gate = gate
        self._run_dir = run_dir
        self._facts = facts
        self._stage: _Stage | None = None
        self._waiting: list[tuple[str, bytes]] = []
        self._bytes = 0
        self._newest_ns = 0
        self._judged = 0
        self.seen: ExperimentLog | None = None
        """The stage at the newest look."""
        self.harm: str | None = None
        """Why the candidate has to go."""
        self.done: str | None = None
        """Why the stage has all that it is for."""

    def batch(self, feed: str, lines: bytes) -> str | None:
        """Take a batch of rows; returns why the candidate has to go, or None. Nothing is looked at once the
        stage is done.
        """
        if self.done is not None:
            return self.harm
        if feed == _TICKS:
            self._stage = self._stage or self._begun(_stamp(lines[: lines.find(b"\n")]))
            self._look(self._stage)
            self._newest_ns = _stamp(lines[lines.rfind(b"\n", 0, -1) + 1 :])
        if feed in (_TICKS, _FILLS):
            self._waiting.append((feed, lines))
            self._bytes += len(lines)
        return self.harm

    def _begun(self, began_ns: int) -> _Stage:
        facts, manifest = self._facts(began_ns), read_running(self._run_dir, began_ns)
        reader = BlockReader(facts, manifest, facts.blocks)
        return _Stage(facts, Feeds(self._run_dir, manifest), reader, planned_pair_ends(facts))

    def _look(self, stage: _Stage) -> None:
        """Read what waits, if it is time to; judge, if a pair is complete that was not."""
        due = self._judged < len(stage.ends_ns)
        due = due and self._newest_ns > stage.ends_ns[self._judged] + stage.after_ns
        if due or self._bytes >= _MOST_BYTES:
            self._read(stage)
        until_ns = stage.reader.seen_ns - stage.after_ns - 1
        complete = bisect_right(stage.ends_ns, until_ns)
        if complete > self._judged and self.harm is None:
            self._judged = complete
            self._judge(stage, until_ns)

    def _read(self, stage: _Stage) -> None:
        fills, ticks = (
            b"".join(lines for name, lines in self._waiting if name == feed) for feed in (_FILLS, _TICKS)
        )
        stage.reader.fills(*stage.feeds.arm_fills_of(fills))
        stage.reader.ticks(*stage.feeds.arm_ticks_of(ticks))
        self._waiting.clear()
        self._bytes = 0

    def _judge(self, stage: _Stage, until_ns: int) -> None:
        marked_ns = stage.reader.seen_ns - MARKED_AFTER_NS - 1
        variant = variant_of(stage.facts, "", [stage.reader], until_ns, marked_ns)
        gate = self._gate
        log = ExperimentLog(stage.facts, (variant,), (), gate.accept[0], gate.evidence.source)
        harms = (
            f"{rule}: {found.reason}, after {found.n} pairs"
            for rule in gate.judged
            if isinstance(rule, DeltaRule)
            and (found := harm_of(rule, log, accepts=rule in gate.accept)) is not None
        )
        self.seen, self.harm = log, next(harms, None)
        self.done = done_of(log) if self.harm is None else None

    def says(self) -> dict[str, object]:
        """The rule that the stage is to be decided by, as `pytest_mmgates.sut` hands it to the run."""
        return {"rule": str(self._gate.accept[0]), "section": "accept", "says": self._says(), "fired": False}

    def _says(self) -> str | None:
        """What the newest look found."""
        if self._stage is None or self.seen is None or not self.seen.decision.variants:
            return None
        [found] = self.seen.decision.variants
        bounds, first = found.bounds, first_look_of(self._stage.facts, self._gate.accept[0])
        between = "" if bounds is None else f", between {bounds.low:+.3f} and {bounds.high:+.3f} bps"
        return f"{decided_after(self.seen)}, looks from {first} on{between}"


def _stamp(line: bytes) -> int:
    try:
        return msgspec.json.decode(line, type=_Stamp).ts_ns
    except msgspec.MsgspecError as error:
        raise RunlogError(f"feed {_TICKS}: corrupt row: {error}") from error
