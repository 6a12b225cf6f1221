"""Columns of a calibration dataset: one row an interval of a symbol of a run, one row a fill.

Here alone stands what a column is called, in which unit it is and what it is made of. Aggregates over rows
carry their SQL; `mmbot.ops.dataset_rows` runs it, docs/dataset.md is held to this table by a test. A value is
null where nothing was there to measure it from, never zero.

**Features** say what the market was and what we quoted, **targets** what came of it. Only features of the
market may drop an interval (`mmbot.calibration.dataset_filters`).

Quantiles are values that occurred: the least that at least the share of all does not exceed.
"""

from dataclasses import dataclass

from mmbot.edge.fill import HORIZONS_S, NET_HORIZON_S

SCHEMA = 1
"""Of the dataset's files. Columns are only added within a schema."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `sql`: how rows of the feed add up to it, where it is an aggregate of one."""

    name: str
    unit: str
    what: str
    sql: str = ""


KEYS = (
    Column("run_id", "", "run that it is of"),
    Column("arm", "", "arm of the experiment, A without one"),
    Column("symbol", "", "venue:SYMBOL"),
    Column(
        "start_ns", "ns", "begin of the interval, UTC; intervals begin at whole multiples of their length"
    ),
)

_TOTAL_MS = "(tick_total_ns + wait_ns) / 1e6"
TICK_FEATURES = (
    Column("ticks", "count", "ticks in the interval", "count(*)"),
    Column("hit_ratio", "0..1", "ticks whose book was a cache hit", "avg((cache = 'hit')::int)"),
    Column("book_age_ms_p95", "ms", "p95 of the age of the book served", "quantile_disc(age_ns, 0.95) / 1e6"),
    Column(
        "fetch_md_ms_p95",
        "ms",
        "p95 of fetch_md, measured time and wait",
        "quantile_disc(fetch_md_ns + wait_ns, 0.95) / 1e6",
    ),
    Column(
        "tick_total_ms_p50",
        "ms",
        "median of the whole tick, measured time and wait",
        f"quantile_disc({_TOTAL_MS}, 0.5)",
    ),
    Column("tick_total_ms_p95", "ms", "its p95", f"quantile_disc({_TOTAL_MS}, 0.95)"),
    Column("tick_total_ms_p99", "ms", "its p99", f"quantile_disc({_TOTAL_MS}, 0.99)"),
    Column("deadline_miss_ratio", "0..1", "ticks that missed their deadline", "avg(deadline_miss::int)"),
    Column("mid", "price", "mean mid", "avg(mid)"),
    Column(
        "quote_uptime_ratio",
        "0..1",
        "ticks at which a bid and an ask were wanted",
        "avg((bid IS NOT NULL AND ask IS NOT NULL)::int)",
    ),
    Column("half_spread_bps", "bps", "mean half spread quoted, after guards", "avg(half_spread_bps)"),
    Column("guarded_ratio", "0..1", "ticks with a guard, soft or hard", "avg((guard <> 'NONE')::int)"),
    Column(
        "position_abs_quote", "quote", "mean of the position's absolute value", "avg(abs(position_quote))"
    ),
)
"""Of the feed `pipeline_ticks`."""

PATH_FEATURES = (
    Column("coverage_ratio", "0..1", "ticks that there are, of those that the interval has room for"),
    Column(
        "mid_volatility_bps",
        "bps/sqrt(s)",
        "sqrt(sum of squared log returns of the mid, tick to tick / their elapsed seconds)",
    ),
    Column("mid_jump_bps", "bps", "the largest absolute log return of the mid from one tick to the next"),
)
"""Of the mids of the ticks in time order. A return counts where it ends, and needs a mid at either end."""

TRACE_FEATURES = (
    Column("traced", "count", "traced ticks in the interval", "count(*)"),
    Column("touch_bps", "bps", "mean of the market's spread, best bid to best ask", "avg(touch_bps)"),
    Column("imbalance", "0..1", "mean share of the bid in what the touch displays", "avg(imbalance)"),
    Column(
        "depth_quote",
        "quote",
        "mean size displayed within fetch_md.depth_ticks of the touch, both sides",
        "avg(depth_lots * {lot_quote})",
    ),
    Column(
        "volatility_bps", "bps/sqrt(s)", "mean short-window volatility that stages saw", "avg(volatility_bps)"
    ),
    Column("volatility_bps_p95", "bps/sqrt(s)", "its p95", "quantile_disc(volatility_bps, 0.95)"),
    Column(
        "absorb_bid_quote_per_s",
        "quote/s",
        "mean rate at which trades eat into resting bids",
        "avg(bid_trade_lots_per_s * {lot_quote})",
    ),
    Column(
        "absorb_ask_quote_per_s", "quote/s", "the same of asks", "avg(ask_trade_lots_per_s * {lot_quote})"
    ),
    Column(
        "queue_eta_s_p50",
        "s",
        "median time until the queue before our first bid or ask is gone, the shorter of the two",
        "quantile_disc(least(bid_eta_s, ask_eta_s), 0.5)",
    ),
    Column(
        "resting_ratio",
        "0..1",
        "traced ticks at which our first bid and our first ask rested",
        "avg((bid_ahead_lots IS NOT NULL AND ask_ahead_lots IS NOT NULL)::int)",
    ),
    Column("order_latency_ms", "ms", "mean of the latency that the stages act on", "avg(latency_ms)"),
    Column("volatility_score", "0..1", "mean score of the adaptive spread", "avg(volatility_score)"),
    Column("liquidity_score", "0..1", "the same", "avg(liquidity_score)"),
    Column("latency_score", "0..1", "the same", "avg(latency_score)"),
    Column("pnl_score", "0..1", "the same", "avg(pnl_score)"),
    Column("unguarded_bps", "bps", "mean half spread before guards", "avg(spread_bps)"),
    Column("skew_bps", "bps", "mean shift of both quotes against the position", "avg(skew_bps)"),
)
"""Of the feed `trace`, a share of ticks; all null but `traced` where nothing was traced. `lot_quote`: quote
value of a lot."""

SCORES = ("volatility_score", "liquidity_score", "latency_score", "pnl_score")
_ADVERSE = tuple(
    Column(f"adverse_{h}s_bps", "bps", f"side * (mid {h} s later - mid) / mid, negative = against us")
    for h in HORIZONS_S
)
_MARKOUTS = tuple(
    Column(f"markout_{h}s_bps", "bps", f"gross + adverse at {h} s: before fees") for h in HORIZONS_S
)
_NEEDED = Column(
    "half_spread_needed_bps", "bps", f"-(adverse_{NET_HORIZON_S}s + fees): the gross at which net is zero"
)
_EDGE = (
    Column("gross_bps", "bps", "side * (mid - price) / mid"),
    Column("fees_bps", "bps", "-fee / weight, negative = a cost"),
    *_ADVERSE,
    *_MARKOUTS,
    Column("net_bps", "bps", f"gross + adverse_{NET_HORIZON_S}s + fees"),
    Column("slippage_bps", "bps", "side * (price - mid when its order was decided) / mid, positive = worse"),
    _NEEDED,
)
"""Of one fill, and as means by weight of the fills of an interval (docs/run-directory.md, `mmbot.edge`)."""

TARGETS = (
    Column("fills", "count", "fills in the interval"),
    Column("buys", "count", "of them bought"),
    Column("notional", "settlement", "price x size, of all fills"),
    Column("taker_share", "0..1", "notional that took, of all; null without fills"),
    Column("fees", "settlement", "paid on all fills, negative = received"),
    Column("fills_with_net", "count", f"fills with a mid, and one {NET_HORIZON_S} s later: those below"),
    Column("weight", "settlement", "size x mid at the fill: what the means are weighted by"),
    Column("net", "settlement", "what they netted"),
    *_EDGE,
    *(Column(f"{name}_at_fills", "0..1", f"{name} when they happened") for name in SCORES),
)
"""Of the feed `fills`, edge recomputed from fills and mids. Settlement currency: quote, base for inverse."""

INTERVAL_COLUMNS = (*KEYS, *TICK_FEATURES, *PATH_FEATURES, *TRACE_FEATURES, *TARGETS)

FILL_COLUMNS = (
    *KEYS,
    Column("ts_ns", "ns", "when the venue matched it"),
    Column("fill_id", "", "number within the symbol of the run"),
    Column("side", "", "buy or sell"),
    Column("liquidity", "", "maker or taker"),
    Column("price", "price", "at which it filled"),
    Column("qty", "base or contracts", "how much"),
    Column("mid", "price", "just before it"),
    Column("fee", "settlement", "paid, negative = received"),
    Column("weight", "settlement", "size x mid"),
    *_EDGE,
    Column(
        "quoted_bps",
        "bps",
        "side * (mid when its order was decided - its limit) / that mid: half spread and skew",
    ),
    Column("score_age_s", "s", "age of the traced tick that the following are of, 60 at most"),
    *(Column(name, "0..1", "score of the adaptive spread then") for name in SCORES),
    Column("volatility_bps", "bps/sqrt(s)", "short-window volatility then"),
    Column("order_latency_ms", "ms", "latency that the stages acted on then"),
    Column("touch_bps", "bps", "the market's spread then"),
    Column("imbalance", "0..1", "share of the bid in what the touch displayed then"),
    Column("unguarded_bps", "bps", "half spread before guards then"),
    Column("filtered", "", "its interval was filtered out"),
)
