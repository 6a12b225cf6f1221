"""Rows of a run as they arrive, summed up in rings; and a window over them.

Decided: rows are asked for in time order within each feed, and the feeds of a run may lie up to half an hour
apart (a bot writes batches). What comes later than that is an error, never left out: a window that misses
rows is no window. Short names of symbols are read as everywhere (`feeds.symbol_codes`).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, TypeVar

import msgspec
import numpy as np

from pytest_mmgates.errors import RunlogError
from pytest_mmgates.feeds import breaker_state, outage_of, symbol_codes
from pytest_mmgates.metrics.windowed import SUMS, TickTimes, Window
from pytest_mmgates.rows import Cache, EventRow, FillRow, Markets, Ns, SampleRow
from pytest_mmgates.tally.growth import FLOOR_NS, Floor, Floors
from pytest_mmgates.watch.armtimes import LATEST_BUCKETS, ArmTimes
from pytest_mmgates.watch.ring import Ring, Sums
from pytest_mmgates.watchrules import STEP_NS

if TYPE_CHECKING:
    from pytest_mmgates.outages import Outage

_OUTCOMES = {name: SUMS.index(name) for name in ("hit", "stale", "miss")}
_NOTIONAL = ("maker", "taker")


class WatchedTick(msgspec.Struct, gc=False):
    """What a window needs of a tick row: the rest is not even decoded."""

    ts_ns: Ns
    symbol: str | None
    cache: Cache
    deadline_miss: bool
    arm: str = ""


class TimedTick(WatchedTick, gc=False, kw_only=True):
    """And how long it took."""

    tick_total_ns: Ns
    wait_ns: Ns


class WatchedFill(FillRow, gc=False):
    """A fill, and the arm that submitted its order."""

    arm: str = ""


KnownRow = TypeVar("KnownRow", WatchedTick, TimedTick, WatchedFill, SampleRow, EventRow)
ArmedRow = TypeVar("ArmedRow", WatchedTick, WatchedFill)


class Sources:
    """Everything that a watch of one run remembers of its rows."""

    def __init__(
        self,
        manifest: Markets,
        longest_ns: int,
        went_on: Callable[[int], None] = lambda _: None,
        arm: str | None = None,
        timed_ns: int = 0,
    ) -> None:
        """`went_on` is told the bucket in which another process went on behind an outage. `arm`: take ticks
        and fills of this arm alone. `timed_ns`: the longest window in which its ticks are compared with those
        of the other; 0 = they are not.
        """
        self._arm = arm
        self._went_on = went_on
        self._outage: Outage | None = None
        self._most_floors = (longest_ns + LATEST_BUCKETS * STEP_NS) // FLOOR_NS + 2
        self._codes = symbol_codes(manifest)
        self._instruments = [manifest.instrument(name) for name in manifest.symbols]
        self.currencies = [item.quote if item else None for item in self._instruments]
        length = longest_ns // STEP_NS + 2 * LATEST_BUCKETS + 2
        self.sums = Ring(length, (len(manifest.symbols), len(SUMS)))
        self.notional = Ring(length, (len(manifest.symbols), len(_NOTIONAL)))
        self._others = Ring(length, (1,))
        """Ticks of other arms."""
        self.times = ArmTimes(timed_ns // STEP_NS)
        """Of ticks of the watched arm, and of the other."""
        self.breakers = Breakers(length)
        self.floors = Floors(0, self._most_floors)
        self._readers: dict[str, Callable[[bytes], Iterator[int]]] = {
            "pipeline_ticks": partial(self._read, "pipeline_ticks", "ts_ns", TimedTick, self._timed_ticks)
            if timed_ns
            else partial(self._read, "pipeline_ticks", "ts_ns", WatchedTick, self._ticks),
            "fills": partial(self._read, "fills", "recv_ns", WatchedFill, self._fills),
            "samples": partial(self._read, "samples", "ts_ns", SampleRow, self._samples),
            "events": partial(self._read, "events", "ts_ns", EventRow, self._events),
        }

    def window(self, end: int, window_ns: int, symbol: int | None) -> "SourceWindow":
        """Up to the beginning of the bucket `end`."""
        return SourceWindow(self, end, window_ns, symbol)

    def whole(self, symbol: int | None) -> "SourceWindow":
        """Everything since the start, for metrics that are shares."""
        return SourceWindow(self, 0, None, symbol)

    def ticked(self, end: int, symbol: int | None) -> bool:
        """Whether the bucket before `end` has ticks."""
        return bool(_of(self.sums.window(end, 1), symbol)[0])

    def idle(self, end: int) -> bool:
        """Whether the bucket before `end` has ticks of other arms alone: this one has nothing to say."""
        return bool(self._others.window(end, 1)[0]) and not self.sums.window(end, 1).any()

    def out(self, end: int) -> bool:
        """Whether the bucket before `end` lies in an outage."""
        outage = self._outage
        return outage is not None and outage.from_ns < end * STEP_NS <= outage.until_ns

    def start(self, number: int) -> None:
        """The run starts in this bucket."""
        self.floors = Floors(number * STEP_NS, self._most_floors)

    def code(self, symbol: str) -> int | None:
        return self._codes.get(symbol)

    def take(self, feed: str, lines: bytes) -> Iterator[int]:
        """Sum up the rows of a batch, bucket by bucket; before each, its number, so that what is older can be
        judged in time. An outage is known before the time behind it is judged.
        """
        return self._readers[feed](lines)

    def _read(
        self,
        feed: str,
        clock: str,
        row_type: type[KnownRow],
        add: Callable[[int, Sequence[KnownRow]], None],
        lines: bytes,
    ) -> Iterator[int]:
        try:
            rows = msgspec.json.Decoder(row_type).decode_lines(lines)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RunlogError(f"feed {feed}: corrupt row: {error}") from error
        if row_type is EventRow:
            self._outages(rows)
        numbers = (ts_ns // STEP_NS for ts_ns in map(attrgetter(clock), rows))
        for number, of_bucket in groupby(zip(numbers, rows, strict=True), key=itemgetter(0)):
            yield number
            add(number, [row for _, row in of_bucket])

    def _ticks(self, number: int, rows: Sequence[WatchedTick]) -> None:
        counts: dict[str | None, list[int]] = {}
        for row in self._own(rows):
            count = counts.get(row.symbol)
            if count is None:
                count = counts[row.symbol] = [0] * len(SUMS)
            count[0] += 1
            count[1] += row.deadline_miss
            count[_OUTCOMES[row.cache]] += 1
        for symbol, count in counts.items():
            self.sums.add(number, self._code(symbol), count)
        own = sum(count[0] for count in counts.values())
        if own < len(rows):
            self._others.add(number, 0, len(rows) - own)

    def _timed_ticks(self, number: int, rows: Sequence[TimedTick]) -> None:
        self._ticks(number, rows)
        times = np.array([row.tick_total_ns + row.wait_ns for row in rows], dtype=np.int64)
        own = np.array([row.arm == self._arm for row in rows], dtype=np.bool_)
        self.times.add(number, times[own], times[~own])

    def _own(self, rows: Sequence[ArmedRow]) -> Sequence[ArmedRow]:
        return rows if self._arm is None else [row for row in rows if row.arm == self._arm]

    def _fills(self, number: int, rows: Sequence[WatchedFill]) -> None:
        for row in self._own(rows):
            code = self._code(row.symbol)
            instrument = self._instruments[code]
            if instrument is not None:
                price = 1.0 if instrument.contract == "inverse" else row.price
                notional = row.qty * instrument.contract_value * price
                self.notional.add(number, (code, _NOTIONAL.index(row.liquidity)), notional)
            self.sums.add(number, (code, SUMS.index("fills")), 1)

    def _samples(self, _number: int, rows: Sequence[SampleRow]) -> None:
        for row in rows:
            if row.name == "rss_bytes":
                self.floors.add(row.ts_ns, row.value)

    def _events(self, _number: int, rows: Sequence[EventRow]) -> None:
        for row in rows:
            if row.kind == "breaker":
                venue, closed = breaker_state(row)
                self.breakers.turned(row.ts_ns, venue, closed=closed)

    def _outages(self, rows: Sequence[WatchedTick | TimedTick | FillRow | SampleRow | EventRow]) -> None:
        for outage in (outage_of(row) for row in rows if isinstance(row, EventRow)):
            if outage is not None:
                self._outage = outage
                self.breakers.forgotten(outage.from_ns)
                self._went_on(outage.until_ns // STEP_NS)

    def _code(self, symbol: str | None) -> int:
        code = self._codes.get(symbol, -1)
        if code < 0:
            raise RunlogError(f"symbol {symbol!r} is not among the feeds of manifest.json")
        return code


class Breakers:
    """How long the breaker of each venue was not closed, bucket by bucket."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._open_ns: dict[str, Ring] = {}
        self._since_ns: dict[str, int] = {}

    def turned(self, ts_ns: int, venue: str, *, closed: bool) -> None:
        self._settle(venue, ts_ns)
        if closed:
            self._since_ns.pop(venue, None)
        else:
            self._since_ns.setdefault(venue, ts_ns)

    def forgotten(self, ts_ns: int) -> None:
        """The process is no more, and the next one's begin closed."""
        for venue in list(self._since_ns):
            self.turned(ts_ns, venue, closed=True)

    def window(self, end: int, count: int) -> dict[str, int]:
        for venue in self._since_ns:
            self._settle(venue, end * STEP_NS)
        return {venue: int(ring.window(end, count)[0]) for venue, ring in self._open_ns.items()}

    def _settle(self, venue: str, now_ns: int) -> None:
        """Write down the open time up to now."""
        ring = self._open_ns.setdefault(venue, Ring(self._length, (1,)))
        at_ns = self._since_ns.get(venue, now_ns)
        at_ns = max(at_ns, (now_ns // STEP_NS - self._length + 1) * STEP_NS)
        while at_ns < now_ns:
            until_ns = min(now_ns, (at_ns // STEP_NS + 1) * STEP_NS)
            ring.add(at_ns // STEP_NS, 0, until_ns - at_ns)
            at_ns = until_ns
        if venue in self._since_ns:
            self._since_ns[venue] = max(at_ns, self._since_ns[venue])


class SourceWindow(Window):
    """A window over the rings, of one symbol or all. `window_ns` None: everything since the start, of which
    only sums are known.
    """

    def __init__(self, sources: Sources, end: int, window_ns: int | None, symbol: int | None) -> None:
        self._sources = sources
        self._end = end
        self._window_ns = window_ns or 0
        self._whole = window_ns is None
        self._symbol = symbol

    def _sum(self, ring: Ring) -> Sums:
        return ring.whole if self._whole else ring.window(self._end, self._window_ns // STEP_NS)

    def total(self, name: str) -> float:
        return float(_of(self._sum(self._sources.sums), self._symbol)[SUMS.index(name)])

    def notional(self) -> dict[str, float] | None:
        fills = self._sum(self._sources.sums)[:, SUMS.index("fills")]
        codes = [code for code in np.flatnonzero(fills).tolist() if self._symbol in (None, code)]
        currencies = {self._sources.currencies[code] for code in codes}
        if len(currencies) != 1 or None in currencies:
            return None
        quote = _of(self._sum(self._sources.notional), self._symbol)
        return dict(zip(_NOTIONAL, quote.tolist(), strict=True))

    def not_closed_ns(self) -> dict[str, int]:
        return self._sources.breakers.window(self._end, self._window_ns // STEP_NS)

    def tick_times(self) -> TickTimes:
        return self._sources.times.window(self._end, self._window_ns // STEP_NS)

    def floors(self) -> list[Floor]:
        return self._sources.floors.complete(self._end * STEP_NS, self._window_ns // FLOOR_NS)


def _of(sums: Sums, symbol: int | None) -> Sums:
    chosen: Sums = sums.sum(axis=0) if symbol is None else sums[symbol]
    return chosen
