"""The pipeline: six stages, a stopwatch between them, one row about it.

fetch_md -> spread -> guards -> inventory -> queue_aware -> emit. Stages are plain calls: an await between
them would cost more than all of them together (measured: 5 us a hop). The stopwatch is handed in; what it
reads is written down and never read again by the bot, so decisions do not depend on the machine.

On a miss nothing can be priced: the guards say HARD and every quote is pulled. The tick then *waits* for the
book: its row stays open until a snapshot arrives (`wait_ns` = how long that took) or the deadline passes, and
the wait counts into the tick's total. That is what a blocking fetch would have cost, measured live and
modelled in replay, without stopping the engine.
"""

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from mmbot.book.cache import Read
from mmbot.book.market import Market
from mmbot.book.measures import PricedView
from mmbot.clock import Stopwatch
from mmbot.model.instrument import Instrument
from mmbot.model.quotes import Quote
from mmbot.model.records import Row, TickRow
from mmbot.strategy.emit import Emit
from mmbot.strategy.fast_cancel import FastCancel
from mmbot.strategy.fetch_md import FetchMd
from mmbot.strategy.glft import Glft, GlftSkew
from mmbot.strategy.guards import Guards, GuardSettings, Level
from mmbot.strategy.inventory import skew_bps
from mmbot.strategy.queue_aware import Preferred, QueueAware, Working
from mmbot.strategy.spread import AdaptiveSpread, SpreadSettings
from mmbot.strategy.vitals import Rest, Vitals
from mmbot.units import MS

if TYPE_CHECKING:
    from mmbot.engine.settings import BotSettings
    from mmbot.engine.trace import Tracer


class PipelineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tick_interval_ms: float
    deadline_ms: float


@dataclass(slots=True)
class Stages:
    """The six stages of one symbol, in order; what they know of the bot itself; fast_cancel, whose time
    counts into the guards'; and what their model needs to know of the symbol.
    """

    fetch_md: FetchMd
    spread: AdaptiveSpread
    guards: Guards
    inventory: Callable[[float], float]
    queue_aware: QueueAware
    emit: Emit
    vitals: Vitals
    fast_cancel: FastCancel
    market: Market
    maker_fee_bps: float

    def reconfigure(self, settings: "BotSettings") -> None:
        """From the next tick on; what each remembers stays."""
        self.fetch_md.reconfigure(settings.fetch_md)
        glft = model_of(settings, self.maker_fee_bps)
        self.spread.reconfigure(settings.spread, glft)
        self.guards.reconfigure(settings.guards, settings.md_cache.fresh_ms_for_pricing)
        self.inventory = skew_of(settings, glft, self.market)
        self.queue_aware.reconfigure(settings.queue_aware)
        self.emit.reconfigure(settings.emit)
        self.vitals.reconfigure(rest_of(settings.spread, settings.guards))
        self.fast_cancel.reconfigure(settings.fast_cancel)


def rest_of(spread: SpreadSettings, guards: GuardSettings) -> Rest:
    """Vitals are at rest below the first level at which the spread or a guard would act."""
    return Rest(
        latency_ms=min(spread.latency_reference_ms, guards.soft_latency_ms),
        drawdown_quote=min(spread.drawdown_reference_quote, guards.soft_drawdown_quote),
        taker_ratio=guards.soft_taker_ratio,
        resyncs=guards.hard_resyncs,
    )


def model_of(settings: "BotSettings", maker_fee_bps: float) -> Glft | None:
    """The model that is asked for in place of the adaptive half spread and skew."""
    if settings.spread.model == "adaptive":
        return None
    order_quote, cap_quote = settings.emit.order_notional_quote, settings.inventory.max_position_quote
    return Glft(settings.glft, order_quote, cap_quote, maker_fee_bps)


def skew_of(settings: "BotSettings", glft: Glft | None, market: Market) -> Callable[[float], float]:
    """The inventory stage: shift of both quotes by signed position as a share of its cap."""
    if glft is None:
        return functools.partial(skew_bps, settings=settings.inventory)
    return GlftSkew(glft, settings.inventory.max_skew_bps, market)


class Pipeline:
    """Runs the stages of one symbol at a tick."""

    __slots__ = (
        "_deadline_ns",
        "_key",
        "_market",
        "_max_position_quote",
        "_price",
        "_seq",
        "_stages",
        "_stopwatch",
        "_tracer",
    )

    def __init__(
        self,
        settings: PipelineSettings,
        max_position_quote: float,
        instrument: Instrument,
        market: Market,
        stages: Stages,
        tracer: "Tracer",
        stopwatch: Stopwatch,
    ) -> None:
        self._bound(settings, max_position_quote)
        self._key = instrument.key
        self._price = instrument.pricer()
        self._market = market
        self._stages = stages
        self._tracer = tracer
        self._stopwatch = stopwatch
        self._seq = 0

    def number_ticks_behind(self, seq: int) -> None:
        """The tick before the next one has this number."""
        self._seq = seq
        self._tracer.passed(seq)

    def reconfigure(self, settings: "BotSettings") -> None:
        """From the next tick on."""
        self._bound(settings.pipeline, settings.inventory.max_position_quote)
        self._stages.reconfigure(settings)
        self._tracer.reconfigure(settings.trace, self._seq)

    def _bound(self, settings: PipelineSettings, max_position_quote: float) -> None:
        self._deadline_ns = settings.deadline_ms * MS
        self._max_position_quote = max_position_quote

    def tick(
        self,
        now_ns: int,
        position: float,
        position_quote: float,
        working: Working,
        place: Callable[[int, list[Quote]], None],
        rows: list[Row],
    ) -> tuple[TickRow, bool]:
        """One pass. `place` turns wanted quotes into commands and is part of the emit stage's time; `rows`
        takes the trace of a tick that is traced.

        Returns the row and whether it is open: a miss, whose wait is not known yet.
        """
        stages, market, clock = self._stages, self._market, self._stopwatch
        inventory_ratio = position_quote / self._max_position_quote
        half_spread_bps = 0.0
        preferred: Preferred = (None, None)
        quotes: list[Quote] = []
        t0 = clock()
        fetch_md = stages.fetch_md
        read, view = fetch_md(now_ns)
        t1 = clock()
        vitals = stages.vitals
        volatility_bps = market.volatility_bps
        if view is not None:
            half_spread_bps = stages.spread(now_ns, volatility_bps, market.liquidity_score, vitals)
        t2 = clock()
        guards = stages.guards
        age_ns = market.age_ns
        level = guards(now_ns, age_ns, volatility_bps, inventory_ratio, view is not None, vitals)
        calm = level is _NONE or guards.spared is not None  # nothing is wrong with the market or the bot
        if not calm:
            stages.spread.cool_off(now_ns)
        fast_cancel = stages.fast_cancel
        mid_x2 = 0 if view is None or level is _HARD else view.mid_x2
        if fast_cancel.held or mid_x2 != fast_cancel.mid_x2:
            fast_cancel(now_ns, mid_x2)
        t3 = clock()
        skew_bps = stages.inventory(inventory_ratio)
        t4 = clock()
        if view is not None and calm:
            preferred = stages.queue_aware(now_ns, view, fetch_md.fair_ticks, working)
        t5 = clock()
        if view is not None and level is not _HARD:
            if calm:
                quotes = stages.emit(
                    view, fetch_md.fair_ticks, half_spread_bps, skew_bps, 1.0, inventory_ratio, preferred
                )
            if level is not _NONE:
                half_spread_bps = guards.half_spread_bps(half_spread_bps)
                quotes = self._softened(view, half_spread_bps, skew_bps, inventory_ratio, quotes)
            if fast_cancel.held:
                quotes = [quote for quote in quotes if quote.side not in fast_cancel.held]
        place(now_ns, quotes)
        t6 = clock()
        self._seq += 1
        price = self._price
        bid, ask = _first_level(quotes, price)
        row = TickRow(
            now_ns,
            self._key,
            self._seq,
            read,
            age_ns,
            t1 - t0,
            t2 - t1,
            t3 - t2,
            t4 - t3,
            t5 - t4,
            t6 - t5,
            t6 - t0,
            0,
            t6 - t0 > self._deadline_ns,
            _NAMES[level],
            guards.reasons,
            None if view is None else price(view.mid),
            bid,
            ask,
            half_spread_bps if quotes else None,
            position,
            position_quote,
        )
        if self._seq >= self._tracer.next_seq:
            self._tracer.passed(self._seq)
            rows.append(
                self._tracer.row(
                    now_ns, self._seq, view, inventory_ratio, skew_bps, preferred, working,
                    half_spread_bps, quotes,
                )
            )  # fmt: skip
        return row, read is Read.MISS

    def _softened(
        self,
        view: PricedView,
        half_spread_bps: float,
        skew_bps: float,
        inventory_ratio: float,
        quotes: list[Quote],
    ) -> list[Quote]:
        """Quotes under SOFT; a side that it spares keeps the `quotes` without it."""
        stages = self._stages
        guards, fair_ticks = stages.guards, stages.fetch_md.fair_ticks
        softened = stages.emit(
            view, fair_ticks, half_spread_bps, skew_bps, guards.size_ratio(), inventory_ratio, _NO_PREFERENCE
        )
        spared = guards.spared
        if spared is None:
            return softened
        kept = [quote for quote in quotes if quote.side is spared]
        return sorted(kept + [quote for quote in softened if quote.side is not spared], key=_LEVEL)

    def slept(self, ticks: int, last_ns: int, liquidity_score: float, mid_x2: int) -> None:
        """Ticks were left out, the last of them then and with that score and mid."""
        self._seq += ticks
        self._tracer.passed(self._seq)
        self._stages.spread.slept(last_ns, liquidity_score)
        self._stages.fast_cancel.mid_x2 = mid_x2

    def close(self, row: TickRow, wait_ns: int) -> None:
        """The wait of an open row is known."""
        row.wait_ns = wait_ns
        row.deadline_miss = row.tick_total_ns + wait_ns > self._deadline_ns

    def overdue(self, row: TickRow, now_ns: int) -> bool:
        """An open row has waited out its deadline."""
        return now_ns - row.ts_ns >= self._deadline_ns


def _first_level(quotes: list[Quote], price: Callable[[float], float]) -> tuple[float | None, float | None]:
    """Prices of the first-level bid and ask."""
    bid = ask = None
    for quote in quotes:
        if quote.level:
            break
        if quote.side > 0:
            bid = price(quote.tick)
        else:
            ask = price(quote.tick)
    return bid, ask


_NONE, _HARD = Level.NONE, Level.HARD
_NO_PREFERENCE: Preferred = (None, None)
_LEVEL = operator.attrgetter("level")
_NAMES = {level: level.name for level in Level}
