"""Runs that have rows of one UTC day, and those rows as tables of duckdb: what a daily report takes in.

A run is any directory in `runs/` with a manifest, still playing, killed or failed ones included: what they
did belongs to the day. Whoever calls says which places; a published view of a run that is there itself is
left to that run. The half-written last line of a feed is not read, and counted.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import duckdb

from mmbot.errors import DatasetError
from mmbot.model.instrument import Instrument
from mmbot.ops.dataset_feeds import FEEDS, first_line, whole
from mmbot.ops.dataset_manifest import Manifest, alteration, decoded_manifest
from mmbot.ops.dataset_rows import AFTER_NS
from mmbot.telemetry.view import STAGES
from mmbot.units import DAY, SECOND

_HEAD = {name: FEEDS["fills"][name] for name in ("ts_ns", "symbol", "run_id", "arm", "data_kind")}
TABLES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "pipeline_ticks": {
            **FEEDS["pipeline_ticks"],
            **{f"{stage}_ns": "BIGINT" for stage in STAGES},
            "reasons": "VARCHAR[]",
            "position": "DOUBLE",
        },
        "fills": FEEDS["fills"],
        "trace": FEEDS["trace"],
        "events": {**_HEAD, "kind": "VARCHAR", "detail": "JSON"},
        "samples": {**_HEAD, "name": "VARCHAR", "value": "DOUBLE"},
    }
)
"""Fields by feed, with their types in duckdb. Of traces nothing is read."""
_NEEDED = MappingProxyType(
    {
        "pipeline_ticks": ("ts_ns", "symbol", "cache", "tick_total_ns", "guard", "reasons", "position"),
        "fills": ("ts_ns", "recv_ns", "symbol", "side", "price", "qty", "fee", "liquidity"),
        "events": ("ts_ns", "kind"),
        "samples": ("ts_ns", "name", "value"),
    }
)
_TWO_ARMS = "AB"
_JSON = "read_json($files, format = 'newline_delimited', columns = $columns)"

ELSEWHERE = "rows_elsewhere.txt"
"""In the directory of a part whose rows stayed where a cluster's worker put them: the place."""


@dataclass(frozen=True, slots=True)
class Place:
    """A run, and its files by feed and day (`20260131`), those of all its parts together."""

    folder: Path
    manifest: Manifest
    files: Mapping[str, Mapping[str, Sequence[Path]]]

    @property
    def instruments(self) -> dict[str, Instrument]:
        return {traded.symbol: traded.instrument for traded in self.manifest.instruments}

    @property
    def folders(self) -> list[Path]:
        """Of the run and its parts."""
        return [self.folder, *sorted(path.parent for path in self.folder.glob("parts/*/manifest.json"))]

    def covers(self, day: str) -> bool:
        return any(day in self.files[feed] for feed in ("pipeline_ticks", "fills", "events"))

    def bytes_of(self, day: str) -> int:
        return sum(path.stat().st_size for files in self.files.values() for path in files.get(day, ()))


@dataclass(slots=True)
class Found:
    """Runs that have rows of the day, and places that hold none that can be read, each with its reason."""

    runs: list[Place] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)


def find(places: Sequence[Path], day: str) -> Found:
    """Runs at these places with rows of the day (`20260131`). A run that is there twice is taken once."""
    found = Found()
    known: set[str] = set()
    for folder in places:
        try:
            place = _place(folder)
        except (OSError, DatasetError) as error:
            found.unreadable[str(folder)] = str(error)
            continue
        if place.covers(day) and place.manifest.run_id not in known:
            known.add(place.manifest.run_id)
            found.runs.append(place)
    return found


def run_folders(out: Path) -> list[Path]:
    """Of all runs below a folder of artifacts, and last of what a soak published."""
    runs = sorted(path.parent for path in (out / "runs").glob("*/manifest.json"))
    published = out / "edge" / "feeds"
    kept = [folder for folder in runs if folder.suffix != ".old"]
    return kept + ([published] if (published / "manifest.json").is_file() else [])


def refusal(place: Place) -> str | None:
    """Why the rows of a run are not those of a market that was traded as it was, or None."""
    manifest = place.manifest
    if manifest.step == "ab" and manifest.mode == "replay":
        return f"run {manifest.run_id} is a replay of an experiment"
    return alteration(manifest)


def load(database: duckdb.DuckDBPyConnection, place: Place, begin_ns: int, work: Path) -> int:
    """The rows of a day into fresh tables: ticks until fills of the day have their last mid, samples of the
    day, fills and events since the run began. Returns how many files ended in a half-written line.

    Raises DatasetError for rows that cannot be read, or are of another run.
    """
    torn, end_ns = 0, begin_ns + DAY
    spans = {"pipeline_ticks": (begin_ns, end_ns + AFTER_NS), "samples": (begin_ns, end_ns)}
    for feed, columns in TABLES.items():
        from_ns, until_ns = spans.get(feed, (0, end_ns))
        named = [str(path) for path in _files(place, feed, from_ns, until_ns)] if feed != "trace" else []
        files = [whole(name, work) for name in named]
        torn += sum(map(str.__ne__, files, named))
        read(database, feed, columns, files, (from_ns, until_ns))
        if feed != "trace":
            _check(database, place.manifest, feed)
    return torn


def read(
    database: duckdb.DuckDBPyConnection,
    table: str,
    columns: Mapping[str, str],
    files: Sequence[str],
    within: tuple[int, int],
) -> None:
    """A fresh table of the rows of these files in a span of time. Raises DatasetError."""
    kinds = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    database.execute(f"CREATE OR REPLACE TABLE {table} ({kinds})")
    if not files:
        return
    try:
        database.execute(
            f"INSERT INTO {table} SELECT {', '.join(columns)} FROM {_JSON} "  # noqa: S608 (names of this module)
            "WHERE ts_ns IS NULL OR (ts_ns >= $from AND ts_ns < $until)",
            {"files": list(files), "columns": dict(columns), "from": within[0], "until": within[1]},
        )
    except duckdb.Error as error:
        raise DatasetError(f"{table}: {first_line(error)}") from error


def mid_before(
    database: duckdb.DuckDBPyConnection, place: Place, symbol: str, begin_ns: int, work: Path
) -> float | None:
    """The last mid of a symbol before a moment, from the newest file that has one; None where none has."""
    columns = {name: TABLES["pipeline_ticks"][name] for name in ("ts_ns", "symbol", "mid")}
    days = sorted((day for day in place.files["pipeline_ticks"] if day < stamp(begin_ns)), reverse=True)
    for day in days:
        files = [whole(str(path), work) for path in place.files["pipeline_ticks"][day]]
        read(database, "earlier", columns, files, (0, begin_ns))
        sql = "SELECT arg_max(mid, ts_ns) FROM earlier WHERE symbol = ? AND mid IS NOT NULL"
        (mid,) = database.execute(sql, [symbol]).fetchone() or (None,)
        if mid is not None:
            return float(mid)
    return None


def stamp(ns: int) -> str:
    """`20260131`: the day of a moment, as files are named."""
    return f"{dt.datetime.fromtimestamp(ns // SECOND, dt.UTC):%Y%m%d}"


def _place(folder: Path) -> Place:
    path = folder / "manifest.json"
    manifest = decoded_manifest(path.read_bytes(), str(path))
    files: dict[str, dict[str, list[Path]]] = {feed: {} for feed in TABLES}
    for one in [folder, *sorted(path for path in folder.glob("parts/*") if path.is_dir())]:
        elsewhere = one / ELSEWHERE
        if elsewhere.is_file():
            raise DatasetError(f"{one}: its rows are in {elsewhere.read_text(encoding='utf-8').strip()}")
        for feed, by_day in files.items():
            for day, path in _days(one, feed):
                by_day.setdefault(day, []).append(path)
    return Place(folder, manifest, MappingProxyType(files))


def _days(folder: Path, feed: str) -> Iterator[tuple[str, Path]]:
    """The file of each day: JSON lines, or where only that is left, the same compressed."""
    by_day = {path.name.split(".")[0][-8:]: path for path in folder.glob(f"{feed}_????????.jsonl.zst")}
    by_day |= {path.name.split(".")[0][-8:]: path for path in folder.glob(f"{feed}_????????.jsonl")}
    yield from sorted(by_day.items())


def _files(place: Place, feed: str, from_ns: int, until_ns: int) -> Iterator[Path]:
    first, last = stamp(from_ns), stamp(until_ns - 1)
    for day, paths in sorted(place.files[feed].items()):
        if first <= day <= last:
            yield from paths


def _check(database: duckdb.DuckDBPyConnection, manifest: Manifest, feed: str) -> None:
    """Every row has what it needs, and is of this run."""
    for name in _NEEDED[feed]:
        (count,) = database.execute(f"SELECT count(*) FROM {feed} WHERE {name} IS NULL").fetchone() or (0,)  # noqa: S608
        if count:
            raise DatasetError(f"run {manifest.run_id}: {count} rows of {feed} without {name}")
    arms = ["A", "B", _TWO_ARMS] if manifest.arm == _TWO_ARMS else [manifest.arm]
    sql = (
        f"SELECT run_id, arm, data_kind FROM {feed} "  # noqa: S608 (names of this module)
        "WHERE run_id <> ? OR data_kind <> ? OR NOT list_contains(?, arm) LIMIT 1"
    )
    other = database.execute(sql, [manifest.run_id, manifest.data.kind, arms]).fetchone()
    if other is not None:
        found = "run {}, arm {}, {} data".format(*other)
        expected = f"run {manifest.run_id}, arm {' or '.join(arms)}, {manifest.data.kind} data"
        raise DatasetError(f"{feed}: a row of {found}, expected {expected} as in manifest.json")
