"""Edge per fill, recomputed from fills and mids; the bot's own edge figures are never read.

side = +1 buy, -1 sell; bps; positive = good for us, but of slippage; mid_t = the venue's mid just before the
fill; mid_{t+h} = the mid of the symbol's last tick at or before t+h that had one; mid_T = its last mid.

    gross     = side * (mid_t - price) / mid_t
    fees      = -fee / weight                            negative: a cost
    adverse_h = side * (mid_{t+h} - mid_t) / mid_t       negative: the market moved against us
    net       = gross + adverse_60s + fees
    inventory = side * (mid_T - mid_{t+60s}) / mid_t     what holding on did
    pnl       = net + inventory                          the fill marked at the end, less its fee
    slippage  = side * (price - decision_mid) / mid_t    positive: worse than when the order was decided

weight = qty * mid_t in quote currency (linear), qty * contract_value / mid_t in base currency (inverse). An
inverse contract pays in base currency, side * (1/then - 1/now) a unit, so (now - then) / mid_t becomes
(1/then - 1/now) * mid_t in each line: then they add up to what it pays.

A component does not exist for a fill without a mid, nor for one whose t+h lies after the symbol's last tick
(in a run in parts, after the last tick of the part) or in an outage, when nobody saw the mid. `pnl` exists
wherever there is a mid_t and a mid_T.
"""

from collections.abc import Callable, Sequence

import numpy as np

from pytest_mmgates.outages import Outage, inside
from pytest_mmgates.rows import Instrument
from pytest_mmgates.tables import Fills, Floats, Ints
from pytest_mmgates.tally.exact import exact_sum
from pytest_mmgates.tally.tally import SymbolTally, Weighted
from pytest_mmgates.units import BPS, NS_PER_S

HORIZONS_S = (1, 5, 60)
NET_HORIZON_S = 60
NET_HORIZON = f"adverse_{NET_HORIZON_S}s"
DRIVERS = ("gross", "fees", NET_HORIZON)
"""What net is made of."""
COMPONENTS = (
    "gross",
    "fees",
    *(f"adverse_{seconds}s" for seconds in HORIZONS_S),
    "net",
    "inventory",
    "pnl",
    "slippage",
)


class Markouts:
    """mid_{t+h} of the fills of one symbol, while its ticks pass by in blocks, in time order. What is kept
    grows with the fills of a part, not with its ticks.
    """

    def __init__(self, fill_ns: Ints, outages: Sequence[Outage] = ()) -> None:
        wanted = np.concatenate([fill_ns + seconds * NS_PER_S for seconds in HORIZONS_S])
        self._order = np.argsort(wanted, kind="stable")
        self._wanted = wanted[self._order]
        self._unseen = inside(self._wanted, outages)
        self._mids = np.full(len(wanted), np.nan)
        self._settled = 0
        self._last_ns, self._last_mid = -1, np.nan

    def ticks(self, ts_ns: Ints, mid: Floats) -> None:
        """The next block, of at least one tick. A moment at its very end may have another tick in the
        next.
        """
        known = ~np.isnan(mid)
        mids = np.append(mid[known], self._last_mid)  # index -1: the mid known before this block
        self._last_ns = int(ts_ns[-1])
        upto = int(np.searchsorted(self._wanted, self._last_ns, side="left"))
        asked = self._wanted[self._settled : upto]
        self._mids[self._settled : upto] = mids[np.searchsorted(ts_ns[known], asked, side="right") - 1]
        self._settled = upto
        self._last_mid = float(mids[np.count_nonzero(known) - 1])

    @property
    def last_mid(self) -> float:
        """NaN if no tick had one."""
        return self._last_mid

    def after(self) -> dict[int, Floats]:
        """By horizon in seconds, in the order of the fills; NaN where the ticks do not reach that far."""
        at_end = slice(self._settled, int(np.searchsorted(self._wanted, self._last_ns, side="right")))
        self._mids[at_end] = self._last_mid
        mids = np.empty_like(self._mids)
        mids[self._order] = np.where(self._unseen, np.nan, self._mids)
        return dict(zip(HORIZONS_S, np.split(mids, len(HORIZONS_S)), strict=True))


def edge_tally(
    fills: Fills, instrument: Instrument | None, after: dict[int, Floats], last_mid: float
) -> SymbolTally:
    """The sums of one symbol's fills; without its instrument nothing has a weight."""
    components, weight = edge_of_fills(fills, instrument, after, last_mid)
    has_net = np.isfinite(components["net"])
    return SymbolTally(
        edge={name: _weighted(values, weight) for name, values in components.items()},
        edge_of_net={
            name: _weighted(values[has_net], weight[has_net]) for name, values in components.items()
        },
        lost=_lost(components),
    )


def edge_of_fills(
    fills: Fills, instrument: Instrument | None, after: dict[int, Floats], last_mid: float
) -> tuple[dict[str, Floats], Floats]:
    """Every component in bps, and the weight, of each fill; NaN where there is none."""
    if instrument is None:
        nothing = np.full(len(fills), np.nan)
        return dict.fromkeys(COMPONENTS, nothing), nothing
    return _components(fills, instrument, after, last_mid), _weight(fills, instrument)


def _components(
    fills: Fills, instrument: Instrument, after: dict[int, Floats], last_mid: float
) -> dict[str, Floats]:
    """In bps, one value per fill, NaN where one does not exist."""
    worth_at = worth(instrument)
    value = np.abs(worth_at(fills.mid))

    def leg(then: Floats, now: Floats) -> Floats:
        return BPS * fills.side * (worth_at(now) - worth_at(then)) / value

    last = np.full(len(fills), last_mid)
    gross, fees = leg(fills.price, fills.mid), -BPS * fills.fee / _weight(fills, instrument)
    adverse = {f"adverse_{seconds}s": leg(fills.mid, mid) for seconds, mid in after.items()}
    return {
        "gross": gross,
        "fees": fees,
        **adverse,
        "net": gross + adverse[NET_HORIZON] + fees,
        "inventory": leg(after[NET_HORIZON_S], last),
        "pnl": leg(fills.price, last) + fees,
        "slippage": -leg(fills.price, fills.decision_mid),
    }


def _lost(components: dict[str, Floats]) -> dict[str, int]:
    """Of the fills with a negative net: how many each component took the most from."""
    lost = components["net"] < 0
    drivers = np.argmin([components[name][lost] for name in DRIVERS], axis=0)
    return {name: int(np.count_nonzero(drivers == at)) for at, name in enumerate(DRIVERS)}


def worth(instrument: Instrument) -> Callable[[Floats], Floats]:
    """Of a unit of quantity held long, in settlement currency, by price."""
    value = instrument.contract_value
    return (
        (lambda price: -value / price) if instrument.contract == "inverse" else (lambda price: value * price)
    )


def _weight(fills: Fills, instrument: Instrument) -> Floats:
    weight: Floats = fills.qty * np.abs(worth(instrument)(fills.mid))
    return weight


def _weighted(values: Floats, weight: Floats) -> Weighted:
    known = np.isfinite(values) & np.isfinite(weight)
    values, weight = values[known], weight[known]
    return Weighted(len(values), exact_sum(values * weight), exact_sum(weight))
