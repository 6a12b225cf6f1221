"""How the times of a run are distributed: stage after stage, and as shares of ticks. From its tally alone."""

from collections.abc import Iterator, Sequence

import numpy as np

from pytest_mmgates.report.axes import Axis, durations, durations_from_0, shown_ns
from pytest_mmgates.report.svg import Bar, Chart, Dot, Line, Mark, Span, charted, legend, waterfall
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.tables import DURATIONS, STAGES, Floats
from pytest_mmgates.tally import WAITING, Histogram, SymbolTally, with_wait

_QUANTILES = 200
_MARKED = {50: "right", 95: "left", 99: "right"}
"""Quantiles with a dot, and where its text stands."""


def distributions(run: RunLog) -> Iterator[Chart]:
    tally = run.of(None)
    if not tally.ticks:
        yield Chart("Stages of a tick", "The run has no ticks.")
        return
    yield _waterfall(tally)
    yield _distribution("Distribution of the whole tick", tally, ("tick_total",))
    yield _distribution("Distribution of each stage", tally, STAGES)


def _waterfall(tally: SymbolTally) -> Chart:
    bars, at = [], 0.0
    for name in DURATIONS:
        values = _histogram(tally, name)
        p50, p95 = values.quantile(50), values.quantile(95)
        start = at if name in STAGES else 0.0
        bars.append(Bar(f"{name}  p50 {shown_ns(p50)}, p95 {shown_ns(p95)}", start, start + p50, start + p95))
        at = start + p50
    title = "Stages of a tick, one after the other"
    text = "Each stage begins where the medians before it end: " + "; ".join(bar.label for bar in bars) + "."
    x = durations_from_0("time of a tick, I/O wait included", max(bar.end for bar in bars))
    marks = [Span(0, 0, "near", "p50"), Span(0, 0, "far", "p95")]
    return Chart(title, text, waterfall(x, bars, f"{title}. {text}"), legend(marks))


def _distribution(title: str, tally: SymbolTally, names: Sequence[str]) -> Chart:
    """The share of ticks that took at most so long."""
    marks: list[Mark] = []
    told, seen = [], []
    for shade, name in enumerate(names):
        values = _histogram(tally, name)
        times, shares = _ecdf(values)
        marks.append(Line(times, shares, f"s{shade}", name))
        seen += [float(times[0]), float(times[-1])]
        quantiles = {percent: values.quantile(percent) for percent in _MARKED}
        told.append(f"{name} p99 {shown_ns(quantiles[99])}, longest {shown_ns(values.max)}")
        if len(names) == 1:
            marks += [
                Dot(at, percent / 100, f"p{percent}", f"s{shade}", left=_MARKED[percent] == "left")
                for percent, at in quantiles.items()
            ]
    y = Axis(
        "share of ticks at most as long",
        0.0,
        1.0,
        [(share, f"{share:.0%}") for share in (0, 0.25, 0.5, 0.75, 1)],
    )
    return charted(
        title,
        f"Over {tally.ticks} ticks: {'; '.join(told)}.",
        durations("time, I/O wait included", seen),
        y,
        marks,
    )


def _ecdf(values: Histogram) -> tuple[Floats, Floats]:
    """Times and shares of a curve that rises in steps; the last one is the longest time, at 1."""
    below = np.cumsum(values.counts)
    ranks = np.unique(np.concatenate((np.linspace(1, below[-1], _QUANTILES).astype(np.int64), below[-1:])))
    buckets = np.unique(np.searchsorted(below, ranks))
    times, shares = values.tops[buckets], below[buckets] / below[-1]
    return np.repeat(times, 2), np.append(0.0, np.repeat(shares, 2)[:-1])


def _histogram(tally: SymbolTally, name: str) -> Histogram:
    return tally.histogram_ns(with_wait(name) if name in WAITING else name)
