"""Rows as columns: tables of ticks, fills and samples.

Symbols are coded as small integers. NaN stands for null: rows are JSON, which holds no NaN, so nothing else
can be meant by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int16]
Names = npt.NDArray[np.str_]

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
        return _of_symbol(self, symbol)

    def duration(self, name: str) -> Ints:
        """Measured time of a stage or of the whole tick."""
        column: Ints = getattr(self, name)
        return column


@dataclass(frozen=True)
class Fills:
    """One row per execution; `side` is +1 for a buy, `fee` positive where we paid; a mid is NaN where there
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
    decision_mid: Floats

    def __len__(self) -> int:
        return len(self.ts_ns)

    def of(self, symbol: int | None) -> "Fills":
        return _of_symbol(self, symbol)


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


Table = TypeVar("Table", Ticks, Fills, Samples)


def joined(blocks: Sequence[Table]) -> Table:
    """At least one block, as one table: a column at a time, so that two copies exist of one column only."""
    first = blocks[0]
    columns = {
        field.name: np.concatenate([getattr(block, field.name) for block in blocks])
        for field in fields(first)
    }
    return replace(first, **columns)


def picked(table: Table, rows: Flags | Ints | slice) -> Table:
    """Some of the rows."""
    return replace(table, **{field.name: getattr(table, field.name)[rows] for field in fields(table)})


def _of_symbol(table: Table, symbol: int | None) -> Table:
    """The table itself where it holds no other symbol, so that a day is not copied."""
    keep = table.symbol == symbol
    return table if symbol is None or keep.all() else picked(table, keep)
