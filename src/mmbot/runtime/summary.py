"""What a run did, in a few lines: for the closing table of `mmbot run`. Gates do their own sums from the
rows.

Memory does not grow with the run (`telemetry.durations`).
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from mmbot.edge.decomposition import Decomposition, Weighted
from mmbot.edge.markout import Markouts
from mmbot.engine.symbol import SymbolBot
from mmbot.execution.position import Position
from mmbot.model.instrument import Contract, Instrument
from mmbot.model.records import EventRow, FillRow, Row, TickRow
from mmbot.telemetry.durations import Durations
from mmbot.units import MS, SECOND


class Summary:
    """Observes the rows of one run."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._markouts = {instrument.key: Markouts(instrument) for instrument in instruments}
        self._reads: Counter[str] = Counter()
        self._guards: Counter[str] = Counter()
        self._blocks: Counter[tuple[str, str]] = Counter()
        """Ticks that a guard pulled the quotes of, by symbol and reason; a tick may have several."""
        self._refusals: Counter[tuple[str, str]] = Counter()
        """Times that a limit began to refuse orders, by symbol and limit."""
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
            elif isinstance(row, EventRow) and row.kind == "order_refused" and row.symbol is not None:
                self._refusals[row.symbol, str(row.detail["reason"]).partition(":")[0]] += 1

    def _tick(self, row: TickRow) -> None:
        self.ticks += 1
        self.now_ns = row.ts_ns
        self._reads[row.cache] += 1
        self._guards[row.guard] += 1
        if row.guard == "HARD":
            self._blocks.update((row.symbol, reason) for reason in row.reasons)
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
        position, currency = bot.position, bot.instrument.settled_in
        yield from self._blocked(bot.instrument.key)
        if not position.fills:
            yield "fills", "0"
            return
        yield "fills", f"{position.fills}, notional {position.notional:.2f} {currency}"
        yield "maker share", f"{position.maker_notional / position.notional:.1%} of notional"
        markouts = self._markouts[bot.instrument.key]
        yield from _edge(markouts)
        yield from _profit(position, markouts, bot.instrument)

    def _blocked(self, symbol: str) -> Iterator[tuple[str, str]]:
        """Why nothing was quoted, and which orders were refused."""
        for name, counts in (("ticks blocked by", self._blocks), ("refused by", self._refusals)):
            found = {reason: count for (of, reason), count in counts.most_common() if of == symbol}
            if found:
                yield name, ", ".join(f"{reason} {count}" for reason, count in found.items())


def _edge(markouts: Markouts) -> Iterator[tuple[str, str]]:
    """The decomposition over the fills that have a net: bps by weight, positive = good, but of slippage."""
    edge, mark = markouts.edge, markouts.last_mid
    if not edge.fills or mark is None:
        yield "net edge", "NO_DATA: no fill has a mid 60 s later"
        return
    gross, fees, net = edge.gross.bps, edge.fees.bps, edge.net.bps
    adverse = {seconds: leg.bps for seconds, leg in edge.adverse.items()}
    yield (
        "net edge",
        f"{_bps(net)} bps (gross {_bps(gross)}, fees {_bps(fees)}, adverse 60 s {_bps(adverse[60])})",
    )
    yield "fills with a mid 60 s later", f"{edge.fills}, {markouts.fills - edge.fills} without"
    yield "adverse", _by_horizon(adverse)
    yield "markout before fees", _by_horizon({h: point.bps for h, point in markouts.curve.items()})
    inventory, pnl = edge.bps(edge.inventory(mark)), edge.bps(edge.pnl(mark))
    yield "pnl", f"{_bps(pnl)} bps (net {_bps(net)}, inventory {_bps(inventory)})"
    yield "slippage", _slippage(edge.slippage)
    drivers = ", ".join(f"{leg} {count}" for leg, count in edge.drivers.most_common())
    yield (
        "fills that lost",
        f"{edge.drivers.total()} of {edge.fills}" + (f", by {drivers}" if drivers else ""),
    )
    if len(markouts.intervals) > 1:
        yield "net by hour", _extremes(markouts.intervals)


def _profit(position: Position, markouts: Markouts, instrument: Instrument) -> Iterator[tuple[str, str]]:
    """The ledger, marked at the last mid; and the same profit, but for funding, as the sum of what fills
    earned.
    """
    mark, earned, currency = markouts.last_mid, markouts.pnl(), instrument.settled_in
    digits = 8 if instrument.contract is Contract.INVERSE else 4

    def signed(amount: float) -> str:
        return f"{amount:+.{digits}f}"

    if mark is None or earned is None:
        yield "profit", "NO_DATA: no mid to mark it at"
    else:
        edge = markouts.edge
        realised, unrealised = signed(position.realised), signed(position.unrealised(mark))
        net, inventory = signed(edge.net.settled), signed(edge.inventory(mark))
        yield "profit after fees", f"{signed(position.pnl(mark))} {currency}, position {position.base:g}"
        yield "of it", f"realised {realised}, unrealised {unrealised}, fees {signed(-position.fees)}"
        rest = signed(earned - edge.pnl(mark))
        yield "by fill", f"net {net}, inventory {inventory}, fills without a net {rest}"
    funded = f"{signed(-position.funding)} {currency}, {position.fundings} payments"
    yield "funding", funded if position.fundings else "NO_DATA: no payment was reported"


def _slippage(slippage: Weighted) -> str:
    if slippage.bps is None:
        return "NO_DATA: no order says at which mid it was decided"
    return f"{slippage.bps:+.2f} bps, positive = worse than the mid when the order was decided"


def _by_horizon(bps: Mapping[int, float | None]) -> str:
    return ", ".join(f"{seconds} s {_bps(value)}" for seconds, value in bps.items()) + " bps"


def _extremes(intervals: Mapping[int, Decomposition]) -> str:
    """The worst and the best interval by what its fills netted."""
    ordered = sorted(intervals.items(), key=lambda item: item[1].net.settled)
    shown = (
        f"{name} {_bps(edge.net.bps)} bps in {_hour(start_ns)} ({edge.fills} fills)"
        for name, (start_ns, edge) in (("worst", ordered[0]), ("best", ordered[-1]))
    )
    return ", ".join(shown)


def _hour(start_ns: int) -> str:
    return f"{dt.datetime.fromtimestamp(start_ns // SECOND, dt.UTC):%Y-%m-%dT%HZ}"


def _bps(value: float | None) -> str:
    return "NO_DATA" if value is None else f"{value:+.2f}"


def _p95(durations: Durations) -> str:
    return f"{durations.quantile(0.95) / MS:.3f}"
