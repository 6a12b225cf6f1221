"""Rows of one run's tables as intervals and fills of a dataset.

Worked off a symbol and a UTC day at a time, so that memory grows with neither. Of a day's ticks the mids are
taken out in time order: they give volatility, jumps and gaps, and the mids that followed each fill. All that
needs no order is added up by duckdb. A return, a gap or a mid before a horizon may reach over midnight.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from mmbot.calibration.dataset_columns import TICK_FEATURES, TRACE_FEATURES, Column
from mmbot.calibration.dataset_edge import TRACED, Columns, SymbolFills, happened, targets_of
from mmbot.edge.fill import HORIZONS_S
from mmbot.errors import DatasetError
from mmbot.model.instrument import Contract, Instrument
from mmbot.model.records import FillRow
from mmbot.ops.dataset_feeds import FEEDS, fills_of, moment
from mmbot.units import BPS, DAY, SECOND

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Row = dict[str, Any]

AFTER_NS = max(HORIZONS_S) * SECOND
"""Ticks after the range that the last fills of it still need."""
_SCORES_KEEP_NS = 60 * SECOND
_GAP_TICKS = 10
_SPAN = "symbol = ? AND ts_ns >= ? AND ts_ns < ?"


@dataclass(slots=True)
class SymbolRows:
    """What one symbol of one run comes to. `intervals` are those with a tick, by their start."""

    first_ns: int
    last_ns: int
    ticks: int = 0
    intervals: dict[int, Row] = field(default_factory=dict)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    """From the last tick before to the first tick after; of at least ten ticks."""
    short_gaps: int = 0
    fills: Columns = field(default_factory=dict)
    fills_without_net: int = 0
    fills_without_interval: int = 0
    """Where no tick was."""
    totals: Row = field(default_factory=dict)


@dataclass(slots=True)
class _Path:
    """Mids in time order, while days pass by: what the last day left."""

    last_ns: int | None = None
    last_mid: float = np.nan
    """Of the last tick, NaN without one."""
    known_mid: float = np.nan
    """The last that there was."""


@dataclass(frozen=True, slots=True)
class _Followed:
    """Of the fills of a day: by horizon the mids after them, by name what was traced before them."""

    mids: Mapping[int, Floats]
    traced: Mapping[str, Floats]


class SymbolDays:
    """Reads one symbol out of the tables, day by day."""

    def __init__(
        self,
        database: duckdb.DuckDBPyConnection,
        instrument: Instrument,
        interval_ns: int,
        tick_ns: int,
        within: tuple[int, int],
    ) -> None:
        """`within`: the range, ns. Ticks before it only say where the mid was, those after it where it
        went.
        """
        self._database = database
        self._instrument = instrument
        self._symbol = instrument.key
        self._interval_ns = interval_ns
        self._tick_ns = tick_ns
        self._from_ns, self._to_ns = within
        self._path = _Path()

    def read(self) -> SymbolRows | None:
        """None where no tick lies within the range."""
        first_ns, last_ns = self._reach(self._from_ns, self._to_ns)
        if first_ns is None or last_ns is None:
            return None
        self._end_ns = self._reach(0, 2**63 - 1)[1] or last_ns
        rows = SymbolRows(first_ns, last_ns)
        within = (FillRow(*row) for row in fills_of(self._database, self._symbol))
        fills = sorted((fill for fill in within if self._from_ns <= fill.ts_ns < self._to_ns), key=happened)
        followed: list[_Followed] = []
        at = 0
        for begin, end in self._days(first_ns, last_ns):
            upto = bisect_left(fills, end, lo=at, key=lambda fill: fill.ts_ns)
            followed.append(self._day(rows, begin, end, fills[at:upto]))
            at = upto
        self._settle(rows, fills, followed)
        return rows

    def _reach(self, from_ns: int, to_ns: int) -> tuple[int | None, int | None]:
        sql = f"SELECT min(ts_ns), max(ts_ns) FROM pipeline_ticks WHERE {_SPAN}"  # noqa: S608
        found = self._database.execute(sql, [self._symbol, from_ns, to_ns]).fetchone()
        return found or (None, None)

    def _days(self, first_ns: int, last_ns: int) -> Iterator[tuple[int, int]]:
        """From the range's begin to its end, cut at midnights; none of them without a tick's chance."""
        begin = max(self._from_ns, first_ns // DAY * DAY)
        end = min(self._to_ns, (last_ns // DAY + 1) * DAY)
        cuts = [begin, *range((begin // DAY + 1) * DAY, end, DAY), end]
        return pairwise(cuts)

    def _day(self, rows: SymbolRows, begin: int, end: int, fills: Sequence[FillRow]) -> _Followed:
        until = min(end + AFTER_NS, 2**63 - 1)
        begin_read = begin if self._path.last_ns is not None else 0
        sql = f"SELECT ts_ns, mid FROM pipeline_ticks WHERE {_SPAN} ORDER BY ts_ns"  # noqa: S608
        found = self._database.execute(sql, [self._symbol, begin_read, until]).fetchnumpy()
        ts_ns, mid = _ints(found["ts_ns"]), _floats(found["mid"])
        before, here = np.searchsorted(ts_ns, [begin, end])
        if before:
            self._passed(ts_ns[:before], mid[:before])
        known_before = self._path.known_mid
        ticked = self._aggregated("pipeline_ticks", TICK_FEATURES, begin, end)
        rows.intervals |= {interval["start_ns"]: interval for interval in ticked}
        self._walk(rows, ts_ns[before:here], mid[before:here])
        for traced in self._aggregated("trace", self._priced(TRACE_FEATURES), begin, end):
            rows.intervals.get(traced["start_ns"], {}).update(traced)
        return self._followed(fills, ts_ns[before:], mid[before:], known_before, begin)

    def _passed(self, ts_ns: Ints, mid: Floats) -> None:
        """Ticks that the path goes through."""
        if not len(ts_ns):
            return
        self._path.last_ns, self._path.last_mid = int(ts_ns[-1]), float(mid[-1])
        known = mid[np.isfinite(mid)]
        if len(known):
            self._path.known_mid = float(known[-1])

    def _aggregated(self, feed: str, columns: Sequence[Column], begin: int, end: int) -> list[Row]:
        """One row an interval: what duckdb adds up."""
        parts = [f"{column.sql} AS {column.name}" for column in columns]
        parts += [f"count(*) FILTER ({_not_finite(feed)}) AS not_finite_{feed}"]
        sql = (
            f"SELECT ts_ns // $interval * $interval AS start_ns, {', '.join(parts)} FROM {feed} "  # noqa: S608
            "WHERE symbol = $symbol AND ts_ns >= $begin AND ts_ns < $end GROUP BY 1 ORDER BY 1"
        )
        cursor = self._database.execute(
            sql, {"interval": self._interval_ns, "symbol": self._symbol, "begin": begin, "end": end}
        )
        names = [description[0] for description in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _priced(self, columns: Sequence[Column]) -> list[Column]:
        """With the quote value of a lot put in: at the price of the tick that was traced."""
        instrument = self._instrument
        value = repr(instrument.contract_value * instrument.lot)
        lot_quote = value if instrument.contract is Contract.INVERSE else f"{value} * fair"
        return [
            Column(column.name, column.unit, column.what, column.sql.replace("{lot_quote}", lot_quote))
            for column in columns
        ]

    def _walk(self, rows: SymbolRows, ts_ns: Ints, mid: Floats) -> None:
        """Along the mids of a day: volatility, jumps, coverage and gaps."""
        if not len(ts_ns):
            return
        path = self._path
        before_ns = np.concatenate([[path.last_ns if path.last_ns is not None else ts_ns[0]], ts_ns[:-1]])
        before_mid = np.concatenate([[path.last_mid], mid[:-1]])
        elapsed_ns = ts_ns - before_ns
        first = path.last_ns is None
        self._refuse_twice(elapsed_ns[first:], ts_ns[first:])
        self._find_gaps(rows, before_ns, ts_ns)
        with np.errstate(all="ignore"):  # a mid that is no number is counted, and its interval dropped
            moved_bps = np.abs(np.log(mid / before_mid)) * BPS
        counted = np.isfinite(moved_bps) & (elapsed_ns > 0)
        start_ns = ts_ns // self._interval_ns * self._interval_ns
        starts, begins = np.unique(start_ns, return_index=True)
        for at, start in enumerate(starts.tolist()):
            span = slice(begins[at], begins[at + 1] if at + 1 < len(begins) else None)
            moves, elapsed = moved_bps[span][counted[span]], elapsed_ns[span][counted[span]]
            rows.intervals[start] |= self._path_features(len(ts_ns[span]), moves, elapsed)
        rows.ticks += len(ts_ns)
        self._passed(ts_ns, mid)

    def _path_features(self, ticks: int, moves_bps: Floats, elapsed_ns: Ints) -> Row:
        known = len(moves_bps) > 0
        seconds = float(elapsed_ns.sum()) / SECOND
        return {
            "coverage_ratio": ticks * self._tick_ns / self._interval_ns,
            "mid_volatility_bps": float(np.sqrt(np.square(moves_bps).sum() / seconds)) if known else None,
            "mid_jump_bps": float(moves_bps.max()) if known else None,
        }

    def _refuse_twice(self, elapsed_ns: Ints, ts_ns: Ints) -> None:
        twice = np.flatnonzero(elapsed_ns == 0)
        if len(twice):
            at = moment(int(ts_ns[twice[0]]))
            raise DatasetError(f"{self._symbol}: {len(twice)} ticks stand there twice, the first at {at}")

    def _find_gaps(self, rows: SymbolRows, before_ns: Ints, ts_ns: Ints) -> None:
        missing = np.rint((ts_ns - before_ns) / self._tick_ns).astype(np.int64) - 1
        long = missing >= _GAP_TICKS
        rows.short_gaps += int(np.count_nonzero((missing > 0) & ~long))
        rows.gaps += zip(before_ns[long].tolist(), ts_ns[long].tolist(), strict=True)

    def _followed(
        self, fills: Sequence[FillRow], ts_ns: Ints, mid: Floats, known_before: float, begin: int
    ) -> _Followed:
        """The mids that followed the fills of a day, and what was traced before them."""
        fill_ns = np.array([fill.ts_ns for fill in fills], dtype=np.int64)
        known = np.isfinite(mid)
        known_ns, known_mid = ts_ns[known], np.append(mid[known], known_before)  # index -1: from before
        mids: dict[int, Floats] = {}
        for seconds in HORIZONS_S:
            due_ns = fill_ns + seconds * SECOND
            after = known_mid[np.searchsorted(known_ns, due_ns, side="right") - 1]
            mids[seconds] = np.where(due_ns <= self._end_ns, after, np.nan)
        return _Followed(mids, self._traced(fill_ns, begin))

    def _traced(self, fill_ns: Ints, begin: int) -> dict[str, Floats]:
        """The last traced tick at or before each fill, of those of the last minute."""
        sql = f"SELECT {', '.join(_TRACE_FIELDS)} FROM trace WHERE {_SPAN} ORDER BY ts_ns"  # noqa: S608
        last_ns = int(fill_ns[-1]) if len(fill_ns) else begin
        asked = [self._symbol, begin - _SCORES_KEEP_NS, last_ns + 1]
        found = self._database.execute(sql, asked).fetchnumpy()
        ts_ns = np.append(_ints(found["ts_ns"]), -_SCORES_KEEP_NS)  # index -1: none
        last = np.searchsorted(ts_ns[:-1], fill_ns, side="right") - 1
        age_ns = fill_ns - ts_ns[last]
        known = (last >= 0) & (age_ns <= _SCORES_KEEP_NS)
        columns = {name: np.append(_floats(found[name]), np.nan)[last] for name in TRACED if name in found}
        columns["score_age_s"] = age_ns / SECOND
        return {name: np.where(known, columns[name], np.nan) for name in TRACED}

    def _settle(self, rows: SymbolRows, fills: Sequence[FillRow], followed: Sequence[_Followed]) -> None:
        """Targets of each interval and of the whole."""
        seen = SymbolFills(
            rows=fills,
            starts_ns=[fill.ts_ns // self._interval_ns * self._interval_ns for fill in fills],
            mids={h: _joined([one.mids[h] for one in followed], len(fills)) for h in HORIZONS_S},
            traced={name: _joined([one.traced[name] for one in followed], len(fills)) for name in TRACED},
        )
        targets, empty = targets_of(self._instrument, seen), targets_of(self._instrument, _NO_FILLS).whole
        for start, interval in rows.intervals.items():
            interval.update(targets.intervals.get(start, empty))
        rows.totals, rows.fills = targets.whole, targets.columns
        rows.fills["start_ns"] = np.array(seen.starts_ns, dtype=np.int64)
        rows.fills_without_net = targets.whole["fills"] - targets.whole["fills_with_net"]
        rows.fills_without_interval = sum(
            part["fills"] for start, part in targets.intervals.items() if start not in rows.intervals
        )


def _joined(days: Sequence[Floats], count: int) -> Floats:
    """Days after one another; fills after the last of them saw nothing."""
    joined = np.concatenate([*days, np.empty(0)])
    return np.append(joined, np.full(count - len(joined), np.nan))


_NO_FILLS = SymbolFills([], [], dict.fromkeys(HORIZONS_S, np.empty(0)), dict.fromkeys(TRACED, np.empty(0)))
_TRACE_NAMES = {"order_latency_ms": "latency_ms", "unguarded_bps": "spread_bps"}
"""Of the feed, where the dataset calls it otherwise."""
_TRACE_FIELDS = ("ts_ns", *(f"{_TRACE_NAMES.get(name, name)} AS {name}" for name in TRACED[1:]))


def _not_finite(feed: str) -> str:
    """A condition: some number of the row is NaN or infinite."""
    floats = [name for name, kind in FEEDS[feed].items() if kind == "DOUBLE"]
    return "WHERE " + " OR ".join(f"NOT isfinite({name})" for name in floats)


def _ints(column: npt.NDArray[Any]) -> Ints:
    return np.asarray(column, dtype=np.int64)


def _floats(column: npt.NDArray[Any]) -> Floats:
    """NaN where there is no value."""
    return np.asarray(np.ma.filled(np.ma.asarray(column, dtype=np.float64), np.nan))
