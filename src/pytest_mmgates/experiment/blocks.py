"""Rows of a run -> its blocks.

A fill belongs to the arm that submitted its order. One of the arm before, within the wash-out after a switch,
is late: it counts in that arm's last block. The arm stands in the row and in the client id (`mmA-`, `mmB-`),
and the plan says whose the block is: where they disagree the labels are flipped, and nothing can be said.

Only the market leaves a block out:

    no_book     the book was not two-sided at more than a tenth of its ticks
    seen        the candidate was fitted to this part of this recording

Nothing that an arm did leaves anything out. A block without nine tenths of its ticks is missing.

Rows may come in any cuts, from files or while they are written: what is said of a block is the same. Ticks
are counted as they pass; fills are few, are kept, and are summed block by block whenever somebody asks.
"""

from collections import defaultdict, deque
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
from pytest_mmgates.tables import Fills, Flags, Floats, Ints, Names, Ticks, joined
from pytest_mmgates.tally import Histogram
from pytest_mmgates.tally.edge import NET_HORIZON, NET_HORIZON_S, Markouts, edge_of_fills
from pytest_mmgates.units import BPS, NS_PER_MS, NS_PER_S

LEAST_TICKS = 0.9
LEAST_BOOK = 0.9
MARKED_AFTER_NS = NET_HORIZON_S * NS_PER_S
_PARTS = "parts"
_NEVER_NS = 2**63 - 1
_LATEST_NS = 30 * 60 * NS_PER_S
"""How long after a tick the rows of a fill before it may come."""


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
    marked_ns = _NEVER_NS if facts.stage == REPLAY else ended_ns - MARKED_AFTER_NS
    readers = []
    for path, manifest, arm in found:
        planned = facts.blocks if arm is None else blocks_of_replay(facts, manifest, arm)
        readers.append(BlockReader(facts, manifest, planned))
        _read(Feeds(path, manifest), readers[-1])
    return variant_of(facts, name, readers, marked_ns, marked_ns)


def _read(feeds: Feeds, reader: "BlockReader") -> None:
    """All rows of one run directory."""
    reader.fills(*feeds.arm_fills())
    for ticks, arms in feeds.arm_ticks():
        reader.ticks(ticks, arms)


def variant_of(
    facts: Facts, name: str, readers: Sequence["BlockReader"], until_ns: int, marked_ns: int
) -> VariantRecord:
    """What was read so far: the blocks that ended by `until_ns`, with fills up to `marked_ns`."""
    times = {arm: reduce(Histogram.merged, (reader.times[arm] for reader in readers)) for arm in ARMS}
    found = [reader.found(until_ns, marked_ns) for reader in readers]
    return VariantRecord(
        name=name,
        origins=[reader.origin for reader in readers],
        blocks=list(_joined(facts, [block for blocks, _ in found for block in blocks])),
        tick_total={arm: TickTimes(len(own), own.quantile(95)) for arm, own in times.items() if len(own)},
        void=[reason for _, reason in found if reason is not None],
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


class BlockReader:
    """One run on its way into blocks, in whichever cuts its rows come. Its methods raise RunlogError for rows
    that cannot be believed.
    """

    def __init__(self, facts: Facts, manifest: Manifest, planned: Sequence[PlannedBlock]) -> None:
        self._facts = facts
        self._manifest = manifest
        self._last_ns = manifest.started_ns
        self._flips: list[tuple[int, str]] = []
        """Ids that are not their row's arm's."""
        self.times: dict[str, Histogram] = {name: Histogram() for name in ARMS}
        self._marked = [_MarkedFills() for _ in manifest.symbols]
        self._clusters = {
            name: _Cluster(facts, [block for block in planned if block.cluster == name])
            for name in ([ALL] if facts.stage == REPLAY else facts.clusters)
        }

    @property
    def origin(self) -> Origin:
        manifest = self._manifest
        ended = manifest.ended_ns is not None
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
            ended_ns=manifest.started_ns + manifest.duration_ns if ended else self._last_ns,
        )

    @property
    def seen_ns(self) -> int:
        """Up to here every symbol's ticks have passed."""
        return min((marked.last_ns for marked in self._marked), default=0)

    def fills(self, fills: Fills, arms: Names, ids: Sequence[str]) -> None:
        """The next fills, and the client ids of their orders."""
        self._check_ids(fills, arms, ids)
        for code in np.unique(fills.symbol).tolist():
            self._marked[code].fills(fills.of(code), arms[fills.symbol == code])

    def ticks(self, ticks: Ticks, arms: Names) -> None:
        """The next ticks, and the arms that they were under."""
        for code in np.unique(ticks.symbol).tolist():
            own, own_arms = ticks.of(code), arms[ticks.symbol == code]
            self._marked[code].ticks(own.ts_ns, own.mid)
            self._clusters[self._cluster_name(code)].ticks(code, own, own_arms)
            for arm in ARMS:
                total = (own.tick_total + own.wait_ns)[own_arms == arm]
                self.times[arm] = self.times[arm].merged(Histogram.of(total))
        if len(ticks):
            self._last_ns = int(ticks.ts_ns[-1])

    def found(self, until_ns: int, marked_ns: int) -> tuple[list[BlockRecord], str | None]:
        """The blocks that ended by `until_ns`, with fills up to `marked_ns`; and what says that labels are
        flipped.
        """
        tick_ns = self._manifest.setting("pipeline", "tick_interval_ms") * NS_PER_MS
        flips = [flip for cluster in self._clusters.values() for flip in cluster.flips(until_ns)]
        sums: dict[str, dict[tuple[int, bool], list[Part]]] = defaultdict(lambda: defaultdict(list))
        symbols: dict[str, int] = defaultdict(int)
        for code in range(len(self._manifest.symbols)):
            name = self._cluster_name(code)
            parts, flip = self._sums(code, until_ns, marked_ns)
            flips += [] if flip is None else [flip]
            symbols[name] += 1
            for key, part in parts.items():
                sums[name][key].append(part)
        blocks = [
            block
            for name, count in symbols.items()
            for block in self._clusters[name].records(until_ns, count / tick_ns, self._seen(), sums[name])
        ]
        flips += self._flips
        what = f"flipped labels: {min(flips)[1]}, run {self._manifest.run_id}" if flips else None
        return blocks, what

    def _sums(
        self, code: int, until_ns: int, marked_ns: int
    ) -> tuple[dict[tuple[int, bool], Part], tuple[int, str] | None]:
        """Of one symbol's fills, by block; and the first that is of the wrong arm."""
        marked = self._marked[code]
        so_far = marked.so_far()
        if so_far is None:
            return {}, None
        fills, arms, after = so_far
        instrument = self._manifest.instrument(self._manifest.symbols[code])
        edges, weight = edge_of_fills(fills, instrument, after, marked.last_mid)
        cluster = self._clusters[self._cluster_name(code)]
        wrong = cluster.wrong_fill(fills, arms, until_ns)
        flip = None
        if wrong is not None:
            at_ns = int(fills.ts_ns[wrong])
            flip = at_ns, f"fill at {at_ns}: of arm {arms[wrong]}, block of the other"
        return cluster.sums(fills, arms, edges, weight, until_ns, marked_ns), flip

    def _cluster_name(self, code: int) -> str:
        symbol = self._manifest.symbols[code]
        name = self._facts.cluster_of(symbol)
        if name is None:
            raise RunlogError(
                f"run {self._manifest.run_id}: {symbol} is in no cluster of plan {self._facts.name}"
            )
        return name

    def _check_ids(self, fills: Fills, arms: Names, ids: Sequence[str]) -> None:
        for at, (arm, client_id) in enumerate(zip(arms.tolist(), ids, strict=True)):
            if not client_id.startswith(f"mm{arm}-"):
                at_ns = int(fills.ts_ns[at])
                self._flips.append((at_ns, f"fill at {at_ns}: row of arm {arm}, order {client_id}"))
                return

    def _seen(self) -> list[tuple[int, int]]:
        """Windows of this recording that the candidate was fitted to."""
        hashes = {self._manifest.data.sha256, *(feed.sha256 for feed in self._manifest.data.feeds)}
        return [
            (0 if seen.from_ns is None else seen.from_ns, _NEVER_NS if seen.to_ns is None else seen.to_ns)
            for seen in self._facts.seen
            if seen.sha256 in hashes
        ]


class _MarkedFills:
    """The fills of one symbol and their mark-outs, while ticks pass by. A fill may come behind the ticks that
    mark it, by as much as feeds may lie apart.
    """

    def __init__(self) -> None:
        self.last_ns = 0
        self.last_mid = np.nan
        self._fills: list[Fills] = []
        self._arms: list[Names] = []
        self._markouts: list[Markouts] = []
        self._mids: deque[tuple[Ints, Floats]] = deque()
        """Of the newest ticks."""

    def fills(self, fills: Fills, arms: Names) -> None:
        markouts = Markouts(fills.ts_ns)
        for ts_ns, mid in self._mids:
            markouts.ticks(ts_ns, mid)
        self._fills.append(fills)
        self._arms.append(arms)
        self._markouts.append(markouts)

    def ticks(self, ts_ns: Ints, mid: Floats) -> None:
        for markouts in self._markouts:
            if not markouts.settled:
                markouts.ticks(ts_ns, mid)
        self.last_ns = int(ts_ns[-1])
        known = np.flatnonzero(~np.isnan(mid))
        self.last_mid = float(mid[known[-1]]) if len(known) else self.last_mid
        self._mids.append((ts_ns, mid))
        self._forget()

    def so_far(self) -> tuple[Fills, Names, dict[int, Floats]] | None:
        """All fills, their arms, and the mids after them by horizon in seconds; None without any."""
        if not self._fills:
            return None
        after = [markouts.after() for markouts in self._markouts]
        mids = {seconds: np.concatenate([one[seconds] for one in after]) for seconds in after[0]}
        return joined(self._fills), np.concatenate(self._arms), mids

    def _forget(self) -> None:
        """Keep the mids that a late fill may ask for."""
        while len(self._mids) > 1 and self._mids[1][0][-1] < self.last_ns - _LATEST_NS:
            self._mids.popleft()


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
        self._flips: dict[int, tuple[int, str]] = {}
        """By block: its first tick that is of another arm."""
        self._wanted = np.concatenate([self._starts, self._late]) if self._has_late else self._starts[:0]
        self._positions: dict[int, Floats] = {}
        self._last_ns: dict[int, int] = {}

    def _place(self, ts_ns: Ints) -> Ints:
        """Which block; -1 outside of all."""
        if not self._planned:
            return np.full(len(ts_ns), -1, dtype=np.int64)
        at = np.searchsorted(self._starts, ts_ns, side="right") - 1
        return np.where((at >= 0) & (ts_ns < self._ends[at]), at, -1)

    def flips(self, until_ns: int) -> list[tuple[int, str]]:
        """Ticks of the wrong arm in blocks that ended by then."""
        return [flip for at, flip in self._flips.items() if self._ends[at] <= until_ns]

    def ticks(self, code: int, ticks: Ticks, arms: Names) -> None:
        """Count ticks of a symbol after the wash-out."""
        self._inherit(code, ticks)
        at = self._place(ticks.ts_ns)
        analysed = (at >= 0) & (ticks.ts_ns >= self._analysed[at]) if self._planned else at >= 0
        own = at[analysed]
        self._ticks += np.bincount(own, minlength=len(self._planned))
        self._with_book += np.bincount(at[analysed & ~np.isnan(ticks.mid)], minlength=len(self._planned))
        if not len(own):
            return
        wrong = np.flatnonzero(analysed)[arms[analysed] != self._arms[own]]
        for row in wrong[np.unique(at[wrong], return_index=True)[1]].tolist():
            at_ns = int(ticks.ts_ns[row])
            found = at_ns, f"tick at {at_ns}: row of arm {arms[row]}, block of the other"
            self._flips[int(at[row])] = min(found, self._flips.get(int(at[row]), found))

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

    def wrong_fill(self, fills: Fills, arms: Names, until_ns: int) -> int | None:
        """The first of an arm that cannot have had an order there, in blocks that ended by then."""
        if not self._planned:
            return None
        at, washing = self._belongs(fills, arms)
        ended = (at >= 0) & (self._ends[at] <= until_ns)
        wrong = np.flatnonzero(ended & ~washing & (arms != self._arms[at]))
        return int(wrong[0]) if wrong.size else None

    def sums(
        self,
        fills: Fills,
        arms: Names,
        edges: Mapping[str, Floats],
        weight: Floats,
        until_ns: int,
        marked_ns: int,
    ) -> dict[tuple[int, bool], Part]:
        """Of the fills up to `marked_ns`, by block that ended by `until_ns`, and whether late."""
        if not self._planned:
            return {}
        at, washing = self._belongs(fills, arms)
        block = np.where(washing, at - 1, at)
        known = (block >= 0) & (fills.ts_ns <= marked_ns)
        analysed = known & (washing | (fills.ts_ns >= self._analysed[at]))
        late = analysed & (washing | (fills.ts_ns >= self._late[at]))
        return {
            (index, is_late): _part(chosen & (block == index), edges, weight)
            for index in np.unique(block[analysed]).tolist()
            if self._ends[index] <= until_ns
            for is_late, chosen in ((False, analysed), (True, late))
        }

    def _belongs(self, fills: Fills, arms: Names) -> tuple[Ints, Flags]:
        """In which block each fill is, -1 outside of all; and whether it is of the arm before, washed out."""
        at = self._place(fills.ts_ns)
        return at, (at >= 0) & (arms != self._arms[at]) & (fills.ts_ns < self._analysed[at])

    def records(
        self,
        until_ns: int,
        ticks_per_ns: float,
        seen: Sequence[tuple[int, int]],
        sums: Mapping[tuple[int, bool], Sequence[Part]],
    ) -> Iterator[BlockRecord]:
        """Of the blocks that ended by then; `sums`: of the fills of each symbol."""
        for at, block in enumerate(self._planned):
            if block.end_ns > until_ns:
                continue
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
                analysed=added(sums.get((at, False), [])),
                late=added(sums.get((at, True), [])) if self._has_late else None,
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
