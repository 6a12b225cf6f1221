"""Edge of fills, as the bot sees it itself: for the closing table of `mmbot run`. Gates recompute it from the
rows.

Per fill, side = +1 buy, -1 sell, bps of the mid at the fill: gross = side * (mid_t - price) / mid_t, fees =
-fee / notional (negative cost), adverse = side * (mid_{t+60s} - mid_t) / mid_t, net = gross + adverse + fees.
Averages are weighted by notional in settlement currency. mid_{t+h} is the last tick's mid at or before t + h;
a fill within h of the end has none and is counted apart.

Rows come in time order. Kept are sums, the last mid, and the fills of the last 60 s, so memory does not grow
with the run.
"""

from collections import deque
from dataclasses import dataclass

from mmbot.model.instrument import Instrument
from mmbot.model.records import FillRow, TickRow
from mmbot.units import BPS, SECOND

HORIZON_NS = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Edge:
    """Weighted means over the fills whose horizon was seen, bps. `open_fills` were left out."""

    fills: int
    open_fills: int
    gross_bps: float
    fees_bps: float
    adverse_bps: float

    @property
    def net_bps(self) -> float:
        return self.gross_bps + self.fees_bps + self.adverse_bps


class Markouts:
    """Watches the mids and fills of one symbol."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._waiting: deque[tuple[FillRow, float]] = deque()
        """Fills whose horizon lies ahead, with the mid at the fill."""
        self._fills = self._counted = 0
        self._weights = self._gross = self._fees = self._adverse = 0.0
        self.last_mid: float | None = None
        """The last mid seen; None if there was none."""

    def tick(self, row: TickRow) -> None:
        self._settle(row.ts_ns - 1)
        if row.mid is not None:
            self.last_mid = row.mid
        self._settle(row.ts_ns)

    def fill(self, row: FillRow) -> None:
        self._fills += 1
        if row.mid is not None:
            self._waiting.append((row, row.mid))

    def edge(self) -> Edge | None:
        """None if no fill has both its mids: there is nothing to average."""
        if not self._counted:
            return None
        scale = BPS / self._weights
        sums = (self._gross, self._fees, self._adverse)
        return Edge(self._counted, self._fills - self._counted, *(scale * each for each in sums))

    def _settle(self, now_ns: int) -> None:
        """The last mid is that of every horizon up to now."""
        while self._waiting and self._waiting[0][0].ts_ns + HORIZON_NS <= now_ns:
            row, mid = self._waiting.popleft()
            if self.last_mid is not None:
                self._count(row, mid, self.last_mid)

    def _count(self, row: FillRow, mid: float, later: float) -> None:
        side = 1.0 if row.side == "buy" else -1.0
        weight = self._instrument.notional(round(row.qty / self._instrument.lot), mid)
        self._counted += 1
        self._weights += weight
        self._gross += weight * side * (mid - row.price) / mid
        self._fees -= row.fee
        self._adverse += weight * side * (later - mid) / mid
