"""Edge per fill, recomputed from fills and mids; the bot's own edge figures are never read.

side = +1 buy, -1 sell; bps of mid_t; positive = good for us; mid_t = the venue's mid just before the fill;
mid_{t+h} = the mid of the symbol's last tick at or before t+h that had one.

    gross     = side * (mid_t - price) / mid_t
    fees      = -fee / weight                            negative: a cost
    adverse_h = side * (mid_{t+h} - mid_t) / mid_t       negative: the market moved against us
    net       = gross + adverse_60s + fees

weight = qty * mid_t in quote currency (linear), qty * contract_value / mid_t in base currency (inverse);
averages are weighted. Currencies do not add: a run whose fills weigh in two of them is not averaged unless a
rule selects a symbol. A fill without a mid, or whose t+h lies after the symbol's last tick, is excluded and
counted; when more than a tenth is, the average decides nothing (INCONCLUSIVE).
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from pytest_mmgates.metrics.measurement import Measurement, Metric, absent, observed
from pytest_mmgates.runlog import Fills, Floats, RunLog
from pytest_mmgates.units import BPS, NS_PER_S, Dimension

HORIZONS_S = (1, 5, 60)
NET_HORIZON = "adverse_60s"
_MOST_EXCLUDED = 0.1


@dataclass(frozen=True, slots=True)
class Edge:
    """One value per fill. `components` in bps by name, NaN where one does not exist; `currency` is that of
    all weights, None where they do not share one.
    """

    weight: Floats
    components: dict[str, Floats]
    currency: str | None


def edge_of(run: RunLog, symbol: int | None) -> Edge:
    fills = run.fills.of(symbol)
    weight, currency = _weight(run, fills)
    gross = BPS * fills.side * (fills.mid - fills.price) / fills.mid
    fees = -BPS * fills.fee / weight
    adverse = {
        f"adverse_{seconds}s": BPS * fills.side * (_mid_after(run, fills, seconds) - fills.mid) / fills.mid
        for seconds in HORIZONS_S
    }
    net = gross + adverse[NET_HORIZON] + fees
    return Edge(weight, {"gross": gross, "fees": fees, **adverse, "net": net}, currency)


@dataclass(frozen=True, slots=True)
class EdgeSummary:
    """The components of `net` over the very fills that `net` is averaged over, so that they add up to it."""

    fills: int
    excluded: int
    currency: str | None
    means: dict[str, float]


def edge_summary(run: RunLog, symbol: int | None) -> EdgeSummary:
    n = len(run.fills.of(symbol))
    edge = edge_of(run, symbol)
    known = ~np.isnan(edge.components["net"])
    count = int(np.count_nonzero(known))
    if edge.currency is None or not count:
        return EdgeSummary(0, n, edge.currency, {})
    means = {
        name: weighted_mean(values[known], edge.weight[known])
        for name, values in edge.components.items()
        if not np.isnan(values[known]).any()
    }
    return EdgeSummary(count, n - count, edge.currency, means)


def weighted_mean(values: Floats, weight: Floats) -> float:
    return float(np.sum(values * weight) / np.sum(weight))


def measure_edge(run: RunLog, symbol: int | None, *, component: str) -> Measurement:
    n = len(run.fills.of(symbol))
    if not n:
        return absent("no fills")
    edge = edge_of(run, symbol)
    if edge.currency is None:
        return absent(
            "fills weigh in more than one currency, or their instrument is unknown: select a symbol", n
        )
    values = edge.components[component]
    known = ~np.isnan(values)
    count = int(np.count_nonzero(known))
    if not count:
        return absent(f"none of {n} fills has a mid, and a tick late enough for the horizon", 0)
    found = observed(weighted_mean(values[known], edge.weight[known]), count)
    if n - count <= _MOST_EXCLUDED * n:
        return found
    return Measurement(found.value, count, found.measured, doubt=f"{n - count} of {n} fills excluded")


def _weight(run: RunLog, fills: Fills) -> tuple[Floats, str | None]:
    """Each fill's weight, and the one currency of all of them."""
    weight = np.full(len(fills), np.nan)
    currencies: set[str | None] = set()
    for code in np.unique(fills.symbol):
        rows = fills.symbol == code
        instrument = run.instrument(int(code))
        if instrument is None:
            currencies.add(None)
        elif instrument.contract == "inverse":
            weight[rows] = fills.qty[rows] * instrument.contract_value / fills.mid[rows]
            currencies.add(instrument.base)
        else:
            weight[rows] = fills.qty[rows] * instrument.contract_value * fills.mid[rows]
            currencies.add(instrument.quote)
    return weight, currencies.pop() if len(currencies) == 1 else None


def _mid_after(run: RunLog, fills: Fills, seconds: int) -> Floats:
    """mid_{t+h} of each fill, NaN where the run does not reach that far."""
    after = np.full(len(fills), np.nan)
    for code in np.unique(fills.symbol):
        ticks = run.ticks.of(int(code))
        rows = np.flatnonzero(fills.symbol == code)
        wanted = fills.ts_ns[rows] + seconds * NS_PER_S
        known = ~np.isnan(ticks.mid)
        at = np.searchsorted(ticks.ts_ns[known], wanted, side="right") - 1
        last = ticks.ts_ns[-1] if len(ticks) else -1
        has = (at >= 0) & (wanted <= last)
        after[rows[has]] = ticks.mid[known][at[has]]
    return after


EDGE = (
    Metric(
        "net_bps",
        Dimension.BPS,
        "gross + adverse_60s + fees, by weight",
        partial(measure_edge, component="net"),
    ),
    Metric(
        "gross_bps",
        Dimension.BPS,
        "what fills earned against the mid, by weight",
        partial(measure_edge, component="gross"),
    ),
    Metric(
        "fees_bps", Dimension.BPS, "fees, negative = paid, by weight", partial(measure_edge, component="fees")
    ),
    *(
        Metric(
            f"adverse_{seconds}s_bps",
            Dimension.BPS,
            f"move of the mid within {seconds} s of a fill, negative = against us, by weight",
            partial(measure_edge, component=f"adverse_{seconds}s"),
        )
        for seconds in HORIZONS_S
    ),
)
