"""A context whose recording grows: rows are appended as they are decoded, and dropped when they were played.

The kernel reads the addresses of columns and ladders anew in every call, so between two calls they may move.

* **Rows** lie in a buffer. When the next message does not fit behind them, those that both halves have played
  are dropped and the row numbers move with the rest; where rows still wait, the buffer doubles.
* **Ladders** hold the prices that the book named so far, and room on both sides. A level outside moves the
  book to longer ladders. Orders and trades may name any price: the kernel keeps them by price, and nothing is
  displayed beyond a ladder.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mmbot.kernels import layout as L  # noqa: N812 (a block of constants)
from mmbot.kernels.context import Context, empty_ladders

if TYPE_CHECKING:
    from array import array

FIRST_ROWS = 1 << 12
MAX_ROWS = 1 << 22
"""Rows that may wait to be played, 100 MB of them: more than an hour of a busy market."""
MAX_SPAN = 1 << 25
"""Length of a ladder, at most 512 MB for the four of them: five times what BTCUSDT took on Binance, with a
tick of 0.1 USD and asks up to 640000 USD.
"""
_ROOM = 512
"""Ticks of room on either side of what the book named, at least."""
_DTYPES: dict[str, npt.DTypeLike] = {
    "exch_ns": np.int64,
    "recv_ns": np.int64,
    "kind": np.uint8,
    "tick": np.int32,
    "lots": np.int32,
}
_Columns = Mapping[str, npt.NDArray[np.integer]]


class GrowingContext(Context):
    """A symbol's kernel over messages that are appended one by one."""

    def __init__(self, ints: Mapping[int, int], floats: Mapping[int, float], rows: int = FIRST_ROWS) -> None:
        """`rows`: how many the buffer holds at first."""
        super().__init__(_buffer(rows), (0, -1), {**ints, L.ROWS: 0}, floats)
        self._capacity = rows

    def append(self, exch_ns: int, recv_ns: int, kinds: bytearray, levels: "array[int]") -> None:
        """Append a message: its stamps, the kinds of its rows, tick and lots of each one after the other.

        Raises ValueError for a price that would make a ladder longer than MAX_SPAN, and BufferError when more
        than MAX_ROWS rows wait; nothing was appended then.
        """
        ticks = levels[::2]
        self._reach(kinds[0] & L.KIND_MASK, ticks)
        c, count = self.c, len(kinds)
        if c[L.ROWS] + count > self._capacity:
            self._make_room(count)
        row = c[L.ROWS]
        end = row + count
        self._exch_ns[row], self._recv_ns[row] = exch_ns, recv_ns  # the kernel reads those of a first row
        self._kind[row:end] = kinds
        self._tick[row:end] = ticks
        self._lots[row:end] = levels[1::2]
        c[L.ROWS] = end

    def rest(self, order_id: int, side: int, tick: int) -> None:
        """An order of ours rests now, behind what is displayed: what the kernel does with an acknowledgement
        of its own venue. Raises BufferError for more than `layout.SLOTS` at one time.
        """
        c, places = self.c, self._places
        index = self._place(order_id)
        if index == L.SLOTS:
            raise BufferError(f"orders at one time were {L.SLOTS + 1}, expected at most {L.SLOTS}")
        c[L.PLACE_COUNT] = max(c[L.PLACE_COUNT], index + 1)
        places[index, L.PLACE_ID], places[index, L.PLACE_SIDE] = order_id, side
        places[index, L.PLACE_TICK] = tick
        places[index, L.PLACE_AHEAD] = self.displayed(side, tick)

    def gone(self, order_id: int) -> None:
        """It does not rest any more, if it ever did."""
        index, count = self._place(order_id), self.c[L.PLACE_COUNT]
        if index < count:
            table = self._tables[L.PLACES]
            table[index : count - 1] = table[index + 1 : count]
            self.c[L.PLACE_COUNT] = count - 1

    def _place(self, order_id: int) -> int:
        """Where an order stands in the table of places; behind all of them if it does not."""
        places, count = self._places, self.c[L.PLACE_COUNT]
        return next((index for index in range(count) if places[index, L.PLACE_ID] == order_id), count)

    def _point_to(self, columns: _Columns) -> None:
        super()._point_to(columns)
        data = {name: column.data.cast("B") for name, column in columns.items()}
        self._exch_ns, self._recv_ns = data["exch_ns"].cast("q"), data["recv_ns"].cast("q")
        self._kind, self._tick, self._lots = data["kind"], data["tick"].cast("i"), data["lots"].cast("i")

    def _reach(self, first_kind: int, ticks: "array[int]") -> None:
        """Let the ladders reach every level of a book message."""
        if first_kind == L.SNAPSHOT_ROW:
            ticks = ticks[1:]
        elif first_kind > L.ASK_ROW:
            return
        if ticks:
            low, high = min(ticks), max(ticks)
            base = self.c[L.BASE]
            if low < base or high >= base + self.c[L.SPAN]:
                self._widen(low, high)

    def _make_room(self, count: int) -> None:
        """Drop the rows that both halves have played. A buffer that stays more than half full doubles: so a
        row is seldom moved twice.
        """
        c = self.c
        played = min(c[L.VENUE_ROW], c[L.LOCAL_ROW])
        waiting = c[L.ROWS] - played
        if waiting + count > MAX_ROWS:
            raise BufferError(f"rows that wait were {waiting + count}, expected at most {MAX_ROWS}")
        held = self._columns
        if waiting + count > self._capacity // 2:
            while waiting + count > self._capacity // 2:
                self._capacity *= 2
            self._point_to(_buffer(self._capacity))
        for name, column in self._columns.items():
            column[:waiting] = held[name][played : c[L.ROWS]]
        for which in (L.ROWS, L.VENUE_ROW, L.LOCAL_ROW, L.INCLUDED_ROW):
            c[which] -= played
        self.dropped_rows += played

    def _widen(self, low: int, high: int) -> None:
        """Move the book to ladders that reach from `low` to `high`, and what they reached before."""
        c = self.c
        base, span = c[L.BASE], c[L.SPAN]
        if span:
            low, high = min(low, base), max(high, base + span - 1)
        reach = high - low + 1
        if reach > MAX_SPAN:
            raise ValueError(f"prices were from {low} to {high} ticks, expected at most {MAX_SPAN} of them")
        room = min(max(_ROOM, reach // 8), (MAX_SPAN - reach) // 2)
        low, longer = low - room, reach + 2 * room
        moved = base - low
        wider = empty_ladders(longer)
        for which, ladder in self.ladders.items():
            held = np.flatnonzero(ladder)  # most prices of a long ladder are empty, and need no memory
            wider[which][held + moved] = ladder[held]
            c[which] = wider[which].ctypes.data
        self.ladders = wider
        for best in (L.VENUE_BEST_BID, L.LOCAL_BEST_BID):
            c[best] += moved if c[best] >= 0 else 0
        for best in (L.VENUE_BEST_ASK, L.LOCAL_BEST_ASK):
            c[best] = c[best] + moved if c[best] < span else longer
        for own in (L.OWN_BID_LOW, L.OWN_BID_HIGH, L.OWN_ASK_LOW, L.OWN_ASK_HIGH):
            c[own] += moved if abs(c[own]) != L.NOWHERE else 0
        c[L.BASE], c[L.SPAN] = low, longer


def _buffer(rows: int) -> _Columns:
    return {name: np.zeros(rows, dtype) for name, dtype in _DTYPES.items()}
