"""A run over its time, for charts: read once more from its rows, in memory that does not grow with the run.

Two kinds of series. *Columns* keep the lowest and highest value of every column of the picture. *Stretches*
cut the run into equal times (a minute of an hour, an hour of three days) and measure in each the same metrics
that the gates judge over the whole; a stretch that is over leaves one number a metric behind.

A run in parts is a timeline a part, each measured by itself: parts of a symbol follow each other, those of
several symbols overlap, and quantiles of parts do not add up. Extremes do: durations have columns in common.

Profit is that of the fills of this run, marked at every tick's mid less their fees, in quote currency; what
was held before the run, and funding, are not in it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pytest_mmgates.feeds import Feeds
from pytest_mmgates.metrics import METRICS
from pytest_mmgates.report.columns import Columns
from pytest_mmgates.rows import Instrument
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.tables import DURATIONS, Fills, Floats, Ints, Ticks, picked
from pytest_mmgates.tally import WAITING, SymbolTally, Tally, merged
from pytest_mmgates.tally.edge import worth
from pytest_mmgates.tally.fold import fills_tally, ticks_tally
from pytest_mmgates.units import NS_PER_S

_STRETCHES_S = (1, 10, 30, 60, 300, 600, 1800, 3600, 2 * 3600, 6 * 3600, 12 * 3600, 24 * 3600, 168 * 3600)
_MOST_STRETCHES = 100
Asked = tuple[str, str | None]
"""A metric, and the symbol that a rule selects."""


@dataclass(frozen=True, slots=True)
class SymbolSeries:
    """Of one symbol. Quote currency, bps and seconds."""

    profit: Columns
    inventory: Columns
    half_spread: Columns
    queue_eta: Columns
    fills: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """Of a run that was played whole, or of one part. `durations` are those of every tick of the whole run,
    waits included, ns; `metrics` one value a stretch, NaN where it could not be had; `memory` is resident,
    bytes.
    """

    name: str
    """Of the scenario, or of the part."""
    stretch_ns: int
    durations: dict[str, Columns]
    metrics: dict[Asked, Floats]
    symbols: dict[str, SymbolSeries]
    memory: Columns

    def steps(self, values: Floats) -> tuple[Floats, Floats]:
        """Places and values of a line that is level over each stretch."""
        edges = np.arange(len(values) + 1, dtype=np.float64) * self.stretch_ns
        return np.repeat(edges, 2)[1:-1], np.repeat(values, 2)


def read_timelines(run: RunLog, asked: Iterable[Asked]) -> list[Timeline]:
    """One of a run that was played whole, else one a part. Raises RunlogError."""
    wanted = tuple(dict.fromkeys(asked))
    manifest = run.manifest
    end_ns = manifest.started_ns if manifest.ended_ns is None else manifest.ended_ns
    durations = {name: Columns(manifest.started_ns, end_ns, run.outages) for name in DURATIONS}
    parts = {part.directory.name: part for part in run.parts} or {manifest.scenario: run}
    return [
        _Reading(part, manifest.started_ns, end_ns, wanted, durations).timeline(name)
        for name, part in parts.items()
    ]


def stretch_of(length_ns: int) -> int:
    """The shortest of some round times that cuts a length into a number of stretches that can be seen."""
    fitting = (size for size in _STRETCHES_S if length_ns <= size * _MOST_STRETCHES * NS_PER_S)
    return next(fitting, _STRETCHES_S[-1]) * NS_PER_S


class _Reading:
    """The rows of one directory on their way into a timeline."""

    def __init__(
        self,
        run: RunLog,
        start_ns: int,
        end_ns: int,
        asked: Sequence[Asked],
        durations: dict[str, Columns],
    ) -> None:
        self._run, self._start_ns, self._asked = run, start_ns, asked
        self._feeds = Feeds(run.directory, run.manifest)
        self._stretch_ns = stretch_of(end_ns - start_ns)
        self._stretches = max(1, -(-(end_ns - start_ns) // self._stretch_ns))
        self._metrics = {key: np.full(self._stretches, np.nan) for key in asked}
        self._now = 0
        self._tallies: dict[str, SymbolTally] = {}
        fills = self._feeds.all_fills()
        self._ledgers = [
            _Ledger(fills.of(code), run.manifest.instrument(name))
            for code, name in enumerate(run.manifest.symbols)
        ]
        self._settled = [0 for _ in self._ledgers]

        def columns() -> Columns:
            return Columns(start_ns, end_ns, run.outages)

        self._durations = durations
        self._memory = columns()
        self._symbols = [
            SymbolSeries(columns(), columns(), columns(), columns(), len(ledger.fills))
            for ledger in self._ledgers
        ]

    def timeline(self, name: str) -> Timeline:
        for ticks, half_spread_bps in self._feeds.shown_ticks():
            self._take(ticks, half_spread_bps)
        self._measure()
        for times, codes, eta_s in self._feeds.queue():
            for code in np.unique(codes).tolist():
                mine = codes == code
                self._symbols[code].queue_eta.add(times[mine], eta_s[mine])
        for samples in self._feeds.samples():
            self._memory.add(*samples.series("rss_bytes"))
        named = dict(zip(self._run.manifest.symbols, self._symbols, strict=True))
        return Timeline(name, self._stretch_ns, self._durations, self._metrics, named, self._memory)

    def _take(self, ticks: Ticks, half_spread_bps: Floats) -> None:
        for name, columns in self._durations.items():
            waits = ticks.wait_ns if name in WAITING else 0
            columns.add(ticks.ts_ns, ticks.duration(name) + waits)
        for code in np.unique(ticks.symbol).tolist():
            mine, series = ticks.symbol == code, self._symbols[code]
            times = ticks.ts_ns[mine]
            series.inventory.add(times, ticks.position_quote[mine])
            series.half_spread.add(times, half_spread_bps[mine])
            series.profit.add(times, self._ledgers[code].profit(times, ticks.mid[mine]))
        self._stretch(ticks)

    def _stretch(self, ticks: Ticks) -> None:
        """Into the tallies of their stretches: rows come in time order."""
        at = (ticks.ts_ns - self._start_ns) // self._stretch_ns
        stretches = np.clip(at, 0, self._stretches - 1)  # the last tick may stand at the very end
        for stretch in np.unique(stretches).tolist():
            if stretch != self._now:
                self._measure()
                self._now = stretch
            inside = picked(ticks, stretches == stretch)
            for code in np.unique(inside.symbol).tolist():
                found = ticks_tally(inside.of(code), self._run.manifest)
                name = self._run.manifest.symbols[code]
                self._tallies[name] = merged(self._tallies.get(name, SymbolTally()), found)

    def _measure(self) -> None:
        """The stretch is over: what its rows say of each metric."""
        if not self._tallies:
            return
        end_ns = self._start_ns + (self._now + 1) * self._stretch_ns
        for code, (name, ledger) in enumerate(zip(self._run.manifest.symbols, self._ledgers, strict=True)):
            until = int(np.searchsorted(ledger.fills.ts_ns, end_ns))
            found = fills_tally(picked(ledger.fills, slice(self._settled[code], until)), ledger.instrument)
            self._settled[code] = until
            self._tallies[name] = merged(self._tallies.get(name, SymbolTally()), found)
        part = replace(self._run, tally=Tally(self._tallies), parts=())
        for metric, symbol in self._asked:
            if symbol is None or symbol in self._tallies:
                value = METRICS[metric].measure(part, symbol).value
                self._metrics[metric, symbol][self._now] = np.nan if value is None else value
        self._tallies = {}


class _Ledger:
    """The fills of one symbol, and what they came to so far. Settlement currency."""

    def __init__(self, fills: Fills, instrument: Instrument | None) -> None:
        self.fills = picked(fills, np.argsort(fills.ts_ns, kind="stable"))
        self.instrument = instrument
        signed = self.fills.side * self.fills.qty
        spent = self.fills.fee + (0.0 if instrument is None else signed * worth(instrument)(self.fills.price))
        self._cash = np.concatenate(([0.0], -np.cumsum(spent)))
        self._position = np.concatenate(([0.0], np.cumsum(signed)))

    def profit(self, ts_ns: Ints, mid: Floats) -> Floats:
        """At each tick, quote currency; NaN without a mid or an instrument."""
        if self.instrument is None:
            return np.full(len(ts_ns), np.nan)
        done = np.searchsorted(self.fills.ts_ns, ts_ns, side="right")
        settled = self._cash[done] + self._position[done] * worth(self.instrument)(mid)
        found: Floats = settled * mid if self.instrument.contract == "inverse" else settled
        return found
