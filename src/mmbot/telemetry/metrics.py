"""The one table of metrics: what a running bot exports, and which field of which row each is made from.

Names follow Prometheus: base units (seconds, bytes), `_total` for counters, which never fall. What may fall
(fees after rebates, profit) is a gauge. `feed` and `field` are those of docs/run-directory.md, `labels` say
of which field each label is; so whoever knows rows of a run can find the metric without knowing its name.
`telemetry.registry` holds the values, `mmbot metrics --json` prints the table.

Decided: latencies have no label of a symbol. Each series is 24 numbers, a bot quotes tens of symbols, and
what makes one symbol slow makes all of them slow: they share a thread. Edge needs the minute after a fill and
is not here: gates and reports take it from the rows.
"""

from typing import Any, Literal

import msgspec

Kind = Literal["counter", "gauge", "histogram"]

DURATION_BUCKETS = (
    *(1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4),
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.15, 0.2, 0.5, 1.0),
)
"""Seconds: from a stage of a microsecond, past what gates allow (35 ms, 150 ms), to five deadlines."""
AGE_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: with edges at ttl_ms, fresh_ms_for_pricing and invalidate_on_ws_gap_ms as they are by default."""
STAGES = ("fetch_md", "spread", "guards", "inventory", "queue_aware", "emit")


class Metric(msgspec.Struct, frozen=True):
    """One line of the table. `field` None: the rows themselves are counted. `labels`: name to field. A field
    with a dot lies in `detail` of an event; one in brackets is the row of that name in `samples`.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    feed: str
    field: str | None
    labels: dict[str, str] = {}
    buckets: tuple[float, ...] = ()


_SYMBOL = {"symbol": "symbol"}
_MONEY = {"symbol": "symbol", "currency": "instruments"}
"""Each symbol is settled in one currency, the manifest's instruments say in which."""
_ARM = {"arm": "arm"}
"""Of what rules ask of one arm of an experiment; a run of one arm has one value of it."""
_TICKS, _FILLS, _SAMPLES, _EVENTS = "pipeline_ticks", "fills", "samples", "events"

RUN_INFO = Metric(
    "mmbot_run_info", "gauge", "1", "Always 1; labels say which run this is.", "manifest", None,
    {name: name for name in ("run_id", "arm", "data_kind")},
)  # fmt: skip
RUN_CLOCK = Metric(
    "mmbot_run_clock_seconds", "gauge", "seconds",
    "The run's clock at its newest tick, since the epoch; virtual in a replay.", _TICKS, "ts_ns",
)  # fmt: skip
TICKS = Metric(
    "mmbot_ticks_total", "counter", "ticks", "Ticks of the pipeline.", _TICKS, None, _SYMBOL | _ARM
)
DEADLINE_MISSES = Metric(
    "mmbot_deadline_misses_total", "counter", "ticks", "Ticks that missed their deadline.",
    _TICKS, "deadline_miss", _SYMBOL | _ARM,
)  # fmt: skip
CACHE_READS = Metric(
    "mmbot_md_cache_reads_total", "counter", "reads", "Reads of the book by how they were served.",
    _TICKS, "cache", _SYMBOL | _ARM | {"outcome": "cache"},
)  # fmt: skip
GUARD_TICKS = Metric(
    "mmbot_guard_ticks_total", "counter", "ticks", "Ticks by the level of the guards.",
    _TICKS, "guard", {**_SYMBOL, "level": "guard"},
)  # fmt: skip
GUARD_REASONS = Metric(
    "mmbot_guard_reason_ticks_total", "counter", "ticks", "Ticks at which a guard held, by its reason.",
    _TICKS, "reasons", {**_SYMBOL, "reason": "reasons"},
)  # fmt: skip
TICK_DURATION = Metric(
    "mmbot_tick_duration_seconds", "histogram", "seconds",
    "Time of a whole tick, I/O wait included, as gates judge tick_total.",
    _TICKS, "tick_total_ns", {}, DURATION_BUCKETS,
)  # fmt: skip
STAGE_DURATION = Metric(
    "mmbot_stage_duration_seconds", "histogram", "seconds",
    "Time of a stage; of fetch_md with its I/O wait, as gates judge it.",
    _TICKS, "STAGE_ns", {"stage": "STAGE_ns"}, DURATION_BUCKETS,
)  # fmt: skip
WAIT = Metric(
    "mmbot_fetch_md_wait_seconds", "histogram", "seconds",
    "I/O wait inside fetch_md; modelled in a replay.", _TICKS, "wait_ns", {}, DURATION_BUCKETS,
)  # fmt: skip
BOOK_AGE = Metric(
    "mmbot_book_age_seconds", "histogram", "seconds", "Age of the book served; misses have none.",
    _TICKS, "age_ns", {}, AGE_BUCKETS,
)  # fmt: skip
MID = Metric(
    "mmbot_mid_price", "gauge", "quote", "Mid price at the newest tick; absent without a two-sided book.",
    _TICKS, "mid", _SYMBOL,
)  # fmt: skip
HALF_SPREAD = Metric(
    "mmbot_half_spread_bps", "gauge", "bps", "Half spread quoted at the newest tick; absent without quotes.",
    _TICKS, "half_spread_bps", _SYMBOL,
)  # fmt: skip
QUOTING = Metric(
    "mmbot_quoting", "gauge", "bool", "1 where a first-level quote was wanted at the newest tick.",
    _TICKS, "bid, ask", {**_SYMBOL, "side": "bid, ask"},
)  # fmt: skip
POSITION = Metric(
    "mmbot_position", "gauge", "base", "Signed position, base units (linear) or contracts (inverse).",
    _TICKS, "position", _SYMBOL,
)  # fmt: skip
POSITION_QUOTE = Metric(
    "mmbot_position_quote", "gauge", "quote", "Signed mark value of the position.",
    _TICKS, "position_quote", _SYMBOL,
)  # fmt: skip
FILLS = Metric(
    "mmbot_fills_total", "counter", "fills", "Executions; currency is the quote's.",
    _FILLS, None, _MONEY | _ARM | {"side": "side", "liquidity": "liquidity"},
)  # fmt: skip
FILL_NOTIONAL = Metric(
    "mmbot_fill_notional_total", "counter", "quote", "Quote notional of executions.",
    _FILLS, "price, qty", _MONEY | _ARM | {"liquidity": "liquidity"},
)  # fmt: skip
FEES = Metric(
    "mmbot_fees_paid", "gauge", "settlement", "Fees since the start, negative = rebates outweigh them.",
    _FILLS, "fee", _MONEY,
)  # fmt: skip
PNL = Metric(
    "mmbot_pnl", "gauge", "settlement",
    "Profit of this run's fills at the newest mid, after fees, before funding; absent before there is a mid.",
    _FILLS, "price, qty, fee", _MONEY,
)  # fmt: skip
FUNDING = Metric(
    "mmbot_funding_paid", "gauge", "settlement", "Funding since the start, positive = we paid.",
    _EVENTS, "funding.payment", _MONEY,
)  # fmt: skip
EVENTS = Metric(
    "mmbot_events_total", "counter", "events", "Events by kind; symbol is empty for those of the engine.",
    _EVENTS, "kind", {**_SYMBOL, "kind": "kind"},
)  # fmt: skip
BREAKER = Metric(
    "mmbot_breaker_not_closed", "gauge", "bool", "1 while the breaker of a venue is open or half-open.",
    _EVENTS, "breaker.state", {"venue": "breaker.venue"},
)  # fmt: skip
REDUCE_ONLY = Metric(
    "mmbot_reduce_only", "gauge", "bool", "1 after the day's largest loss: only what reduces may go out.",
    _EVENTS, "daily_loss.reduce_only",
)  # fmt: skip
HALTED = Metric("mmbot_halted", "gauge", "bool", "1 once the run was halted.", _EVENTS, "halt")
DROPPED = Metric(
    "mmbot_ticks_dropped_total", "counter", "ticks", "Ticks left out because the machine was late.",
    _EVENTS, "ticks_dropped.ticks",
)  # fmt: skip
MEMORY = Metric(
    "mmbot_resident_memory_bytes", "gauge", "bytes", "Resident memory of the process.",
    _SAMPLES, "[rss_bytes]",
)  # fmt: skip
BOOK_UPDATES = Metric(
    "mmbot_book_updates_total", "counter", "updates", "Updates of a book, as sampled.",
    _SAMPLES, "[book_updates]", _SYMBOL,
)  # fmt: skip
RESTING = Metric(
    "mmbot_resting_orders", "gauge", "orders", "Orders at the venue, as sampled.",
    _SAMPLES, "[resting_orders]", _SYMBOL,
)  # fmt: skip
EQUITY = Metric(
    "mmbot_account_equity_usd", "gauge", "USD", "Equity of the account; live trading only.",
    _SAMPLES, "[account_equity_usd]",
)  # fmt: skip
ORDER_PATH = Metric(
    "mmbot_order_path_seconds", "histogram", "seconds",
    "Of a tick that created an order: waiting, deciding, logging, sending; live trading only.",
    _SAMPLES, "[order_STEP_us]", {"step": "[order_STEP_us]"}, DURATION_BUCKETS,
)  # fmt: skip

METRICS = (
    *(RUN_INFO, RUN_CLOCK, TICKS, DEADLINE_MISSES, CACHE_READS, GUARD_TICKS, GUARD_REASONS),
    *(TICK_DURATION, STAGE_DURATION, WAIT, BOOK_AGE, MID, HALF_SPREAD, QUOTING, POSITION, POSITION_QUOTE),
    *(FILLS, FILL_NOTIONAL, FEES, PNL, FUNDING, EVENTS, BREAKER, REDUCE_ONLY, HALTED, DROPPED),
    *(MEMORY, BOOK_UPDATES, RESTING, EQUITY, ORDER_PATH),
)
ORDER_STEPS = ("wait", "decide", "log", "send")
SCHEMA = 1


def table() -> dict[str, Any]:
    """The table in built-in types, for `mmbot metrics --json`."""
    return {"schema": SCHEMA, "metrics": msgspec.to_builtins(METRICS)}


def table_markdown() -> str:
    """The table in docs/metrics.md."""
    lines = ["| metric | kind | unit | labels | from | what it is |", "|---|---|---|---|---|---|"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
        of = f"`{metric.feed}`" if metric.field is None else f"`{metric.field}` of `{metric.feed}`"
        lines.append(f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} | {of} | {metric.help} |")
    return "\n".join(lines) + "\n"
