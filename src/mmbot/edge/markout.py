"""Edge of fills, as the bot sees it itself: for the closing table of `mmbot run`. Gates recompute it from the
rows.

Per fill, side = +1 buy, -1 sell, bps of the mid at the fill: gross = side * (mid_t - price) / mid_t, fees =
-fee / notional (negative cost), adverse = side * (mid_{t+60s} - mid_t) / mid_t, net = gross + adverse + fees.
Averages are weighted by notional in settlement currency. mid_{t+h} is the last tick's mid at or before t + h;
a fill within h of the end has none and is counted apart.
"""

from bisect import bisect_right
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
    """Collects the mids and fills of one symbol."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._mid_ns: list[int] = []
        self._mids: list[float] = []
        self._fills: list[FillRow] = []
        self._end_ns = 0

    def tick(self, row: TickRow) -> None:
        """Only changes are kept: the last one at or before a moment is the mid of that moment."""
        self._end_ns = row.ts_ns
        if row.mid is not None and (not self._mids or self._mids[-1] != row.mid):
            self._mid_ns.append(row.ts_ns)
            self._mids.append(row.mid)

    def fill(self, row: FillRow) -> None:
        self._fills.append(row)

    @property
    def last_mid(self) -> float | None:
        """The last mid seen; None if there was none."""
        return self._mids[-1] if self._mids else None

    def edge(self) -> Edge | None:
        """None if no fill has both its mids: there is nothing to average."""
        weights = gross = fees = adverse = 0.0
        counted = 0
        for row in self._fills:
            later = self._mid_at(row.ts_ns + HORIZON_NS)
            if row.mid is None or later is None:
                continue
            side = 1.0 if row.side == "buy" else -1.0
            lots = round(row.qty / self._instrument.lot)
            weight = self._instrument.notional(lots, row.mid)
            counted += 1
            weights += weight
            gross += weight * side * (row.mid - row.price) / row.mid
            fees -= row.fee
            adverse += weight * side * (later - row.mid) / row.mid
        if not counted:
            return None
        scale = BPS / weights
        return Edge(counted, len(self._fills) - counted, gross * scale, fees * scale, adverse * scale)

    def _mid_at(self, ts_ns: int) -> float | None:
        if ts_ns > self._end_ns:
            return None
        index = bisect_right(self._mid_ns, ts_ns) - 1
        return self._mids[index] if index >= 0 else None
