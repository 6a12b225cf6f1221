"""How far from the mid the market trades: virtual quotes at every distance, window by window.

A window has a length and begins with the mid of its first moment. A virtual quote at distance d, placed then
and left alone, is reached if a trade against its side happens at its price or beyond before the window ends;
so the farthest trade says which of them were. That is a fill of an order with nobody in front of it: the
queue is left out, and so is what our own order would have changed. A window moves with the mid only from one
to the next, as a bot that requotes once a window.

Windows without a book that can be believed, or in which it is lost, are left out; times are of receipt.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from mmbot.book.l2 import L2Book
from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, MarketEvent, Trade
from mmbot.units import BPS

NOT_REACHED = 0.0
"""Farthest distance of a side on which nothing traded beyond the mid."""


class Reach:
    """Takes market events in order of receipt; `bps` and `tick_bps` are of the windows that have ended."""

    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self._book = L2Book()
        self._believed = False
        self._ends_ns = 0
        """Of the open window; 0 before the first event."""
        self._mid: float | None = None
        """Of the open window, ticks; None for one that is left out."""
        self._farthest = {1: 0.0, -1: 0.0}
        """Of the open window, ticks from its mid, by the taker's side."""
        self._bps: list[tuple[float, float]] = []
        self._mids: list[float] = []
        self.left_out = 0
        """Windows, of those that have ended."""

    @property
    def bps(self) -> npt.NDArray[np.float64]:
        """Farthest distance traded, bps of the window's mid: a row a window, offered and bid side."""
        return np.array(self._bps, np.float64).reshape(-1, 2)

    @property
    def tick_bps(self) -> float:
        """One tick at the middle of the mids."""
        return BPS / float(np.median(self._mids))

    def take(self, events: Iterable[MarketEvent]) -> None:
        for event in events:
            self._turn(event.recv_ns)
            match event:
                case Trade():
                    self._traded(event)
                case BookDelta():
                    if self._believed:
                        self._book.apply(event.bids, event.asks)
                        self._check()
                case BookSnapshot():
                    self._book.replace(event.bids, event.asks)
                    self._believed = True
                    self._check()
                case BookTrouble():
                    if event.trouble.breaks_book:
                        self._lose()
                case _:
                    pass

    def _traded(self, trade: Trade) -> None:
        if self._mid is not None:
            away = (trade.tick - self._mid) * trade.side
            self._farthest[trade.side] = max(self._farthest[trade.side], away)

    def _check(self) -> None:
        if self._book.crossed:
            self._lose()

    def _lose(self) -> None:
        self._believed = False
        self._mid = None

    def _turn(self, now_ns: int) -> None:
        """End the windows that are over, and open the next with the mid as it is before this event."""
        if not self._ends_ns:
            self._open(now_ns - now_ns % self.window_ns)
        while now_ns >= self._ends_ns:
            self._close()
            self._open(self._ends_ns)

    def _open(self, starts_ns: int) -> None:
        mid_x2 = self._book.mid_x2 if self._believed else None
        self._mid = None if mid_x2 is None else mid_x2 / 2
        self._ends_ns = starts_ns + self.window_ns

    def _close(self) -> None:
        mid, farthest = self._mid, self._farthest
        if mid is None:
            self.left_out += 1
        else:
            self._bps.append((farthest[1] / mid * BPS, farthest[-1] / mid * BPS))
            self._mids.append(mid)
        farthest[1] = farthest[-1] = NOT_REACHED
