"""Columns of a recording: what replay reads instead of parsing frames again.

Five integer columns, 25 bytes a row, memory-mapped: `exch_ns, recv_ns` (int64), `tick, lots` (int32), `kind`
(uint8). One row is one level, one trade, one confirmation or one trouble; the rows of one message stand
together and the last one carries the LAST bit. They hold exactly the events that the venue's session yields
(a test compares them), so the fast path and the frames agree. The cache is derived: its key is the hash of
the raw files, the grids and the codec version; delete it at any time.
"""

from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

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
    TopOfBook,
    Trade,
    Trouble,
)
from mmbot.model.instrument import Side
from mmbot.units import Lots, Ns, Ticks

BID, ASK, BUY, SELL, CONFIRMED, SNAPSHOT, TROUBLE = range(7)
LAST = 0x80
_KIND = 0x7F
_CHUNK = 1 << 16
_DTYPES: dict[str, npt.DTypeLike] = {
    "exch_ns": np.int64,
    "recv_ns": np.int64,
    "tick": np.int32,
    "lots": np.int32,
    "kind": np.uint8,
}


class ColumnsMeta(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What does not fit into columns. `troubles` are (kind, detail), indexed by the lots column of a TROUBLE
    row.
    """

    frames: int
    first_ns: int
    last_ns: int
    troubles: list[tuple[str, str]]


class Columns:
    """One instrument's market as integer columns. Owns its arrays; the folder they map must outlive it."""

    def __init__(self, meta: ColumnsMeta, arrays: dict[str, npt.NDArray[np.integer]]) -> None:
        self.meta = meta
        self._arrays = arrays

    def __len__(self) -> int:
        return len(self._arrays["kind"])

    @property
    def arrays(self) -> dict[str, npt.NDArray[np.integer]]:
        """The columns by name; they stay the property of this object."""
        return self._arrays

    @property
    def tick_range(self) -> tuple[int, int]:
        """Lowest and highest price of book levels and trades, in ticks."""
        priced = self._arrays["tick"][(self._arrays["kind"] & _KIND) <= SELL]
        return (int(priced.min()), int(priced.max())) if len(priced) else (0, 0)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map the columns of a folder. Raises RecordingError if it is not whole."""
        try:
            meta = msgspec.json.decode((folder / "meta.json").read_bytes(), type=ColumnsMeta)
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _DTYPES}
        except (OSError, EOFError, ValueError, msgspec.DecodeError) as error:
            raise RecordingError(
                f"{folder}: columnar cache cannot be read ({error}); delete it and run again"
            ) from error
        rows = arrays["kind"].size
        for name, dtype in _DTYPES.items():
            if arrays[name].dtype != dtype or arrays[name].shape != (rows,):
                raise RecordingError(
                    f"{folder}: columnar cache cannot be read ({name} was no column of {rows} rows);"
                    " delete it and run again"
                )
        return cls(meta, arrays)

    def save(self, folder: Path) -> None:
        for name, values in self._arrays.items():
            np.save(folder / f"{name}.npy", values)
        (folder / "meta.json").write_bytes(msgspec.json.encode(self.meta))

    def events(self, symbol: str) -> Iterator[MarketEvent]:
        """The events of the recording again, in receive order."""
        rows = self._rows()
        for exch, recv, tick, lots, kind in rows:
            exch_ns, recv_ns = Ns(exch), Ns(recv)
            match kind & _KIND:
                case 0 | 1:  # BID | ASK
                    bids, asks = _levels(rows, tick, lots, kind)
                    yield BookDelta(symbol, exch_ns, recv_ns, bids, asks)
                case 2 | 3:  # BUY | SELL
                    side = Side.BUY if kind & _KIND == BUY else Side.SELL
                    yield Trade(symbol, exch_ns, recv_ns, side, Ticks(tick), Lots(lots))
                case 4:  # CONFIRMED
                    yield Confirmed(symbol, recv_ns)
                case 5:  # SNAPSHOT
                    bids, asks = ([], []) if kind & LAST else _levels(rows, *next(rows)[2:])
                    yield BookSnapshot(symbol, exch_ns, recv_ns, bids, asks)
                case _:
                    trouble, detail = self.meta.troubles[lots]
                    yield BookTrouble(symbol, exch_ns, recv_ns, Trouble(trouble), detail)

    def _rows(self) -> Iterator[tuple[int, int, int, int, int]]:
        names = list(_DTYPES)
        for start in range(0, len(self), _CHUNK):
            yield from zip(
                *(self._arrays[name][start : start + _CHUNK].tolist() for name in names), strict=True
            )


def _levels(
    rows: Iterator[tuple[int, int, int, int, int]], tick: int, lots: int, kind: int
) -> tuple[list[Level], list[Level]]:
    bids: list[Level] = []
    asks: list[Level] = []
    while True:
        (asks if kind & _KIND else bids).append((tick, lots))
        if kind & LAST:
            return bids, asks
        _, _, tick, lots, kind = next(rows)


class ColumnsBuilder:
    """Events in, columns out."""

    def __init__(self) -> None:
        self._exch, self._recv = array("q"), array("q")
        self._tick, self._lots, self._kind = array("i"), array("i"), array("B")
        self._troubles: list[tuple[str, str]] = []
        self.snapshots = 0

    def add(self, events: Iterable[MarketEvent]) -> None:
        """Raises OverflowError if a price or size does not fit 32 bits: the instrument's lot is too small for
        this market.
        """
        for event in events:
            match event:
                case BookDelta(bids=bids, asks=asks):
                    self._message(event, [(BID, *b) for b in bids] + [(ASK, *a) for a in asks])
                case Trade():
                    self._message(event, [(BUY if event.side is Side.BUY else SELL, event.tick, event.lots)])
                case BookSnapshot(bids=bids, asks=asks):
                    self.snapshots += 1
                    self._message(
                        event, [(SNAPSHOT, 0, 0), *((BID, *b) for b in bids), *((ASK, *a) for a in asks)]
                    )
                case BookTrouble():
                    self._troubles.append((event.trouble.value, event.detail))
                    self._message(event, [(TROUBLE, int(event.trouble.breaks_book), len(self._troubles) - 1)])
                case Confirmed() | TopOfBook():
                    self._row(event.recv_ns, event.recv_ns, CONFIRMED | LAST, 0, 0)

    def _message(
        self, event: BookDelta | Trade | BookSnapshot | BookTrouble, rows: list[tuple[int, int, int]]
    ) -> None:
        if not rows:  # a delta without levels says only that the stream lives
            rows = [(CONFIRMED, 0, 0)]
        for index, (kind, tick, lots) in enumerate(rows, start=1):
            self._row(event.exch_ns, event.recv_ns, kind | LAST if index == len(rows) else kind, tick, lots)

    def _row(self, exch_ns: int, recv_ns: int, kind: int, tick: int, lots: int) -> None:
        self._exch.append(exch_ns)
        self._recv.append(recv_ns)
        self._tick.append(tick)
        self._lots.append(lots)
        self._kind.append(kind)

    def build(self, frames: int) -> Columns:
        columns = (self._exch, self._recv, self._tick, self._lots, self._kind)
        arrays = {
            name: np.frombuffer(values, dtype=dtype) if values else np.empty(0, dtype)
            for (name, dtype), values in zip(_DTYPES.items(), columns, strict=True)
        }
        first, last = (self._recv[0], self._recv[-1]) if self._recv else (0, 0)
        return Columns(ColumnsMeta(frames, first, last, self._troubles), arrays)
