"""Runs and their feeds, as a dataset takes them in: the files there are, and their rows as tables of duckdb.

A place is a run directory, the folder of published feeds, or the same in an object store as duckdb names it
(`s3://bucket/run`; it must have been given its extension `httpfs` before: nothing is downloaded here). A day
of a feed may lie there as JSONL, as JSONL.zst or as Parquet; where it lies in several forms, one is read.

Refused, since it would not say what it seems to: runs of different data kinds or schemas, a run that failed,
data with faults put into it, ticks left out by a wake filter, rows of another run than the manifest's, a
malformed row (but for the half-written last line of a run that was killed, which is counted), rows without a
needed field, a tick twice, and two runs of one symbol and arm at the same time.

Tables are on disk: memory does not grow with the rows.
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb

from mmbot.errors import DatasetError
from mmbot.model.instrument import Instrument
from mmbot.model.records import FillRow
from mmbot.ops.dataset_manifest import Manifest, read_manifest
from mmbot.units import DAY, SECOND

_FORMS = ("parquet", "jsonl", "jsonl.zst")
"""Of a day of a feed; the first that is there is read."""
_FILE = re.compile(r"(?P<feed>pipeline_ticks|fills|trace)_(?P<day>\d{8})\.(?P<form>jsonl|jsonl\.zst|parquet)")
_HEAD = {
    "ts_ns": "BIGINT",
    "symbol": "VARCHAR",
    "run_id": "VARCHAR",
    "arm": "VARCHAR",
    "data_kind": "VARCHAR",
}
FEEDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "pipeline_ticks": _HEAD
        | {
            "cache": "VARCHAR",
            "fetch_md_ns": "BIGINT",
            "tick_total_ns": "BIGINT",
            "wait_ns": "BIGINT",
            "deadline_miss": "BOOLEAN",
            "guard": "VARCHAR",
            "position_quote": "DOUBLE",
            "age_ns": "BIGINT",
            "mid": "DOUBLE",
            "bid": "DOUBLE",
            "ask": "DOUBLE",
            "half_spread_bps": "DOUBLE",
        },
        "fills": _HEAD
        | {
            "recv_ns": "BIGINT",
            "fill_id": "BIGINT",
            "client_id": "VARCHAR",
            "side": "VARCHAR",
            "price": "DOUBLE",
            "qty": "DOUBLE",
            "liquidity": "VARCHAR",
            "fee": "DOUBLE",
            "order_price": "DOUBLE",
            "mid": "DOUBLE",
            "decision_mid": "DOUBLE",
        },
        "trace": _HEAD
        | {
            "fair": "DOUBLE",
            "touch_bps": "DOUBLE",
            "imbalance": "DOUBLE",
            "depth_lots": "BIGINT",
            "bid_trade_lots_per_s": "DOUBLE",
            "ask_trade_lots_per_s": "DOUBLE",
            "volatility_bps": "DOUBLE",
            "latency_ms": "DOUBLE",
            "volatility_score": "DOUBLE",
            "liquidity_score": "DOUBLE",
            "latency_score": "DOUBLE",
            "pnl_score": "DOUBLE",
            "spread_bps": "DOUBLE",
            "skew_bps": "DOUBLE",
            "bid_ahead_lots": "BIGINT",
            "ask_ahead_lots": "BIGINT",
            "bid_eta_s": "DOUBLE",
            "ask_eta_s": "DOUBLE",
        },
    }
)
"""Fields that are read, with their types in duckdb."""
_NULLABLE = MappingProxyType(
    {
        "pipeline_ticks": {"age_ns", "mid", "bid", "ask", "half_spread_bps"},
        "fills": {"mid", "decision_mid"},
        "trace": set(FEEDS["trace"]) - set(_HEAD),
    }
)


@dataclass(frozen=True, slots=True)
class Source:
    """One run with the files of its feeds, by feed, in the order of their days."""

    place: str
    manifest: Manifest
    files: Mapping[str, Sequence[str]]
    every_file: bool
    """Nothing of the run lies outside the days that are read."""

    @property
    def instruments(self) -> dict[str, Instrument]:
        return {traded.symbol: traded.instrument for traded in self.manifest.instruments}


@dataclass(slots=True)
class Loaded:
    """What the tables of one run hold: rows by feed, and last lines that were half-written."""

    rows: dict[str, int] = field(default_factory=dict)
    torn_lines: int = 0
    symbols: list[str] = field(default_factory=list)


def connect(folder: Path, memory_mb: int) -> duckdb.DuckDBPyConnection:
    """A database in an empty folder, for the time that a dataset is made."""
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_mb}MB",
        "preserve_insertion_order": "false",
        "autoinstall_known_extensions": "false",
        "temp_directory": str(folder / "spill"),
    }
    return duckdb.connect(str(folder / "rows.duckdb"), config=settings)


def find(database: duckdb.DuckDBPyConnection, place: str, from_ns: int | None, to_ns: int | None) -> Source:
    """The run at a place, with those files that hold rows of the range. Raises DatasetError."""
    place = place.rstrip("/")
    manifest = _manifest(database, f"{place}/manifest.json")
    patterns = [f"{place}/*"] + [f"{place}/parts/*/*"] * bool(manifest.parts)
    names = [name for pattern in patterns for name in _listed(database, pattern)]
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    for name in names:
        match = _FILE.fullmatch(name.rpartition("/")[2])
        if match:
            folder = name.rpartition("/")[0]
            found.setdefault((match["feed"], match["day"], folder), {})[match["form"]] = name
    days = {key: forms for key, forms in found.items() if _within(key[1], from_ns, to_ns)}
    files: dict[str, list[str]] = {feed: [] for feed in FEEDS}
    for (feed, _, _), forms in sorted(days.items()):
        files[feed].append(next(forms[form] for form in _FORMS if form in forms))
    if not any(feed == "pipeline_ticks" for feed, *_ in found):
        raise DatasetError(f"{place}: found no pipeline_ticks_YYYYMMDD.jsonl, .jsonl.zst or .parquet")
    return Source(place, manifest, MappingProxyType(files), every_file=len(days) == len(found))


def _manifest(database: duckdb.DuckDBPyConnection, path: str) -> Manifest:
    try:
        found = database.execute("SELECT content FROM read_blob(?)", [path]).fetchone()
    except duckdb.Error as error:
        raise DatasetError(f"{path}: cannot be read: {first_line(error)}") from error
    if found is None:
        raise DatasetError(f"{path}: no such file")
    return read_manifest(found[0], path)


def _listed(database: duckdb.DuckDBPyConnection, pattern: str) -> list[str]:
    try:
        return [name for (name,) in database.execute("SELECT file FROM glob(?)", [pattern]).fetchall()]
    except duckdb.Error as error:
        raise DatasetError(f"{pattern}: cannot be listed: {first_line(error)}") from error


def _within(day: str, from_ns: int | None, to_ns: int | None) -> bool:
    start_ns = int(datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).timestamp()) * SECOND
    return (from_ns is None or start_ns + DAY > from_ns) and (to_ns is None or start_ns < to_ns)


def check_together(sources: Sequence[Source]) -> str:
    """The data kind of runs that may stand in one dataset. Raises DatasetError."""
    kinds = {source.manifest.data.kind: source for source in sources}
    if len(kinds) > 1:
        named = ", ".join(f"{kind} ({source.manifest.run_id})" for kind, source in kinds.items())
        raise DatasetError(f"data kinds were mixed: {named}; expected runs of one kind")
    names = [source.manifest.run_id for source in sources]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DatasetError(f"run {twice} was given twice")
    return next(iter(kinds))


def load(
    database: duckdb.DuckDBPyConnection, source: Source, from_ns: int | None, to_ns: int | None, folder: Path
) -> Loaded:
    """Rows of the range into fresh tables, one a feed. Raises DatasetError."""
    loaded = Loaded()
    for feed, columns in FEEDS.items():
        files = [whole(file, folder) for file in source.files[feed]]
        loaded.torn_lines += sum(map(str.__ne__, files, source.files[feed]))
        _create(database, feed, columns, files, (from_ns, to_ns))
        loaded.rows[feed] = _count(database, feed)
        _check_rows(database, source.manifest, feed)
    loaded.symbols = [
        name
        for (name,) in database.execute("SELECT DISTINCT symbol FROM pipeline_ticks ORDER BY 1").fetchall()
    ]
    _check_counts(source, loaded, whole=source.every_file and from_ns is None and to_ns is None)
    unknown = [name for name in loaded.symbols if name not in source.instruments]
    if unknown:
        raise DatasetError(f"{source.place}: manifest.json names no instrument {unknown[0]}")
    return loaded


def _create(
    database: duckdb.DuckDBPyConnection,
    feed: str,
    columns: Mapping[str, str],
    files: Sequence[str],
    within: tuple[int | None, int | None],
) -> None:
    database.execute(f"CREATE OR REPLACE TABLE {feed} ({', '.join(f'{n} {t}' for n, t in columns.items())})")
    names, (from_ns, to_ns) = ", ".join(columns), within
    for form, reader in _READERS.items():
        of_form = [file for file in files if file.endswith(form)]
        if not of_form:
            continue
        given: dict[str, Any] = {"files": of_form, "from": from_ns or 0, "to": to_ns or 2**63 - 1}
        if "$columns" in reader:
            given["columns"] = dict(columns)
        try:
            database.execute(
                f"INSERT INTO {feed} SELECT {names} FROM {reader} "  # noqa: S608 (names of this module)
                "WHERE ts_ns IS NULL OR (ts_ns >= $from AND ts_ns < $to)",
                given,
            )
        except duckdb.Error as error:
            raise DatasetError(f"{feed}: {first_line(error)}") from error


_JSON = "read_json($files, format = 'newline_delimited', columns = $columns)"
_READERS = MappingProxyType({".parquet": "read_parquet($files)", ".jsonl": _JSON, ".jsonl.zst": _JSON})


def whole(file: str, folder: Path) -> str:
    """The file itself, or a copy in the folder without its last line where that is half-written."""
    path = Path(file)
    if path.suffix != ".jsonl" or not path.is_file() or not path.stat().st_size:
        return file
    with path.open("rb") as rows:
        rows.seek(-1, os.SEEK_END)
        if rows.read(1) == b"\n":
            return file
        size = _last_newline(path)
        copy = folder / f"whole-{path.parent.name}-{path.name}"
        rows.seek(0)
        with copy.open("wb") as out:
            shutil.copyfileobj(rows, out)
            out.truncate(size)
    return str(copy)


_BLOCK = 65_536


def _last_newline(path: Path) -> int:
    """Bytes up to and with the last newline; 0 without one."""
    with path.open("rb") as rows:
        end = rows.seek(0, os.SEEK_END)
        while end > 0:
            begin = max(end - _BLOCK, 0)
            rows.seek(begin)
            found = rows.read(end - begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            end = begin
    return 0


def _count(database: duckdb.DuckDBPyConnection, feed: str) -> int:
    (count,) = database.execute(f"SELECT count(*) FROM {feed}").fetchone() or (0,)  # noqa: S608
    return int(count)


def _check_rows(database: duckdb.DuckDBPyConnection, manifest: Manifest, feed: str) -> None:
    """Every row has what it needs, and is of this run."""
    for name in FEEDS[feed]:
        if name not in _NULLABLE[feed]:
            sql = f"SELECT count(*), min(ts_ns) FROM {feed} WHERE {name} IS NULL"  # noqa: S608
            count, first_ns = database.execute(sql).fetchone() or (0, None)
            if count:
                at = "" if first_ns is None else f", the first at {moment(first_ns)}"
                raise DatasetError(f"run {manifest.run_id}: {count} rows of {feed} without {name}{at}")
    if feed == "fills":
        _check_fills(database, manifest)
    told = (manifest.run_id, manifest.arm, manifest.data.kind)
    sql = f"SELECT DISTINCT run_id, arm, data_kind FROM {feed}"  # noqa: S608
    for found in database.execute(sql).fetchall():
        if found != told:
            raise DatasetError(
                f"{feed}: rows of {_named(found)}, expected {_named(told)} as in manifest.json"
            )


def _check_fills(database: duckdb.DuckDBPyConnection, manifest: Manifest) -> None:
    """Their numbers are numbers: a ledger with NaN in it has no sum, and no interval could be blamed."""
    for name in ("price", "qty", "fee", "order_price", "mid", "decision_mid"):
        sql = f"SELECT count(*), min(ts_ns) FROM fills WHERE NOT isfinite({name})"  # noqa: S608
        count, first_ns = database.execute(sql).fetchone() or (0, None)
        if count:
            at = moment(first_ns)
            raise DatasetError(
                f"run {manifest.run_id}: {count} fills with a {name} of NaN or infinity, the first at {at}"
            )


def _named(row: tuple[Any, ...]) -> str:
    return "run {}, arm {}, {} data".format(*row)


def _check_counts(source: Source, loaded: Loaded, *, whole: bool) -> None:
    """A run that was read whole holds as many rows as it counted: a file that was cut is noticed."""
    if not whole or source.manifest.status == "running":
        return
    for counted, feed in (("ticks", "pipeline_ticks"), ("fills", "fills")):
        expected, found = source.manifest.counts.get(counted), loaded.rows[feed]
        if expected is not None and expected != found:
            raise DatasetError(
                f"{source.place}: manifest.json counts {expected} {counted}, the files hold {found}"
            )


def first_line(error: duckdb.Error) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def moment(ns: int) -> str:
    """UTC, to the second where it is one, else to the microsecond."""
    stamp = datetime.fromtimestamp(ns // SECOND, UTC)
    rest_us = ns % SECOND // 1_000
    return f"{stamp:%Y-%m-%dT%H:%M:%S}{f'.{rest_us:06d}' if rest_us else ''}Z"


def fills_of(database: duckdb.DuckDBPyConnection, symbol: str) -> Iterator[tuple[Any, ...]]:
    """Rows of the feed, each with the fields of a FillRow in their order."""
    names = ", ".join(FillRow.__struct_fields__)
    cursor = database.execute(f"SELECT {names} FROM fills WHERE symbol = ?", [symbol])  # noqa: S608
    while rows := cursor.fetchmany(50_000):
        yield from rows
