"""What a run writes down: the rows that gates see. Field names are a public interface (see
docs/run-directory.md).

Rows are built once per tick on the hot path, hence plain mutable structs; `run_id`, `arm` and `data_kind` are
constant over a run and are put in front by the writer.
"""

import msgspec

OUTAGE = "outage"
"""Reason of a `gap` of no symbol: no process played the run."""
OfRun = str | msgspec.UnsetType
"""An arm, where a run has several; unset it is the run's, and stands in front of every row."""


class TickRow(msgspec.Struct, gc=False):
    """One pass of the pipeline for one symbol. `*_ns` durations are measured; `wait_ns` is I/O wait inside
    fetch_md. `arm`: the one in force.
    """

    ts_ns: int
    symbol: str
    seq: int
    cache: str
    age_ns: int | None
    fetch_md_ns: int
    spread_ns: int
    guards_ns: int
    inventory_ns: int
    queue_aware_ns: int
    emit_ns: int
    tick_total_ns: int
    wait_ns: int
    deadline_miss: bool
    guard: str
    reasons: tuple[str, ...]
    mid: float | None
    bid: float | None
    ask: float | None
    half_spread_bps: float | None
    position: float
    position_quote: float
    arm: OfRun = msgspec.UNSET


class FillRow(msgspec.Struct, gc=False):
    """One execution. `ts_ns` is the venue's time of it, `recv_ns` when we learned of it; `fee` positive = we
    pay; `mid` just before it, `decision_mid` when its order was decided. `arm`: the one that submitted it.
    """

    ts_ns: int
    recv_ns: int
    symbol: str
    fill_id: int
    client_id: str
    side: str
    price: float
    qty: float
    liquidity: str
    fee: float
    order_price: float
    mid: float | None
    decision_mid: float | None = None
    arm: OfRun = msgspec.UNSET


class SampleRow(msgspec.Struct, gc=False):
    """One reading of a process or engine gauge; cumulative where the name counts something."""

    ts_ns: int
    symbol: str | None
    name: str
    value: float


class EventRow(msgspec.Struct, gc=False):
    """Something worth knowing happened; `detail` depends on `kind`."""

    ts_ns: int
    symbol: str | None
    kind: str
    detail: dict[str, str | int | float | None]


class TraceRow(msgspec.Struct, gc=False):
    """What the stages thought at one tick. Prices in quote currency, sizes in lots, scores 0..1.

    `touch_bps` is the market's own spread, `imbalance` the bid's share of what its touch displays,
    `depth_lots` what stands near the touch on both sides, `*_trade_lots_per_s` how fast trades eat into a
    side. `spread_bps` is our half spread before the guards, `half_spread_bps` after; `soft` and `hard` are
    the reasons held, `held` the sides that fast_cancel keeps empty; `*_ahead_lots` and `*_eta_s` are of the
    first-level orders that rested; `quotes` are (slot, price, lots), slot 1 the first bid and -1 the first
    ask.
    """

    ts_ns: int
    symbol: str
    seq: int
    fair: float | None
    touch_bps: float | None
    imbalance: float | None
    depth_lots: int | None
    bid_trade_lots_per_s: float
    ask_trade_lots_per_s: float
    volatility_bps: float | None
    latency_ms: float | None
    drawdown_quote: float
    taker_ratio: float | None
    volatility_score: float | None
    liquidity_score: float | None
    latency_score: float
    pnl_score: float
    spread_bps: float | None
    half_spread_bps: float | None
    size_ratio: float
    guard: str
    soft: tuple[str, ...]
    hard: tuple[str, ...]
    held: tuple[str, ...]
    inventory_ratio: float
    skew_bps: float
    preferred_bid: float | None
    preferred_ask: float | None
    bid_ahead_lots: int | None
    bid_eta_s: float | None
    ask_ahead_lots: int | None
    ask_eta_s: float | None
    quotes: list[tuple[int, float, int]]


Row = TickRow | FillRow | SampleRow | EventRow | TraceRow
