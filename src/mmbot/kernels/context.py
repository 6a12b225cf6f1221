"""Owner of everything that a kernel points to: one object per symbol, alive as long as its kernel may run.

Addresses are handed to compiled code as integers, so an array that nobody here holds would be freed under it.
Python reads results back through a memoryview slice, the cheapest way there is (0.12 us for a handful of
values, measured).
"""

import functools
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mmbot.kernels import layout as L  # noqa: N812 (a block of constants)
from mmbot.kernels.replay import advance, observe

_REQUEST = struct.Struct("=6q")
"""The columns of a request, from DUE_NS to SIZE."""
_ANSWER = struct.Struct(f"={L.RING_WIDTH}q")
_LAST = L.RING - 1
_TOUCH = struct.Struct("=9q")
"""From ASLEEP to BAND_FEATURES."""
_INTS = struct.Struct("=3q")
"""From BAND_AGE_NS to FAIR_VALUE."""
_FLOATS = struct.Struct("=7d")
"""From BAND_FAIR_LOW to SLEPT_SCORE."""
_COLUMNS = {"exch_ns": L.EXCH, "recv_ns": L.RECV, "kind": L.KIND, "tick": L.TICK, "lots": L.LOTS}


TouchBand = tuple[int, int, int, int, int, int]
"""What twice the mid, the best bid and the best ask may be, each from and to, ticks."""
FeatureBand = tuple[int, int, int, float, float, float, float, float, float, float]
"""From `layout.BAND_AGE_NS` to FAIR_VALUE, and from BAND_FAIR_LOW to SLEPT_SCORE."""


def empty_ladders(span: int) -> dict[int, npt.NDArray[np.int32]]:
    """Four ladders by their place in `layout`; the asks of a book lie right behind its bids."""
    venue, local = np.zeros((2, 2, span), np.int32)
    return dict(zip(range(L.VENUE_BIDS, L.LOCAL_ASKS + 1), (*venue, *local), strict=True))


class Snapshot(NamedTuple):
    """A book as ladder slices from the price `low` on, ticks. Book rows before `rows` are part of it, counted
    from the first that the context ever held.
    """

    low: int
    bids: npt.NDArray[np.int32]
    asks: npt.NDArray[np.int32]
    rows: int


class ContextState(NamedTuple):
    """A copy of what a context knows, addresses left out: its integers, its tables and ladders by their place
    in `layout`, and what is counted beside them.
    """

    ints: npt.NDArray[np.int64]
    arrays: dict[int, npt.NDArray[Any]]
    fills_answered: int
    dropped_rows: int


class Context:
    """A symbol's kernel: its recording, ladders, tables and features."""

    def __init__(
        self,
        columns: Mapping[str, npt.NDArray[np.integer]],
        tick_range: tuple[int, int],
        ints: Mapping[int, int],
        floats: Mapping[int, float],
    ) -> None:
        """`tick_range`: lowest and highest price that the recording or an order of ours may name."""
        low, high = tick_range
        span = high - low + 1
        self._ints = np.zeros(L.INTS, np.int64)
        self.floats = np.zeros(L.FLOATS, np.float64)
        self.counts = np.zeros((2 * L.STATES + 1, L.STATES), np.float64)
        self.adjustments = np.zeros(L.STATES, np.float64)
        self.ladders = empty_ladders(span)
        tables: dict[int, npt.NDArray[Any]] = {
            L.ORDERS: np.zeros((L.SLOTS, L.ORDER_WIDTH), np.int64),
            L.PLACES: np.zeros((L.SLOTS, L.PLACE_WIDTH), np.int64),
            L.REQUESTS: np.zeros((L.RING, L.RING_WIDTH), np.int64),
            L.ANSWERS: np.zeros((L.RING, L.RING_WIDTH), np.int64),
            L.DELAYS: np.zeros(L.RING, np.int64),
            L.FEATURES: self.floats,
            L.COUNTS: self.counts,
            L.ADJUSTMENTS: self.adjustments,
        }
        self._tables = tables
        self._point_to(columns)
        for which, array in {**tables, **self.ladders}.items():
            self._ints[which] = array.ctypes.data
        self._ints[L.ROWS] = len(columns["kind"])
        self._ints[L.SPAN], self._ints[L.BASE] = span, low
        self._ints[[L.VENUE_BEST_BID, L.LOCAL_BEST_BID]] = -1
        self._ints[[L.VENUE_BEST_ASK, L.LOCAL_BEST_ASK]] = span
        self._ints[[L.OWN_BID_LOW, L.OWN_ASK_LOW]] = L.NOWHERE
        self._ints[[L.OWN_BID_HIGH, L.OWN_ASK_HIGH]] = -L.NOWHERE
        self._ints[L.VENUE_MID_X2] = L.NO_MID
        self._ints[L.STATE] = -1
        self._ints[L.FORGET_ROW] = self._ints[L.MAX_LOTS] = L.NEVER
        self.floats[L.VARIANCE] = -1.0
        for which, value in ints.items():
            self._ints[which] = value
        for which, fraction in floats.items():
            self.floats[which] = fraction
        self.c = self._ints.data
        self.f = self.floats.data
        self._places = tables[L.PLACES].data
        self._requests = tables[L.REQUESTS].data.cast("B")
        self._answers = tables[L.ANSWERS].data.cast("B")
        self._delays = tables[L.DELAYS]
        address = self._ints.ctypes.data
        # partials, because a method around each would cost more than the call itself
        self.advance: Callable[[int], int] = functools.partial(advance, address)
        """Run the market to a time, or less far asleep; returns why it came back (`layout.REACHED` and the
        following).
        """
        self.observe: Callable[[int], int] = functools.partial(observe, address)
        """Read and price the local book at a tick; returns `layout.HIT`, STALE or MISS."""
        self._fills_answered = 0
        self._adjusted: list[float] | None = None
        self.dropped_rows = 0
        """How many rows of the recording are no longer held, in front of row 0."""

    def _point_to(self, columns: Mapping[str, npt.NDArray[np.integer]]) -> None:
        """Own these columns and read them from now on."""
        self._columns = dict(columns)
        for name, which in _COLUMNS.items():
            if not self._columns[name].flags.c_contiguous:
                raise ValueError(f"column {name} was not contiguous")
            self._ints[which] = self._columns[name].ctypes.data

    @property
    def owned(self) -> dict[str, object]:
        """What others hold of this context, by name: it stays in the process, and `state` can leave it."""
        arrays = {f"array {which}": array for which, array in self._arrays.items()}
        views = {"ints": self.c, "floats": self.f, "advance": self.advance, "observe": self.observe}
        return {"context": self, **views, **arrays}

    def state(self) -> ContextState:
        """Everything that a kernel over the same recording goes on from."""
        arrays = {which: array.copy() for which, array in self._arrays.items()}
        return ContextState(self._ints.copy(), arrays, self._fills_answered, self.dropped_rows)

    def restore(self, state: ContextState) -> None:
        """Go on from there. The context is over the same recording, and nothing moves: who holds a part of it
        holds it still.
        """
        pointers = [*self._arrays, *_COLUMNS.values()]
        addresses = self._ints[pointers].copy()
        self._ints[:] = state.ints
        self._ints[pointers] = addresses
        for which, array in state.arrays.items():
            self._arrays[which][:] = array
        self._fills_answered, self.dropped_rows = state.fills_answered, state.dropped_rows
        self._adjusted = None

    @property
    def _arrays(self) -> dict[int, npt.NDArray[Any]]:
        return {**self._tables, **self.ladders}

    def sleep(
        self, least: int, next_tick_ns: int, touch: TouchBand, features: FeatureBand | None = None
    ) -> None:
        """Let `advance` go on from tick to tick while the market is in the band, and while less than `least`
        has stirred (`layout.STIRRED`).
        """
        _TOUCH.pack_into(self.c, 8 * L.ASLEEP, least, next_tick_ns, *touch, features is not None)
        if features is not None:
            _INTS.pack_into(self.c, 8 * L.BAND_AGE_NS, *features[:3])
            _FLOATS.pack_into(self.f, 8 * L.BAND_FAIR_LOW, *features[3:])

    def adjust(self, adjustments: list[float]) -> None:
        """Take over a table of the microprice, by state."""
        if adjustments is not self._adjusted:
            self.adjustments[:] = adjustments
            self._adjusted = adjustments

    def request(self, due_ns: int, what: int, order_id: int, side: int, tick: int, lots: int) -> None:
        """Put a request on its way to the venue."""
        tail = self.c[L.REQUEST_TAIL]
        offset = (tail & _LAST) * _ANSWER.size
        _REQUEST.pack_into(self._requests, offset, due_ns, what, order_id, side, tick, lots)
        self.c[L.REQUEST_TAIL] = tail + 1

    def answers(self) -> Iterator[tuple[int, ...]]:
        """Take the answers that have reached us, in order, each as the columns of its table."""
        c, rows = self.c, self._answers
        head, seen = c[L.ANSWER_HEAD], c[L.ANSWER_SEEN]
        c[L.ANSWER_HEAD] = seen
        c[L.STIRRED] = 0
        first, last = (head & _LAST) * _ANSWER.size, (seen & _LAST) * _ANSWER.size
        if first < last:
            return _ANSWER.iter_unpack(rows[first:last])
        return _ANSWER.iter_unpack(bytes(rows[first:]) + bytes(rows[:last]))  # round the end of the ring

    def add_delays(self, delays: Sequence[int]) -> None:
        """Append response delays, ns, in the order in which they are to be used."""
        tail = self.c[L.DELAY_TAIL]
        for offset, delay in enumerate(delays):
            self._delays[(tail + offset) & (L.RING - 1)] = delay
        self.c[L.DELAY_TAIL] = tail + len(delays)

    def next_fill(self) -> int:
        """Number of the fill that is answered now, from 1."""
        self._fills_answered += 1
        return self._fills_answered

    def number_fills_behind(self, fills: int) -> None:
        """So many were answered before this context was."""
        self._fills_answered = fills

    def snapshot(self) -> Snapshot:
        """The venue's book as it is now, and how far into the recording that is."""
        bids, asks = self.ladders[L.VENUE_BIDS], self.ladders[L.VENUE_ASKS]
        held = np.flatnonzero(bids | asks)
        low, high = (int(held[0]), int(held[-1]) + 1) if len(held) else (0, 0)
        rows = self.dropped_rows + self.c[L.VENUE_ROW]
        return Snapshot(self.c[L.BASE] + low, bids[low:high].copy(), asks[low:high].copy(), rows)

    def take_over(self, snapshot: Snapshot, now_ns: int) -> bool:
        """Replace our own book by a snapshot that arrived; returns whether it is crossed."""
        bids, asks = self.ladders[L.LOCAL_BIDS], self.ladders[L.LOCAL_ASKS]
        c = self.c
        bids[:] = asks[:] = 0
        low = snapshot.low - c[L.BASE]
        high = low + len(snapshot.bids)
        bids[low:high] = snapshot.bids
        asks[low:high] = snapshot.asks
        held_bids, held_asks = np.flatnonzero(snapshot.bids), np.flatnonzero(snapshot.asks)
        c[L.LOCAL_BEST_BID] = low + int(held_bids[-1]) if len(held_bids) else -1
        c[L.LOCAL_BEST_ASK] = low + int(held_asks[0]) if len(held_asks) else c[L.SPAN]
        c[L.INCLUDED_ROW] = snapshot.rows - self.dropped_rows
        c[L.CONFIRMED_NS] = now_ns
        c[L.UPDATES] += 1
        crossed: bool = c[L.LOCAL_BEST_BID] >= 0 and c[L.LOCAL_BEST_BID] >= c[L.LOCAL_BEST_ASK]
        c[L.LOCAL_SYNCED] = not crossed
        self._clip_places()
        return crossed

    def _clip_places(self) -> None:
        places = self._places
        for index in range(self.c[L.PLACE_COUNT]):
            shown = self.displayed(places[index, L.PLACE_SIDE], places[index, L.PLACE_TICK])
            places[index, L.PLACE_AHEAD] = min(places[index, L.PLACE_AHEAD], shown)

    def ahead_lots(self, order_id: int) -> int | None:
        """Size in front of a resting order; None if it is not followed."""
        places = self._places
        for index in range(self.c[L.PLACE_COUNT]):
            if places[index, L.PLACE_ID] == order_id:
                ahead: int = places[index, L.PLACE_AHEAD]
                return ahead
        return None

    def displayed(self, side: int, tick: int) -> int:
        """Size displayed at a price of our own book, lots."""
        ladder = self.ladders[L.LOCAL_BIDS if side > 0 else L.LOCAL_ASKS]
        at = tick - self.c[L.BASE]
        return int(ladder[at]) if 0 <= at < self.c[L.SPAN] else 0
