"""The engine: one event in, commands out; rows in an outbox. One object live, in shadow and in replay."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from mmbot.book.cache import MdCacheSettings
from mmbot.book.market import EventMarket
from mmbot.engine.settings import BotSettings
from mmbot.engine.symbol import SymbolBot
from mmbot.model.commands import Message, RequestSnapshot
from mmbot.model.events import (
    BookSnapshot,
    Event,
    Funding,
    LatencySample,
    MarketEvent,
    OrderEvent,
    Tick,
    Trouble,
)
from mmbot.model.records import EventRow, FillRow, Row, TickRow
from mmbot.risk.account import Account
from mmbot.units import MS


class Engine:
    """All symbols of one bot. Refreshes are single flight per symbol and bounded over all of them."""

    def __init__(
        self,
        bots: Mapping[str, SymbolBot],
        feeds: Mapping[str, EventMarket],
        cache: MdCacheSettings,
        account: Account,
    ) -> None:
        """`feeds`: the markets that take market events from `step`; what a kernel plays by itself is not
        among them.
        """
        self.bots = dict(bots)
        self._feeds = dict(feeds)
        self._account = account
        self._bound_refreshes(cache)
        self._refreshing: dict[str, int] = {}
        """Symbol -> when its snapshot was asked for."""
        self._ticks: deque[TickRow] = deque()
        self._rows: list[Row] = []
        self._halted: str | None = None

    def step(self, event: Event) -> Sequence[Message]:
        """Handle one event; only a tick makes the engine command anything. Raises KeyError for a symbol that
        this bot does not trade: a wiring fault.
        """
        if isinstance(event, Tick):
            return self.tick(event.now_ns)
        if isinstance(event, OrderEvent):
            self.answer(event)
        elif isinstance(event, Funding):
            self._fund(event)
        elif isinstance(event, LatencySample):
            self.bots[event.symbol].vitals.sampled(event.recv_ns, event.latency_ns)
        else:
            self._market(event)
        return ()

    def reconfigure(self, settings: BotSettings) -> None:
        """Take other settings, of every room at once, between two ticks. All that the bot remembers stays;
        cannot fail with settings that were checked.
        """
        self._bound_refreshes(settings.md_cache)
        for bot in self.bots.values():
            bot.reconfigure(settings)

    def _bound_refreshes(self, cache: MdCacheSettings) -> None:
        self._max_inflight = cache.max_inflight_refresh
        self._retry_ns = round(cache.refresh_retry_ms * MS)

    def answer(self, event: OrderEvent) -> None:
        """The venue answered about an order; the next tick draws the consequences."""
        bot = self.bots[event.symbol]
        bot.on_order(event)
        if bot.rows:
            self._collect(bot)

    def book_replaced(self, symbol: str, now_ns: int) -> None:
        """A symbol's market took over a whole book."""
        self.bots[symbol].on_snapshot(now_ns)
        if self._refreshing.pop(symbol, None) is not None:
            self._rows.append(EventRow(now_ns, symbol, "resync_done", {}))

    def book_trouble(self, symbol: str, now_ns: int, trouble: Trouble, detail: str) -> None:
        """A symbol's market met trouble."""
        bot = self.bots[symbol]
        bot.on_trouble(now_ns, trouble, detail)
        self._collect(bot)

    def halt(self, now_ns: int, reason: str) -> Sequence[Message]:
        """Pull every quote and quote no more. An order on its way is pulled at the tick after its answer."""
        self._halted = reason
        self._rows.append(EventRow(now_ns, None, "halt", {"reason": reason}))
        return self.pull_quotes(now_ns)

    @property
    def working(self) -> bool:
        """An order of ours may still be at the venue, or on its way there."""
        return any(bot.working for bot in self.bots.values())

    @property
    def assess_ns(self) -> int:
        """From when on a tick assesses the account: all symbols have to stand at one moment then."""
        return self._account.due_ns

    @property
    def ready(self) -> bool:
        """Every symbol has had its first whole book."""
        return all(bot.market.updates for bot in self.bots.values())

    def finish(self, now_ns: int) -> None:
        """The run ends: close what still waits."""
        for bot in self.bots.values():
            bot.finish(now_ns)
            self._collect(bot)

    def drain(self) -> list[Row]:
        """Rows since the last drain. Tick rows leave in time order, so an open one holds back those behind
        it.
        """
        rows, self._rows = self._rows, []
        if len(self.bots) > 1:
            rows.sort(key=_known_ns)  # symbols may have been played one after the other since the last tick
        ticks = self._ticks
        horizon = min((bot.waiting[0].ts_ns for bot in self.bots.values() if bot.waiting), default=None)
        while ticks and (horizon is None or ticks[0].ts_ns < horizon):
            rows.append(ticks.popleft())
        return rows

    def pull_quotes(self, now_ns: int) -> list[Message]:
        """Cancel what works, in place of a tick; the next tick may quote again."""
        commands: list[Message] = []
        for bot in self.bots.values():
            bot.pull_quotes(now_ns)
            commands += self._collect(bot)
        return commands

    def _fund(self, funding: Funding) -> None:
        self.bots[funding.symbol].position.fund(funding)
        detail: dict[str, str | int | float | None] = {"rate": funding.rate, "payment": funding.payment}
        self._rows.append(EventRow(funding.recv_ns, funding.symbol, "funding", detail))

    def _market(self, event: MarketEvent) -> None:
        symbol, now_ns = event.symbol, event.recv_ns
        trouble = self._feeds[symbol].apply(event)
        if trouble is not None:
            self.book_trouble(symbol, now_ns, *trouble)
        if isinstance(event, BookSnapshot):
            self.book_replaced(symbol, now_ns)

    def tick(self, now_ns: int, due: Iterable[SymbolBot] | None = None) -> Sequence[Message]:
        """The pipeline is due, for every symbol unless said otherwise; after a halt, only what still works is
        pulled.
        """
        commands: list[Message] = []
        if self._halted is not None:
            return self.pull_quotes(now_ns)
        for bot in self.bots.values() if due is None else due:
            self._ticks.append(bot.tick(now_ns))
            if bot.messages or bot.rows:
                commands += self._collect(bot)
            if bot.waiting:
                commands += self._refresh(bot.key, now_ns)
        if now_ns >= self._account.due_ns:
            self._assess(now_ns)
        return commands

    def _assess(self, now_ns: int) -> None:
        """Mark every symbol, and the account with their sum."""
        account, profit = self._account, 0.0
        for bot in self.bots.values():
            profit += bot.assess(now_ns)
            if len(self.bots) > 1:  # for the sake of the others
                bot.expose()
        if account.assess(now_ns, profit):
            detail: dict[str, str | int | float | None] = {
                "loss_quote": account.loss_quote,
                "reduce_only": int(account.reduce_only),
            }
            self._rows.append(EventRow(now_ns, None, "daily_loss", detail))

    def _refresh(self, symbol: str, now_ns: int) -> list[Message]:
        asked_ns = self._refreshing.get(symbol)
        if asked_ns is None:
            if len(self._refreshing) >= self._max_inflight:
                return []
        elif now_ns - asked_ns < self._retry_ns:
            return []
        self._refreshing[symbol] = now_ns
        self._rows.append(EventRow(now_ns, symbol, "resync_request", {"again": int(asked_ns is not None)}))
        return [RequestSnapshot(symbol)]

    def _collect(self, bot: SymbolBot) -> Sequence[Message]:
        if bot.rows:
            self._rows += bot.rows
            bot.rows.clear()
        if not bot.messages:
            return ()
        messages = list(bot.messages)
        bot.messages.clear()
        return messages


def _known_ns(row: Row) -> int:
    """When we knew what a row says."""
    return row.recv_ns if isinstance(row, FillRow) else row.ts_ns
