"""How a run stands: its rows, folded into a small state that people look at while it plays.

Whoever shows a run reads the same state: the status page and `mmbot top`, of a run in this process or of rows
on a disk. What was not measured yet is None, which is shown as "no data". Memory does not grow with the run.

Decided: figures are of the whole run so far. Profit is that of this run's own fills, marked at the last mid,
less funding; what an account held before the run is in the position, not in the profit. Currencies are never
added up. Rule progress is told by whoever judges (`View.rules`), a run knows none by itself.
"""

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from mmbot.edge.fill import signed_lots
from mmbot.edge.markout import Markouts
from mmbot.model.instrument import Instrument
from mmbot.model.records import OUTAGE, EventRow, FillRow, Row, TickRow
from mmbot.telemetry.durations import Durations
from mmbot.units import BPS

SCHEMA = 1
STAGES = ("fetch_md", "spread", "guards", "inventory", "queue_aware", "emit", "tick_total", "wait")
RECENT_FILLS = 12
Quoting = Literal["starting", "syncing", "quoting", "pulled"]
"""Of a symbol: no tick yet; its book is not in sync; it wants quotes; it wants none."""
Ended = Literal["complete", "halted", "failed"]
"""As the manifest says it."""


class RunFacts(msgspec.Struct, frozen=True):
    """What is known of a run before its first row. `planned_ns` None: as long as nobody knows."""

    run_id: str
    step: str
    scenario: str
    part: str | None
    mode: str
    clock: str
    data_kind: str
    instruments: list[Instrument]
    planned_ns: int | None


class Latency(msgspec.Struct, frozen=True):
    """Of one stage; `wait` is I/O wait, modelled in a replay, and all others are measured."""

    stage: str
    p50_us: float
    p95_us: float


class Result(msgspec.Struct, frozen=True):
    """What fills in one settlement currency brought. `net_fills`: those with a mid 60 s later."""

    currency: str
    fills: int
    notional: float
    pnl: float | None
    funding: float
    fundings: int
    net_bps: float | None
    net_fills: int
    taker_share: float | None


class LastTick(msgspec.Struct, frozen=True):
    """Of a symbol: what its last tick row says, under the same names."""

    guard: str
    reasons: tuple[str, ...]
    mid: float | None
    bid: float | None
    ask: float | None
    half_spread_bps: float | None
    position: float
    position_quote: float


class SymbolState(msgspec.Struct, frozen=True):
    """One symbol. `last` None: it has not ticked."""

    symbol: str
    state: Quoting
    last: LastTick | None
    result: Result


class Blocked(msgspec.Struct, frozen=True):
    """Ticks at which a guard pulled the quotes of a symbol for this reason; a tick may have several."""

    symbol: str
    reason: str
    ticks: int


class RecentFill(msgspec.Struct, frozen=True):
    """One execution, as its row has it."""

    ts_ns: int
    symbol: str
    side: str
    price: float
    qty: float
    liquidity: str
    fee: float


class RuleState(msgspec.Struct, frozen=True):
    """A rule that watches the run. `says`: its last value and how long it has held, in words; None before its
    first look. `fired`: it did, at least once.
    """

    rule: str
    section: str
    says: str | None
    fired: bool


class RunState(msgspec.Struct, frozen=True):
    """The whole of it. Ratios are 0 to 1. `rules` None: nobody has said that any watch."""

    facts: RunFacts
    state: Quoting | Ended | Literal["standing aside"]
    reason: str | None
    started_ns: int | None
    now_ns: int | None
    ticks: int
    dropped_ticks: int
    symbols: list[SymbolState]
    results: list[Result]
    latencies: list[Latency]
    cache: dict[str, int]
    hit_ratio: float | None
    deadline_misses: int | None
    breakers: dict[str, str]
    guards: dict[str, int]
    blocked: list[Blocked]
    fills: list[RecentFill]
    rules: list[RuleState] | None
    outage_ns: int = 0
    """Between first tick and now: how long no process played."""
    schema: int = SCHEMA


class View:
    """Folds the rows of one run. Not for several threads at once: whoever shares it holds a lock."""

    def __init__(self, facts: RunFacts) -> None:
        self.facts = facts
        self.rules: list[RuleState] | None = None
        """As the judge of the run told them last."""
        self._symbols = {instrument.key: _Symbol(instrument) for instrument in facts.instruments}
        self._durations = {name: Durations() for name in STAGES}
        self._cache: Counter[str] = Counter()
        self._guards: Counter[str] = Counter()
        self._blocked: Counter[tuple[str, str]] = Counter()
        self._breakers: dict[str, str] = {}
        self._recent: deque[FillRow] = deque(maxlen=RECENT_FILLS)
        self._started_ns: int | None = None
        self._now_ns: int | None = None
        self._ticks = self._dropped = self._misses = 0
        self._outage_ns = 0
        self._aside: str | None = None
        self._ended: tuple[Ended, str | None] | None = None

    def rows(self, rows: Sequence[Row]) -> None:
        """The next rows, as they were written."""
        for row in rows:
            if isinstance(row, TickRow):
                self._tick(row)
            elif isinstance(row, FillRow):
                self._symbols[row.symbol].fill(row)
                self._recent.append(row)
            elif isinstance(row, EventRow):
                self._event(row)

    def ended(self, how: Ended, reason: str | None) -> None:
        """No row follows."""
        self._ended = how, reason

    def state(self) -> RunState:
        """As of the last row."""
        state, reason = self._standing()
        symbols = [symbol.state() for symbol in self._symbols.values()]
        return RunState(
            facts=self.facts,
            state=state,
            reason=reason,
            started_ns=self._started_ns,
            now_ns=self._now_ns,
            ticks=self._ticks,
            dropped_ticks=self._dropped,
            symbols=symbols,
            results=self._results(),
            latencies=[_latency(name, self._durations[name]) for name in STAGES if self._ticks],
            cache=dict(sorted(self._cache.items())),
            hit_ratio=self._cache["hit"] / self._ticks if self._ticks else None,
            deadline_misses=self._misses if self._ticks else None,
            breakers=dict(sorted(self._breakers.items())),
            guards=dict(sorted(self._guards.items())),
            blocked=[Blocked(symbol, why, count) for (symbol, why), count in self._blocked.most_common()],
            fills=[_recent(row) for row in reversed(self._recent)],
            rules=self.rules,
            outage_ns=self._outage_ns,
        )

    def _standing(self) -> tuple[Any, str | None]:
        """What the run does, and why where its rows say so."""
        if self._ended is not None:
            return self._ended
        if self._aside is not None:
            return "standing aside", self._aside
        states = [symbol.quoting for symbol in self._symbols.values()]
        for state in ("quoting", "syncing", "pulled"):
            if state in states:
                return state, None
        return "starting", None

    def _tick(self, row: TickRow) -> None:
        if self._started_ns is None:
            self._started_ns = row.ts_ns
        self._now_ns = row.ts_ns
        self._ticks += 1
        self._misses += row.deadline_miss
        self._cache[row.cache] += 1
        self._guards[row.guard] += 1
        if row.guard == "HARD":
            self._blocked.update((row.symbol, reason) for reason in row.reasons)
        for name, durations in self._durations.items():
            durations.add(getattr(row, f"{name}_ns"))
        self._symbols[row.symbol].tick(row)

    def _event(self, row: EventRow) -> None:
        detail = row.detail
        if row.kind == "breaker":
            self._breakers[str(detail["venue"])] = str(detail["state"])
        elif row.kind == "funding" and row.symbol is not None:
            self._symbols[row.symbol].fund(detail["payment"])
        elif row.kind == "ticks_dropped":
            self._dropped += int(detail["ticks"] or 0) * len(self._symbols)
        elif row.kind == "stand_aside":
            self._aside = str(detail["reason"])
        elif row.kind == "quoting":
            self._aside = None
        elif row.kind == "gap" and detail.get("reason") == OUTAGE:
            self._went_on(row)
        elif row.kind == "halt":
            self._ended = "halted", str(detail["reason"])

    def _went_on(self, row: EventRow) -> None:
        """A run that had been interrupted, perhaps halted, goes on in another process."""
        self._ended = self._aside = None
        self._breakers.clear()
        if self._started_ns is not None:
            self._outage_ns += row.ts_ns - int(row.detail["from_ns"] or 0)

    def _results(self) -> list[Result]:
        """By settlement currency, of all symbols."""
        by_currency: dict[str, list[_Symbol]] = {}
        for symbol in self._symbols.values():
            by_currency.setdefault(symbol.instrument.settled_in, []).append(symbol)
        return [_result(currency, symbols) for currency, symbols in sorted(by_currency.items())]


class _Symbol:
    """What the view keeps of one symbol."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.markouts = Markouts(instrument)
        self.notional = {"maker": 0.0, "taker": 0.0}
        """Settlement currency."""
        self.funding = 0.0
        self.fundings = 0
        self._last: TickRow | None = None

    def tick(self, row: TickRow) -> None:
        self._last = row
        self.markouts.tick(row)

    def fill(self, row: FillRow) -> None:
        self.markouts.fill(row)
        lots = signed_lots(self.instrument, row)
        self.notional[row.liquidity] += self.instrument.notional(lots, row.price)

    def fund(self, payment: str | float | None) -> None:
        self.fundings += 1
        self.funding += float(payment or 0.0)

    @property
    def quoting(self) -> Quoting:
        last = self._last
        if last is None:
            return "starting"
        if last.cache == "miss":
            return "syncing"
        return "pulled" if last.bid is None and last.ask is None else "quoting"

    @property
    def pnl(self) -> float | None:
        """Of its fills, less funding; None where there is no mid to mark them at. Without a fill: funding."""
        fills = self.markouts.pnl() if self.markouts.fills else 0.0
        return None if fills is None or self._last is None else fills - self.funding

    def state(self) -> SymbolState:
        last = None if self._last is None else _last(self._last)
        result = _result(self.instrument.settled_in, [self])
        return SymbolState(self.instrument.key, self.quoting, last, result)


def _result(currency: str, symbols: Sequence[_Symbol]) -> Result:
    pnls = [symbol.pnl for symbol in symbols]
    notional = {name: sum(symbol.notional[name] for symbol in symbols) for name in ("maker", "taker")}
    traded = sum(notional.values())
    edges = [symbol.markouts.edge for symbol in symbols]
    net_fills, weight = sum(edge.fills for edge in edges), sum(edge.net.weight for edge in edges)
    return Result(
        currency=currency,
        fills=sum(symbol.markouts.fills for symbol in symbols),
        notional=traded,
        pnl=None if None in pnls else sum(pnl for pnl in pnls if pnl is not None),
        funding=sum(symbol.funding for symbol in symbols),
        fundings=sum(symbol.fundings for symbol in symbols),
        net_bps=BPS * sum(edge.net.settled for edge in edges) / weight if net_fills else None,
        net_fills=net_fills,
        taker_share=notional["taker"] / traded if traded else None,
    )


def _last(row: TickRow) -> LastTick:
    return LastTick(**{name: getattr(row, name) for name in LastTick.__struct_fields__})


def _latency(name: str, durations: Durations) -> Latency:
    return Latency(name, durations.quantile(0.5) / 1e3, durations.quantile(0.95) / 1e3)


def _recent(row: FillRow) -> RecentFill:
    return RecentFill(row.ts_ns, row.symbol, row.side, row.price, row.qty, row.liquidity, row.fee)
