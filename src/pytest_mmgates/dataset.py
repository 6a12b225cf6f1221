"""A calibration dataset as gates see it: what the step `dataset` is judged by, as others are by a run.

The ini `mmgates_dataset = "package.module:callable"` names what makes one. Built-in types only: one mapping
in, the path of the dataset's JSON out. The mapping:

    from, to     text of ISO 8601 with its offset, or None = as far as the ticks reach
    interval_s   length of an interval in seconds, or None = the system's default
    feeds        folders to read: the published view of a soak, or run directories
    out_dir      where artifacts go

Of the file are read: `schema` (1), `data_kind`, `coverage` (`symbol`, `arm`, `ticks`, `covered_s`),
`intervals` (one object an interval that was kept, with its `symbol` and `fills`), `filters.dropped` (one
object an interval that was not, with its `symbol`), and `provenance` (`run_id`, `run_digest`,
`config_sha256`, `data_sha256`). A file may hold more. NaN and Infinity are read as such: a rule counts them.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec

from pytest_mmgates.errors import RunlogError, SutError
from pytest_mmgates.rows import DataKind
from pytest_mmgates.units import NS_PER_S
from pytest_mmgates.watch.record import WatchRecord


class Coverage(msgspec.Struct, frozen=True):
    """What was measured of one symbol and arm."""

    symbol: str
    arm: str
    ticks: int
    covered_s: float


class Origin(msgspec.Struct, frozen=True):
    """A run that it was made from."""

    run_id: str
    run_digest: str | None
    config_sha256: str
    data_sha256: str


class _Filters(msgspec.Struct, frozen=True):
    dropped: list[dict[str, Any]]


class _Content(msgspec.Struct, frozen=True):
    schema: Literal[1]
    data_kind: DataKind
    coverage: list[Coverage]
    provenance: list[Origin]
    filters: _Filters
    intervals: list[dict[str, Any]]


@dataclass(frozen=True)
class DatasetLog:
    """A dataset that was made."""

    path: Path
    content: _Content

    step = "dataset"
    source = "dataset"
    unfit: None = None
    outages: tuple[()] = ()
    stalled: None = None
    watched: tuple[WatchRecord, ...] = ()

    @property
    def scenario(self) -> str:
        return self.path.stem

    @property
    def data_kind(self) -> str:
        return self.content.data_kind

    @property
    def coverage(self) -> list[Coverage]:
        return self.content.coverage

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(sorted({one.symbol for one in self.coverage}))

    @property
    def duration_ns(self) -> int:
        """Time that there are ticks of, of the symbol with the least."""
        return round(min((one.covered_s for one in self.coverage), default=0.0) * NS_PER_S)

    @property
    def tick_count(self) -> int:
        return sum(one.ticks for one in self.coverage)

    @property
    def identity(self) -> dict[str, Any]:
        """Which dataset it is, and what it was made from."""
        origins = self.content.provenance
        return {
            "dataset": self.path.name,
            "runs": [msgspec.to_builtins(origin) for origin in origins],
        }

    def counts(self, symbol: str | None) -> tuple[int, int]:
        """Intervals kept, and intervals filtered out."""
        return len(list(_of(self.content.intervals, symbol))), len(
            list(_of(self.content.filters.dropped, symbol))
        )

    def fills(self, symbol: str | None) -> int:
        """In the kept intervals."""
        return sum(interval["fills"] for interval in _of(self.content.intervals, symbol))

    def not_finite(self, symbol: str | None) -> tuple[int, int]:
        """Values of NaN or infinity, out of how many values."""
        values = [value for interval in _of(self.content.intervals, symbol) for value in interval.values()]
        wrong = [value for value in values if isinstance(value, float) and not math.isfinite(value)]
        return len(wrong), len(values)

    @cached_property
    def columns(self) -> dict[str, list[Any]]:
        """The kept intervals, a list of values a column."""
        names = self.content.intervals[0] if self.content.intervals else ()
        return {name: [interval[name] for interval in self.content.intervals] for name in names}


def path_of(door: str, made: object) -> str:
    """What the callable of an ini key returned, or SutError."""
    if not isinstance(made, str):
        raise SutError(f"ini {door}: returned {type(made).__name__}, expected a path as text")
    return made


def read_dataset(path: Path) -> DatasetLog:
    """Raises RunlogError for what is no dataset."""
    try:
        content = msgspec.convert(json.loads(path.read_bytes()), _Content)
    except OSError as error:
        raise RunlogError(f"{path}: {error.strerror}") from error
    except (ValueError, msgspec.MsgspecError) as error:
        raise RunlogError(f"{path}: {error}") from error
    if not content.coverage:
        raise RunlogError(f"{path}: coverage was empty, expected at least one symbol")
    for place, rows in (("intervals", content.intervals), ("filters.dropped", content.filters.dropped)):
        for index, row in enumerate(rows):
            if not isinstance(row.get("symbol"), str):
                raise RunlogError(f"{path}: {place}[{index}] has no symbol")
    for index, row in enumerate(content.intervals):
        if not isinstance(row.get("fills"), int):
            raise RunlogError(f"{path}: intervals[{index}] has no count of fills")
    return DatasetLog(path, content)


def _of(rows: list[dict[str, Any]], symbol: str | None) -> Iterator[Mapping[str, Any]]:
    return (row for row in rows if symbol in (None, row["symbol"]))
