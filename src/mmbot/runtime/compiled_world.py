"""The world of a replay in the kernel: one context a symbol, run from tick to tick. `shadow_world` plays live
events in the same way.

What wakes Python between ticks: a book that was replaced, or trouble. Answers about orders wait for the next
tick, since nothing is decided before. Equal to `plain_world` in every order, fill and row (tests play both),
and refused where it could not be: when the latency of market data is drawn per message.
"""

from collections.abc import Mapping, Sequence
from typing import Self

from mmbot.book.cache import MdCacheSettings
from mmbot.book.compiled import CompiledMarket, local_settings
from mmbot.book.market import FeatureSettings
from mmbot.config.settings import SimSettings
from mmbot.engine.engine import Engine
from mmbot.engine.quiet import Band
from mmbot.errors import ConfigError
from mmbot.kernels import layout as L  # noqa: N812 (a block of constants)
from mmbot.kernels.context import Context, Snapshot
from mmbot.model.commands import AmendOrder, CancelOrder, Command, RequestSnapshot
from mmbot.model.events import (
    AmendReject,
    CancelReject,
    Fill,
    OrderAck,
    OrderAmended,
    OrderCancelled,
    OrderEvent,
    OrderReject,
    Trouble,
)
from mmbot.model.instrument import Instrument, Side
from mmbot.model.orders import order_number
from mmbot.recording.columns import BLOCK_ROWS
from mmbot.runtime.tape import TapeFeed
from mmbot.runtime.world import FillSeen, Sleep
from mmbot.sim.latency import Channel
from mmbot.units import MS, Lots, Ns, Ticks


def supported(settings: SimSettings) -> bool:
    """Can the kernel play with these models?"""
    return settings.market_data.model == "constant"


class Symbol:
    """One symbol: its kernel, its market, its channels, and orders by number."""

    def __init__(
        self,
        key: str,
        context: Context,
        troubles: Sequence[tuple[str, str]] | Mapping[int, tuple[str, str]],
        settings: SimSettings,
        seed: tuple[int, int],
    ) -> None:
        """`troubles`: kind and detail by the number that their row has."""
        self.key = key
        self.context = context
        self.market = CompiledMarket(context)
        self.entry = Channel(settings.entry, (*seed, 1))
        self.response = Channel(settings.response, (*seed, 2))
        self.resync = Channel(settings.resync, (*seed, 3))
        self.troubles = troubles
        self.id_prefix = ""
        self._first = 0
        self._former: list[tuple[int, str]] = []
        """What client ids began with before, and from which number on; the newest last."""
        self.snapshots: list[tuple[int, Snapshot]] = []
        """Snapshots on their way to us: when due, and the venue's book as it was."""

    def sign(self, first: int, id_prefix: str) -> None:
        """Client ids of orders from that number on begin so."""
        self._former.append((self._first, self.id_prefix))
        self._first, self.id_prefix = first, id_prefix

    def client_id(self, number: int) -> str:
        """Of the order with that number: of an arm before the present one, an answer may come late."""
        if number >= self._first:
            return f"{self.id_prefix}{number}"
        former = next(id_prefix for first, id_prefix in reversed(self._former) if number >= first)
        return f"{former}{number}"

    def forget(self) -> None:
        """A block of rows was played, as `layout.FORGET_ROW` asked to be told."""


class _TapeSymbol(Symbol):
    """A symbol whose market is a recording."""

    def __init__(
        self,
        feed: TapeFeed,
        cache: MdCacheSettings,
        features: FeatureSettings,
        settings: SimSettings,
        seed: tuple[int, int],
    ) -> None:
        ints, floats = kernel_settings(cache, features, settings)
        ints |= order_sizes(feed.instrument)
        ints[L.CLOCK_RECORDED] = int(feed.exchange_clock)
        context = Context(feed.columns.arrays, feed.columns.tick_range, ints, floats)
        super().__init__(feed.instrument.key, context, feed.columns.meta.troubles, settings, seed)
        self._columns = feed.columns
        self.forget()

    def forget(self) -> None:
        """Let go of the rows that were played, and ask to be told of the next block of them."""
        c = self.context.c
        self._columns.forget(c[L.LOCAL_ROW])
        c[L.FORGET_ROW] = c[L.LOCAL_ROW] + BLOCK_ROWS


class KernelWorld:
    """Kernels of all symbols. `markets` are what their bots read; `attach` gives it the engine before it
    runs.
    """

    def __init__(self, symbols: Sequence[Symbol], settings: SimSettings) -> None:
        """Raises ConfigError for models that the kernel does not know."""
        if not supported(settings):
            raise ConfigError(f"sim.market_data: was {settings.market_data.name}, the kernel knows constant")
        self._symbols = {symbol.key: symbol for symbol in symbols}

    @property
    def markets(self) -> dict[str, CompiledMarket]:
        return {key: symbol.market for key, symbol in self._symbols.items()}

    @property
    def contexts(self) -> dict[str, Context]:
        return {key: symbol.context for key, symbol in self._symbols.items()}

    def attach(self, engine: Engine, on_fill: FillSeen) -> Self:
        self._engine = engine
        self._on_fill = on_fill
        for key, symbol in self._symbols.items():
            symbol.sign(1, engine.bots[key].id_prefix)
        return self

    def advance(self, until_ns: int) -> None:
        for symbol in self._symbols.values():
            self._advance(symbol, until_ns)

    def send(self, now_ns: int, command: Command) -> None:
        symbol = self._symbols[command.symbol]
        if isinstance(command, RequestSnapshot):
            if symbol.context.c[L.VENUE_SYNCED]:
                symbol.snapshots.append((symbol.resync.due(now_ns), symbol.context.snapshot()))
            return
        due_ns, number = symbol.entry.due(now_ns), order_number(command.client_id)
        if isinstance(command, CancelOrder):
            symbol.context.request(due_ns, L.CANCEL, number, 0, 0, 0)
            return
        if isinstance(command, AmendOrder):
            symbol.context.request(due_ns, L.AMEND, number, 0, command.tick, command.lots)
            return
        if not command.client_id.startswith(symbol.id_prefix):
            symbol.sign(number, command.client_id.removesuffix(str(number)))
        what = L.SUBMIT_POST_ONLY if command.post_only else L.SUBMIT
        symbol.context.request(due_ns, what, number, command.side, command.tick, command.lots)

    def resting(self, symbol: str) -> int:
        count: int = self._symbols[symbol].context.c[L.ORDER_COUNT]
        return count

    def _advance(self, symbol: Symbol, until_ns: int) -> None:
        context, snapshots = symbol.context, symbol.snapshots
        while True:
            stop_ns = min(until_ns, snapshots[0][0]) if snapshots else until_ns
            why = context.advance(stop_ns)
            if why and self._heard(symbol, why):
                continue
            if not snapshots or snapshots[0][0] != stop_ns:
                return
            self._take_over(symbol, *snapshots.pop(0))

    def _heard(self, symbol: Symbol, why: int) -> bool:
        """Deliver what the kernel came back with; returns whether it stopped short, for news of the book."""
        context = symbol.context
        if why & L.ANSWERS_WAIT:
            self._answered(symbol)
        if why & L.FEW_DELAYS:
            context.add_delays(symbol.response.delays(L.ENOUGH_DELAYS))
        if why & L.ROWS_PASSED:
            symbol.forget()
        news = why & L.WHY_MASK
        if news in (L.REACHED, L.WOKEN):
            return False
        self._book_news(symbol, news, context.c[L.NOW_NS])
        return True

    def _take_over(self, symbol: Symbol, due_ns: int, snapshot: Snapshot) -> None:
        if symbol.context.take_over(snapshot, due_ns):
            self._engine.book_trouble(symbol.key, due_ns, Trouble.CROSSED, _touch(symbol.market))
        self._engine.book_replaced(symbol.key, due_ns)

    def _book_news(self, symbol: Symbol, why: int, now_ns: int) -> None:
        c, engine = symbol.context.c, self._engine
        if why == L.OVERFULL:
            raise RuntimeError(
                f"{symbol.key}: more than {L.SLOTS} orders or {L.RING} messages at one time; play it plain"
            )
        if why == L.TROUBLE_ARRIVED:
            trouble, detail = symbol.troubles[c[L.DETAIL]]
            engine.book_trouble(symbol.key, now_ns, Trouble(trouble), detail)
        if why == L.CROSSED:
            c[L.LOCAL_SYNCED] = 0
            engine.book_trouble(symbol.key, now_ns, Trouble.CROSSED, _touch(symbol.market))
        if why == L.SNAPSHOT_ARRIVED or (why == L.CROSSED and c[L.SNAPSHOT_CROSSED]):
            engine.book_replaced(symbol.key, now_ns)

    def _answered(self, symbol: Symbol) -> None:
        """What has reached us about our orders, in order."""
        for answer in symbol.context.answers():
            event = _event(symbol, answer)
            if type(event) is Fill:
                self._on_fill(event)
            self._engine.answer(event)


class CompiledWorld(KernelWorld):
    """Recordings: what will come is known, so that a symbol may sleep through ticks."""

    def __init__(
        self,
        feeds: list[TapeFeed],
        cache: MdCacheSettings,
        features: FeatureSettings,
        settings: SimSettings,
        seed: int,
    ) -> None:
        symbols = [
            _TapeSymbol(feed, cache, features, settings, (seed, index)) for index, feed in enumerate(feeds)
        ]
        super().__init__(symbols, settings)

    def advance_symbol(self, symbol: str, until_ns: int) -> None:
        self._advance(self._symbols[symbol], until_ns)

    def sleep(self, symbol: str, band: Band, tick_ns: int, step_ns: int, latest_ns: int) -> Sleep:
        asleep = self._symbols[symbol]
        context = asleep.context
        c = context.c
        if asleep.snapshots:
            return Sleep(tick_ns, 0, 0.0, 0)
        before = c[L.SKIPPED]
        c[L.STEP_NS] = step_ns
        _lay_down(context, band, tick_ns)
        self._heard(asleep, context.advance(latest_ns))
        ticks = c[L.SKIPPED] - before
        return Sleep(c[L.NEXT_TICK_NS], ticks, context.f[L.SLEPT_SCORE], c[L.SLEPT_MID_X2])


def _event(symbol: Symbol, answer: Sequence[int]) -> OrderEvent:
    due_ns, what, number, side, tick, lots, extra, venue_ns, _ = answer
    key, client_id, now_ns = symbol.key, symbol.client_id(number), Ns(due_ns)
    if what == L.ACK:
        return OrderAck(key, client_id, now_ns)
    if what == L.CANCELLED:
        return OrderCancelled(key, client_id, now_ns, Lots(lots))
    if what in (L.MAKER_FILL, L.TAKER_FILL):
        return Fill(
            symbol=key,
            client_id=client_id,
            fill_id=symbol.context.next_fill(),
            venue_ns=Ns(venue_ns),
            recv_ns=now_ns,
            side=Side(side),
            tick=Ticks(tick),
            lots=Lots(lots),
            maker=what == L.MAKER_FILL,
            mid_x2=None if extra == L.NO_MID else extra,
        )
    if what == L.AMENDED:
        return OrderAmended(key, client_id, now_ns)
    event, reason = _REFUSALS[what]
    return event(key, client_id, now_ns, reason)


_NO_ORDER = "no such order: filled or never accepted"
_NO_BOOK = "no book in the recording at this time"
_NO_SIZE = "size is not one that the venue takes"
_REFUSALS: dict[int, tuple[type[OrderReject | AmendReject | CancelReject], str]] = {
    L.REJECT_NO_BOOK: (OrderReject, _NO_BOOK),
    L.REJECT_WOULD_TAKE: (OrderReject, "post-only would take"),
    L.REJECT_SIZE: (OrderReject, _NO_SIZE),
    L.AMEND_NO_ORDER: (AmendReject, _NO_ORDER),
    L.AMEND_NO_BOOK: (AmendReject, _NO_BOOK),
    L.AMEND_SIZE: (AmendReject, _NO_SIZE),
    L.CANCEL_REJECT: (CancelReject, _NO_ORDER),
}


def _lay_down(context: Context, band: Band, tick_ns: int) -> None:
    """Let the kernel sleep in a band; any answer wakes it."""
    fair_value = 1 if band.weighted else 0
    if band.adjustments is not None:
        fair_value = 2
        context.adjust(band.adjustments)
    score = context.f[L.LIQUIDITY_SCORE]
    features = (
        band.age_ns, band.seen, fair_value, band.fair_low, band.fair_high, band.volatility_bps,
        band.score_low, band.score_high, band.score_step, score,
    )  # fmt: skip
    context.c[L.STIRRED] = 0
    context.sleep(1, tick_ns, band[:6], features)


def _touch(market: CompiledMarket) -> str:
    return "bid {} ask {}".format(*market.touch)


def order_sizes(instrument: Instrument) -> dict[int, int]:
    """Sizes of an order that the venue takes, by their place in `layout`."""
    most = L.NEVER if instrument.max_lots is None else instrument.max_lots
    return {L.MIN_LOTS: instrument.min_lots, L.MAX_LOTS: most}


def kernel_settings(
    cache: MdCacheSettings, features: FeatureSettings, settings: SimSettings
) -> tuple[dict[int, int], dict[int, float]]:
    """What both halves of a kernel are told: its integers and its floats, by their place in `layout`."""
    ints, floats = local_settings(cache, features)
    ints[L.MARKET_DATA_NS] = round(settings.market_data.median_ms * MS)
    floats[L.QUEUE_POWER] = settings.queue.power
    return ints, floats
