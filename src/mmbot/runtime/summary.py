"""What a run did, in a few lines: for the closing table of `mmbot run`. Gates do their own sums from the
rows.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from mmbot.edge.markout import Markouts
from mmbot.engine.symbol import SymbolBot
from mmbot.model.instrument import Instrument
from mmbot.model.records import FillRow, Row, TickRow
from mmbot.units import MS


class Summary:
    """Observes the rows of one run."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._markouts = {instrument.key: Markouts(instrument) for instrument in instruments}
        self._reads: Counter[str] = Counter()
        self._guards: Counter[str] = Counter()
        self._measured, self._waits = array("q"), array("q")
        self._misses = 0
        self.ticks = 0
        self.now_ns = 0

    def rows(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if isinstance(row, TickRow):
                self._tick(row)
            elif isinstance(row, FillRow):
                self._markouts[row.symbol].fill(row)

    def _tick(self, row: TickRow) -> None:
        self.ticks += 1
        self.now_ns = row.ts_ns
        self._reads[row.cache] += 1
        self._guards[row.guard] += 1
        self._measured.append(row.tick_total_ns)
        self._waits.append(row.wait_ns)
        self._misses += row.deadline_miss
        self._markouts[row.symbol].tick(row)

    def market(self) -> Iterator[tuple[str, str]]:
        """Lines about cache, latency and guards; empty if nothing ticked."""
        if not self.ticks:
            return
        reads = ", ".join(f"{name} {count / self.ticks:.1%}" for name, count in sorted(self._reads.items()))
        yield "md_cache reads", reads
        measured, waits = np.array(self._measured), np.array(self._waits)
        yield "tick_total p95", _p95(measured, waits)
        yield "deadline misses", f"{self._misses} of {self.ticks} ({self._misses / self.ticks:.3%})"
        yield (
            "guards",
            ", ".join(f"{name} {count / self.ticks:.1%}" for name, count in sorted(self._guards.items())),
        )

    def trading(self, bot: SymbolBot) -> Iterator[tuple[str, str]]:
        """Lines about one symbol's fills, edge and profit."""
        position, instrument = bot.position, bot.instrument
        currency = instrument.base if instrument.contract == "inverse" else instrument.quote
        if not position.fills:
            yield "fills", "0"
            return
        yield "fills", f"{position.fills}, notional {position.notional:.2f} {currency}"
        yield "maker share", f"{position.maker_notional / position.notional:.1%} of notional"
        edge = self._markouts[instrument.key].edge()
        if edge is None:
            yield "net edge", "NO_DATA: no fill has a mid 60 s later"
        else:
            costs = f"fees {edge.fees_bps:+.2f}, adverse 60 s {edge.adverse_bps:+.2f}"
            yield "net edge", f"{edge.net_bps:+.2f} bps (gross {edge.gross_bps:+.2f}, {costs})"
            yield "fills with a mid 60 s later", f"{edge.fills}, {edge.open_fills} without"
        mid = self._markouts[instrument.key].last_mid
        if mid is not None:
            yield (
                "profit after fees",
                f"{position.pnl(mid):+.4f} {currency}, position {position.base:g}",
            )


def _p95(measured: npt.NDArray[np.int64], waits: npt.NDArray[np.int64]) -> str:
    def ms(values: npt.NDArray[np.int64]) -> str:
        return f"{np.quantile(values, 0.95, method='inverted_cdf') / MS:.3f}"

    return f"{ms(measured + waits)} ms (measured {ms(measured)}, modelled wait {ms(waits)})"
