"""What a run did, in a few lines: for the closing table of `mmbot run`. Gates do their own sums from the
rows.

Memory does not grow with the run: durations are counted in buckets that are 0.1 % wide.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from mmbot.edge.markout import Markouts
from mmbot.engine.symbol import SymbolBot
from mmbot.model.instrument import Instrument
from mmbot.model.records import FillRow, Row, TickRow
from mmbot.units import MS


class Durations:
    """How often which duration occurred, in buckets of the same leading bits: of one relative width."""

    _BITS = 10

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._longest: dict[int, int] = {}
        """In each bucket."""

    def add(self, duration_ns: int) -> None:
        dropped = max(duration_ns.bit_length() - self._BITS - 1, 0)
        bucket = duration_ns >> dropped << dropped
        self._counts[bucket] += 1
        if duration_ns >= self._longest.get(bucket, 0):
            self._longest[bucket] = duration_ns

    def quantile(self, share: float) -> int:
        """A duration that occurred, ns: the least that `share` of all do not exceed, or up to 0.1 % more.

        Raises ValueError if there is none.
        """
        wanted = max(math.ceil(share * self._counts.total()), 1)
        for bucket in sorted(self._counts):
            wanted -= self._counts[bucket]
            if wanted <= 0:
                return self._longest[bucket]
        raise ValueError("no duration was added")


class Summary:
    """Observes the rows of one run."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._markouts = {instrument.key: Markouts(instrument) for instrument in instruments}
        self._reads: Counter[str] = Counter()
        self._guards: Counter[str] = Counter()
        self._measured, self._waits, self._totals = Durations(), Durations(), Durations()
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
        self._measured.add(row.tick_total_ns)
        self._waits.add(row.wait_ns)
        self._totals.add(row.tick_total_ns + row.wait_ns)
        self._misses += row.deadline_miss
        self._markouts[row.symbol].tick(row)

    def market(self) -> Iterator[tuple[str, str]]:
        """Lines about cache, latency and guards; empty if nothing ticked."""
        if not self.ticks:
            return
        reads = ", ".join(f"{name} {count / self.ticks:.1%}" for name, count in sorted(self._reads.items()))
        yield "md_cache reads", reads
        total, measured, wait = map(_p95, (self._totals, self._measured, self._waits))
        yield "tick_total p95", f"{total} ms (measured {measured}, modelled wait {wait})"
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


def _p95(durations: Durations) -> str:
    return f"{durations.quantile(0.95) / MS:.3f}"
