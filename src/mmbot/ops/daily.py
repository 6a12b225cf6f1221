"""The facts of one UTC day, from the feeds of all runs that have rows of it: `OUT/reports/daily/DAY.json`.

Only facts: what they are worth, and what to do, says whoever judges them. Runs are grouped by kind of data
and mode, which are never added up: money that was made (live data, mode live) stands beside money that was
simulated on a live market, on a recording, and on a synthetic one.

Decided: simulated fills of one symbol at one time are counted once. Of such runs the one with the most bytes
of that day counts, a failed one behind all others; those left out are named with the reason. Real orders
always count. A run that cannot be read is named, and is no reason to tell nothing of the others. Where no run
is left that covers a day, facts that were written of it before stay. Times are those of the runs' own clocks.
"""

import contextlib
import datetime as dt
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import msgspec

from mmbot.errors import DatasetError, OutputError
from mmbot.ops.daily_feeds import Place, find, refusal, run_folders, stamp
from mmbot.ops.daily_run import HOUR_NS, RunDay, SymbolDay, combined, run_day
from mmbot.ops.dataset import MEMORY_MB
from mmbot.ops.dataset_feeds import connect, moment
from mmbot.ops.files import write_atomically
from mmbot.telemetry.view import STAGES
from mmbot.units import DAY, SECOND

SCHEMA = 1
"""Of the file. Keys only grow within a schema."""
HISTORY_DAYS = 7
LIVE = "live"
_GAP_TICKS = 10
_BELIEVED = ("live", "recorded", "synthetic")
"""Kinds of data, the most believable first."""
_MODES = ("live", "shadow", "replay")
_WAITING = ("fetch_md", "tick_total")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DailyRequest:
    """What is wanted: a day as `2026-01-31`, of the runs below `out`."""

    day: str
    out: Path
    memory_mb: int = MEMORY_MB


def last_whole_day(now_ns: int) -> str:
    """The UTC day before that of a moment."""
    return _named((now_ns // DAY - 1) * DAY)


def day_ns(day: str, now_ns: int) -> int:
    """When a day begins. Raises DatasetError for what is none, and for one that is not over."""
    try:
        begin = dt.date.fromisoformat(day)
    except ValueError as error:
        raise DatasetError(f"--date: was {day!r}, expected a day such as 2026-01-31") from error
    begin_ns = (begin - dt.date(1970, 1, 1)).days * DAY
    if begin.isoformat() != day or begin_ns < 0:
        raise DatasetError(f"--date: was {day!r}, expected a day such as 2026-01-31")
    if begin_ns + DAY > now_ns:
        raise DatasetError(f"--date: {day} is not over: expected {last_whole_day(now_ns)} or a day before it")
    return begin_ns


def make_daily(request: DailyRequest, now_ns: int) -> Path:
    """Write the facts of the day, and of each of the seven before it that has none yet and could. Returns the
    path of the day's. Raises DatasetError and OutputError.
    """
    begin_ns = day_ns(request.day, now_ns)
    earlier = [begin_ns - number * DAY for number in range(HISTORY_DAYS, 0, -1)]
    for earlier_ns in earlier:
        if not _path(request.out, earlier_ns).exists():
            facts = work_out(request, earlier_ns)
            if facts["groups"]:
                _write(request.out, earlier_ns, facts)
    path = _path(request.out, begin_ns)
    facts = work_out(request, begin_ns)
    if facts["groups"] or not _has_groups(path):
        _write(request.out, begin_ns, facts)
    return path


def work_out(request: DailyRequest, begin_ns: int) -> Row:
    """The facts of one day, unwritten. Raises OutputError."""
    found = find(run_folders(request.out), stamp(begin_ns))
    groups: dict[tuple[str, str], list[Place]] = {}
    for place in found.runs:
        groups.setdefault((place.manifest.data.kind, place.manifest.mode), []).append(place)
    unreadable = dict(found.unreadable)
    made = [
        _Group(key, runs, begin_ns, unreadable).facts(request)
        for key, runs in sorted(groups.items(), key=_rank)
    ]
    return {
        "schema": SCHEMA,
        "day": _named(begin_ns),
        "from": moment(begin_ns),
        "to": moment(begin_ns + DAY),
        "groups": [group for group in made if group["runs"] or group["left_out"]],
        "unreadable": [{"place": place, "reason": why} for place, why in sorted(unreadable.items())],
    }


def _rank(group: tuple[tuple[str, str], list[Place]]) -> tuple[int, int]:
    (kind, mode), _ = group
    return _BELIEVED.index(kind), _MODES.index(mode)


class _Group:
    """Runs of one kind of data and mode."""

    def __init__(
        self, key: tuple[str, str], places: list[Place], begin_ns: int, unreadable: dict[str, str]
    ) -> None:
        self._kind, self._mode = key
        self._begin_ns = begin_ns
        day = stamp(begin_ns)
        self._places = sorted(places, key=lambda place: _standing(place, day))
        self._bytes = {place.manifest.run_id: place.bytes_of(day) for place in places}
        self._unreadable = unreadable
        self._days: list[RunDay] = []
        self._left_out: list[Row] = []

    def facts(self, request: DailyRequest) -> Row:
        """Raises OutputError."""
        folder = request.out / "reports" / "daily"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (
                TemporaryDirectory(prefix=".making-", dir=folder) as work,
                contextlib.closing(connect(Path(work), request.memory_mb)) as database,
            ):
                for place in self._places:
                    self._take(database, place, Path(work))
                return self._content(database)
        except OSError as error:
            raise OutputError(f"{error.filename}: cannot be written: {error.strerror}") from error

    def _take(self, database: duckdb.DuckDBPyConnection, place: Place, work: Path) -> None:
        reason = refusal(place)
        try:
            day = None if reason else run_day(database, place, self._begin_ns, work)
        except (DatasetError, msgspec.MsgspecError, KeyError) as error:
            self._unreadable[str(place.folder)] = str(error)
            return
        if day is not None:
            reason = self._twice(day)
        if day is None or reason is not None:
            self._left_out.append({"run_id": place.manifest.run_id, "reason": reason})
            return
        self._days.append(day)
        database.execute(
            f"{'INSERT INTO day_ticks' if len(self._days) > 1 else 'CREATE TABLE day_ticks AS'} "  # noqa: S608 (text of this module)
            "SELECT * FROM pipeline_ticks WHERE ts_ns < ?",
            [self._begin_ns + DAY],
        )

    def _twice(self, day: RunDay) -> str | None:
        """Why a simulated run would be counted twice."""
        if self._mode == LIVE:
            return None
        for other in self._days:
            for symbol, (first_ns, last_ns) in day.spans.items():
                taken = other.spans.get(symbol)
                if taken is not None and first_ns <= taken[1] and taken[0] <= last_ns:
                    return f"run {other.place.manifest.run_id} has {symbol} at the same time"
        return None

    def _content(self, database: duckdb.DuckDBPyConnection) -> Row:
        days = self._days
        ticked = any(day.symbols for day in days)
        return {
            "data_kind": self._kind,
            "mode": self._mode,
            "runs": [_run(day, self._begin_ns, self._bytes) for day in days],
            "left_out": self._left_out,
            "coverage": list(self._coverage()),
            "results": list(_results(days)),
            "symbols": list(_symbols(days)),
            "latency": _latency(database) if ticked else [],
            "ticks": _ticks(database) if ticked else None,
            "guards": _guards(database) if ticked else None,
            "hours": list(_hours(database, days, self._begin_ns)) if ticked else [],
            "events": _events(days),
            "breakers": [row for day in days for row in day.breakers],
            "processes": [row for day in days for row in day.processes],
            "equity": [{"run_id": day.place.manifest.run_id, **day.equity} for day in days if day.equity],
            "order_path": [
                {"run_id": day.place.manifest.run_id, **row} for day in days for row in day.order_path
            ],
            "alerts": list(_alerts(days)),
            "watched_runs": sum(day.alerts is not None for day in days),
        }

    def _coverage(self) -> Iterator[Row]:
        """By symbol: the time that its ticks stand for, and where there are none, the day's ends too."""
        by_symbol = _by_symbol(self._days)
        for symbol, parts in by_symbol.items():
            ticks = sum(one.rows.ticks for _, one in parts)
            covered_ns = min(sum(one.rows.ticks * day.place.manifest.tick_ns for day, one in parts), DAY)
            gaps = self._gaps(parts)
            yield {
                "symbol": symbol,
                "ticks": ticks,
                "covered_s": covered_ns / SECOND,
                "covered_ratio": covered_ns / DAY,
                "gaps": [
                    {"from": moment(first), "to": moment(last), "seconds": (last - first) / SECOND}
                    for first, last in gaps
                ],
                "short_gaps": sum(one.rows.short_gaps for _, one in parts),
            }

    def _gaps(self, parts: Sequence[tuple[RunDay, SymbolDay]]) -> list[tuple[int, int]]:
        """Ten ticks and more that no run has."""
        tick_ns = max(day.place.manifest.tick_ns for day, _ in parts)
        stretches = sorted(stretch for _, one in parts for stretch in _stretches(one))
        gaps, until_ns = [], self._begin_ns
        for first_ns, last_ns in [*stretches, (self._begin_ns + DAY, self._begin_ns + DAY)]:
            if first_ns - until_ns > _GAP_TICKS * tick_ns:
                gaps.append((until_ns, first_ns))
            until_ns = max(until_ns, last_ns)
        return gaps


def _standing(place: Place, day: str) -> tuple[bool, int, str]:
    """Which of two simulated runs of one market counts: the one that sorts first."""
    return place.manifest.status == "failed", -place.bytes_of(day), place.manifest.run_id


def _stretches(one: SymbolDay) -> Iterator[tuple[int, int]]:
    """From first to last tick, cut at the gaps."""
    begin_ns = one.rows.first_ns
    for gap_from, gap_to in sorted(one.rows.gaps):
        yield begin_ns, gap_from
        begin_ns = gap_to
    yield begin_ns, one.rows.last_ns


def _by_symbol(days: Sequence[RunDay]) -> dict[str, list[tuple[RunDay, SymbolDay]]]:
    found: dict[str, list[tuple[RunDay, SymbolDay]]] = {}
    for day in days:
        for symbol, one in day.symbols.items():
            found.setdefault(symbol, []).append((day, one))
    return dict(sorted(found.items()))


def _run(day: RunDay, begin_ns: int, size: Mapping[str, int]) -> Row:
    manifest = day.place.manifest
    spans = list(day.spans.values())
    last_ns = max((last for _, last in spans), default=None)
    return {
        "run_id": manifest.run_id,
        "arm": manifest.arm,
        "step": manifest.step,
        "scenario": manifest.scenario,
        "status": manifest.status,
        "reason": manifest.reason,
        "config_sha256": manifest.config_sha256,
        "run_digest": manifest.run_digest,
        "configurations": day.configurations,
        "first_tick": moment(min(first for first, _ in spans)) if spans else None,
        "last_tick": None if last_ns is None else moment(last_ns),
        "ended_on_day": manifest.ended_ns is not None and begin_ns <= manifest.ended_ns <= begin_ns + DAY,
        "fell_silent": _fell_silent(day, begin_ns, last_ns),
        "ticks": day.ticks,
        "fills": day.fills,
        "halts": day.halts,
        "torn_files": day.torn_files,
        "feed_bytes": size[manifest.run_id],
    }


def _fell_silent(day: RunDay, begin_ns: int, last_ns: int | None) -> bool:
    """It never said that it ended, and has no tick at the end of the day: somebody killed it."""
    manifest = day.place.manifest
    at_the_end = last_ns is not None and last_ns >= begin_ns + DAY - _GAP_TICKS * manifest.tick_ns
    return manifest.status == "running" and not at_the_end


def _results(days: Sequence[RunDay]) -> Iterator[Row]:
    """By settlement currency."""
    by_currency: dict[str, list[SymbolDay]] = {}
    for day in days:
        for one in day.symbols.values():
            by_currency.setdefault(one.instrument.settled_in, []).append(one)
    for currency, ones in sorted(by_currency.items()):
        yield {"currency": currency, **combined(ones)}


def _symbols(days: Sequence[RunDay]) -> Iterator[Row]:
    for symbol, parts in _by_symbol(days).items():
        ones = [one for _, one in parts]
        differences = [one.pnl_difference for one in ones if one.pnl_difference is not None]
        yield {
            "symbol": symbol,
            "currency": ones[0].instrument.settled_in,
            **combined(ones),
            "position": ones[-1].position if len(ones) == 1 else None,
            "position_difference_lots": sum(one.position_difference_lots for one in ones),
            "pnl_difference": max(differences, default=None),
        }


def _latency(database: duckdb.DuckDBPyConnection) -> list[Row]:
    """Of each stage, ns: a value that occurred; fetch_md and the whole tick with their wait, and apart."""
    found = []
    for stage in STAGES:
        total = f"{stage}_ns + wait_ns" if stage in _WAITING else f"{stage}_ns"
        sql = (
            f"SELECT count(*), quantile_disc({total}, 0.5), quantile_disc({total}, 0.95), "  # noqa: S608 (names of this module)
            f"quantile_disc({total}, 0.99), max({total}), quantile_disc({stage}_ns, 0.95) FROM day_ticks"
        )
        names = ("n", "p50_ns", "p95_ns", "p99_ns", "max_ns", "measured_p95_ns")
        found.append({"stage": stage, **dict(zip(names, _one(database, sql), strict=True))})
    return found


def _ticks(database: duckdb.DuckDBPyConnection) -> Row:
    """md_cache and deadlines."""
    sql = (
        "SELECT count(*), count(*) FILTER (cache = 'hit'), count(*) FILTER (cache = 'stale'), "
        "count(*) FILTER (cache = 'miss'), quantile_disc(age_ns, 0.5), quantile_disc(age_ns, 0.95), "
        "quantile_disc(age_ns, 0.99), max(age_ns), count(*) FILTER (deadline_miss), "
        "count(*) FILTER (bid IS NOT NULL AND ask IS NOT NULL) FROM day_ticks"
    )
    names = (
        "ticks", "hits", "stale", "misses", "age_p50_ns", "age_p95_ns", "age_p99_ns", "age_max_ns",
        "deadline_misses", "quoted",
    )  # fmt: skip
    return dict(zip(names, _one(database, sql), strict=True))


def _guards(database: duckdb.DuckDBPyConnection) -> Row:
    """Ticks by level, and by level and reason; a tick may have several."""
    levels = dict(database.execute("SELECT guard, count(*) FROM day_ticks GROUP BY 1 ORDER BY 1").fetchall())
    reasons = database.execute(
        "SELECT guard, reason, count(*) FROM (SELECT guard, unnest(reasons) AS reason FROM day_ticks) "
        "GROUP BY ALL ORDER BY 3 DESC, 1, 2"
    ).fetchall()
    (unexplained,) = _one(
        database, "SELECT count(*) FROM day_ticks WHERE guard = 'HARD' AND len(reasons) = 0"
    )
    return {
        "levels": levels,
        "reasons": [{"level": level, "reason": why, "ticks": count} for level, why, count in reasons],
        "hard_without_reason": unexplained,
    }


def _hours(database: duckdb.DuckDBPyConnection, days: Sequence[RunDay], begin_ns: int) -> Iterator[Row]:
    """The 24 of the day, those without a tick included."""
    sql = (
        "SELECT (ts_ns - $begin) // $hour, count(*), avg((cache = 'hit')::int), "
        "quantile_disc(tick_total_ns + wait_ns, 0.95), count(*) FILTER (deadline_miss), "
        "count(*) FILTER (guard = 'HARD') FROM day_ticks GROUP BY 1"
    )
    found = {
        row[0]: row[1:] for row in database.execute(sql, {"begin": begin_ns, "hour": HOUR_NS}).fetchall()
    }
    fills: Counter[int] = Counter()
    for day in days:
        for one in day.symbols.values():
            fills.update((ts_ns - begin_ns) // HOUR_NS for ts_ns in one.fills["ts_ns"].tolist())
    for hour in range(DAY // HOUR_NS):
        ticks, hit_ratio, p95_ns, missed, hard = found.get(hour, (0, None, None, 0, 0))
        yield {
            "hour": hour,
            "ticks": ticks,
            "hit_ratio": hit_ratio,
            "tick_total_p95_ns": p95_ns,
            "deadline_misses": missed,
            "hard_ticks": hard,
            "fills": fills[hour],
        }


def _events(days: Sequence[RunDay]) -> list[Row]:
    counts: Counter[tuple[str, str]] = Counter()
    for day in days:
        for row in day.events:
            counts[row["kind"], row["reason"]] += row["count"]
    return [{"kind": kind, "reason": why, "count": count} for (kind, why), count in sorted(counts.items())]


def _alerts(days: Sequence[RunDay]) -> Iterator[Row]:
    for day in days:
        for row in day.alerts or ():
            yield {"run_id": day.place.manifest.run_id, **row}


def _one(database: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    return database.execute(sql).fetchone() or ()


def _named(ns: int) -> str:
    """`2026-01-31`."""
    return f"{dt.datetime.fromtimestamp(ns // SECOND, dt.UTC):%Y-%m-%d}"


def _path(out: Path, begin_ns: int) -> Path:
    return out / "reports" / "daily" / f"{_named(begin_ns)}.json"


def _write(out: Path, begin_ns: int, facts: Mapping[str, Any]) -> None:
    text = json.dumps(facts, indent=1, allow_nan=False)
    write_atomically({_path(out, begin_ns): f"{text}\n".encode()})


def _has_groups(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_bytes())["groups"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
