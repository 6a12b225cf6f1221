"""Edge per fill, recomputed from fills and mids; the bot's own edge figures are never read.

side = +1 buy, -1 sell; bps of mid_t; positive = good for us; mid_t = the venue's mid just before the fill;
mid_{t+h} = the mid of the symbol's last tick at or before t+h that had one.

    gross     = side * (mid_t - price) / mid_t
    fees      = -fee / weight                            negative: a cost
    adverse_h = side * (mid_{t+h} - mid_t) / mid_t       negative: the market moved against us
    net       = gross + adverse_60s + fees

weight = qty * mid_t in quote currency (linear), qty * contract_value / mid_t in base currency (inverse). A
component does not exist for a fill without a mid, nor for one whose t+h lies after the symbol's last tick: in
a run in parts, after the last tick of the part.
"""

import numpy as np

from pytest_mmgates.rows import Instrument
from pytest_mmgates.tables import Fills, Floats, Ints
from pytest_mmgates.tally.exact import exact_sum
from pytest_mmgates.tally.tally import SymbolTally, Weighted
from pytest_mmgates.units import BPS, NS_PER_S

HORIZONS_S = (1, 5, 60)
NET_HORIZON = "adverse_60s"


class Markouts:
    """mid_{t+h} of the fills of one symbol, while its ticks pass by in blocks, in time order. What is kept
    grows with the fills of a part, not with its ticks.
    """

    def __init__(self, fill_ns: Ints) -> None:
        wanted = np.concatenate([fill_ns + seconds * NS_PER_S for seconds in HORIZONS_S])
        self._order = np.argsort(wanted, kind="stable")
        self._wanted = wanted[self._order]
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

    def after(self) -> dict[int, Floats]:
        """By horizon in seconds, in the order of the fills; NaN where the ticks do not reach that far."""
        at_end = slice(self._settled, int(np.searchsorted(self._wanted, self._last_ns, side="right")))
        self._mids[at_end] = self._last_mid
        mids = np.empty_like(self._mids)
        mids[self._order] = self._mids
        return dict(zip(HORIZONS_S, np.split(mids, len(HORIZONS_S)), strict=True))


def edge_tally(fills: Fills, instrument: Instrument | None, after: dict[int, Floats]) -> SymbolTally:
    """The sums of one symbol's fills; without its instrument nothing has a weight."""
    weight = _weight(fills, instrument)
    components = _components(fills, weight, after)
    has_net = np.isfinite(components["net"])
    return SymbolTally(
        edge={name: _weighted(values, weight) for name, values in components.items()},
        edge_of_net={
            name: _weighted(values[has_net], weight[has_net]) for name, values in components.items()
        },
    )


def _components(fills: Fills, weight: Floats, after: dict[int, Floats]) -> dict[str, Floats]:
    """In bps, one value per fill, NaN where one does not exist."""
    gross = BPS * fills.side * (fills.mid - fills.price) / fills.mid
    fees = -BPS * fills.fee / weight
    adverse = {
        f"adverse_{seconds}s": BPS * fills.side * (mid - fills.mid) / fills.mid
        for seconds, mid in after.items()
    }
    return {"gross": gross, "fees": fees, **adverse, "net": gross + adverse[NET_HORIZON] + fees}


def _weight(fills: Fills, instrument: Instrument | None) -> Floats:
    if instrument is None:
        return np.full(len(fills), np.nan)
    if instrument.contract == "inverse":
        return fills.qty * instrument.contract_value / fills.mid
    return fills.qty * instrument.contract_value * fills.mid


def _weighted(values: Floats, weight: Floats) -> Weighted:
    known = np.isfinite(values) & np.isfinite(weight)
    values, weight = values[known], weight[known]
    return Weighted(len(values), exact_sum(values * weight), exact_sum(weight))
