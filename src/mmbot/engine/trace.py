"""Trace: a share of ticks keeps what each stage thought, as a row of its own.

Which ticks is told by their number alone, evenly spread: of the first n, floor(n * sample_rate) are traced. A
row is put together after the tick, from what the stages still know, so a tick that is not traced pays for one
comparison. It reads and changes nothing: orders are the same at any rate. Its time is in no stage's time.
"""

import math
from fractions import Fraction

import msgspec

from mmbot.book.market import Market
from mmbot.book.measures import PricedView
from mmbot.engine.pipeline import Stages
from mmbot.model.instrument import Instrument, Side
from mmbot.model.quotes import Quote
from mmbot.model.records import TraceRow
from mmbot.strategy.guards import Level
from mmbot.strategy.queue_aware import Preferred, Working
from mmbot.units import BPS

_NEVER = 1 << 62
_NAMES = {level: level.name for level in Level}


class TraceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`sample_rate`: share of ticks, 0..1."""

    sample_rate: float


class Tracer:
    """Traces one symbol. `next_seq`: number of the next tick that is traced."""

    __slots__ = ("_key", "_market", "_of", "_price", "_stages", "_traced", "next_seq")

    def __init__(
        self, settings: TraceSettings, instrument: Instrument, market: Market, stages: Stages
    ) -> None:
        self._key = instrument.key
        self._price = instrument.pricer()
        self._market = market
        self._stages = stages
        self.next_seq = 0
        self.reconfigure(settings, 0)

    def reconfigure(self, settings: TraceSettings, seq: int) -> None:
        """From the tick after this one on."""
        self._traced, self._of = Fraction(str(settings.sample_rate)).as_integer_ratio()
        self.passed(seq)

    def passed(self, seq: int) -> None:
        """Ticks up to this one are behind us."""
        traced, of = self._traced, self._of
        self.next_seq = -(-(seq * traced // of + 1) * of // traced) if traced else _NEVER

    def row(
        self,
        now_ns: int,
        seq: int,
        view: PricedView | None,
        inventory_ratio: float,
        skew_bps: float,
        preferred: Preferred,
        working: Working,
        half_spread_bps: float,
        quotes: list[Quote],
    ) -> TraceRow:
        """The tick that has just been decided. `working`: what rested when it began."""
        stages, market, price = self._stages, self._market, self._price
        spread, guards, vitals = stages.spread, stages.guards, stages.vitals
        scores = spread.scores(market.volatility_bps, market.liquidity_score, vitals)
        bid, ask = preferred
        bid_ahead, bid_eta_s = self._queue(now_ns, Side.BUY, working[0])
        ask_ahead, ask_eta_s = self._queue(now_ns, Side.SELL, working[1])
        level = guards.level
        return TraceRow(
            ts_ns=now_ns,
            symbol=self._key,
            seq=seq,
            fair=None if view is None else price(stages.fetch_md.fair_ticks),
            touch_bps=None if view is None else (view.ask_tick - view.bid_tick) / view.mid * BPS,
            imbalance=None if view is None else view.imbalance,
            depth_lots=None if view is None else view.depth_lots,
            bid_trade_lots_per_s=market.trade_rate(now_ns, Side.BUY),
            ask_trade_lots_per_s=market.trade_rate(now_ns, Side.SELL),
            volatility_bps=None if view is None else market.volatility_bps,
            latency_ms=vitals.latency_at(now_ns),
            drawdown_quote=vitals.drawdown_quote,
            taker_ratio=vitals.taker_ratio,
            volatility_score=None if view is None else scores.volatility,
            liquidity_score=None if view is None else scores.liquidity,
            latency_score=scores.latency,
            pnl_score=scores.pnl,
            spread_bps=None if view is None else spread.last_bps,
            half_spread_bps=half_spread_bps if quotes else None,
            size_ratio=guards.size_ratio(),
            guard=_NAMES[level],
            soft=() if guards.calm else guards.reasons_at(Level.SOFT),
            hard=() if guards.calm else guards.reasons_at(Level.HARD),
            held=tuple([side.word for side in stages.fast_cancel.held]),
            inventory_ratio=inventory_ratio,
            skew_bps=skew_bps,
            preferred_bid=None if bid is None else price(bid),
            preferred_ask=None if ask is None else price(ask),
            bid_ahead_lots=bid_ahead,
            bid_eta_s=bid_eta_s,
            ask_ahead_lots=ask_ahead,
            ask_eta_s=ask_eta_s,
            quotes=[(quote.slot, price(quote.tick), quote.lots) for quote in quotes],
        )

    def _queue(
        self, now_ns: int, side: Side, order: tuple[str, int] | None
    ) -> tuple[int | None, float | None]:
        """Size in front of an order, and seconds until it is gone; None where there is none."""
        ahead_lots = None if order is None else self._market.ahead_lots(order[0])
        if ahead_lots is None:
            return None, None
        eta_s = self._stages.queue_aware.eta_s(now_ns, side, ahead_lots)
        return ahead_lots, eta_s if math.isfinite(eta_s) else None
