"""Edge of fills for a dataset, by the definitions of `mmbot.edge`: the same sums in the same order as the run
itself made them, so that they agree to the last digit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmbot.calibration.dataset_columns import SCORES
from mmbot.edge.decomposition import Decomposition, Weighted
from mmbot.edge.fill import HORIZONS_S, NET_HORIZON_S, FillEdge, Traded, signed_lots
from mmbot.model.instrument import Instrument
from mmbot.model.records import FillRow
from mmbot.units import BPS, SECOND


@dataclass(slots=True)
class TracedTick:
    """The last traced tick at or before a fill: `age_s` before it."""

    age_s: float
    values: Mapping[str, float | None]


@dataclass(slots=True)
class SeenFill:
    """A fill, the mids that followed it by horizon in seconds, and what was traced before it. A horizon that
    the ticks do not reach, or that no mid came before, is missing.
    """

    row: FillRow
    mids: Mapping[int, float]
    traced: TracedTick | None


class FillTargets:
    """Targets of fills of one symbol. Take fills in the order in which they were learned of, then `settle`
    them in the order in which they happened: the order in which each sum was made while the run was played.
    """

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self.edge = Decomposition(instrument)
        self.markout = {seconds: Weighted() for seconds in HORIZONS_S}
        self.fills = self.buys = 0
        self.notional = self.taker_notional = self.fees = 0.0
        self._scores = {name: Weighted() for name in SCORES}

    def take(self, row: FillRow) -> None:
        """What the ledger books."""
        notional = self._instrument.notional(signed_lots(self._instrument, row), row.price)
        self.fills += 1
        self.buys += row.side == "buy"
        self.notional += notional
        if row.liquidity == "taker":
            self.taker_notional += notional
        self.fees += row.fee

    def settle(self, fill: SeenFill) -> None:
        """What it earned, where it has a net."""
        found = edge_of(self._instrument, fill)
        if found is None:
            return
        traded = found.traded
        self.edge.add(found, self._instrument.worth(fill.mids[NET_HORIZON_S]))
        for seconds, moved in found.adverse.items():
            self.markout[seconds].add(traded.gross + moved, traded.weight)
        for name, sums in self._scores.items():
            score = None if fill.traced is None else fill.traced.values[name]
            if score is not None:
                sums.add(score * traded.weight, traded.weight)

    def columns(self) -> dict[str, Any]:
        """By the names of `dataset_columns.TARGETS`."""
        edge = self.edge
        return {
            "fills": self.fills,
            "buys": self.buys,
            "notional": self.notional,
            "taker_share": self.taker_notional / self.notional if self.fills else None,
            "fees": self.fees,
            "fills_with_net": edge.fills,
            "weight": edge.net.weight,
            "net": edge.net.settled,
            "gross_bps": edge.gross.bps,
            "fees_bps": edge.fees.bps,
            **{f"adverse_{h}s_bps": leg.bps for h, leg in edge.adverse.items()},
            **{f"markout_{h}s_bps": leg.bps for h, leg in self.markout.items()},
            "net_bps": edge.net.bps,
            "slippage_bps": edge.slippage.bps,
            "half_spread_needed_bps": needed_bps(edge.adverse[NET_HORIZON_S].bps, edge.fees.bps),
            **{
                f"{name}_at_fills": None if sums.bps is None else sums.bps / BPS
                for name, sums in self._scores.items()
            },
        }


def edge_of(instrument: Instrument, fill: SeenFill) -> FillEdge | None:
    """None for a fill that has no net."""
    traded = Traded.of(instrument, fill.row)
    if traded is None or NET_HORIZON_S not in fill.mids:
        return None
    adverse = {h: traded.lots * (instrument.worth(mid) - traded.worth) for h, mid in fill.mids.items()}
    return FillEdge(traded, adverse)


def fill_columns(instrument: Instrument, fill: SeenFill) -> dict[str, Any]:
    """By the names of `dataset_columns.FILL_COLUMNS`, but for keys and filter."""
    row, traced = fill.row, fill.traced
    return {
        "ts_ns": row.ts_ns,
        "fill_id": row.fill_id,
        "side": row.side,
        "liquidity": row.liquidity,
        "price": row.price,
        "qty": row.qty,
        "mid": row.mid,
        "fee": row.fee,
        **_edge_columns(instrument, fill),
        "quoted_bps": _quoted_bps(row),
        "score_age_s": None if traced is None else traced.age_s,
        **{name: None if traced is None else traced.values[name] for name in TRACED},
    }


TRACED = (
    *SCORES,
    "volatility_bps",
    "order_latency_ms",
    "touch_bps",
    "imbalance",
    "unguarded_bps",
)
"""What a fill takes from the last traced tick before it."""


def _edge_columns(instrument: Instrument, fill: SeenFill) -> dict[str, Any]:
    traded = Traded.of(instrument, fill.row)
    weight = None if traded is None else traded.weight

    def bps(settled: float | None) -> float | None:
        return BPS * settled / weight if weight and settled is not None else None

    gross = None if traded is None else traded.gross
    fees = None if traded is None else traded.fees
    adverse: dict[int, float | None] = dict.fromkeys(HORIZONS_S)
    if traded is not None:
        adverse |= {h: traded.lots * (instrument.worth(mid) - traded.worth) for h, mid in fill.mids.items()}
    markout = {h: None if gross is None or moved is None else gross + moved for h, moved in adverse.items()}
    found = edge_of(instrument, fill)
    return {
        "weight": weight,
        "gross_bps": bps(gross),
        "fees_bps": bps(fees),
        **{f"adverse_{h}s_bps": bps(moved) for h, moved in adverse.items()},
        **{f"markout_{h}s_bps": bps(settled) for h, settled in markout.items()},
        "net_bps": None if found is None else bps(found.net),
        "slippage_bps": None if traded is None else bps(traded.slippage),
        "half_spread_needed_bps": needed_bps(bps(adverse[NET_HORIZON_S]), bps(fees)),
    }


def needed_bps(adverse_bps: float | None, fees_bps: float | None) -> float | None:
    """The gross at which net is zero."""
    return None if adverse_bps is None or fees_bps is None else -(adverse_bps + fees_bps)


def _quoted_bps(row: FillRow) -> float | None:
    if row.decision_mid is None:
        return None
    side = 1 if row.side == "buy" else -1
    return BPS * side * (row.decision_mid - row.order_price) / row.decision_mid


def learned(row: FillRow) -> tuple[int, int]:
    """Order in which the run learned of its fills."""
    return row.recv_ns, row.fill_id


def happened(row: FillRow) -> tuple[int, int, int]:
    """Order in which their horizons pass."""
    return row.ts_ns, row.recv_ns, row.fill_id


def due_ns(row: FillRow, seconds: int) -> int:
    return row.ts_ns + seconds * SECOND
