"""What a sweep keeps of a replay: sums over blocks of time, and the metrics that are ratios of them.

A row of sums belongs to one block, whose start is a whole number of blocks since the epoch. Rows add: over
seeds, symbols and parts of a run, whoever played them and in which order. A fill counts in the block in which
it happened, wherever its markout ends. Legs are those of `edge.fill`, in settlement currency, over the fills
that have a net; `fills` and `notional` are of all fills.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmbot.edge.fill import NET_HORIZON_S, signed_lots
from mmbot.edge.markout import Markouts
from mmbot.model.instrument import Instrument
from mmbot.model.records import FillRow, Row, TickRow
from mmbot.units import BPS, HOUR

Floats = npt.NDArray[np.float64]
SUMS = (
    "net",
    "weight",
    "gross",
    "fees",
    "adverse_60s",
    "slippage",
    "slippage_weight",
    "fills_with_net",
    "fills",
    "notional",
    "taker_notional",
    "ticks",
    "hours",
)
"""Columns of a row, in this order; `hours` of a symbol's ticks."""
Blocks = dict[int, list[float]]
"""Start of a block, ns -> its row of sums."""


@dataclass(frozen=True, slots=True)
class SweepMetric:
    """`scale * sum(above) / sum(below)`. `sign`: +1 where more is better, -1 where less is."""

    name: str
    above: str
    below: str
    scale: float
    sign: int
    what: str

    def of(self, sums: Floats) -> tuple[Floats, Floats]:
        """What is added up above and below; `sums` ends in an axis of `SUMS`."""
        return self.scale * sums[..., SUMS.index(self.above)], sums[..., SUMS.index(self.below)]


METRICS: Mapping[str, SweepMetric] = {
    one.name: one
    for one in (
        SweepMetric("net_bps", "net", "weight", BPS, +1, "gross + fees + adverse_60s, bps by weight"),
        SweepMetric("gross_bps", "gross", "weight", BPS, +1, "price against the mid, bps by weight"),
        SweepMetric("fees_bps", "fees", "weight", BPS, +1, "fees, negative = paid, bps by weight"),
        SweepMetric("adverse_60s_bps", "adverse_60s", "weight", BPS, +1, "move of the mid in 60 s, bps"),
        SweepMetric(
            "slippage_bps", "slippage", "slippage_weight", BPS, -1, "price against the mid decided on, bps"
        ),
        SweepMetric("taker_share", "taker_notional", "notional", 1.0, -1, "of notional, taken"),
        SweepMetric("net_quote", "net", "hours", 1.0, +1, "net, settlement currency, an hour of a symbol"),
        SweepMetric("notional", "notional", "hours", 1.0, +1, "traded, settlement currency, an hour"),
        SweepMetric("fills", "fills", "hours", 1.0, +1, "fills, an hour of a symbol"),
    )
}


class BlockSums:
    """Sums of one run while its rows go by. Memory grows with the blocks, not with the rows."""

    def __init__(self, instruments: Sequence[Instrument], block_ns: int, tick_ns: int) -> None:
        self._block_ns = block_ns
        self._tick_hours = tick_ns / HOUR
        self._instruments = {one.key: one for one in instruments}
        self._markouts = {one.key: Markouts(one, block_ns) for one in instruments}
        self._counts: dict[int, list[float]] = {}
        """Fills, notional, taker notional and ticks by block."""

    def rows(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if type(row) is TickRow:
                self._markouts[row.symbol].tick(row)
                self._count(row.ts_ns)[3] += 1
            elif type(row) is FillRow:
                self._fill(row)

    def _fill(self, row: FillRow) -> None:
        self._markouts[row.symbol].fill(row)
        instrument = self._instruments[row.symbol]
        notional = abs(signed_lots(instrument, row) * instrument.worth(row.price))
        counts = self._count(row.ts_ns)
        counts[0] += 1
        counts[1] += notional
        counts[2] += notional * (row.liquidity == "taker")

    def _count(self, ts_ns: int) -> list[float]:
        start_ns = ts_ns // self._block_ns * self._block_ns
        counts = self._counts.get(start_ns)
        if counts is None:
            counts = self._counts[start_ns] = [0.0, 0.0, 0.0, 0.0]
        return counts

    def blocks(self) -> Blocks:
        """All of them, in the order of time."""
        return {start_ns: self._row(start_ns) for start_ns in sorted(self._counts)}

    def _row(self, start_ns: int) -> list[float]:
        legs = [0.0] * 8
        for markouts in self._markouts.values():
            edge = markouts.intervals.get(start_ns)
            if edge is None:
                continue
            found = (
                edge.net.settled,
                edge.net.weight,
                edge.gross.settled,
                edge.fees.settled,
                edge.adverse[NET_HORIZON_S].settled,
                edge.slippage.settled,
                edge.slippage.weight,
                edge.fills,
            )
            legs = [one + more for one, more in zip(legs, found, strict=True)]
        counts = self._counts[start_ns]
        return [*legs, *counts, counts[3] * self._tick_hours]


class PointSums:
    """Rows of sums of one point of a sweep, folded as shards come."""

    def __init__(self) -> None:
        self._rows: dict[int, Floats] = {}

    def fold(self, blocks: Mapping[int, Sequence[float]]) -> None:
        for start_ns, row in blocks.items():
            found = np.asarray(row, np.float64)
            known = self._rows.get(start_ns)
            self._rows[start_ns] = found if known is None else known + found

    @property
    def starts_ns(self) -> set[int]:
        return set(self._rows)

    def table(self, starts_ns: Sequence[int]) -> Floats:
        """A row a block; zeros where nothing ticked."""
        nothing = np.zeros(len(SUMS))
        return np.array([self._rows.get(start_ns, nothing) for start_ns in starts_ns])
