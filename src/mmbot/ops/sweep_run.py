"""Play the shards of a sweep, here or on a cluster, and fold what comes back.

Sums of a point are folded when all of its shards are there, in the order of the shards: whoever plays them,
and when, the last digit is the same. Kept in memory are sums by point and block.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from mmbot.calibration.block_sums import PointSums
from mmbot.errors import ConfigError
from mmbot.ops.sweep import Candidate, Sweep
from mmbot.ops.sweep_shard import CALL, Played
from mmbot.ops.sweep_store import Kept, SweepStore
from mmcluster import ClusterError, Failed, Finished, Task, common_facts, open_cluster


@dataclass(frozen=True, slots=True)
class Trouble:
    """A shard that failed: its own error, and the traceback of a bug."""

    shard: str
    error: str
    detail: str | None


@dataclass(slots=True)
class Outcome:
    """What is known of the points of a sweep, by number."""

    sums: dict[int, PointSums] = field(default_factory=dict)
    """Of points whose every shard was played."""
    digests: dict[int, tuple[str, ...]] = field(default_factory=dict)
    troubles: dict[int, Trouble] = field(default_factory=dict)
    """The first of each point."""
    seconds: float = 0.0
    """Of all shards, those of an earlier session included."""
    finished: int = 0
    resumed: int = 0
    """Of the finished shards: those of an earlier session."""
    workers: set[str] = field(default_factory=set)
    lost: str | None = None
    """Why the rest could not be played."""


_VERSIONS = ("numpy", "numba", "msgspec", "scipy")
"""Of what plays a shard: the same on every worker."""


class _Folding:
    """Shards of a point until all of them are there."""

    def __init__(self, sweep: Sweep, outcome: Outcome) -> None:
        self._outcome = outcome
        self._candidates = {one.number: one for one in sweep.played}
        self._sweep = sweep
        self._waiting: dict[int, dict[str, Kept]] = {}

    def take(self, kept: Kept) -> None:
        outcome, number = self._outcome, point_of(kept.shard)
        outcome.finished += 1
        outcome.seconds += kept.seconds
        outcome.workers.add(kept.worker)
        waiting = self._waiting.setdefault(number, {})
        waiting[kept.shard] = kept
        if len(waiting) == self._sweep.shards_a_point:
            self._fold(self._candidates[number], self._waiting.pop(number))

    def _fold(self, candidate: Candidate, waiting: Mapping[str, Kept]) -> None:
        sums = self._outcome.sums[candidate.number] = PointSums()
        ordered = [waiting[name] for name, _ in self._sweep.shards(candidate)]
        for kept in ordered:
            sums.fold(kept.blocks)
        self._outcome.digests[candidate.number] = tuple(kept.digest for kept in ordered)


def play_sweep(
    sweep: Sweep,
    store: SweepStore,
    address: str | None,
    opened: Callable[[str | None], None],
    finished: Callable[[int], None],
) -> Outcome:
    """`opened` hears of the cluster's dashboard, `finished` how many shards are done, failed ones included.
    Raises ConfigError for an address that is none, and OutputError.
    """
    outcome, done = Outcome(), set[str]()
    folding = _Folding(sweep, outcome)
    for kept in store.kept():
        done.add(kept.shard)
        folding.take(kept)
    outcome.resumed = outcome.finished
    finished(outcome.finished)
    facts = common_facts(("mmbot", "mmcluster"), _VERSIONS)
    ready = False
    try:
        with open_cluster(address, facts) as cluster:
            ready = True
            opened(cluster.dashboard)
            for played in cluster.run(_tasks(sweep, done)):
                _take(played, store, folding, outcome)
                finished(outcome.finished + len(outcome.troubles))
    except ClusterError as error:
        if not ready:
            raise ConfigError(f"--cluster: {error}") from error
        outcome.lost = str(error)
    return outcome


def _take(played: Finished | Failed, store: SweepStore, folding: _Folding, outcome: Outcome) -> None:
    if isinstance(played, Failed):
        trouble = Trouble(played.name, played.error, played.detail)
        outcome.troubles.setdefault(point_of(played.name), trouble)
        return
    found = msgspec.convert(played.value, Played)
    kept = Kept(played.name, found.digest, played.seconds, played.worker, found.blocks)
    store.keep(kept)
    folding.take(kept)


def _tasks(sweep: Sweep, done: set[str]) -> Iterator[Task]:
    for name, payload in sweep.payloads(done):
        yield Task(name, CALL, payload)


def point_of(shard: str) -> int:
    """`17/SYNTHUSDT/1` is of point 17."""
    return int(shard.partition("/")[0])
