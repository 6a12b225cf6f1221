"""How a session plays a live stage of an experiment: one run of both arms, which change places as planned.

    OUT/runs/ab-wider-spread/experiment.json         facts of the plan, and the blocks of the run
    OUT/runs/ab-wider-spread/live/<run id>/          a complete run directory

Without --mmgates-live it is played on the virtual clock, on the plan's scenario: the whole stage in minutes,
and nothing is recorded of it beyond its verdict. With it, on the plan's live scenario, in its own time, as
the rollout's log says. A stage that was interrupted begins anew: what cut through a block may have been of
one arm's making.

A stage of 50 % is played until it is decided: no longer than the plan's pairs take, or than there is market,
and no shorter than plan and gate ask for, and --mmgates-duration. The other stages last until they have the
plan's pairs and time, or as long as --mmgates-duration says.

Ticks and fills of arm B are watched by the rules of `safety` that name it, and pairs are judged as they are
completed. A rule that breaks, or a net that does harm, rolls the run back to the baseline, and ends it then.
"""

import math
from functools import cached_property
from pathlib import Path

import msgspec

from pytest_mmgates.errors import ExperimentError
from pytest_mmgates.experiment.concluding import conclude, record
from pytest_mmgates.experiment.decide import most_pairs, pairs_asked
from pytest_mmgates.experiment.ending import lasts, span
from pytest_mmgates.experiment.facts import ACCEPTING, Facts, keep_facts
from pytest_mmgates.experiment.making import ExperimentMaking, watching
from pytest_mmgates.experiment.pairing import complete_after_ns, planned_pair_ends
from pytest_mmgates.experiment.reading import LIVE
from pytest_mmgates.experiment.streaming import PairJudge
from pytest_mmgates.gatefile import Gate
from pytest_mmgates.making import Making, Outcome
from pytest_mmgates.playing import HaltNotes, WatchJudge
from pytest_mmgates.rows import read_manifest
from pytest_mmgates.tally.edge import NET_HORIZON_S
from pytest_mmgates.units import NS_PER_S, Dimension
from pytest_mmgates.watch.watch import Watch

_MOST_BLOCKS_OF_PAIR = 10
"""One treated block in ten, or one held back."""
_AFTER_NS = 2 * NET_HORIZON_S * NS_PER_S
"""Behind the last block: its fills are marked, and a first tick may come late."""


class StageMaking(ExperimentMaking):
    """Of the session's experiment at a live stage, seen from one of its processes."""

    _began_ns: int | None = None
    """On the wall clock: as the rollout's log says."""

    @property
    def _watched_arm(self) -> str | None:
        return "B"

    def _judge(self, run_dir: Path, gate: Gate | None, watch: Watch, others: HaltNotes, /) -> WatchJudge:
        return StageJudge(gate, watch, others, PairJudge(self._whole_gate, run_dir, self._all_facts))

    def _all_facts(self, run_began_ns: int) -> Facts:
        """With all blocks that the stage may come to. On the wall clock it begins when that was recorded."""
        start_ns = run_began_ns if self._began_ns is None else self._began_ns
        until_ns = start_ns + self._blocks_ns(self.facts.max_pairs)
        return self._timed(self._facts(start_ns=start_ns, until_ns=until_ns), self._asked_s)

    def _timed(self, facts: Facts, asked_s: float) -> Facts:
        """And with how long it is played: at least so long as was asked for."""
        horizon_ns = self._horizon_ns
        least_ns = 0 if facts.stage == "10" else self._evidence_ns
        if horizon_ns:
            least_ns = round(min(max(self._least_ns, asked_s * NS_PER_S), horizon_ns))
        return msgspec.structs.replace(facts, minimum_ns=least_ns, horizon_ns=horizon_ns)

    def _facts(self, **times: int) -> Facts:
        """Before it was played, no block has begun."""
        return super()._facts(**{"start_ns": 0, "until_ns": 0, **times})

    def _parts(self) -> tuple[str, ...]:
        return ()

    def _make_whole(self) -> Outcome:
        options, experiment = self._options, self.facts.name
        if options.live is not None:
            told = lasts(self._timed(self.facts, self._asked_s))
            self._began_ns = record(options, experiment, "begun", reason=told)
        run_dir = self._partial / LIVE / self.run_id
        self._check_asked()
        self._play(run_dir, None)
        manifest = read_manifest(run_dir)
        began_ns = manifest.started_ns if self._began_ns is None else self._began_ns
        until_ns = manifest.started_ns + manifest.duration_ns
        facts = self._facts(start_ns=began_ns, until_ns=until_ns)
        all_s = manifest.duration_ns / NS_PER_S
        keep_facts(self._partial, self._timed(facts, all_s if math.isinf(self._asked_s) else self._asked_s))
        if options.live is not None:
            conclude(options, self._whole_gate, self._partial, experiment, self._tell)
        return Outcome(self.run_id)

    @property
    def _asked_s(self) -> float:
        """By --mmgates-duration; infinite: all of a recording."""
        return self._options.duration_s or 0.0

    def _check_asked(self) -> None:
        """Raises ExperimentError for a time that a stage that is played until decided cannot come to."""
        horizon_ns = self._horizon_ns
        if horizon_ns and horizon_ns < self._asked_s * NS_PER_S < math.inf:
            raise ExperimentError(
                f"plan {self.facts.name}: --mmgates-duration was {self._options.duration}, expected at most"
                f" {span(horizon_ns)}, in which stage {ACCEPTING} has all of its pairs"
            )

    @property
    def _evidence_ns(self) -> int:
        """What the gate asks for."""
        return round(self._whole_gate.evidence.duration.limit.base(Dimension.TIME))

    @property
    def _least_ns(self) -> int:
        """Of a stage that accepts."""
        return max(self.facts.least_duration_ns, self._evidence_ns)

    @cached_property
    def _horizon_ns(self) -> int:
        """Until the last pair of the plan is complete, of a stage that is played until it is decided."""
        facts = self.facts
        if facts.stage != ACCEPTING:
            return 0
        most_ns = self._pairs_ns(most_pairs(facts, self._whole_gate.accept[0]))
        return max(self._least_ns, most_ns + complete_after_ns(facts))

    @property
    def _needed_s(self) -> float:
        """Of market: the plan's duration, or until the last of its pairs is complete and its fills marked."""
        facts = self.facts
        pairs_ns = self._pairs_ns(pairs_asked(facts, self._whole_gate.accept[0])) + _AFTER_NS
        least_ns = self._least_ns if facts.stage == ACCEPTING else facts.least_duration_ns
        return max(least_ns, pairs_ns) / NS_PER_S

    def _pairs_ns(self, pairs: int) -> int:
        """When so many pairs have ended."""
        return planned_pair_ends(self._facts(until_ns=self._blocks_ns(pairs)))[pairs - 1]

    def _blocks_ns(self, pairs: int) -> int:
        """A time that has so many pairs, at any stage."""
        return _MOST_BLOCKS_OF_PAIR * (pairs + 1) * self.facts.block_ns

    def _gate(self, _part: str | None, /) -> Gate:
        """A hold of minutes tells a slow arm from a busy machine only where minutes are real: on the virtual
        clock they are a second, and ticks are compared at the end of the stage alone.
        """
        return watching(self._whole_gate, beside_a=self._options.live is not None)

    def _request(self, run_dir: Path, part: str | None) -> dict[str, object]:
        options, facts = self._options, self.facts
        return {
            **Making._request(self, run_dir, part),  # noqa: SLF001 (that of a replay is another)
            "scenario": facts.scenario if options.live is None else options.live,
            "config": [],
            "live": options.live is not None,
            "host": options.host,
            "duration_s": self._needed_s if options.duration is None else options.duration_s,
            "horizon_s": (self._horizon_ns + _AFTER_NS) / NS_PER_S if self._horizon_ns else None,
            "plan": str(options.plan_of(facts.name)),
            "stage": facts.stage,
            "out_dir": str(options.out_dir),
        }


class StageJudge(WatchJudge):
    """And by what its pairs say."""

    rolls_back = True

    def __init__(self, gate: Gate | None, watch: Watch, others: HaltNotes, pairs: PairJudge) -> None:
        super().__init__(gate, watch, others)
        self._pairs = pairs

    def batch(self, feed: str, lines: bytes) -> str | None:
        reason = super().batch(feed, lines) or self._pairs.batch(feed, lines)
        self.done = self._pairs.done
        return reason

    def says(self) -> list[dict[str, object]] | None:
        says = super().says()
        return None if says is None else [*says, self._pairs.says()]
