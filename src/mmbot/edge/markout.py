"""Edge of the fills of one symbol while a run goes by, for the closing table of `mmbot run`. Gates recompute
it from the rows.

Rows come in: ticks in time order, a fill when we learn of it, which may be after ticks that are later than
the fill. mid_{t+h} is the last tick's mid at or before t + h, and exists once a tick at or after t + h was
seen. Kept are sums, the mids of the last minute, and the fills of the last five, so memory does not grow with
the run.

`pnl` holds every fill to the same account as the ledger: net + inventory of those that have a net, and for
the others (at most a minute before the end, or without a mid) what holding them to the end did. The two sums
have no step in common but the fills.
"""

import heapq
from collections import deque
from dataclasses import dataclass, field

from mmbot.edge.decomposition import Decomposition, Weighted
from mmbot.edge.fill import HORIZONS_S, NET_HORIZON_S, FillEdge, Traded, signed_lots
from mmbot.model.instrument import Instrument
from mmbot.model.records import FillRow, TickRow
from mmbot.units import SECOND

CURVE_S = (1, 5, 15, 60, 300)
"""Horizons of the markout curve; those of adverse are among them."""
INTERVAL_NS = 3_600 * SECOND
_LATE_NS = 60 * SECOND
"""How long after a fill we may learn of it and still know the mids that followed."""


@dataclass(slots=True)
class _Waiting:
    """A fill, and what the market did within the horizons that have passed."""

    row: FillRow
    traded: Traded
    adverse: dict[int, float] = field(default_factory=dict)


class Markouts:
    """Watches the mids and fills of one symbol."""

    def __init__(self, instrument: Instrument, interval_ns: int = INTERVAL_NS) -> None:
        self._instrument = instrument
        self._interval_ns = interval_ns
        self._due: list[tuple[int, int, int]] = []
        """Heap of (when, number of the fill, horizon in seconds)."""
        self._waiting: dict[int, _Waiting] = {}
        """By number: fills whose last horizon lies ahead."""
        self._mids: deque[tuple[int, float]] = deque()
        self._now_ns = -1
        self._without_net = _Held(instrument)
        self.fills = 0
        self.edge = Decomposition(instrument)
        self.intervals: dict[int, Decomposition] = {}
        """By start, ns: of the fills that happened in each interval, inventory to the end of the run."""
        self.curve = {seconds: Weighted() for seconds in CURVE_S}
        """Gross + adverse by horizon: the markout before fees."""

    @property
    def last_mid(self) -> float | None:
        """The last mid seen; None if there was none."""
        return self._mids[-1][1] if self._mids else None

    def tick(self, row: TickRow) -> None:
        if row.mid is not None and row.mid != self.last_mid:
            self._mids.append((row.ts_ns, row.mid))
            while len(self._mids) > 1 and self._mids[1][0] <= row.ts_ns - _LATE_NS:
                self._mids.popleft()
        self._now_ns = row.ts_ns
        self._settle()

    def fill(self, row: FillRow) -> None:
        self.fills += 1
        traded = Traded.of(self._instrument, row)
        if traded is None:
            self._without_net.add(row)
            return
        self._waiting[self.fills] = _Waiting(row, traded)
        for seconds in CURVE_S:
            heapq.heappush(self._due, (row.ts_ns + seconds * SECOND, self.fills, seconds))
        self._settle()

    def pnl(self) -> float | None:
        """Of all fills, marked at the last mid, settlement currency; None without a mid to mark them at."""
        if self.last_mid is None:
            return None
        worth = self._instrument.worth(self.last_mid)
        open_fills = (one for one in self._waiting.values() if NET_HORIZON_S not in one.adverse)
        held = sum(
            one.traded.gross + one.traded.fees + one.traded.lots * (worth - one.traded.worth)
            for one in open_fills
        )
        return self.edge.pnl(self.last_mid) + held + self._without_net.pnl(worth)

    def _settle(self) -> None:
        """Every horizon up to the last tick has passed."""
        while self._due and self._due[0][0] <= self._now_ns:
            due_ns, number, seconds = heapq.heappop(self._due)
            waiting = self._waiting.get(number)
            if waiting is None:
                continue
            mid = self._mid_at(due_ns)
            if mid is not None:
                self._passed(waiting, seconds, self._instrument.worth(mid))
            elif seconds == NET_HORIZON_S:
                self._without_net.add(waiting.row)
                del self._waiting[number]
            if seconds == CURVE_S[-1]:
                del self._waiting[number]

    def _passed(self, waiting: _Waiting, seconds: int, worth: float) -> None:
        traded = waiting.traded
        moved = traded.lots * (worth - traded.worth)
        self.curve[seconds].add(traded.gross + moved, traded.weight)
        if seconds in HORIZONS_S:
            waiting.adverse[seconds] = moved
        if seconds == NET_HORIZON_S:
            start_ns = waiting.row.ts_ns // self._interval_ns * self._interval_ns
            interval = self.intervals.setdefault(start_ns, Decomposition(self._instrument))
            fill = FillEdge(traded, dict(waiting.adverse))
            self.edge.add(fill, worth)
            interval.add(fill, worth)

    def _mid_at(self, when_ns: int) -> float | None:
        return next((mid for ts_ns, mid in reversed(self._mids) if ts_ns <= when_ns), None)


class _Held:
    """Fills without a net, from their price on."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._lots = 0
        self._paid = self._fees = 0.0

    def add(self, row: FillRow) -> None:
        lots = signed_lots(self._instrument, row)
        self._lots += lots
        self._paid += lots * self._instrument.worth(row.price)
        self._fees += row.fee

    def pnl(self, worth: float) -> float:
        """Settlement currency, with a lot worth that much."""
        return self._lots * worth - self._paid - self._fees
