"""The state of a run as tables of text: the same words and digits wherever a run is shown.

What was not measured is "no data". Nothing here is escaped: whoever puts the text on a page does that.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mmbot.telemetry.view import Latency, Result, RuleState, RunState, SymbolState
from mmbot.units import SECOND

NO_DATA = "no data"
_MOST_BLOCKED = 8
_RESULT_COLUMNS = (
    "currency", "profit after fees", "net edge bps", "fills with a net", "fills", "notional", "taker share",
    "funding paid",
)  # fmt: skip
_SYMBOL_COLUMNS = (
    "symbol", "state", "guard", "bid", "mid", "ask", "half spread bps", "position", "in quote", "profit",
    "net edge bps", "fills",
)  # fmt: skip
_RULE_COLUMNS = ("", "rule", "says")
_FILL_COLUMNS = ("time", "symbol", "side", "price", "qty", "", "fee")


@dataclass(frozen=True, slots=True)
class Section:
    """A table with its title. `columns` empty: rows are a name and what is said of it. `text`: rows are
    sentences rather than numbers. `empty` stands where there is no row.
    """

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    text: bool = False
    empty: str = NO_DATA


def headline(state: RunState) -> str:
    """`demo: quoting, replay, SYNTHETIC DATA`."""
    facts = state.facts
    part = f" {facts.part}" if facts.part else ""
    reason = f" ({state.reason})" if state.reason else ""
    kind = "SYNTHETIC DATA" if facts.data_kind == "synthetic" else f"{facts.data_kind} data"
    return f"{facts.scenario}{part}: {state.state}{reason}, {facts.mode}, {kind}"


def sections(state: RunState) -> Iterator[Section]:
    """Everything that a state tells, in the order in which it is read."""
    none = "none" if state.ticks else NO_DATA
    yield Section("Run", (), list(_run(state)), text=True)
    yield Section("Health", (), list(_health(state)), text=True)
    yield Section("Latency", ("stage", "p50 us", "p95 us"), _latencies(state.latencies))
    yield Section("Result", _RESULT_COLUMNS, [_result(result) for result in state.results])
    yield Section("Symbols", _SYMBOL_COLUMNS, [_symbol(symbol) for symbol in state.symbols])
    yield Section("Rules", _RULE_COLUMNS, list(_rules(state.rules)), text=True)
    yield Section("Quotes pulled by", ("symbol", "reason", "ticks"), list(_blocked(state)), empty=none)
    yield Section("Latest fills", _FILL_COLUMNS, list(_fills(state)), empty=none)


def moment(ns: int | None) -> str:
    """UTC, to the tenth of a second."""
    if ns is None:
        return NO_DATA
    at = dt.datetime.fromtimestamp(ns // SECOND, dt.UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{ns % SECOND // (SECOND // 10)}"


def span(ns: int) -> str:
    """`0:08:40`, hours first."""
    minutes, seconds = divmod(ns // SECOND, 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def _run(state: RunState) -> Iterator[tuple[str, str]]:
    facts = state.facts
    yield "run", facts.run_id
    yield f"now, {facts.clock} clock", moment(state.now_ns)
    yield "played", _played(state)
    dropped = f", {state.dropped_ticks} dropped" if state.dropped_ticks else ""
    yield "ticks", f"{state.ticks}{dropped}"


def _played(state: RunState) -> str:
    if state.started_ns is None or state.now_ns is None:
        return NO_DATA
    played_ns, planned_ns = state.now_ns - state.started_ns - state.outage_ns, state.facts.planned_ns
    return span(played_ns) + (f" of {span(planned_ns)}" if planned_ns is not None else "")


def _result(result: Result) -> tuple[str, ...]:
    funding = f"{result.funding:+.4f} ({result.fundings})" if result.fundings else NO_DATA
    return (
        result.currency,
        _number(result.pnl, "+.4f"),
        _number(result.net_bps, "+.2f"),
        f"{result.net_fills} of {result.fills}",
        str(result.fills),
        f"{result.notional:.2f}",
        _number(result.taker_share, ".1%"),
        funding,
    )


def _symbol(symbol: SymbolState) -> tuple[str, ...]:
    last, result = symbol.last, symbol.result
    earned = (_number(result.pnl, "+.4f"), _number(result.net_bps, "+.2f"), str(result.fills))
    if last is None:
        return (symbol.symbol, symbol.state, *[NO_DATA] * 7, *earned)
    return (
        symbol.symbol,
        symbol.state,
        " ".join((last.guard, *last.reasons)),
        "none" if last.bid is None else f"{last.bid:g}",
        _number(last.mid, ".10g"),
        "none" if last.ask is None else f"{last.ask:g}",
        "none" if last.half_spread_bps is None else f"{last.half_spread_bps:.2f}",
        f"{last.position:+g}",
        f"{last.position_quote:+.2f}",
        *earned,
    )


def _health(state: RunState) -> Iterator[tuple[str, str]]:
    cache = ", ".join(f"{name} {count}" for name, count in state.cache.items())
    yield "md_cache hit ratio", _number(state.hit_ratio, ".2%") + (f" ({cache})" if cache else "")
    misses = state.deadline_misses
    yield "deadline misses", NO_DATA if misses is None else f"{misses} ({misses / state.ticks:.3%})"
    guards = (f"{name} {count / state.ticks:.1%}" for name, count in state.guards.items())
    yield "guards", ", ".join(guards) or NO_DATA
    breakers = (f"{venue} {position}" for venue, position in state.breakers.items())
    yield "breaker", ", ".join(breakers) or "has not moved"


def _latencies(latencies: Iterable[Latency]) -> list[tuple[str, ...]]:
    return [(one.stage, f"{one.p50_us:.1f}", f"{one.p95_us:.1f}") for one in latencies]


def _blocked(state: RunState) -> Iterator[tuple[str, ...]]:
    for one in state.blocked[:_MOST_BLOCKED]:
        yield one.symbol, one.reason, str(one.ticks)


def _rules(rules: Iterable[RuleState] | None) -> Iterator[tuple[str, ...]]:
    for one in rules or ():
        yield one.section, one.rule, one.says or NO_DATA


def _fills(state: RunState) -> Iterator[tuple[str, ...]]:
    for one in state.fills:
        at, price, qty = moment(one.ts_ns), f"{one.price:.10g}", f"{one.qty:g}"
        yield at, one.symbol, one.side, price, qty, one.liquidity, f"{one.fee:+.6f}"


def _number(value: float | None, form: str) -> str:
    return NO_DATA if value is None else format(value, form)
