"""Edge of fills for a dataset, by the definitions of `mmbot.edge`. Notional, fees, net and its components are
the same sums in the same order as the run itself made them, so that they agree to the last digit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmbot.calibration.dataset_columns import SCORES
from mmbot.edge.decomposition import Decomposition
from mmbot.edge.fill import HORIZONS_S, NET_HORIZON_S, FillEdge, Traded, signed_lots
from mmbot.model.instrument import Instrument
from mmbot.model.records import FillRow
from mmbot.units import BPS

Floats = npt.NDArray[np.float64]
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
    edges = _edges(instrument, fills)
    columns = _columns(fills, edges)
    whole, parts = _Sums(instrument), {start: _Sums(instrument) for start in fills.starts_ns}
    for at in sorted(range(len(fills.rows)), key=lambda at: _learned(fills.rows[at])):
        row = fills.rows[at]
        notional = instrument.notional(signed_lots(instrument, row), row.price)
        whole.book(row, notional)
        parts[fills.starts_ns[at]].book(row, notional)
    after = fills.mids[NET_HORIZON_S]
    for edge, start, mid in zip(edges, fills.starts_ns, after.tolist(), strict=True):
        if edge is not None and NET_HORIZON_S in edge.adverse:
            worth = instrument.worth(mid)
            whole.edge.add(edge, worth)
            parts[start].edge.add(edge, worth)
    means = _means(fills, columns)
    return Targets(
        whole=whole.columns() | _means_of_all(columns),
        intervals={start: sums.columns() | means[start] for start, sums in parts.items()},
        columns=columns,
    )


def no_targets(instrument: Instrument) -> dict[str, Any]:
    """Of an interval without fills."""
    return _Sums(instrument).columns() | dict.fromkeys(_MEANS)


def happened(row: FillRow) -> tuple[int, int, int]:
    """Order in which the horizons of fills pass."""
    return row.ts_ns, row.recv_ns, row.fill_id


def _learned(row: FillRow) -> tuple[int, int]:
    """Order in which the run learned of its fills, and booked them."""
    return row.recv_ns, row.fill_id


class _Sums:
    """Sums of fills in the order in which they are given: what the ledger books, and edge as `Markouts` adds
    it up.
    """

    def __init__(self, instrument: Instrument) -> None:
        self.edge = Decomposition(instrument)
        self._fills = self._buys = 0
        self._notional = self._taker_notional = self._fees = 0.0

    def book(self, row: FillRow, notional: float) -> None:
        self._fills += 1
        self._buys += row.side == "buy"
        self._notional += notional
        if row.liquidity == "taker":
            self._taker_notional += notional
        self._fees += row.fee

    def columns(self) -> dict[str, Any]:
        edge = self.edge
        return {
            "fills": self._fills,
            "buys": self._buys,
            "notional": self._notional,
            "taker_share": self._taker_notional / self._notional if self._fills else None,
            "fees": self._fees,
            "fills_with_net": edge.fills,
            "weight": edge.net.weight,
            "net": edge.net.settled,
            "gross_bps": edge.gross.bps,
            "fees_bps": edge.fees.bps,
            **{f"adverse_{h}s_bps": leg.bps for h, leg in edge.adverse.items()},
            "net_bps": edge.net.bps,
            "slippage_bps": edge.slippage.bps,
        }


def _edges(instrument: Instrument, fills: SymbolFills) -> list[FillEdge | None]:
    """None for a fill without a mid; a horizon that the ticks do not reach is missing."""
    worths = [
        [instrument.worth(mid) if mid == mid else None for mid in fills.mids[h].tolist()]  # noqa: PLR0124 (NaN)
        for h in HORIZONS_S
    ]
    edges: list[FillEdge | None] = []
    for row, *after in zip(fills.rows, *worths, strict=True):
        traded = Traded.of(instrument, row)
        if traded is None:
            edges.append(None)
            continue
        lots, worth = traded.lots, traded.worth
        moved = {
            h: lots * (then - worth) for h, then in zip(HORIZONS_S, after, strict=True) if then is not None
        }
        edges.append(FillEdge(traded, moved))
    return edges


def _columns(fills: SymbolFills, edges: Sequence[FillEdge | None]) -> Columns:
    rows = fills.rows
    traded = [None if edge is None else edge.traded for edge in edges]
    weight = _floats([None if one is None else one.weight for one in traded])
    with np.errstate(divide="ignore", invalid="ignore"):

        def bps(settled: Floats) -> Floats:
            return BPS * settled / weight

        gross = _floats([None if one is None else one.gross for one in traded])
        fees = _floats([None if one is None else one.fees for one in traded])
        slippage = _floats([None if one is None else one.slippage for one in traded])
        moved = {
            h: _floats([None if one is None else one.adverse.get(h) for one in edges]) for h in HORIZONS_S
        }
        adverse = moved[NET_HORIZON_S]
        return {
            "ts_ns": np.array([row.ts_ns for row in rows], dtype=np.int64),
            "fill_id": np.array([row.fill_id for row in rows], dtype=np.int64),
            "side": np.array([row.side for row in rows], dtype=object),
            "liquidity": np.array([row.liquidity for row in rows], dtype=object),
            "price": _floats([row.price for row in rows]),
            "qty": _floats([row.qty for row in rows]),
            "mid": _floats([row.mid for row in rows]),
            "fee": _floats([row.fee for row in rows]),
            "weight": weight,
            "gross_bps": bps(gross),
            "fees_bps": bps(fees),
            **{f"adverse_{h}s_bps": bps(settled) for h, settled in moved.items()},
            **{f"markout_{h}s_bps": bps(gross + settled) for h, settled in moved.items()},
            "net_bps": bps(gross + adverse + fees),
            "slippage_bps": bps(slippage),
            "half_spread_needed_bps": -bps(adverse + fees),
            "quoted_bps": _floats([_quoted_bps(row) for row in rows]),
            **{name: fills.traced[name] for name in TRACED},
        }


_MARKOUTS = tuple(f"markout_{h}s_bps" for h in HORIZONS_S)
_MEANS = (*_MARKOUTS, "half_spread_needed_bps", *(f"{name}_at_fills" for name in SCORES))
_MEANS_OF = {name: name.removesuffix("_at_fills") for name in _MEANS}
"""Means by weight over the fills that have a net and the value, by the column of fills that they are of."""


def _means(fills: SymbolFills, columns: Columns) -> dict[int, dict[str, float | None]]:
    """By start of the interval."""
    starts, group = np.unique(np.array(fills.starts_ns, dtype=np.int64), return_inverse=True)
    found: dict[int, dict[str, float | None]] = {start: {} for start in starts.tolist()}
    for name, column in _MEANS_OF.items():
        known = np.isfinite(columns["net_bps"]) & np.isfinite(columns[column])
        weight = np.where(known, columns["weight"], 0.0)
        total = np.bincount(group, weight, minlength=len(starts))
        settled = np.bincount(group, weight * np.where(known, columns[column], 0.0), minlength=len(starts))
        for start, part, whole in zip(starts.tolist(), settled.tolist(), total.tolist(), strict=True):
            found[start][name] = part / whole if whole else None
    return found


def _means_of_all(columns: Columns) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name, column in _MEANS_OF.items():
        known = np.isfinite(columns["net_bps"]) & np.isfinite(columns[column])
        weight = columns["weight"][known]
        found[name] = float((weight * columns[column][known]).sum() / weight.sum()) if len(weight) else None
    return found


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array(values, dtype=np.float64)


def _quoted_bps(row: FillRow) -> float | None:
    if row.decision_mid is None:
        return None
    side = 1 if row.side == "buy" else -1
    return BPS * side * (row.decision_mid - row.order_price) / row.decision_mid
