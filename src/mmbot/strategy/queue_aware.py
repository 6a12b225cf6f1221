"""Stage 5, queue_aware: where do we stand in the queue, and is it worth a tick to stand in front?

Position is estimated from the local book, as it would be live: on acknowledgement everything displayed at our
price is ahead of us; trades at the price take from the front; a display smaller than our estimate clips it
(sizes that vanish without a trade are taken to have stood behind us, the risk-averse reading). ETA = size
ahead / rate at which the market trades against that side.

The nudge: an order that rests at the touch with an ETA above `max_eta_s` would rather stand one tick better,
if the spread has room, the tick costs at most `max_reprice_bps`, and the edge that is left clears
`min_edge_bps`. A nudged side keeps that price while the last two hold: the ETA of the new place (nobody
ahead) would otherwise send it straight back. The stage names a preferred price; emit takes it only if it is
exactly one tick better than the price that the other stages want.
"""

import msgspec

from mmbot.book.measures import DecayedRate, PricedView
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


class _Place:
    __slots__ = ("ahead_lots", "side", "tick")

    def __init__(self, side: Side, tick: int, ahead_lots: int) -> None:
        self.side = side
        self.tick = tick
        self.ahead_lots = ahead_lots


class QueueAware:
    """Queue places of our own resting orders of one symbol, and the nudge."""

    __slots__ = ("_nudged", "_places", "_rate", "_settings")

    def __init__(self, settings: QueueAwareSettings) -> None:
        self._settings = settings
        self._places: dict[str, _Place] = {}
        self._nudged: dict[Side, int | None] = {Side.BUY: None, Side.SELL: None}
        self._rate = {side: DecayedRate(settings.rate_halflife_s) for side in Side}

    def on_resting(self, client_id: str, side: Side, tick: int, displayed_lots: int) -> None:
        self._places[client_id] = _Place(side, tick, displayed_lots)

    def on_gone(self, client_id: str) -> None:
        self._places.pop(client_id, None)

    def on_trade(self, now_ns: int, taker: Side, tick: int, lots: int) -> None:
        resting = Side(-taker)
        self._rate[resting].add(now_ns, lots)
        for place in self._places.values():
            if place.side is resting and place.tick == tick:
                place.ahead_lots = max(place.ahead_lots - lots, 0)

    def on_book(self, bids: dict[int, int], asks: dict[int, int]) -> None:
        for place in self._places.values():
            displayed = (bids if place.side is Side.BUY else asks).get(place.tick, 0)
            place.ahead_lots = min(place.ahead_lots, displayed)

    def ahead_lots(self, client_id: str) -> int | None:
        """Estimated size in front of a resting order; None if it does not rest."""
        place = self._places.get(client_id)
        return None if place is None else place.ahead_lots

    def eta_s(self, now_ns: int, side: Side, ahead_lots: int) -> float:
        """Seconds until the queue in front is gone at the present rate; infinite when nothing trades."""
        rate = self._rate[side].at(now_ns)
        return ahead_lots / rate if rate > 0 else float("inf")

    def __call__(self, now_ns: int, view: PricedView, fair_ticks: float, working: Working) -> Preferred:
        """Preferred bid and ask price in ticks; None where there is no reason to move."""
        return (
            self._prefer(Side.BUY, now_ns, view, fair_ticks, working[0]),
            self._prefer(Side.SELL, now_ns, view, fair_ticks, working[1]),
        )

    def _prefer(
        self, side: Side, now_ns: int, view: PricedView, fair_ticks: float, order: tuple[str, int] | None
    ) -> int | None:
        if order is None:
            wish = self._nudged[side]
        elif order[1] == self._nudged[side]:
            wish = order[1]
        else:
            wish = order[1] + side if self._waits_too_long(side, now_ns, view, *order) else None
        if wish is not None and not self._pays(side, wish, view, fair_ticks):
            wish = None
        self._nudged[side] = wish
        return wish

    def _waits_too_long(self, side: Side, now_ns: int, view: PricedView, client_id: str, tick: int) -> bool:
        place = self._places.get(client_id)
        if place is None or tick != (view.bid_tick if side is Side.BUY else view.ask_tick):
            return False
        return self.eta_s(now_ns, side, place.ahead_lots) > self._settings.max_eta_s

    def _pays(self, side: Side, tick: int, view: PricedView, fair_ticks: float) -> bool:
        passive = tick < view.ask_tick if side is Side.BUY else tick > view.bid_tick
        edge_bps = side * (fair_ticks - tick) / fair_ticks * BPS
        cheap = BPS / fair_ticks <= self._settings.max_reprice_bps
        return passive and cheap and edge_bps >= self._settings.min_edge_bps
