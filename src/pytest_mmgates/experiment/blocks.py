"""Rows of a run -> its blocks.

A fill belongs to the arm that submitted its order. One of the arm before, within the wash-out after a switch,
is late: it counts in that arm's last block. The arm stands in the row and in the client id (`mmA-`, `mmB-`),
and the plan says whose the block is: where they disagree the labels are flipped, and nothing can be said.

Only the market leaves a block out:

    no_book     the book was not two-sided at more than a tenth of its ticks
    seen        the candidate was fitted to this part of this recording

Nothing that an arm did leaves anything out. A block without nine tenths of its ticks is missing.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np

from pytest_mmgates.errors import RunlogError
from pytest_mmgates.experiment.facts import ALL, ARMS, REPLAY, Arm, Facts, PlannedBlock
from pytest_mmgates.experiment.record import BlockRecord, Origin, Part, TickTimes, VariantRecord
from pytest_mmgates.feeds import Feeds
from pytest_mmgates.rows import Manifest, read_manifest
from pytest_mmgates.tables import Fills, Flags, Floats, Ints, Names, Ticks
from pytest_mmgates.tally import Histogram
from pytest_mmgates.tally.edge import NET_HORIZON, NET_HORIZON_S, Markouts, edge_of_fills
from pytest_mmgates.units import BPS, NS_PER_MS, NS_PER_S

LEAST_TICKS = 0.9
LEAST_BOOK = 0.9
_PARTS = "parts"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run directory of an experiment. `arm`: the one that it was played under, None = the plan's blocks."""

    directory: Path
    arm: Arm | None


def read_variant(facts: Facts, name: str, runs: Sequence[Recorded]) -> VariantRecord:
    """The blocks of some runs together. Raises RunlogError for rows that cannot be believed."""
    found = [
        (path, read_manifest(path), recorded.arm)
        for recorded in runs
        for path in _directories(recorded.directory)
    ]
    ended_ns = max(manifest.started_ns + manifest.duration_ns for _, manifest, _ in found)
    marked_ns = ended_ns - NET_HORIZON_S * NS_PER_S
    readers = []
    for path, manifest, arm in found:
        planned = (
            [block for block in facts.blocks if block.end_ns <= marked_ns]
            if arm is None
            else blocks_of_replay(facts, manifest, arm)
        )
        readers.append(_Reader(facts, manifest, path, planned))
    for reader in readers:
        reader.read()
    times = {arm: reduce(Histogram.merged, (reader.times[arm] for reader in readers)) for arm in ARMS}
    return VariantRecord(
        name=name,
        origins=[reader.origin for reader in readers],
        blocks=list(_joined(facts, [block for reader in readers for block in reader.blocks()])),
        tick_total={arm: TickTimes(len(own), own.quantile(95)) for arm, own in times.items() if len(own)},
        void=[reason for reader in readers for reason in reader.void],
    )


def blocks_of_replay(facts: Facts, manifest: Manifest, arm: Arm) -> list[PlannedBlock]:
    """Whole blocks of a replay, each its own pair with that of the other arm, from one wash-out after the
    start (until then the strategy is warming up) to one mark-out before the end. They begin at multiples of
    their length since the epoch, so those of all parts of a run are the same.
    """
    block_ns = facts.block_ns
    first_ns = manifest.started_ns + facts.washout_ns
    last_ns = manifest.started_ns + manifest.duration_ns - NET_HORIZON_S * NS_PER_S
    return [
        PlannedBlock(ALL, index, index, arm, index * block_ns, index * block_ns, (index + 1) * block_ns)
        for index in range(-(-first_ns // block_ns), last_ns // block_ns)
    ]


def _directories(directory: Path) -> list[Path]:
    """Of the parts of a run, or the run."""
    manifest = read_manifest(directory)
    return [directory / _PARTS / part.name for part in manifest.parts] or [directory]


class _Reader:
    """One run directory on its way into blocks."""

    def __init__(
        self, facts: Facts, manifest: Manifest, directory: Path, planned: Sequence[PlannedBlock]
    ) -> None:
        self._facts = facts
        self._manifest = manifest
        self._feeds = Feeds(directory, manifest)
        self._directory = directory
        self.void: list[str] = []
        self.times: dict[str, Histogram] = {name: Histogram() for name in ARMS}
        self._clusters = {
            name: _Cluster(facts, [block for block in planned if block.cluster == name])
            for name in ([ALL] if facts.stage == REPLAY else facts.clusters)
        }

    @property
    def origin(self) -> Origin:
        manifest = self._manifest
        return Origin(
            run_id=manifest.run_id,
            arm=manifest.arm,
            config_sha256=manifest.config_sha256,
            data_sha256=manifest.data.sha256,
            data_kind=manifest.data.kind,
            plan_hash=manifest.experiment.plan_hash if manifest.experiment else None,
            run_digest=manifest.run_digest,
            models=manifest.models,
            status=manifest.status,
            reason=manifest.reason,
            started_ns=manifest.started_ns,
            ended_ns=manifest.started_ns + manifest.duration_ns,
        )

    def read(self) -> None:
        fills, arms, ids = self._feeds.arm_fills()
        self._check_ids(fills, arms, ids)
        markouts = {code: Markouts(fills.of(code).ts_ns) for code in range(len(self._manifest.symbols))}
        for ticks, tick_arms in self._feeds.arm_ticks():
            for code in np.unique(ticks.symbol).tolist():
                own = ticks.symbol == code
                symbol_ticks = ticks.of(code)
                markouts[code].ticks(symbol_ticks.ts_ns, symbol_ticks.mid)
                self._tick_block(code, symbol_ticks, tick_arms[own])
        for code, marked in markouts.items():
            self._fill_block(code, fills.of(code), arms[fills.symbol == code], marked)

    def blocks(self) -> Iterator[BlockRecord]:
        tick_ns = self._manifest.setting("pipeline", "tick_interval_ms") * NS_PER_MS
        for name, cluster in self._clusters.items():
            symbols = sum(self._facts.cluster_of(symbol) == name for symbol in self._manifest.symbols)
            if symbols:
                yield from cluster.records(symbols / tick_ns, self._seen())

    def _cluster(self, code: int) -> "_Cluster":
        symbol = self._manifest.symbols[code]
        name = self._facts.cluster_of(symbol)
        if name is None:
            raise RunlogError(f"{self._directory}: {symbol} is in no cluster of plan {self._facts.name}")
        return self._clusters[name]

    def _check_ids(self, fills: Fills, arms: Names, ids: Sequence[str]) -> None:
        for at, (arm, client_id) in enumerate(zip(arms.tolist(), ids, strict=True)):
            if not client_id.startswith(f"mm{arm}-"):
                self._flipped(f"fill at {fills.ts_ns[at]}: row of arm {arm}, order {client_id}")
                return

    def _tick_block(self, code: int, ticks: Ticks, arms: Names) -> None:
        cluster = self._cluster(code)
        for arm in ARMS:
            own = arms == arm
            total = (ticks.tick_total + ticks.wait_ns)[own]
            self.times[arm] = self.times[arm].merged(Histogram.of(total))
        wrong = cluster.ticks(code, ticks, arms)
        if wrong is not None:
            self._flipped(f"tick at {ticks.ts_ns[wrong]}: row of arm {arms[wrong]}, block of the other")

    def _fill_block(self, code: int, fills: Fills, arms: Names, markouts: Markouts) -> None:
        instrument = self._manifest.instrument(self._manifest.symbols[code])
        edges, weight = edge_of_fills(fills, instrument, markouts.after(), markouts.last_mid)
        wrong = self._cluster(code).fills(fills, arms, edges, weight)
        if wrong is not None:
            self._flipped(f"fill at {fills.ts_ns[wrong]}: of arm {arms[wrong]}, block of the other")

    def _flipped(self, what: str) -> None:
        if not any(reason.startswith("flipped labels") for reason in self.void):
            self.void.append(f"flipped labels: {what}, run {self._manifest.run_id}")

    def _seen(self) -> list[tuple[int, int]]:
        """Windows of this recording that the candidate was fitted to."""
        hashes = {self._manifest.data.sha256, *(feed.sha256 for feed in self._manifest.data.feeds)}
        return [
            (0 if seen.from_ns is None else seen.from_ns, 2**63 - 1 if seen.to_ns is None else seen.to_ns)
            for seen in self._facts.seen
            if seen.sha256 in hashes
        ]


class _Cluster:
    """The blocks of one cluster while rows pass by."""

    def __init__(self, facts: Facts, planned: Sequence[PlannedBlock]) -> None:
        self._planned = planned
        self._starts = np.array([block.start_ns for block in planned], dtype=np.int64)
        self._ends = np.array([block.end_ns for block in planned], dtype=np.int64)
        self._analysed = np.array([block.analysed_ns for block in planned], dtype=np.int64)
        self._arms = np.array([block.arm for block in planned], dtype=np.str_)
        self._late = self._analysed + (0 if facts.stage == REPLAY else facts.washout_ns)
        self._has_late = facts.stage != REPLAY and 3 * facts.washout_ns <= facts.block_ns
        self._ticks = np.zeros(len(planned), dtype=np.int64)
        self._with_book = np.zeros(len(planned), dtype=np.int64)
        self._parts: dict[tuple[int, bool], list[Part]] = defaultdict(list)
        self._wanted = np.concatenate([self._starts, self._late]) if self._has_late else self._starts[:0]
        self._positions: dict[int, Floats] = {}
        self._last_ns: dict[int, int] = {}

    def _place(self, ts_ns: Ints) -> Ints:
        """Which block; -1 outside of all."""
        if not self._planned:
            return np.full(len(ts_ns), -1, dtype=np.int64)
        at = np.searchsorted(self._starts, ts_ns, side="right") - 1
        return np.where((at >= 0) & (ts_ns < self._ends[at]), at, -1)

    def ticks(self, code: int, ticks: Ticks, arms: Names) -> int | None:
        """Count ticks of a symbol after the wash-out; where one is of another arm than its block, which."""
        self._inherit(code, ticks)
        at = self._place(ticks.ts_ns)
        analysed = (at >= 0) & (ticks.ts_ns >= self._analysed[at]) if self._planned else at >= 0
        own = at[analysed]
        self._ticks += np.bincount(own, minlength=len(self._planned))
        self._with_book += np.bincount(at[analysed & ~np.isnan(ticks.mid)], minlength=len(self._planned))
        wrong = np.flatnonzero(analysed)[arms[analysed] != self._arms[own]] if len(own) else own
        return int(wrong[0]) if len(wrong) else None

    def _inherit(self, code: int, ticks: Ticks) -> None:
        """Positions at the first tick from a wanted moment on."""
        found = self._positions.setdefault(code, np.full(len(self._wanted), np.nan))
        last_ns = int(ticks.ts_ns[-1])
        due = (self._wanted > self._last_ns.get(code, -1)) & (self._wanted <= last_ns)
        found[due] = ticks.position_quote[np.searchsorted(ticks.ts_ns, self._wanted[due])]
        self._last_ns[code] = last_ns

    def _inherited(self, at: int) -> list[tuple[float, float]]:
        """Of one block: of each symbol, where both moments were seen."""
        if not self._has_late:
            return []
        both = [(found[at], found[at + len(self._planned)]) for _, found in sorted(self._positions.items())]
        return [(float(one), float(two)) for one, two in both if np.isfinite(one) and np.isfinite(two)]

    def fills(self, fills: Fills, arms: Names, edges: Mapping[str, Floats], weight: Floats) -> int | None:
        """Sum fills by block; where one is of an arm that cannot have had an order there, which."""
        if not self._planned or not len(fills):
            return None
        at = self._place(fills.ts_ns)
        inside = at >= 0
        other = inside & (arms != self._arms[at])
        washing = other & (fills.ts_ns < self._analysed[at])
        if (wrong := np.flatnonzero(other & ~washing)).size:
            return int(wrong[0])
        block = np.where(washing, at - 1, at)
        analysed = inside & (block >= 0) & (washing | (fills.ts_ns >= self._analysed[at]))
        late = analysed & (washing | (fills.ts_ns >= self._late[at]))
        for index in np.unique(block[analysed]).tolist():
            for is_late, chosen in ((False, analysed), (True, late)):
                self._parts[index, is_late].append(_part(chosen & (block == index), edges, weight))
        return None

    def records(self, ticks_per_ns: float, seen: Sequence[tuple[int, int]]) -> Iterator[BlockRecord]:
        for at, block in enumerate(self._planned):
            expected = round((block.end_ns - block.analysed_ns) * ticks_per_ns)
            ticks, with_book = int(self._ticks[at]), int(self._with_book[at])
            excluded = None
            if any(block.start_ns < to_ns and from_ns < block.end_ns for from_ns, to_ns in seen):
                excluded = "seen"
            elif ticks >= LEAST_TICKS * expected and with_book < LEAST_BOOK * ticks:
                excluded = "no_book"
            yield BlockRecord(
                cluster=block.cluster,
                index=block.index,
                pair=block.pair,
                arm=block.arm,
                start_ns=block.start_ns,
                end_ns=block.end_ns,
                expected=expected,
                ticks=ticks,
                with_book=with_book,
                analysed=added(self._parts[at, False]),
                late=added(self._parts[at, True]) if self._has_late else None,
                excluded=excluded,
                positions=self._inherited(at),
            )


def _part(chosen: Flags, edges: Mapping[str, Floats], weight: Floats) -> Part:
    marked = chosen & np.isfinite(edges["net"])
    decided = chosen & np.isfinite(edges["slippage"])

    def money(name: str, rows: Flags) -> float:
        return float((edges[name][rows] * weight[rows]).sum()) / BPS

    return Part(
        fills=int(chosen.sum()),
        unmarked=int((chosen & ~marked).sum()),
        net=money("net", marked),
        notional=float(weight[marked].sum()),
        gross=money("gross", marked),
        fees=money("fees", marked),
        adverse=money(NET_HORIZON, marked),
        slippage=money("slippage", decided),
        slippage_notional=float(weight[decided].sum()),
    )


def added(parts: Sequence[Part]) -> Part:
    """The sums of all of them."""
    names = Part.__struct_fields__
    return Part(*(sum(getattr(part, name) for part in parts) for name in names)) if parts else Part()


def _joined(facts: Facts, blocks: Sequence[BlockRecord]) -> Iterator[BlockRecord]:
    """One record of each block, in order: parts of a replay and what was recorded before and after a restart
    add up. Each part expects ticks of its own symbols, each run after a restart those of all.
    """
    expect = sum if facts.stage == REPLAY else max
    found: dict[tuple[str, int, str], list[BlockRecord]] = defaultdict(list)
    for block in blocks:
        found[block.cluster, block.index, block.arm].append(block)
    for key in sorted(found):
        same = found[key]
        first = same[0]
        yield BlockRecord(
            cluster=first.cluster,
            index=first.index,
            pair=first.pair,
            arm=first.arm,
            start_ns=first.start_ns,
            end_ns=first.end_ns,
            expected=expect(block.expected for block in same),
            ticks=sum(block.ticks for block in same),
            with_book=sum(block.with_book for block in same),
            analysed=added([block.analysed for block in same]),
            late=None if first.late is None else added([block.late for block in same if block.late]),
            excluded=next((block.excluded for block in same if block.excluded), None),
            positions=[moments for block in same for moments in block.positions],
        )
