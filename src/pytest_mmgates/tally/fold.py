"""The rows of one run directory, folded into its tally block by block.

Fills and samples come first: they are few, and say which mids and which reads the ticks are to be asked for.
Then the ticks pass by once. A block's tally is merged like any other.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from pytest_mmgates.errors import RunlogError
from pytest_mmgates.feeds import Feeds
from pytest_mmgates.outages import inside, length_ns
from pytest_mmgates.rows import Instrument, Manifest
from pytest_mmgates.tables import CACHE_CODES, DURATIONS, NO_SYMBOL, Fills, Floats, Ints, Samples, Ticks
from pytest_mmgates.tally.edge import Markouts, edge_tally
from pytest_mmgates.tally.exact import exact_sum
from pytest_mmgates.tally.growth import LEAST_FLOORS, Floor, Floors
from pytest_mmgates.tally.histogram import Histogram
from pytest_mmgates.tally.tally import (
    AGE,
    WAIT,
    WAITING,
    ProcessTally,
    SymbolTally,
    Tally,
    merged,
    with_wait,
)


def tally_of(feeds: Feeds, manifest: Manifest) -> Tally:
    """Raises RunlogError for rows that cannot be believed."""
    samples, fills, events = feeds.all_samples(), feeds.all_fills(), feeds.events()
    payments = feeds.funding()
    folds = [
        _SymbolFold(manifest, name, fills.of(code), samples.series("book_updates", code))
        for code, name in enumerate(manifest.symbols)
    ]
    for block in feeds.ticks():
        for code in np.unique(block.symbol).tolist():
            folds[code].ticks(block.of(code))
    symbols = {
        name: folds[code].finished(_events_of(events, code), payments.get(code, []))
        for code, name in enumerate(manifest.symbols)
    }
    return Tally(symbols, _process_tally(feeds, manifest, samples, events))


def _process_tally(
    feeds: Feeds, manifest: Manifest, samples: Samples, events: Counter[tuple[str, int]] | None
) -> ProcessTally:
    times, rss_bytes = samples.series("rss_bytes")
    ended_ns = manifest.started_ns if manifest.ended_ns is None else manifest.ended_ns
    return ProcessTally(
        rss_bytes=Histogram.of(rss_bytes),
        events=None if events is None else _events_of(events, NO_SYMBOL),
        breaker_open_ns=feeds.breaker_open_ns(ended_ns),
        rss_floors=list(floors_by_process(manifest, times, rss_bytes, ended_ns)),
    )


def floors_by_process(
    manifest: Manifest, times: Ints, rss_bytes: Floats, ended_ns: int
) -> Iterator[list[Floor]]:
    """Of each process that played the run: memory begins anew where it was resumed. Of several processes,
    those that lasted too short to say anything say nothing.
    """
    resumes = manifest.resumes
    starts = [manifest.started_ns, *(resume.first_tick_ns for resume in resumes)]
    ends = [*(resume.outage_from_ns or resume.first_tick_ns for resume in resumes), ended_ns]
    for start_ns, end_ns in zip(starts, ends, strict=True):
        floors = Floors(start_ns)
        own = (times >= start_ns) & ((times < end_ns) | (end_ns == ended_ns))
        for ts_ns, value in zip(times[own].tolist(), rss_bytes[own].tolist(), strict=True):
            floors.add(ts_ns, value)
        found = floors.complete(end_ns)
        if len(starts) == 1 or len(found) >= LEAST_FLOORS:
            yield found


def ticks_tally(ticks: Ticks, manifest: Manifest) -> SymbolTally:
    """What adds up row by row: of any selection of ticks."""
    waited = {with_wait(name): ticks.duration(name) + ticks.wait_ns for name in WAITING}
    times = {name: ticks.duration(name) for name in DURATIONS} | waited | {WAIT: ticks.wait_ns}
    ages = ticks.age_ns[~np.isnan(ticks.age_ns)]
    own = waited[with_wait("tick_total")] if manifest.clock == "wall" else ticks.tick_total
    reads = np.bincount(ticks.cache, minlength=len(CACHE_CODES)).tolist()
    return SymbolTally(
        ticks=len(ticks),
        quoted=int(np.count_nonzero(ticks.quoted)),
        cache={outcome: reads[code] for outcome, code in CACHE_CODES.items()},
        missed=int(np.count_nonzero(ticks.deadline_miss)),
        missed_measured=int(np.count_nonzero(ticks.deadline_miss & (own > manifest.deadline_ns))),
        histograms_ns={
            AGE: Histogram.of(ages),
            **{name: Histogram.of(column) for name, column in times.items()},
        },
        totals_ns={name: sum(column.tolist()) for name, column in times.items()},
        abs_position_quote=Histogram.of(np.abs(ticks.position_quote)),
    )


def fills_tally(fills: Fills, instrument: Instrument | None) -> SymbolTally:
    """Executions and their notional in quote currency: price * qty (linear), qty (inverse), each times
    contract_value. Without its instrument a fill has no notional.
    """
    if instrument is None:
        return SymbolTally(fills=len(fills))
    price = 1.0 if instrument.contract == "inverse" else fills.price
    notional = fills.qty * instrument.contract_value * price
    by_liquidity = {"maker": notional[fills.maker], "taker": notional[~fills.maker]}
    return SymbolTally(
        fills=len(fills), notional={name: exact_sum(values) for name, values in by_liquidity.items()}
    )


class _SymbolFold:
    """The rows of one symbol on their way into its tally."""

    def __init__(self, manifest: Manifest, name: str, fills: Fills, updates: tuple[Ints, Floats]) -> None:
        self._manifest = manifest
        self._fills = fills
        self._instrument = manifest.instrument(name)
        self._markouts = Markouts(fills.ts_ns, manifest.outages)
        times, values = updates
        self._sampled_ns = int(times[-1]) if len(times) else -1
        self._first_ns: int | None = None
        self._last_ns = 0
        self._tally = merged(
            fills_tally(fills, self._instrument),
            SymbolTally(updates=int(values[-1]) if len(values) else None),
        )

    def ticks(self, ticks: Ticks) -> None:
        """The next block, of at least one tick. Raises RunlogError for one in an outage."""
        impossible = ticks.ts_ns[inside(ticks.ts_ns, self._manifest.outages)]
        if impossible.size:
            raise RunlogError(f"tick at {impossible[0]}: lies in an outage, expected none")
        self._last_ns = int(ticks.ts_ns[-1])
        if self._first_ns is None:
            self._first_ns = int(ticks.ts_ns[0])
        self._markouts.ticks(ticks.ts_ns, ticks.mid)
        sampled = int(np.searchsorted(ticks.ts_ns, self._sampled_ns, side="right"))
        block = ticks_tally(ticks, self._manifest)
        block.sampled_reads = sampled
        self._tally = merged(self._tally, block)

    def finished(self, events: dict[str, int], payments: list[float]) -> SymbolTally:
        spans = SymbolTally(
            duration_ns=self._manifest.duration_ns,
            covered_ns=0 if self._first_ns is None else self._spanned_ns(self._first_ns),
            events=events,
            funding=exact_sum(np.array(payments, dtype=np.float64)),
        )
        markouts = self._markouts
        edge = edge_tally(self._fills, self._instrument, markouts.after(), markouts.last_mid)
        return merged(merged(self._tally, spans), edge)

    def _spanned_ns(self, first_ns: int) -> int:
        """Between first and last tick, without the outages that lie there."""
        between = [
            outage
            for outage in self._manifest.outages
            if first_ns <= outage.from_ns and outage.until_ns <= self._last_ns
        ]
        return self._last_ns - first_ns - length_ns(between)


def _events_of(events: Counter[tuple[str, int]] | None, code: int) -> dict[str, int]:
    return {kind: count for (kind, of), count in (events or {}).items() if of == code}
