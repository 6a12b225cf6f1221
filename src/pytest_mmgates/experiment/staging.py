"""How a session plays a live stage of an experiment: one run of both arms, which change places as planned.

    OUT/runs/ab-wider-spread/experiment.json         facts of the plan, and the blocks of the run
    OUT/runs/ab-wider-spread/live/<run id>/          a complete run directory

Without --mmgates-live it is played on the virtual clock, on the plan's scenario: the whole stage in minutes,
and nothing is recorded of it beyond its verdict. Unless --mmgates-duration says otherwise it lasts until it
has its pairs, and as long as the plan says at least. With it, on the plan's live scenario, in its own time,
as the rollout's log says. A stage that was interrupted begins anew: what cut through a block may have been
of one arm's making.

Ticks and fills of arm B are watched by the rules of `safety` that name it, and pairs are judged as they are
completed. A rule that breaks, or a net that does harm, rolls the run back to the baseline, and ends it then.
"""

from pathlib import Path

from pytest_mmgates.experiment.concluding import conclude, record
from pytest_mmgates.experiment.decide import pairs_asked
from pytest_mmgates.experiment.facts import Facts, keep_facts
from pytest_mmgates.experiment.making import ExperimentMaking, watching
from pytest_mmgates.experiment.pairing import planned_pair_ends
from pytest_mmgates.experiment.reading import LIVE
from pytest_mmgates.experiment.streaming import PairJudge
from pytest_mmgates.gatefile import Gate
from pytest_mmgates.making import Making, Outcome
from pytest_mmgates.playing import HaltNotes, WatchJudge
from pytest_mmgates.rows import read_manifest
from pytest_mmgates.tally.edge import NET_HORIZON_S
from pytest_mmgates.units import NS_PER_S
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
        return self._facts(start_ns=start_ns, until_ns=start_ns + self._blocks_ns(self.facts.max_pairs))

    def _facts(self, **times: int) -> Facts:
        """Before it was played, no block has begun."""
        return super()._facts(**{"start_ns": 0, "until_ns": 0, **times})

    def _parts(self) -> tuple[str, ...]:
        return ()

    def _make_whole(self) -> Outcome:
        options, experiment = self._options, self.facts.name
        if options.live is not None:
            self._began_ns = record(options, experiment, "begun")
        run_dir = self._partial / LIVE / self.run_id
        self._play(run_dir, None)
        manifest = read_manifest(run_dir)
        began_ns = manifest.started_ns if self._began_ns is None else self._began_ns
        until_ns = manifest.started_ns + manifest.duration_ns
        keep_facts(self._partial, self._facts(start_ns=began_ns, until_ns=until_ns))
        if options.live is not None:
            conclude(options, self._whole_gate, self._partial, experiment, self._tell)
        return Outcome(self.run_id)

    @property
    def _needed_s(self) -> float:
        """Of market: the plan's duration, or until the last of its pairs is complete and its fills marked."""
        facts = self.facts
        pairs = pairs_asked(facts, self._whole_gate.accept[0])
        ends_ns = planned_pair_ends(self._facts(until_ns=self._blocks_ns(pairs)))
        return max(facts.least_duration_ns, ends_ns[pairs - 1] + _AFTER_NS) / NS_PER_S

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
        return super().batch(feed, lines) or self._pairs.batch(feed, lines)
