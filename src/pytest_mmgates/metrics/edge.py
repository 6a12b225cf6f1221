"""Edge averaged over fills by weight; `pytest_mmgates.tally.edge` defines it fill by fill.

Currencies do not add: a run whose fills weigh in two of them is not averaged unless a rule selects a symbol.
When more than a tenth of the fills lack a component, its average decides nothing (INCONCLUSIVE).
"""

from dataclasses import dataclass
from functools import partial

from pytest_mmgates.metrics.measurement import Measurement, Metric, absent, observed
from pytest_mmgates.rows import Instrument
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.tally.edge import DRIVERS, HORIZONS_S
from pytest_mmgates.units import BPS, Dimension

_MOST_EXCLUDED = 0.1


@dataclass(frozen=True, slots=True)
class EdgeSummary:
    """The components of `net` over the very fills that `net` is averaged over, so that they add up to it."""

    fills: int
    excluded: int
    currency: str | None
    means: dict[str, float]


def edge_summary(run: RunLog, symbol: str | None) -> EdgeSummary:
    tally, currency = run.of(symbol), _currency(run, symbol)
    counts = {name: sums.fills for name, sums in tally.edge_of_net.items()}
    n = counts.get("net", 0)
    if currency is None or not n:
        return EdgeSummary(0, tally.fills, currency, {})
    means = {name: sums.mean for name, sums in tally.edge_of_net.items() if sums.fills == n}
    return EdgeSummary(n, tally.fills - n, currency, means)


def measure_edge(run: RunLog, symbol: str | None, *, component: str) -> Measurement:
    tally = run.of(symbol)
    n = tally.fills
    if not n:
        return absent("no fills")
    if _currency(run, symbol) is None:
        return absent(
            "fills weigh in more than one currency, or their instrument is unknown: select a symbol", n
        )
    sums = tally.edge[component]
    if not sums.fills:
        return absent(f"none of {n} fills has {_needs(component)}")
    found = observed(sums.mean, sums.fills)
    excluded = n - sums.fills
    if excluded <= _MOST_EXCLUDED * n:
        return found
    return Measurement(found.value, sums.fills, found.measured, doubt=f"{excluded} of {n} fills excluded")


def _needs(component: str) -> str:
    """What a fill must have for a component to exist."""
    if component == "slippage":
        return "a mid of its decision"
    return "a mid, and a tick late enough for the horizon"


def _currency(run: RunLog, symbol: str | None) -> str | None:
    """The one currency in which the fills weigh, or None."""
    names = [name for name in run.symbols if symbol in (None, name) and run.of(name).fills]
    currencies = {_weighs_in(run.manifest.instrument(name)) for name in names}
    return currencies.pop() if len(currencies) == 1 else None


def _weighs_in(instrument: Instrument | None) -> str | None:
    if instrument is None:
        return None
    return instrument.base if instrument.contract == "inverse" else instrument.quote


def lost_ratio(run: RunLog, symbol: str | None, *, driver: str | None = None) -> Measurement:
    """Of the fills that have a net; no weights, so currencies do not matter."""
    tally = run.of(symbol)
    if not tally.fills:
        return absent("no fills")
    n = tally.edge["net"].fills
    if not n:
        return absent(f"none of {tally.fills} fills has a mid, and a tick late enough for the horizon")
    lost = sum(tally.lost.values()) if driver is None else tally.lost[driver]
    return observed(lost / n, n)


def measure_funding(run: RunLog, symbol: str | None) -> Measurement:
    """By the weight of the fills, like every component; it is none of them."""
    tally = run.of(symbol)
    payments = tally.events.get("funding", 0)
    if not payments:
        return absent("no payment of funding was reported")
    if _currency(run, symbol) is None:
        return absent("no fills, or they weigh in more than one currency: select a symbol", payments)
    weight = tally.edge["gross"].weight
    if not weight:
        return absent(f"none of {tally.fills} fills has a mid", payments)
    return observed(-BPS * (tally.funding / weight), payments)


def _mean(name: str, what: str) -> Metric:
    return Metric(f"{name}_bps", Dimension.BPS, f"{what}, by weight", partial(measure_edge, component=name))


EDGE = (
    _mean("net", "gross + adverse_60s + fees"),
    _mean("gross", "what fills earned against the mid"),
    _mean("fees", "fees, negative = paid"),
    *(
        _mean(
            f"adverse_{seconds}s",
            f"move of the mid within {seconds} s of a fill, negative = against us",
        )
        for seconds in HORIZONS_S
    ),
    _mean("inventory", "move of the mid from 60 s after a fill to the end, negative = against us"),
    _mean("pnl", "fills marked at the end, less fees; net + inventory where there is a net"),
    _mean("slippage", "price against the mid when the order was decided, positive = worse"),
    Metric(
        "funding_bps",
        Dimension.BPS,
        "funding, negative = paid, by weight of the fills; no component of net or pnl",
        measure_funding,
    ),
    Metric("lost_fills.ratio", Dimension.RATIO, "share of fills with a negative net", lost_ratio),
    *(
        Metric(
            f"lost_fills.{driver}_ratio",
            Dimension.RATIO,
            f"share of fills with a negative net of which {driver} took the most",
            partial(lost_ratio, driver=driver),
        )
        for driver in DRIVERS
    ),
)
