"""A calibration dataset from the feeds of soaks: one file a machine reads, one a person reads.

    OUT/edge/datasets/calib_20250115_20250117.json             intervals, provenance, coverage, filters
    OUT/edge/datasets/calib_20250115_20250117.parquet          the same intervals, kept and filtered
    OUT/edge/datasets/calib_20250115_20250117_fills.parquet    fill by fill, with the scores at each
    OUT/edge/reports/calib_summary_20250115_20250117.md        and its charts beside it

Decided: days in the names are those of the range's begin and end. Equal feeds, range and code give equal
bytes: nothing in the files says when or where they were made. All files are replaced together or not at all.
A range that was not given is that of the ticks, widened to whole intervals.
"""

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from mmbot.calibration.dataset_columns import FILL_COLUMNS, INTERVAL_COLUMNS, SCHEMA, Column
from mmbot.calibration.dataset_edge import Columns
from mmbot.calibration.dataset_filters import (
    MAD_TO_SIGMA,
    REASONS,
    SPIKE_COLUMNS,
    Bounds,
    FilterSettings,
    reasons_of,
    spikes_of,
)
from mmbot.errors import DatasetError, OutputError
from mmbot.ops.dataset_feeds import Loaded, Source, check_together, connect, find, load, moment
from mmbot.ops.dataset_rows import AFTER_NS, Row, SymbolDays, SymbolRows
from mmbot.ops.dataset_summary import summary_files
from mmbot.ops.files import write_atomically
from mmbot.units import DAY, SECOND

INTERVAL_NS = 300 * SECOND
_LEAST_INTERVAL_NS = 60 * SECOND
_BEFORE_NS = 60 * SECOND
_MARGIN_NS = 10 * SECOND
MEMORY_MB = 700
"""For duckdb's tables and sorts; the rest of the process takes some 300 MB more."""


@dataclass(frozen=True, slots=True)
class DatasetRequest:
    """What is wanted. `places`: run directories or folders of feeds; a bound that is None is that of the
    ticks.
    """

    places: Sequence[str]
    out: Path
    from_ns: int | None = None
    to_ns: int | None = None
    interval_ns: int = INTERVAL_NS
    filters: FilterSettings = field(default_factory=FilterSettings)
    memory_mb: int = MEMORY_MB


@dataclass(frozen=True, slots=True)
class Dataset:
    """What feeds come to: what the JSON says, all intervals with their reasons to be dropped, all fills."""

    name: str
    content: Mapping[str, Any]
    intervals: Columns
    fills: Columns


def read_moment(text: str) -> int:
    """`2025-01-15T00:00:00Z` -> ns. Raises DatasetError for what is no moment of ISO 8601 with its offset."""
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError as error:
        raise DatasetError(f"moment was {text!r}, expected ISO 8601 such as 2025-01-15T00:00:00Z") from error
    if stamp.tzinfo is None:
        raise DatasetError(f"moment was {text!r}, expected an offset too, as in 2025-01-15T00:00:00Z")
    since = stamp - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * 1_000


def make_dataset(request: DatasetRequest) -> Path:
    """Work it out and write it; the path of its JSON. Raises DatasetError and OutputError."""
    dataset = work_out(request)
    edge = request.out / "edge"
    path = edge / "datasets" / f"{dataset.name}.json"
    files = {path: _json(dataset.content)}
    for suffix, columns in (("", dataset.intervals), ("_fills", dataset.fills)):
        files[path.with_name(f"{dataset.name}{suffix}.parquet")] = _parquet(columns)
    summary = summary_files(dataset.name, dataset.content, dataset.fills)
    write_atomically(files | {edge / "reports" / file: content for file, content in summary.items()})
    return path


def work_out(request: DatasetRequest) -> Dataset:
    """The dataset, unwritten. Raises DatasetError and OutputError."""
    _check(request)
    folder = request.out / "edge" / "datasets"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            TemporaryDirectory(prefix=".making-", dir=folder) as work,
            contextlib.closing(connect(Path(work), request.memory_mb)) as database,
        ):
            return _worked_out(request, database, Path(work))
    except OSError as error:
        raise OutputError(f"{error.filename}: cannot be written: {error.strerror}") from error


def _check(request: DatasetRequest) -> None:
    interval_ns = request.interval_ns
    if interval_ns < _LEAST_INTERVAL_NS or DAY % interval_ns:
        raise DatasetError(
            f"interval was {interval_ns / SECOND:g} s, expected a divisor of a day, 60 s at least"
        )
    if not request.places:
        raise DatasetError("found no feeds, expected at least one folder of them")
    if request.from_ns is not None and request.to_ns is not None and request.from_ns >= request.to_ns:
        asked = f"{moment(request.from_ns)} to {moment(request.to_ns)}"
        raise DatasetError(f"range was {asked}, expected its end after its begin")


@dataclass(slots=True)
class _Run:
    """One run, read."""

    source: Source
    loaded: Loaded
    symbols: dict[str, SymbolRows]
    files: list[Row]


def _worked_out(request: DatasetRequest, database: duckdb.DuckDBPyConnection, work: Path) -> Dataset:
    read_from = None if request.from_ns is None else request.from_ns - _BEFORE_NS
    read_to = None if request.to_ns is None else request.to_ns + AFTER_NS + _MARGIN_NS
    sources = [find(database, place, read_from, read_to) for place in request.places]
    sources.sort(key=lambda source: source.manifest.run_id)
    kind = check_together(sources)
    runs = [_read(request, database, source, (read_from, read_to), work) for source in sources]
    _refuse_empty(request, runs)
    _refuse_overlap(runs)
    from_ns, to_ns = _range(request, runs)
    intervals = list(_intervals(request, runs))
    return Dataset(
        name=f"calib_{_day(from_ns)}_{_day(to_ns)}",
        content=_content(request, runs, intervals, kind, (from_ns, to_ns)),
        intervals=_table(intervals, [*INTERVAL_COLUMNS, _REASONS]),
        fills=_fills(runs, intervals),
    )


def _read(
    request: DatasetRequest,
    database: duckdb.DuckDBPyConnection,
    source: Source,
    read: tuple[int | None, int | None],
    work: Path,
) -> _Run:
    with ThreadPoolExecutor(max_workers=1) as beside:
        files = beside.map(_shown, [file for files in source.files.values() for file in files])
        loaded = load(database, source, *read, work)
    within = (request.from_ns or 0, request.to_ns or 2**63 - 1)
    tick_ns, instruments = source.manifest.tick_ns, source.instruments
    symbols: dict[str, SymbolRows] = {}
    for symbol in loaded.symbols:
        rows = SymbolDays(database, instruments[symbol], request.interval_ns, tick_ns, within).read()
        if rows is not None:
            symbols[symbol] = rows
    return _Run(source, loaded, symbols, list(files))


def _refuse_empty(request: DatasetRequest, runs: Sequence[_Run]) -> None:
    if any(run.symbols for run in runs):
        return
    asked = " to ".join(
        "the first tick" if ns is None else moment(ns) for ns in (request.from_ns, request.to_ns)
    )
    named = ", ".join(run.source.place for run in runs)
    raise DatasetError(f"{named}: found no tick in {asked}")


def _refuse_overlap(runs: Sequence[_Run]) -> None:
    """A market moment of a symbol and arm is counted once."""
    spans = sorted(
        (symbol, run.source.manifest.arm, rows.first_ns, rows.last_ns, run.source.manifest.run_id)
        for run in runs
        for symbol, rows in run.symbols.items()
    )
    for one, other in pairwise(spans):
        if one[:2] == other[:2] and other[2] <= one[3]:
            at = moment(other[2])
            raise DatasetError(
                f"{one[0]}, arm {one[1]}: runs {one[4]} and {other[4]} both have ticks at {at}"
            )


def _range(request: DatasetRequest, runs: Sequence[_Run]) -> tuple[int, int]:
    """What was asked for; else the ticks', in whole intervals."""
    every = [rows for run in runs for rows in run.symbols.values()]
    length = request.interval_ns
    first_ns = min(rows.first_ns for rows in every) // length * length
    last_ns = (max(rows.last_ns for rows in every) // length + 1) * length
    return (
        first_ns if request.from_ns is None else request.from_ns,
        last_ns if request.to_ns is None else request.to_ns,
    )


_REASONS = Column("filtered_for", "", "why it was filtered out, joined by commas; empty for one that is kept")


def _intervals(request: DatasetRequest, runs: Sequence[_Run]) -> Iterator[Row]:
    """Every interval with a tick, with its reasons to be dropped."""
    for run in runs:
        manifest = run.source.manifest
        for symbol, rows in sorted(run.symbols.items()):
            began_ns = rows.first_ns if manifest.started_ns is None else manifest.started_ns
            bounds = Bounds(rows.first_ns, rows.last_ns, began_ns + manifest.warm_up_ns)
            keys = {"run_id": manifest.run_id, "arm": manifest.arm, "symbol": symbol}
            found = [keys | interval for _, interval in sorted(rows.intervals.items())]
            yield from _filtered(request, found, bounds, manifest.tick_ns)


def _filtered(request: DatasetRequest, found: list[Row], bounds: Bounds, tick_ns: int) -> list[Row]:
    settings = request.filters
    for interval in found:
        wrong = interval.pop("not_finite_pipeline_ticks") + interval.pop("not_finite_trace", 0)
        interval["not_finite"] = wrong
        interval.update({column.name: interval.get(column.name) for column in INTERVAL_COLUMNS})
        interval["traced"] = interval["traced"] or 0
        interval["reasons"] = list(reasons_of(interval, bounds, request.interval_ns, tick_ns, settings))
        interval["spikes"] = {}
    left = [interval for interval in found if not interval["reasons"]]
    for interval, spikes in zip(left, spikes_of(left, settings), strict=True):
        if spikes:
            interval["reasons"], interval["spikes"] = ["spike"], spikes
    for interval in found:
        interval["filtered_for"] = ",".join(interval["reasons"])
    return found


def _fills(runs: Sequence[_Run], intervals: Sequence[Row]) -> Columns:
    """Fills of all runs and symbols, one after the other, as columns."""
    kept = {(one["run_id"], one["symbol"], one["start_ns"]) for one in intervals if not one["reasons"]}
    tables: list[Columns] = []
    for run in runs:
        manifest = run.source.manifest
        for symbol, rows in sorted(run.symbols.items()):
            keys = {"run_id": manifest.run_id, "arm": manifest.arm, "symbol": symbol}
            starts = rows.fills["start_ns"].tolist()
            filtered = np.array(
                [(manifest.run_id, symbol, start) not in kept for start in starts], dtype=bool
            )
            same = {name: np.full(len(starts), value, dtype=object) for name, value in keys.items()}
            tables.append(same | rows.fills | {"filtered": filtered})
    return {column.name: np.concatenate([table[column.name] for table in tables]) for column in FILL_COLUMNS}


def _content(
    request: DatasetRequest,
    runs: Sequence[_Run],
    intervals: Sequence[Row],
    kind: str,
    within: tuple[int, int],
) -> dict[str, Any]:
    names = [column.name for column in INTERVAL_COLUMNS]
    kept = [{name: one[name] for name in names} for one in intervals if not one["reasons"]]
    return {
        "schema": SCHEMA,
        "dataset": "calibration",
        "data_kind": kind,
        "from": moment(within[0]),
        "to": moment(within[1]),
        "interval_s": request.interval_ns / SECOND,
        "provenance": [_provenance(run) for run in runs],
        "coverage": list(_coverage(runs, within)),
        "gaps": list(_gaps(request, runs)),
        "filters": _filters(request, intervals),
        "totals": list(_totals(runs)),
        "columns": [{"name": one.name, "unit": one.unit, "what": one.what} for one in INTERVAL_COLUMNS],
        "intervals": kept,
    }


def _provenance(run: _Run) -> Row:
    manifest, loaded = run.source.manifest, run.loaded
    return {
        "run_id": manifest.run_id,
        "arm": manifest.arm,
        "step": manifest.step,
        "scenario": manifest.scenario,
        "mode": manifest.mode,
        "status": manifest.status,
        "run_digest": manifest.run_digest,
        "config_sha256": manifest.config_sha256,
        "data_sha256": manifest.data.sha256,
        "code": manifest.code,
        "files": run.files,
        "rows_read": loaded.rows,
        "torn_lines": loaded.torn_lines,
    }


def _shown(file: str) -> dict[str, Any]:
    """A file by its name and content; one that is not on this machine by its name alone."""
    path = Path(file)
    named = "/".join(path.parts[-3:]) if path.parent.parent.name == "parts" else path.name
    if not path.is_file():
        return {"file": named, "bytes": None, "sha256": None}
    with path.open("rb") as rows:
        digest = hashlib.file_digest(rows, "sha256").hexdigest()
    return {"file": named, "bytes": path.stat().st_size, "sha256": digest}


def _coverage(runs: Sequence[_Run], within: tuple[int, int]) -> Iterator[Row]:
    """What was measured, by symbol and arm: ticks there are, and the time that they stand for."""
    for (symbol, arm), rows in sorted(_by_symbol(runs).items()):
        ticks = sum(one.ticks for _, one in rows)
        covered_ns = sum(one.ticks * run.source.manifest.tick_ns for run, one in rows)
        yield {
            "symbol": symbol,
            "arm": arm,
            "ticks": ticks,
            "first_tick": moment(min(one.first_ns for _, one in rows)),
            "last_tick": moment(max(one.last_ns for _, one in rows)),
            "covered_s": covered_ns / SECOND,
            "covered_ratio": covered_ns / (within[1] - within[0]),
            "gaps": sum(len(one.gaps) for _, one in rows),
            "short_gaps": sum(one.short_gaps for _, one in rows),
        }


def _by_symbol(runs: Sequence[_Run]) -> dict[tuple[str, str], list[tuple[_Run, SymbolRows]]]:
    found: dict[tuple[str, str], list[tuple[_Run, SymbolRows]]] = {}
    for run in runs:
        for symbol, rows in run.symbols.items():
            found.setdefault((symbol, run.source.manifest.arm), []).append((run, rows))
    return found


def _gaps(request: DatasetRequest, runs: Sequence[_Run]) -> Iterator[Row]:
    """Ten ticks and more that are not there, by symbol: within a run, between runs, and at either end of a
    range that was asked for.
    """
    for (symbol, arm), rows in sorted(_by_symbol(runs).items()):
        tick_ns = max(run.source.manifest.tick_ns for run, _ in rows)
        ordered = sorted((one for _, one in rows), key=lambda one: one.first_ns)
        ends = [request.from_ns or ordered[0].first_ns, *(one.last_ns for one in ordered)]
        begins = [*(one.first_ns for one in ordered), request.to_ns or ordered[-1].last_ns]
        outside = [pair for pair in zip(ends, begins, strict=True) if pair[1] - pair[0] > 10 * tick_ns]
        for last_ns, next_ns in sorted([*outside, *(gap for one in ordered for gap in one.gaps)]):
            yield {
                "symbol": symbol,
                "arm": arm,
                "from": moment(last_ns),
                "to": moment(next_ns),
                "seconds": (next_ns - last_ns) / SECOND,
            }


def _filters(request: DatasetRequest, intervals: Sequence[Row]) -> Row:
    dropped = [one for one in intervals if one["reasons"]]
    counts = Counter(reason for one in dropped for reason in one["reasons"])
    return {
        "settings": asdict(request.filters),
        "spike_columns": list(SPIKE_COLUMNS),
        "spike_scale": f"of ln(x): max({MAD_TO_SIGMA} * MAD, least_scale), by symbol and run",
        "intervals": len(intervals),
        "kept": len(intervals) - len(dropped),
        "filtered": len(dropped),
        "filtered_ratio": len(dropped) / len(intervals),
        "by_reason": {reason: counts[reason] for reason in REASONS},
        "not_finite_rows": sum(one["not_finite"] for one in intervals),
        "dropped": [
            {name: one[name] for name in ("run_id", "symbol", "start_ns", "reasons", "spikes")}
            for one in dropped
        ],
    }


def _totals(runs: Sequence[_Run]) -> Iterator[Row]:
    """All fills of the range, filtered or not: what the run's own ledger says of them."""
    for run in runs:
        for symbol, rows in sorted(run.symbols.items()):
            yield {
                "run_id": run.source.manifest.run_id,
                "arm": run.source.manifest.arm,
                "symbol": symbol,
                "settled_in": run.source.instruments[symbol].settled_in,
                **rows.totals,
                "fills_without_net": rows.fills_without_net,
                "fills_without_interval": rows.fills_without_interval,
            }


def _day(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // SECOND, UTC):%Y%m%d}"


def _json(content: Mapping[str, Any]) -> bytes:
    """One interval a line. NaN would be written as such: a gate looks for it, so nothing here may hide it."""
    head = {name: value for name, value in content.items() if name != "intervals"}
    lines = ",\n".join(f"  {json.dumps(interval)}" for interval in content["intervals"])
    text = json.dumps(head, indent=1).removesuffix("\n}")
    return f'{text},\n "intervals": [\n{lines}\n ]\n}}\n'.encode()


_TYPES = {"count": "BIGINT", "ns": "BIGINT"}
_TEXTS = ("run_id", "arm", "symbol", "side", "liquidity", "filtered_for")


def _parquet(columns: Columns) -> bytes:
    """Rows in their order; NaN is null."""
    with TemporaryDirectory() as folder, contextlib.closing(duckdb.connect()) as database:
        target = Path(folder) / "rows.parquet"
        database.register("given", {name: _nullable(values) for name, values in columns.items()})
        database.execute(f"COPY given TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
        return target.read_bytes()


def _nullable(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ma.masked_invalid(values) if values.dtype == np.float64 else values


def _table(rows: Sequence[Row], columns: Sequence[Column]) -> Columns:
    """Rows as columns."""
    return {
        column.name: np.array([row[column.name] for row in rows], dtype=_dtype(column)) for column in columns
    }


def _dtype(column: Column) -> type:
    if column.name in ("run_id", "arm", "symbol", "filtered_for"):
        return object
    return np.int64 if column.unit in ("count", "ns") else np.float64
