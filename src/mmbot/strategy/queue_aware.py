"""Stage 5, queue_aware: where do we stand in the queue, and is it worth a tick to stand in front?

The market follows our places (`book.places`). ETA = size ahead / rate at which the market trades against that
side.

The nudge: an order that rests at the touch with an ETA above `max_eta_s` would rather stand one tick better,
if the spread has room, the tick costs at most `max_reprice_bps`, and the edge that is left clears
`min_edge_bps`. A nudged side keeps that price while the last two hold: the ETA of the new place (nobody
ahead) would otherwise send it straight back. The stage names a preferred price; emit takes it only if it is
exactly one tick better than the price that the other stages want.
"""

import msgspec

from mmbot.book.market import Market
from mmbot.book.measures import PricedView
from mmbot.model.instrument import Side
from mmbot.units import BPS


class QueueAwareSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    max_eta_s: float
    max_reprice_bps: float
    min_edge_bps: float
    rate_halflife_s: float


Working = tuple[tuple[str, int] | None, tuple[str, int] | None]
"""Client id and tick of the live first-level bid and ask; None where no order rests."""
Preferred = tuple[int | None, int | None]


class QueueAware:
    """The nudge of one symbol."""

    __slots__ = ("_market", "_nudged", "_settings")

    def __init__(self, settings: QueueAwareSettings, market: Market) -> None:
        self._settings = settings
        self._market = market
        self._nudged = list(_NOT_NUDGED)
        """By side: index 1 for bids, -1 for asks."""

    def reconfigure(self, settings: QueueAwareSettings) -> None:
        """From the next tick on. A side that stands at a nudged price stays there while that pays."""
        self._settings = settings

    @property
    def nudging(self) -> bool:
        """A side is held at a nudged price."""
        return self._nudged != _NOT_NUDGED

    def eta_s(self, now_ns: int, side: Side, ahead_lots: int) -> float:
        """Seconds until the queue in front is gone at the present rate; infinite when nothing trades."""
        rate = self._market.trade_rate(now_ns, side)
        return ahead_lots / rate if rate > 0 else float("inf")

    def __call__(self, now_ns: int, view: PricedView, fair_ticks: float, working: Working) -> Preferred:
        """Preferred bid and ask price in ticks; None where there is no reason to move."""
        bid, ask = working
        if (
            (bid is None or bid[1] != view.bid_tick)
            and (ask is None or ask[1] != view.ask_tick)
            and self._nudged == _NOT_NUDGED
        ):
            return _NO_PREFERENCE  # nobody of ours waits at the touch: nearly every tick
        return (
            self._prefer(_BUY, now_ns, view, fair_ticks, bid),
            self._prefer(_SELL, now_ns, view, fair_ticks, ask),
        )

    def _prefer(
        self, side: Side, now_ns: int, view: PricedView, fair_ticks: float, order: tuple[str, int] | None
    ) -> int | None:
        nudged = self._nudged[side]
        if order is None or order[1] == nudged:
            wish = nudged
        elif order[1] == (view.bid_tick if side > 0 else view.ask_tick) and self._waits_too_long(
            side, now_ns, order[0]
        ):
            wish = order[1] + side
        else:
            wish = None
        if wish is not None and not self._pays(side, wish, view, fair_ticks):
            wish = None
        self._nudged[side] = wish
        return wish

    def _waits_too_long(self, side: Side, now_ns: int, client_id: str) -> bool:
        ahead_lots = self._market.ahead_lots(client_id)
        return ahead_lots is not None and self.eta_s(now_ns, side, ahead_lots) > self._settings.max_eta_s

    def _pays(self, side: Side, tick: int, view: PricedView, fair_ticks: float) -> bool:
        passive = tick < view.ask_tick if side > 0 else tick > view.bid_tick
        edge_bps = side * (fair_ticks - tick) / fair_ticks * BPS
        cheap = BPS / fair_ticks <= self._settings.max_reprice_bps
        return passive and cheap and edge_bps >= self._settings.min_edge_bps


_BUY, _SELL = Side.BUY, Side.SELL
_NO_PREFERENCE: Preferred = (None, None)
_NOT_NUDGED: list[int | None] = [None, None, None]
