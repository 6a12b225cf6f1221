"""The charts of a run: what each shows, its marks, and one line that says the same in numbers.

Decided: every metric that a rule of the gate holds against a limit has a chart of its own over time, measured
in stretches of the run; where the limit does not hold in a stretch it is shaded. A stop rule looks at windows
of its own, so what is shaded for it is the time that it held, as its watch recorded.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from pytest_mmgates.gatefile import Gate
from pytest_mmgates.grammar import Bound
from pytest_mmgates.judge import GateVerdict
from pytest_mmgates.metrics import METRICS
from pytest_mmgates.outages import Outage
from pytest_mmgates.report.axes import Axis, durations, elapsed, linear, shares_of, shown_ns
from pytest_mmgates.report.budgets import iso_time
from pytest_mmgates.report.columns import Columns
from pytest_mmgates.report.distributions import distributions
from pytest_mmgates.report.svg import SHADES, Band, Chart, Limit, Line, Mark, Span, charted
from pytest_mmgates.report.timeline import Asked, SymbolSeries, Timeline, read_timelines
from pytest_mmgates.rules import Rule
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.tables import DURATIONS, STAGES, Flags, Floats
from pytest_mmgates.units import Dimension, show
from pytest_mmgates.watch.record import WatchRecord
from pytest_mmgates.watchrules import WatchRule

_STAGE_METRICS = {f"{name}.p95": name for name in DURATIONS}
_IN_STRETCHES = (
    *(f"md_cache.{name}" for name in ("hit_ratio", "stale_ratio", "miss_ratio")),
    *(f"md_cache.age_{name}" for name in ("p50", "p95", "p99", "max")),
    *("deadline_miss.ratio", "maker_share", "taker_share"),
    *("inventory.abs_p99_quote", "inventory.abs_max_quote"),
)
"""What a stretch can say, besides durations."""
_MOST_SYMBOLS = 6
_MOST_PARTS = 6
_BYTES_PER_MB = 1e6


@dataclass(frozen=True, slots=True)
class Held:
    """A rule of a gate against a metric over time."""

    section: str
    rule: Rule | WatchRule

    @property
    def key(self) -> Asked:
        return self.rule.metric, self.rule.symbol

    @property
    def bound(self) -> Bound:
        return self.rule.bound

    @property
    def limit(self) -> float:
        return self.bound.limit.base(METRICS[self.rule.metric].dimension)

    def broken(self, values: Floats) -> Flags:
        """Where the limit does not hold; where nothing was measured, nothing is broken."""
        dimension = METRICS[self.rule.metric].dimension
        holds = [math.isnan(value) or self.bound.holds(value, dimension) for value in values.tolist()]
        return ~np.array(holds, dtype=np.bool_)

    @property
    def text(self) -> str:
        return str(self.bound) if self.section == "require" else f"{self.section} {self.bound}"


def run_charts(run: RunLog, verdicts: Sequence[GateVerdict]) -> list[Chart]:
    """In the order in which they are read. Raises RunlogError for rows that cannot be read again."""
    held = list(dict.fromkeys(one for verdict in verdicts for one in _held(verdict.gate)))
    lines = read_timelines(run, [*_STAGE_METRICS_ASKED, *(one.key for one in held)])
    x = elapsed(f"market time since {iso_time(run.manifest.started_ns)}", _length_ns(run))
    over = _Over(run, x, lines, held)
    return [
        *(over.metric(*key) for key in dict.fromkeys([("tick_total.p95", None), *(one.key for one in held)])),
        over.stages(),
        *distributions(run),
        *over.money(),
        over.memory(),
    ]


_STAGE_METRICS_ASKED = tuple((metric, None) for metric in _STAGE_METRICS)


def _held(gate: Gate) -> Iterator[Held]:
    """Rules whose metric a stretch can say."""
    sections: dict[str, Sequence[Rule | WatchRule]] = {
        "require": gate.require,
        "stop": gate.stop,
        "warn": gate.warn,
    }
    for section, rules in sections.items():
        for rule in rules:
            if rule.metric in _IN_STRETCHES or rule.metric.rpartition(".")[0] in DURATIONS:
                yield Held(section, rule)


def _length_ns(run: RunLog) -> int:
    manifest = run.manifest
    return 0 if manifest.ended_ns is None else manifest.ended_ns - manifest.started_ns


class _Over:
    """Charts over the time of one run."""

    def __init__(self, run: RunLog, x: Axis, lines: Sequence[Timeline], held: Sequence[Held]) -> None:
        self._run, self._x, self._lines, self._held = run, x, lines, held
        self._stretch = shown_ns(lines[0].stretch_ns)

    def metric(self, metric: str, symbol: str | None) -> Chart:
        """One metric in stretches, with its limits. Of a duration, also what lies between the extremes."""
        held = [one for one in self._held if one.key == (metric, symbol)]
        dimension, stage = METRICS[metric].dimension, metric.rpartition(".")[0]
        of = f" of {symbol}" if symbol else ""
        title = f"{metric}{of}, in stretches of {self._stretch}"
        values = np.concatenate([line.metrics[metric, symbol] for line in self._lines])
        if np.isnan(values).all():
            return Chart(title, "Nothing was measured.")
        bands = list(self._bands(stage)) if symbol is None and stage in DURATIONS else []
        series = list(self._series(metric, symbol))
        limits = [
            Limit(one.limit, one.text, "limit" if one.section != "warn" else "limit warn") for one in held
        ]
        spans = [*self._outages(), *(span for one in held for span in self._violations(one))]
        seen = [*values.tolist(), *(limit.value for limit in limits)]
        seen += [value for band in bands for value in (*band.low.tolist(), *band.high.tolist())]
        y = _axis(dimension, metric, seen)
        text = _told(metric, values, held)
        return charted(title, text, self._x, y, [*spans, *bands, *limits, *series])

    def stages(self) -> Chart:
        """p95 of every stage in one picture."""
        title = f"p95 of each stage, in stretches of {self._stretch}"
        marks, told, seen = [], [], []
        for shade, name in enumerate(STAGES):
            values = [line.metrics[f"{name}.p95", None] for line in self._lines]
            worst = np.fmax.reduce(values)
            if not np.isnan(worst).all():
                marks.append(Line(*self._lines[0].steps(worst), f"s{shade}", name))
                told.append(f"{name} at most {shown_ns(float(np.nanmax(worst)))}")
                seen += worst.tolist()
        if not marks:
            return Chart(title, "Nothing was measured.")
        whose = "the slowest part's, " if len(self._lines) > 1 else ""
        text = f"p95, {whose}I/O wait included: {', '.join(told)}."
        return charted(title, text, self._x, durations("p95", seen), [*self._outages(), *marks])

    def money(self) -> Iterator[Chart]:
        """Profit, inventory, spread and queue, a line a symbol."""
        shown = sorted(
            ((name, series) for line in self._lines for name, series in line.symbols.items()),
            key=lambda pair: -pair[1].fills,
        )
        left_out = max(0, len(shown) - _MOST_SYMBOLS)
        more = f" {left_out} more with fewer fills are not drawn." if left_out else ""
        shown = shown[:_MOST_SYMBOLS]
        for title, unit, name, zero in (
            ("Profit of the fills so far, marked at the mid, fees paid", None, "profit", True),
            ("Inventory, marked at the mid", None, "inventory", True),
            ("Half spread quoted", "bps", "half_spread", False),
            ("Queue: time until what is ahead of our first orders is gone", "s", "queue_eta", False),
        ):
            for currency, group in _by_unit(self._run, shown, unit):
                yield self._lined(
                    title, currency, [(symbol, getattr(one, name)) for symbol, one in group], more, zero=zero
                )

    def _lined(
        self,
        title: str,
        unit: str,
        series: Sequence[tuple[str, Columns]],
        more: str,
        *,
        zero: bool,
        scale: float = 1.0,
    ) -> Chart:
        """A line each, in a unit of so many of the series' own."""
        known = [(name, columns) for name, columns in series if columns.count]
        if not known:
            return Chart(title, f"Nothing of it in the rows of {', '.join(name for name, _ in series)}.")
        marks, told, seen = [], [], [0.0] if zero else []
        for shade, (name, columns) in enumerate(known):
            xs, ys = columns.line()
            marks.append(Line(xs, ys / scale, f"s{shade % SHADES}", name))
            last, least, most = (value / scale for value in (columns.last, columns.least, columns.most))
            told.append(f"{name} ends at {show(last)}, lowest {show(least)}, highest {show(most)}")
            seen += [least, most]
        text = f"In {unit}: {'; '.join(told)}.{more}"
        return charted(title, text, self._x, linear(unit, seen), [*self._outages(), *marks])

    def memory(self) -> Chart:
        """Resident memory of each process that played."""
        series = [(line.name, line.memory) for line in self._lines]
        more = f" {len(series) - _MOST_PARTS} more parts are not drawn." if len(series) > _MOST_PARTS else ""
        return self._lined(
            "Resident memory", "MB", series[:_MOST_PARTS], more, zero=False, scale=_BYTES_PER_MB
        )

    def _series(self, metric: str, symbol: str | None) -> Iterator[Mark]:
        """A line a part; of many parts, all that lies between them."""
        values = [line.metrics[metric, symbol] for line in self._lines]
        if len(values) > _MOST_PARTS:
            xs, low = self._lines[0].steps(np.fmin.reduce(values))
            _, high = self._lines[0].steps(np.fmax.reduce(values))
            yield Band(xs, low, high, "band parts", f"lowest to highest of {len(values)} parts")
            return
        for shade, line in enumerate(self._lines):
            name = f"{metric} of {line.name}" if len(self._lines) > 1 else metric
            yield Line(*line.steps(line.metrics[metric, symbol]), f"s{shade % SHADES}", name)

    def _bands(self, stage: str) -> Iterator[Band]:
        columns = self._lines[0].durations[stage]
        if columns.count:
            yield Band(columns.middles_ns, columns.lows, columns.highs, "band", "fastest to slowest tick")

    def _outages(self) -> list[Span]:
        return [self._outage(outage) for outage in self._run.outages]

    def _outage(self, outage: Outage) -> Span:
        start_ns = self._run.manifest.started_ns
        return Span(
            outage.from_ns - start_ns, outage.until_ns - start_ns, "outage", "no process played", str(outage)
        )

    def _violations(self, held: Held) -> Iterator[Span]:
        """Where a limit did not hold: stretches of a rule over the whole run, the recorded hold of one that
        watched.
        """
        if held.section != "require":
            yield from self._holds(str(held.rule), held.section)
            return
        for line in self._lines:
            broken = held.broken(line.metrics[held.key])
            ends = np.flatnonzero(np.diff(np.concatenate(([False], broken, [False])).astype(np.int8)))
            for first, last in (line.stretch_ns * ends).reshape(-1, 2).tolist():
                title = f"not {held.bound}: {shown_ns(first)} to {shown_ns(last)}"
                yield Span(first, last, "violation", "beyond the limit", title)

    def _holds(self, rule: str, section: str) -> Iterator[Span]:
        start_ns = self._run.manifest.started_ns
        for record in self._run.watched:
            if record.rule == rule and record.section == section:
                yield from (
                    _hold(record, held.longest_ns, held.at_ns - start_ns)
                    for held in (record.slow, record.fast)
                    if held and held.at_ns is not None
                )


def _told(metric: str, values: Floats, held: Sequence[Held]) -> str:
    dimension = METRICS[metric].dimension
    low, high = _value(dimension, float(np.nanmin(values))), _value(dimension, float(np.nanmax(values)))
    known = int(np.count_nonzero(~np.isnan(values)))
    text = f"Between {low} and {high} over {known} of {len(values)} stretches."
    for one in held:
        if one.section == "require":
            text += f" Limit {one.bound}: beyond it in {np.count_nonzero(one.broken(values))} of them."
        else:
            text += f" The {one.section} rule {one.rule} looks at windows of its own."
    return text


def _hold(record: WatchRecord, longest_ns: int, at_ns: int) -> Span:
    fired = record.fired.why if record.fired else f"held {shown_ns(longest_ns)}"
    return Span(
        at_ns - longest_ns, at_ns, "violation", "a rule held", f"{record.section} {record.rule}: {fired}"
    )


def _by_unit(
    run: RunLog, shown: Sequence[tuple[str, SymbolSeries]], unit: str | None
) -> Iterator[tuple[str, list[tuple[str, SymbolSeries]]]]:
    """Money of one currency belongs into one picture; without a unit it is that of the quote."""

    def currency(pair: tuple[str, SymbolSeries]) -> str:
        instrument = run.manifest.instrument(pair[0])
        return unit or (instrument.quote if instrument else "unknown currency")

    for name, group in groupby(sorted(shown, key=currency), key=currency):
        yield name, list(group)


def _axis(dimension: Dimension, name: str, values: Iterable[float]) -> Axis:
    if dimension is Dimension.TIME:
        return durations(name, values)
    return shares_of(name, values) if dimension is Dimension.RATIO else linear(name, values)


def _value(dimension: Dimension, value: float) -> str:
    if dimension is Dimension.TIME:
        return shown_ns(value)
    return f"{show(100 * value)}%" if dimension is Dimension.RATIO else show(value)
