"""Edge of fills for a dataset, by the definitions of `mmbot.edge`. Notional, fees, net and its components are
the same sums in the same order as the run itself made them, so that they agree to the last digit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmbot.calibration.dataset_columns import SCORES
from mmbot.edge.fill import HORIZONS_S, NET_HORIZON_S, Traded, signed_lots
from mmbot.model.instrument import Instrument
from mmbot.model.records import FillRow
from mmbot.units import BPS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Columns = dict[str, npt.NDArray[Any]]

TRACED = (
    "score_age_s",
    *SCORES,
    "volatility_bps",
    "order_latency_ms",
    "touch_bps",
    "imbalance",
    "unguarded_bps",
)
"""What a fill takes from the last traced tick before it."""


@dataclass(frozen=True, slots=True)
class SymbolFills:
    """Fills of one symbol in the order in which they happened. By horizon in seconds, the mid that followed
    each; by name, what was traced before it. NaN where there is none.
    """

    rows: Sequence[FillRow]
    starts_ns: Sequence[int]
    """Of the interval of each."""
    mids: Mapping[int, Floats]
    traced: Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class Targets:
    """By the names of `dataset_columns.TARGETS`: of all fills, and of each interval by its start."""

    whole: dict[str, Any]
    intervals: dict[int, dict[str, Any]]
    columns: Columns
    """By the names of `dataset_columns.FILL_COLUMNS` but for keys and filter, a row a fill."""


def targets_of(instrument: Instrument, fills: SymbolFills) -> Targets:
    legs, rows = _legs(instrument, fills), fills.rows
    booked = np.array(sorted(range(len(rows)), key=lambda at: _learned(rows[at])), dtype=np.int64)
    starts = np.array(fills.starts_ns, dtype=np.int64)
    return Targets(
        whole=_targets(fills, legs, np.arange(len(rows)), booked),
        intervals={
            start: _targets(fills, legs, np.flatnonzero(starts == start), booked[starts[booked] == start])
            for start in np.unique(starts).tolist()
        },
        columns=_columns(fills, legs),
    )


def happened(row: FillRow) -> tuple[int, int, int]:
    """Order in which the horizons of fills pass."""
    return row.ts_ns, row.recv_ns, row.fill_id


def _learned(row: FillRow) -> tuple[int, int]:
    """Order in which the run learned of its fills, and booked them."""
    return row.recv_ns, row.fill_id


@dataclass(frozen=True, slots=True)
class _Legs:
    """Of each fill, in settlement currency; NaN where there is none."""

    notional: Floats
    fee: Floats
    buy: npt.NDArray[np.bool_]
    taker: npt.NDArray[np.bool_]
    weight: Floats
    gross: Floats
    fees: Floats
    slippage: Floats
    adverse: Mapping[int, Floats]

    @property
    def net(self) -> Floats:
        return self.gross + self.adverse[NET_HORIZON_S] + self.fees


def _legs(instrument: Instrument, fills: SymbolFills) -> _Legs:
    rows = fills.rows
    traded = [Traded.of(instrument, row) for row in rows]
    lots = _floats([None if one is None else one.lots for one in traded])
    worth = _floats([None if one is None else one.worth for one in traded])
    then = {h: _floats([instrument.worth(mid) for mid in fills.mids[h].tolist()]) for h in HORIZONS_S}
    return _Legs(
        notional=_floats([instrument.notional(signed_lots(instrument, row), row.price) for row in rows]),
        fee=_floats([row.fee for row in rows]),
        buy=np.array([row.side == "buy" for row in rows], dtype=bool),
        taker=np.array([row.liquidity == "taker" for row in rows], dtype=bool),
        weight=_floats([None if one is None else one.weight for one in traded]),
        gross=_floats([None if one is None else one.gross for one in traded]),
        fees=_floats([None if one is None else one.fees for one in traded]),
        slippage=_floats([None if one is None else one.slippage for one in traded]),
        adverse={h: lots * (after - worth) for h, after in then.items()},
    )


def _targets(fills: SymbolFills, legs: _Legs, at: Ints, booked: Ints) -> dict[str, Any]:
    """Of the fills at these places, which are given in the order in which they happened, and in that in which
    they were booked.
    """
    net = legs.net
    with_net = at[np.isfinite(net[at])]

    def mean(values: Floats) -> float | None:
        """By weight, over those that have a net and the value; in units of the weight."""
        known = with_net[np.isfinite(values[with_net])]
        return _added(values[known]) / _added(legs.weight[known]) if len(known) else None

    def bps(settled: Floats) -> float | None:
        known = with_net[np.isfinite(settled[with_net])]
        return BPS * _added(settled[known]) / _added(legs.weight[known]) if len(known) else None

    notional = _added(legs.notional[booked])
    taken = _added(legs.notional[booked[legs.taker[booked]]])
    return {
        "fills": len(at),
        "buys": int(np.count_nonzero(legs.buy[at])),
        "notional": notional,
        "taker_share": taken / notional if len(at) else None,
        "fees": _added(legs.fee[booked]),
        "fills_with_net": len(with_net),
        "weight": _added(legs.weight[with_net]),
        "net": _added(net[with_net]),
        "gross_bps": bps(legs.gross),
        "fees_bps": bps(legs.fees),
        **{f"adverse_{h}s_bps": bps(leg) for h, leg in legs.adverse.items()},
        **{f"markout_{h}s_bps": bps(legs.gross + leg) for h, leg in legs.adverse.items()},
        "net_bps": bps(net),
        "slippage_bps": bps(legs.slippage),
        "half_spread_needed_bps": bps(-(legs.adverse[NET_HORIZON_S] + legs.fees)),
        **{f"{name}_at_fills": mean(fills.traced[name] * legs.weight) for name in SCORES},
    }


def _added(values: Floats) -> float:
    """One after the other, as the run added them: numpy's own sum adds them in pairs."""
    return float(np.add.accumulate(values)[-1]) if len(values) else 0.0


def _columns(fills: SymbolFills, legs: _Legs) -> Columns:
    rows, weight, adverse = fills.rows, legs.weight, legs.adverse

    def bps(settled: Floats) -> Floats:
        return BPS * settled / weight

    return {
        "ts_ns": np.array([row.ts_ns for row in rows], dtype=np.int64),
        "fill_id": np.array([row.fill_id for row in rows], dtype=np.int64),
        "side": np.array([row.side for row in rows], dtype=object),
        "liquidity": np.array([row.liquidity for row in rows], dtype=object),
        "price": _floats([row.price for row in rows]),
        "qty": _floats([row.qty for row in rows]),
        "mid": _floats([row.mid for row in rows]),
        "fee": legs.fee,
        "weight": weight,
        "gross_bps": bps(legs.gross),
        "fees_bps": bps(legs.fees),
        **{f"adverse_{h}s_bps": bps(leg) for h, leg in adverse.items()},
        **{f"markout_{h}s_bps": bps(legs.gross + leg) for h, leg in adverse.items()},
        "net_bps": bps(legs.net),
        "slippage_bps": bps(legs.slippage),
        "half_spread_needed_bps": bps(-(adverse[NET_HORIZON_S] + legs.fees)),
        "quoted_bps": _floats([_quoted_bps(row) for row in rows]),
        **{name: fills.traced[name] for name in TRACED},
    }


def _floats(values: Sequence[float | None]) -> Floats:
    """NaN where there is none."""
    return np.array(values, dtype=np.float64)


def _quoted_bps(row: FillRow) -> float | None:
    if row.decision_mid is None:
        return None
    side = 1 if row.side == "buy" else -1
    return BPS * side * (row.decision_mid - row.order_price) / row.decision_mid
