"""A run directory read into columns, or refused.

Decided: rows become numpy columns block by block, so a day of 100 ms ticks (875,000 rows) needs some 150 MB
and no row object outlives its block. Checked on the way: one run_id and one data kind, known symbols, time
order, and as many ticks and fills as the manifest counted, so that a file cut at the end of a line is noticed
too.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_mmgates.errors import RunlogError
from pytest_mmgates.rows import (
    EventRow,
    FillRow,
    Manifest,
    Row,
    RowT,
    SampleRow,
    TickRow,
    read_blocks,
    read_manifest,
)
from pytest_mmgates.runlog import (
    CACHE_CODES,
    DURATIONS,
    NO_SYMBOL,
    Codes,
    Fills,
    RunLog,
    Samples,
    Ticks,
    full_name,
)

_NAN = float("nan")


def load(directory: Path, *, run_id: str | None = None) -> RunLog:
    """Read a run directory whole, or raise RunlogError. `run_id`: the run that is expected there."""
    manifest = read_manifest(directory)
    if run_id is not None and manifest.run_id != run_id:
        raise RunlogError(f"{directory}: holds run {manifest.run_id}, expected {run_id}")
    feeds = _Feeds(directory, manifest)
    run = RunLog(
        directory, manifest, feeds.symbols, _ticks(feeds), _fills(feeds), _samples(feeds), _events(feeds)
    )
    for name, found in (("ticks", len(run.ticks)), ("fills", len(run.fills))):
        counted = manifest.counts.get(name)
        if manifest.status == "complete" and counted != found:
            raise RunlogError(f"{directory}: manifest.json counts {counted} {name}, the files hold {found}")
    _ = run.deadline_ns, run.ttl_ms  # a manifest without them is refused here, not in the middle of a report
    return run


class _Feeds:
    """The files of a run directory, and what every row in them must keep."""

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self._directory = directory
        self._manifest = manifest
        named = [(full_name(feed.venue, feed.symbol), feed.symbol) for feed in manifest.data.feeds]
        self.symbols = tuple(dict.fromkeys(full for full, _ in named))
        short = Counter(symbol for _, symbol in named)
        self._codes: dict[str | None, int] = {None: NO_SYMBOL}
        self._codes |= {symbol: self.symbols.index(full) for full, symbol in named if short[symbol] == 1}
        self._codes |= {full: code for code, full in enumerate(self.symbols)}

    def files(self, feed: str) -> list[Path]:
        return sorted(self._directory.glob(f"{feed}_????????.jsonl"))

    def blocks(self, feed: str, row_type: type[RowT], *, clock: str = "ts_ns") -> Iterator[list[RowT]]:
        """Rows of a feed, file after file. Fills are in order of `recv_ns` while their day is that of
        `ts_ns`, so for them order is asked for within each file only.
        """
        last = 0
        for path in self.files(feed):
            last = last if clock == "ts_ns" else 0
            for line, rows in read_blocks(path, row_type):
                self._check_identity(rows, path, line)
                last = _check_order([getattr(row, clock) for row in rows], last, path, line)
                yield rows

    def codes(self, rows: Sequence[Row]) -> list[int]:
        return [self._codes[row.symbol] for row in rows]

    def _check_identity(self, rows: Sequence[Row], path: Path, line: int) -> None:
        run_id, kind, codes = self._manifest.run_id, self._manifest.data.kind, self._codes
        for at, row in enumerate(rows, line):
            if row.run_id != run_id or row.data_kind != kind:
                found = f"run_id {row.run_id!r} and data_kind {row.data_kind!r}"
                raise RunlogError(f"{path}:{at}: row of {found}; this is run {run_id!r} on {kind} data")
            if row.symbol not in codes:
                raise RunlogError(
                    f"{path}:{at}: symbol {row.symbol!r} is not among the feeds of manifest.json"
                )


def _check_order(times: list[int], last: int, path: Path, line: int) -> int:
    column = np.array([last, *times], dtype=np.int64)
    back = np.flatnonzero(np.diff(column) < 0)
    if back.size:
        at = int(back[0])
        raise RunlogError(f"{path}:{line + at}: out of time order: {column[at + 1]} after {column[at]}")
    return int(column[-1])


class _Columns:
    """Columns that grow block by block and are joined once."""

    def __init__(self, **kinds: npt.DTypeLike) -> None:
        self._kinds = kinds
        self._parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in kinds}

    def add(self, **parts: Sequence[object]) -> None:
        for name, part in parts.items():
            self._parts[name].append(np.array(part, dtype=self._kinds[name]))

    def joined(self) -> dict[str, npt.NDArray[Any]]:
        """Empties itself on the way, so that two copies exist of one column at a time only."""
        return {name: self._join(self._parts.pop(name), kind) for name, kind in self._kinds.items()}

    @staticmethod
    def _join(parts: list[npt.NDArray[Any]], kind: npt.DTypeLike) -> npt.NDArray[Any]:
        return np.concatenate(parts) if parts else np.empty(0, dtype=kind)


def _ticks(feeds: _Feeds) -> Ticks:
    durations: dict[str, npt.DTypeLike] = dict.fromkeys(DURATIONS, np.int64)
    columns = _Columns(
        ts_ns=np.int64,
        symbol=np.int16,
        cache=np.int16,
        age_ns=np.float64,
        **durations,
        wait_ns=np.int64,
        deadline_miss=np.bool_,
        mid=np.float64,
        quoted=np.bool_,
        position_quote=np.float64,
    )
    for rows in feeds.blocks("pipeline_ticks", TickRow):
        columns.add(
            ts_ns=[row.ts_ns for row in rows],
            symbol=feeds.codes(rows),
            cache=[CACHE_CODES[row.cache] for row in rows],
            age_ns=[_NAN if row.age_ns is None else row.age_ns for row in rows],
            wait_ns=[row.wait_ns for row in rows],
            deadline_miss=[row.deadline_miss for row in rows],
            mid=[_NAN if row.mid is None else row.mid for row in rows],
            quoted=[row.bid is not None and row.ask is not None for row in rows],
            position_quote=[row.position_quote for row in rows],
            **{name: [getattr(row, f"{name}_ns") for row in rows] for name in DURATIONS},
        )
    return Ticks(**columns.joined())


def _fills(feeds: _Feeds) -> Fills:
    columns = _Columns(
        ts_ns=np.int64,
        symbol=np.int16,
        side=np.int64,
        price=np.float64,
        qty=np.float64,
        maker=np.bool_,
        fee=np.float64,
        mid=np.float64,
    )
    for rows in feeds.blocks("fills", FillRow, clock="recv_ns"):
        columns.add(
            ts_ns=[row.ts_ns for row in rows],
            symbol=feeds.codes(rows),
            side=[1 if row.side == "buy" else -1 for row in rows],
            price=[row.price for row in rows],
            qty=[row.qty for row in rows],
            maker=[row.liquidity == "maker" for row in rows],
            fee=[row.fee for row in rows],
            mid=[_NAN if row.mid is None else row.mid for row in rows],
        )
    return Fills(**columns.joined())


def _samples(feeds: _Feeds) -> Samples:
    times: list[int] = []
    codes: list[int] = []
    names: list[str] = []
    values: list[float] = []
    for rows in feeds.blocks("samples", SampleRow):
        times += [row.ts_ns for row in rows]
        codes += feeds.codes(rows)
        names += [row.name for row in rows]
        values += [row.value for row in rows]
    symbol: Codes = np.array(codes, dtype=np.int16)
    return Samples(
        np.array(times, dtype=np.int64),
        symbol,
        np.array(names, dtype=np.str_),
        np.array(values, dtype=np.float64),
    )


def _events(feeds: _Feeds) -> Counter[tuple[str, int]] | None:
    """Counts are enough: an event's row matters to people, its number to gates."""
    if not feeds.files("events"):
        return None
    counts: Counter[tuple[str, int]] = Counter()
    for rows in feeds.blocks("events", EventRow):
        counts.update(zip([row.kind for row in rows], feeds.codes(rows), strict=True))
    return counts
