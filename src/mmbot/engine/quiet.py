"""The quiet band: where the market may go before the pipeline would do anything.

Ticks inside the band may be left out: no order would be sent, none pulled, and what the stages remember can
be told afterwards. It is worked out after a tick that commanded nothing, for the ordinary case alone: a fresh
book, no guard, calm volatility and vitals, a spread that is free to move, one order resting on each side and
away from the touch. Whatever is not ordinary is no band, and the next tick is run. Bounds lie on the safe
side of rounding; that orders and digests are the same with and without is tested on random markets and on
every capture.

How the bounds follow from the stages, with f the fair value, h the half spread as a ratio and b and a the
ticks by which skew moves bid and ask: a bid is f (1 - h) rounded down plus b, an ask f (1 + h) rounded up
plus a. h moves with the liquidity score alone, b and a with the mid and f. The score is held to a range, and
twice the mid to another, in which f has to stay too; so h, b and a have bounds, and the prices at which the
aligner keeps both orders become bounds of f.
"""

import math
from typing import NamedTuple

from mmbot.book.market import Market
from mmbot.engine.pipeline import Stages
from mmbot.execution.aligner import AlignerSettings
from mmbot.execution.orders import WorkingOrder
from mmbot.execution.position import Position
from mmbot.strategy.inventory import tick_shifts
from mmbot.units import BPS, SECOND

_SCORE_REACH = 0.03
"""How far the liquidity score may go either way: a wider one leaves less room for the fair value."""
_HAIR = 1e-6
"""Ticks: more than floating point errs, less than any price moves."""
_ANYWHERE = 1 << 40
Shifts = tuple[int, int]
"""Ticks by which skew moves the bid and the ask."""


class Band(NamedTuple):
    """Ranges include their ends. Prices are in ticks, `mid_*` twice the mid; `volatility_bps` and `seen` must
    stay below; `score_step` is from tick to tick. `adjustments`: microprice by state, None for the plain mid.
    """

    mid_low: int
    mid_high: int
    bid_low: int
    bid_high: int
    ask_low: int
    ask_high: int
    fair_low: float
    fair_high: float
    score_low: float
    score_high: float
    score_step: float
    volatility_bps: float
    age_ns: int
    seen: int
    weighted: bool
    adjustments: list[float] | None


class Quiet:
    """Works out the bands of one symbol."""

    __slots__ = ("_aligner", "_market", "_max_position_quote", "_stages", "_tick_ns")

    def __init__(
        self,
        stages: Stages,
        aligner: AlignerSettings,
        market: Market,
        max_position_quote: float,
        tick_ns: int,
    ) -> None:
        self._stages = stages
        self._market = market
        self._tick_ns = tick_ns
        self.reconfigure(aligner, max_position_quote)

    def reconfigure(self, aligner: AlignerSettings, max_position_quote: float) -> None:
        """For the next band; the stages are told by themselves."""
        self._aligner = aligner
        self._max_position_quote = max_position_quote

    def band(self, bid: WorkingOrder, ask: WorkingOrder, position: Position) -> Band | None:
        """The band around this moment, or None. `bid` and `ask` are all that works, and rest."""
        market, stages = self._market, self._stages
        view, volatility_bps, score = market.view, market.volatility_bps, market.liquidity_score
        calm_bps = min(stages.spread.calm_bps, stages.guards.calm_bps)
        if view is None or volatility_bps is None or volatility_bps >= calm_bps:
            return None
        low, high = max(score - _SCORE_REACH, 0.0), score + _SCORE_REACH
        if not self._at_rest(volatility_bps, score) or stages.spread.widest(high):
            return None
        half = stages.spread.wanted_bps(None, low) / BPS, stages.spread.wanted_bps(None, high) / BPS
        mids = self._mids(view.mid_x2, view.ask_tick - view.bid_tick)
        shifts = self._shifts(position, mids)
        bids, asks = _away_from(bid.tick, view.bid_tick), _away_from(ask.tick, view.ask_tick)
        if shifts is None or bids is None or asks is None:
            return None
        fair = self._fair(bid, ask, half, shifts, mids)
        if fair is None or not fair[0] <= stages.fetch_md.fair_ticks <= fair[1]:
            return None
        microprice = stages.fetch_md.microprice
        step = stages.spread.calm_step(self._tick_ns / SECOND)
        return Band(
            *mids, *bids, *asks, *fair, low, high, step, calm_bps, stages.guards.fresh_ns,
            microprice.next_fit, stages.fetch_md.weighted, stages.fetch_md.adjustments,
        )  # fmt: skip

    def _at_rest(self, volatility_bps: float, score: float) -> bool:
        """No stage is on its way anywhere, and none knows anything that the band does not."""
        stages = self._stages
        return (
            stages.guards.calm
            and stages.vitals.calm
            and stages.spread.settled(volatility_bps, score)
            and not stages.fast_cancel.held
            and not stages.queue_aware.nudging
            and stages.emit.levels == 1
        )

    def _mids(self, mid_x2: int, spread: int) -> tuple[int, int]:
        """Twice the mid: as far as the aligner holds, and some; but no move within may be a spike."""
        reach = math.ceil((self._aligner.hold_bps + self._aligner.lead_bps) / BPS * mid_x2) + 2 * spread
        reach = min(reach, math.floor(self._stages.fast_cancel.calm_reach_x2(mid_x2)))
        return mid_x2 - reach, mid_x2 + reach

    def _shifts(self, position: Position, mids: tuple[int, int]) -> tuple[Shifts, Shifts] | None:
        """Least and most that skew moves bid and ask, while mid and fair value are in their range; None if a
        guard or the cap might act.
        """
        ratios = sorted(position.quote_value(mid) / self._max_position_quote for mid in mids)
        worst = max(abs(ratio) for ratio in ratios)
        if worst >= min(self._stages.guards.soft_inventory_ratio, 1.0):
            return None
        shifts = [
            tick_shifts(self._stages.inventory(ratio), mid_x2 / 2) for ratio in ratios for mid_x2 in mids
        ]
        return min(shifts), max(shifts)

    def _fair(
        self,
        bid: WorkingOrder,
        ask: WorkingOrder,
        half: tuple[float, float],
        shifts: tuple[Shifts, Shifts],
        mids: tuple[int, int],
    ) -> tuple[float, float] | None:
        """Fair values at which both orders still serve what would be wanted."""
        behind, ahead = self._aligner.hold_bps / BPS, self._aligner.lead_bps / BPS
        bid_low = min(math.ceil(bid.tick / (1 + ahead) + _HAIR), bid.tick)
        bid_high = max(math.floor(bid.tick / (1 - behind) - _HAIR), bid.tick)
        ask_low = min(math.ceil(ask.tick / (1 + behind) + _HAIR), ask.tick)
        ask_high = max(math.floor(ask.tick / (1 - ahead) - _HAIR), ask.tick)
        (bid_down, ask_down), (bid_up, ask_up) = shifts
        high = min(
            (bid_high - bid_up + 1 - _HAIR) / (1 - half[0]),
            (ask_high - ask_up - _HAIR) / (1 + half[1]),
            mids[1] / 2,
        )
        low = max(
            (bid_low - bid_down + _HAIR) / (1 - half[1]),
            (ask_low - ask_down - 1 + _HAIR) / (1 + half[0]),
            mids[0] / 2,
        )
        # a tick of room, or the touch and the fair value itself would have a say in the price
        roomy = low * half[0] >= 1 + max(bid_up, -ask_down) + _HAIR
        emit = self._stages.emit
        lots = emit.least_lots(min(low, bid_low), high)
        kept = max(bid.leaves_lots, ask.leaves_lots) <= lots * (1 + self._aligner.hold_size_ratio)
        return (low, high) if roomy and lots and kept else None


def _away_from(order_tick: int, touch_tick: int) -> tuple[int, int] | None:
    """Where the touch of its own side may be without meeting an order: then its queue does not matter."""
    if order_tick == touch_tick:
        return None
    return (order_tick + 1, _ANYWHERE) if touch_tick > order_tick else (-_ANYWHERE, order_tick - 1)
