"""Columns of a recording: what replay reads instead of parsing frames again.

Five integer columns, 25 bytes a row, a memory-mapped file of plain numbers each: `exch_ns, recv_ns` (int64),
`tick, lots` (int32), `kind` (uint8). How an event becomes rows stands in `model.market_rows`. They hold
exactly the events that the venue's session yields (a test compares them), so the fast path and the frames
agree. The cache is derived: its key is the hash of what it was made from and the codec version; delete it at
any time.

A replay reads each row once, and maps what it reads into memory. `forget` lets go of what was played, so that
a long tape needs no more memory than a short one.
"""

import itertools
import mmap
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
import numpy as np
import numpy.typing as npt

from mmbot.errors import RecordingError
from mmbot.model.events import (
    BookDelta,
    BookSnapshot,
    BookTrouble,
    Confirmed,
    Level,
    MarketEvent,
    Trade,
    Trouble,
)
from mmbot.model.instrument import Side
from mmbot.model.market_rows import BREAKS_OURS, BUY, KIND, LAST
from mmbot.units import Lots, Ns, Ticks

BLOCK_ROWS = 1 << 16
"""Rows that are written, read or forgotten at once: 1.6 MB."""
DTYPES: dict[str, npt.DTypeLike] = {
    "exch_ns": np.int64,
    "recv_ns": np.int64,
    "tick": np.int32,
    "lots": np.int32,
    "kind": np.uint8,
}


def column_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.bin"


class Place(NamedTuple):
    """A message in a recording: its first row, how many frames came before it, when it was received."""

    row: int
    frame: int
    recv_ns: int


class ColumnsMeta(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What does not fit into columns.

    `tick_range`: lowest and highest price of book levels and trades. `snapshots`: where the book can be
    picked up. `troubles` are (kind, detail), indexed by the lots column of a TROUBLE row.
    """

    frames: int
    rows: int
    first_ns: int
    last_ns: int
    tick_range: tuple[int, int]
    snapshots: list[Place]
    troubles: list[tuple[str, str]]


class Columns:
    """One instrument's market as integer columns. Owns its arrays and the files' maps under them."""

    def __init__(
        self,
        meta: ColumnsMeta,
        arrays: dict[str, npt.NDArray[np.integer]],
        maps: Mapping[str, mmap.mmap] | None = None,
        first_row: int = 0,
    ) -> None:
        """`first_row`: where in the maps the arrays begin."""
        self.meta = meta
        self._arrays = arrays
        self._maps = maps or {}
        self._first_row = first_row
        self._forgotten = 0

    def __len__(self) -> int:
        return self.meta.rows

    @property
    def arrays(self) -> dict[str, npt.NDArray[np.integer]]:
        """The columns by name; they stay the property of this object."""
        return self._arrays

    @property
    def tick_range(self) -> tuple[int, int]:
        """Lowest and highest price of book levels and trades, in ticks."""
        return self.meta.tick_range

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map the columns of a folder. Raises RecordingError if it is not whole."""
        try:
            meta = msgspec.json.decode((folder / "meta.json").read_bytes(), type=ColumnsMeta)
            maps = {name: _map(column_path(folder, name), meta.rows, DTYPES[name]) for name in DTYPES}
        except (OSError, ValueError, msgspec.DecodeError) as error:
            raise RecordingError(
                f"{folder}: columnar cache cannot be read ({error}); delete it and run again"
            ) from error
        arrays = {
            name: np.frombuffer(pages, DTYPES[name]) if pages else np.empty(0, DTYPES[name])
            for name, pages in maps.items()
        }
        return cls(meta, arrays, {name: pages for name, pages in maps.items() if pages})

    def forget(self, row: int) -> None:
        """Rows before this one were played: let their memory go. They can still be read, from the files.

        Meant to be called at every tick: it is one comparison until a block of rows has passed.
        """
        if row - self._forgotten >= BLOCK_ROWS:
            self._let_go(self._first_row + self._forgotten, self._first_row + row)
            self._forgotten = row

    def _let_go(self, start: int, stop: int) -> None:
        """Whole pages only; where the system cannot do it, memory is what it was."""
        if not hasattr(mmap, "MADV_DONTNEED"):
            return
        for name, pages in self._maps.items():
            size = np.dtype(DTYPES[name]).itemsize
            first, last = (row * size // mmap.PAGESIZE * mmap.PAGESIZE for row in (start, stop))
            if last > first:
                pages.madvise(mmap.MADV_DONTNEED, first, last - first)

    def cut(self, start_ns: int | None, stop_ns: int | None) -> "Columns":
        """From the first snapshot received at or after `start_ns` to the first at or after `stop_ns`; None:
        from the beginning, to the end. The maps are the same, nothing is copied. Raises ValueError if there
        is no such snapshot.
        """
        meta = self.meta
        start = Place(0, 0, meta.first_ns) if start_ns is None else self._snapshot(start_ns)
        stop = Place(meta.rows, meta.frames, meta.last_ns) if stop_ns is None else self._snapshot(stop_ns)
        if start.row >= stop.row:
            raise ValueError(f"no snapshot between {start_ns} and {stop_ns}")
        arrays = {name: column[start.row : stop.row] for name, column in self._arrays.items()}
        inside = [
            Place(place.row - start.row, place.frame - start.frame, place.recv_ns)
            for place in meta.snapshots
            if start.row <= place.row < stop.row
        ]
        part = msgspec.structs.replace(
            meta,
            frames=stop.frame - start.frame,
            rows=stop.row - start.row,
            first_ns=start.recv_ns,
            last_ns=int(arrays["recv_ns"][-1]),
            snapshots=inside,
        )
        return Columns(part, arrays, self._maps, self._first_row + start.row)

    def _snapshot(self, at_ns: int) -> Place:
        """The first at or after a time, but never the very first: what was sent just before a midnight is
        received just after it.
        """
        found = (place for place in self.meta.snapshots[1:] if place.recv_ns >= at_ns)
        place = next(found, None)
        if place is None:
            raise ValueError(f"no snapshot at or after {at_ns}")
        return place

    def events(self, symbol: str) -> Iterator[MarketEvent]:
        """The events of the recording again, in receive order."""
        rows = self._rows()
        for exch, recv, tick, lots, kind in rows:
            exch_ns, recv_ns = Ns(exch), Ns(recv)
            match kind & KIND:
                case 0 | 1:  # BID | ASK
                    bids, asks = _levels(rows, tick, lots, kind)
                    yield BookDelta(symbol, exch_ns, recv_ns, bids, asks)
                case 2 | 3:  # BUY | SELL
                    side = Side.BUY if kind & KIND == BUY else Side.SELL
                    yield Trade(symbol, exch_ns, recv_ns, side, Ticks(tick), Lots(lots))
                case 4:  # CONFIRMED
                    yield Confirmed(symbol, recv_ns)
                case 5:  # SNAPSHOT
                    bids, asks = ([], []) if kind & LAST else _levels(rows, *next(rows)[2:])
                    yield BookSnapshot(symbol, exch_ns, recv_ns, bids, asks)
                case _:
                    trouble, detail = self.meta.troubles[lots]
                    ours_alone = tick == BREAKS_OURS
                    yield BookTrouble(symbol, exch_ns, recv_ns, Trouble(trouble), detail, ours_alone)

    def _rows(self) -> Iterator[tuple[int, int, int, int, int]]:
        self._forgotten = 0
        for start in range(0, len(self), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            yield from zip(*(self._arrays[name][block].tolist() for name in DTYPES), strict=True)
            self.forget(block.stop)


class EventReader:
    """Reads the events of a recording one after the other. A copy of it (`pickle`) goes on at the same event,
    which it finds by reading all before it again.
    """

    __slots__ = ("_columns", "_events", "_symbol", "_taken")

    def __init__(self, columns: Columns, symbol: str, taken: int = 0) -> None:
        """`taken`: how many to pass over."""
        self._columns = columns
        self._symbol = symbol
        self._taken = taken
        self._events = itertools.islice(columns.events(symbol), taken, None)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> MarketEvent:
        event = next(self._events)
        self._taken += 1
        return event

    def __reduce__(self) -> tuple[type[Self], tuple[Columns, str, int]]:
        return type(self), (self._columns, self._symbol, self._taken)


def _map(path: Path, rows: int, dtype: npt.DTypeLike) -> mmap.mmap | None:
    """The file in memory; None for a column of no rows. Raises OSError, or ValueError for another length."""
    expected = rows * np.dtype(dtype).itemsize
    with path.open("rb") as file:
        found = os.fstat(file.fileno()).st_size
        if found != expected:
            raise ValueError(f"{path.name} was {found} bytes, expected {expected}")
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if expected else None


def _levels(
    rows: Iterator[tuple[int, int, int, int, int]], tick: int, lots: int, kind: int
) -> tuple[list[Level], list[Level]]:
    bids: list[Level] = []
    asks: list[Level] = []
    while True:
        (asks if kind & KIND else bids).append((tick, lots))
        if kind & LAST:
            return bids, asks
        _, _, tick, lots, kind = next(rows)
