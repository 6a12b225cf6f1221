"""Charts of a dataset as SVG: the same bytes for the same numbers, whenever and wherever they are drawn.

Ids of elements come from a fixed salt, text is drawn as paths of the font that matplotlib brings, no date.
"""

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmbot.calibration.dataset_edge import Columns
from mmbot.units import SECOND

Row = Mapping[str, Any]
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "mmbot",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_DISTRIBUTIONS = (
    ("mid_volatility_bps", "volatility of the mid, bps/sqrt(s)"),
    ("touch_bps", "market's spread, bps"),
    ("depth_quote", "depth, quote"),
    ("imbalance", "imbalance"),
    ("tick_total_ms_p95", "tick_total p95, ms"),
    ("hit_ratio", "hit ratio"),
    ("queue_eta_s_p50", "queue ETA p50, s"),
    ("absorb_bid_quote_per_s", "absorbed at the bid, quote/s"),
    ("quote_uptime_ratio", "quote uptime"),
)
_KEPT, _DROPPED, _ABSENT = "#2a6f97", "#e07a5f", "#f1f1f1"
_BINS = 30
_MOST_FILLS = 5_000
_EQUAL_PARTS = 10


def charts(content: Row, fills: Columns) -> dict[str, bytes]:
    """By name."""
    with rc_context(STYLE):
        return {
            "features": _features(content["intervals"]),
            "half_spread": _half_spread(fills),
            "coverage": _coverage(content),
        }


def _features(intervals: Sequence[Row]) -> bytes:
    """Distribution of each feature over the kept intervals of all symbols."""
    figure = Figure(figsize=(9, 7))
    figure.subplots_adjust(left=0.07, right=0.98, top=0.98, bottom=0.07, wspace=0.3, hspace=0.35)
    for axes, (name, label) in zip(figure.subplots(3, 3).flat, _DISTRIBUTIONS, strict=True):
        values = [one[name] for one in intervals if one[name] is not None]
        axes.set_xlabel(label)
        axes.set_ylabel("intervals")
        if values:
            axes.hist(values, bins=_BINS, color=_KEPT)
        else:
            no_data(axes)
    return svg(figure)


def _half_spread(fills: Columns) -> bytes:
    """What a fill was quoted at against what it earned within 60 s, before fees; means of tenths of the fills
    that are equal in number, with two standard errors, over every fill, and as many fills as fit a chart.
    """
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel("quoted: mid when the order was decided to its limit, bps")
    axes.set_ylabel("markout after 60 s, before fees, bps")
    quoted, markout = fills["quoted_bps"], fills["markout_60s_bps"]
    known = np.isfinite(quoted) & np.isfinite(markout) & ~fills["filtered"]
    if not known.any():
        no_data(axes)
        return svg(figure)
    quoted, markout = quoted[known], markout[known]
    order = np.lexsort((markout, quoted))
    quoted, markout = quoted[order], markout[order]
    every = max(len(quoted) // _MOST_FILLS, 1)
    axes.scatter(quoted[::every], markout[::every], s=3, alpha=0.3, color=_KEPT, label="fills")
    tenths = [part for part in np.array_split(np.arange(len(quoted)), _EQUAL_PARTS) if len(part) > 1]
    if tenths:
        means = [markout[part].mean() for part in tenths]
        errors = [2 * markout[part].std(ddof=1) / np.sqrt(len(part)) for part in tenths]
        at = [quoted[part].mean() for part in tenths]
        axes.errorbar(
            at, means, yerr=errors, fmt="o", color=_DROPPED, label="means of tenths, 2 standard errors"
        )
    axes.axhline(0.0, color="black", linewidth=0.8)
    axes.legend()
    return svg(figure)


def _coverage(content: Row) -> bytes:
    """Every interval of every symbol: kept, filtered or not there."""
    dropped = [(one["symbol"], one["start_ns"], _DROPPED) for one in content["filters"]["dropped"]]
    kept = [(one["symbol"], one["start_ns"], _KEPT) for one in content["intervals"]]
    symbols = sorted({symbol for symbol, _, _ in (*kept, *dropped)})
    figure = Figure(figsize=(9, 1.2 + 0.3 * len(symbols)), layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor(_ABSENT)
    first_ns = min(start_ns for _, start_ns, _ in (*kept, *dropped))
    hours = content["interval_s"] / 3600
    for row, symbol in enumerate(symbols):
        for colour, of_colour in ((_KEPT, kept), (_DROPPED, dropped)):
            starts = sorted({start for name, start, _ in of_colour if name == symbol})
            bars = [((start - first_ns) / SECOND / 3600, hours) for start in starts]
            axes.broken_barh(_joined(bars), (row + 0.1, 0.8), facecolors=colour, linewidth=0)
    axes.set_yticks([row + 0.5 for row in range(len(symbols))], symbols)
    begin = datetime.fromtimestamp(first_ns // SECOND, UTC)
    axes.set_xlabel(f"hours since {begin:%Y-%m-%dT%H:%M:%SZ}; blue kept, red filtered, grey without ticks")
    return svg(figure)


def _joined(bars: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Neighbours as one bar."""
    joined: list[tuple[float, float]] = []
    for begin, length in bars:
        if joined and abs(sum(joined[-1]) - begin) < length / 2:
            joined[-1] = (joined[-1][0], begin + length - joined[-1][0])
        else:
            joined.append((begin, length))
    return joined


def no_data(axes: Axes) -> None:
    axes.text(0.5, 0.5, "NO_DATA", ha="center", va="center", transform=axes.transAxes)


def svg(figure: Figure) -> bytes:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": "mmbot"})
    return drawn.getvalue()
