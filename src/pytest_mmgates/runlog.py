"""A run as columns: what metrics compute on, and the only thing gates see.

Symbols are coded as small integers. NaN stands for null: rows are JSON, which holds no NaN, so nothing else
can be meant by it. `pytest_mmgates.loader` reads a run directory into this form.
"""

from collections import Counter
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_mmgates.errors import RunlogError
from pytest_mmgates.rows import Instrument, Manifest
from pytest_mmgates.units import NS_PER_MS

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int16]

STAGES = ("fetch_md", "spread", "guards", "inventory", "queue_aware", "emit")
DURATIONS = (*STAGES, "tick_total")
CACHE_CODES = {"hit": 0, "stale": 1, "miss": 2}
NO_SYMBOL = -1


@dataclass(frozen=True)
class Ticks:
    """One row per pass of the pipeline and symbol. Durations, waits and ages in ns; an age is NaN where there
    was none.
    """

    ts_ns: Ints
    symbol: Codes
    cache: Codes
    age_ns: Floats
    fetch_md: Ints
    spread: Ints
    guards: Ints
    inventory: Ints
    queue_aware: Ints
    emit: Ints
    tick_total: Ints
    wait_ns: Ints
    deadline_miss: Flags
    mid: Floats
    quoted: Flags
    position_quote: Floats

    def __len__(self) -> int:
        return len(self.ts_ns)

    def of(self, symbol: int | None) -> "Ticks":
        """The rows of one symbol, or all of them."""
        return self if symbol is None else replace(self, **_rows_of(self, symbol))

    def duration(self, name: str) -> Ints:
        """Measured time of a stage or of the whole tick."""
        column: Ints = getattr(self, name)
        return column


@dataclass(frozen=True)
class Fills:
    """One row per execution; `side` is +1 for a buy, `fee` positive where we paid; `mid` is NaN where there
    was none.
    """

    ts_ns: Ints
    symbol: Codes
    side: Ints
    price: Floats
    qty: Floats
    maker: Flags
    fee: Floats
    mid: Floats

    def __len__(self) -> int:
        return len(self.ts_ns)

    def of(self, symbol: int | None) -> "Fills":
        return self if symbol is None else replace(self, **_rows_of(self, symbol))


@dataclass(frozen=True)
class Samples:
    """Readings of gauges and of cumulative counts."""

    ts_ns: Ints
    symbol: Codes
    name: npt.NDArray[np.str_]
    value: Floats

    def series(self, name: str, symbol: int | None = None) -> tuple[Ints, Floats]:
        keep = self.name == name
        if symbol is not None:
            keep &= self.symbol == symbol
        return self.ts_ns[keep], self.value[keep]


@dataclass(frozen=True)
class RunLog:
    """A run that ended. `symbols[i]` names symbol code i; `events` counts (kind, symbol code) and is None
    where the run wrote no events feed at all.
    """

    directory: Path
    manifest: Manifest
    symbols: tuple[str, ...]
    ticks: Ticks
    fills: Fills
    samples: Samples
    events: Counter[tuple[str, int]] | None

    @property
    def data_kind(self) -> str:
        return self.manifest.data.kind

    @property
    def duration_ns(self) -> int:
        """From start to end as the manifest tells it; 0 for a run that did not end."""
        return 0 if self.manifest.ended_ns is None else self.manifest.ended_ns - self.manifest.started_ns

    @property
    def covered_ns(self) -> int:
        """From the first tick to the last."""
        return int(self.ticks.ts_ns[-1] - self.ticks.ts_ns[0]) if len(self.ticks) else 0

    @property
    def deadline_ns(self) -> float:
        return self._setting("pipeline", "deadline_ms") * NS_PER_MS

    @property
    def ttl_ms(self) -> float:
        return self._setting("md_cache", "ttl_ms")

    def code(self, symbol: str) -> int | None:
        return self.symbols.index(symbol) if symbol in self.symbols else None

    def instrument(self, code: int) -> Instrument | None:
        name = self.symbols[code]
        return next(
            (item for item in self.manifest.instruments if full_name(item.venue, item.symbol) == name), None
        )

    def _setting(self, section: str, name: str) -> float:
        value = self.manifest.config.get(section, {}).get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RunlogError(f"{self.directory / 'manifest.json'}: config has no number {section}.{name}")
        return float(value)


def full_name(venue: str, symbol: str) -> str:
    """How rows and selectors name an instrument: `venue:symbol`; one symbol trades on several venues."""
    return symbol if ":" in symbol else f"{venue}:{symbol}"


def _rows_of(table: Ticks | Fills, symbol: int) -> dict[str, Any]:
    """The columns to replace: none where the table holds no other symbol, so that a day is not copied."""
    keep = table.symbol == symbol
    return {} if keep.all() else {field.name: getattr(table, field.name)[keep] for field in fields(table)}
