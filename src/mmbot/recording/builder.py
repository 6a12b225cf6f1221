"""Events in, column files out.

Rows go to the files a block at a time, so memory does not grow with the recording. `meta.json` is written
last: a folder without it was never finished.
"""

from array import array
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from mmbot.model.events import BookSnapshot, BookTrouble, MarketEvent
from mmbot.model.market_rows import KIND, SELL, MessageRows, rows_of
from mmbot.recording.columns import BLOCK_ROWS, DTYPES, ColumnsMeta, Place, column_path


class _Block:
    """Messages not yet written: stamps and the number of rows for each, price, size and kind for each row."""

    __slots__ = ("exch_ns", "kind", "levels", "recv_ns", "rows")

    def __init__(self) -> None:
        self.exch_ns, self.recv_ns, self.rows = array("q"), array("q"), array("q")
        self.levels = array("i")
        """Tick and lots of every row, one after the other."""
        self.kind = bytearray()

    def add(self, message: MessageRows) -> None:
        exch_ns, recv_ns, kinds, levels = message
        self.exch_ns.append(exch_ns)
        self.recv_ns.append(recv_ns)
        self.rows.append(len(kinds))
        self.levels += levels
        self.kind += kinds

    def columns(self) -> dict[str, npt.NDArray[np.integer]]:
        rows, levels = np.asarray(self.rows), np.asarray(self.levels).reshape(-1, 2)
        return {
            "exch_ns": np.repeat(np.asarray(self.exch_ns), rows),
            "recv_ns": np.repeat(np.asarray(self.recv_ns), rows),
            "tick": levels[:, 0],
            "lots": levels[:, 1],
            "kind": np.asarray(self.kind),
        }


class ColumnsBuilder:
    """Writes the columns of one recording into an empty folder: `add` for each frame, then `finish`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._block = _Block()
        self._rows = 0
        """Rows in the files."""
        self.frames = 0
        self._first_ns: int | None = None
        self._last_ns = 0
        self._low: int | None = None
        self._high = 0
        self._troubles: list[tuple[str, str]] = []
        self.snapshots: list[Place] = []

    def add(self, events: Iterable[MarketEvent]) -> None:
        """What one frame said. Raises OverflowError if a price or size does not fit 32 bits: the instrument's
        lot is too small for this market. Raises OSError if a file cannot be written.
        """
        for event in events:
            message = rows_of(event, len(self._troubles))
            if isinstance(event, BookSnapshot):
                row = self._rows + len(self._block.kind)
                self.snapshots.append(Place(row, self.frames, event.recv_ns))
            elif isinstance(event, BookTrouble):
                self._troubles.append((event.trouble.value, event.detail))
            self._block.add(message)
        self.frames += 1
        if len(self._block.kind) >= BLOCK_ROWS:
            self._write()

    def finish(self) -> ColumnsMeta:
        """Write what is left. Raises OSError."""
        self._write()
        meta = ColumnsMeta(
            frames=self.frames,
            rows=self._rows,
            first_ns=self._first_ns or 0,
            last_ns=self._last_ns,
            tick_range=(self._low or 0, self._high),
            snapshots=self.snapshots,
            troubles=self._troubles,
        )
        (self._folder / "meta.json").write_bytes(msgspec.json.encode(meta))
        return meta

    def _write(self) -> None:
        block, self._block = self._block, _Block()
        columns = block.columns()
        for name, dtype in DTYPES.items():
            with column_path(self._folder, name).open("ab") as file:
                file.write(columns[name].astype(dtype, copy=False).tobytes())
        self._rows += len(block.kind)
        if block.recv_ns:
            self._first_ns = block.recv_ns[0] if self._first_ns is None else self._first_ns
            self._last_ns = block.recv_ns[-1]
        priced = columns["tick"][(columns["kind"] & KIND) <= SELL]
        if len(priced):
            low, high = int(priced.min()), int(priced.max())
            self._low, self._high = (
                (low, high) if self._low is None else (min(self._low, low), max(self._high, high))
            )
