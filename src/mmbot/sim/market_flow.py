"""Who acts in the synthetic market: takers and providers. `mmbot.sim.market` describes the model."""

import math
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import pairwise
from typing import NamedTuple

from msgspec import UNSET

from mmbot.model.events import Level
from mmbot.model.instrument import Side
from mmbot.sim.market_draws import Draws
from mmbot.sim.market_ladder import Ladder
from mmbot.sim.market_price import FairPrice, LogState
from mmbot.sim.market_settings import MarketSettings
from mmbot.units import BPS

_STALE_EDGE = 0.5
"""A quote is pulled when less than this share of the asked edge is left."""
_MOST_PRINTS = 500
"""Prints of one order at one level; the last one takes what is left."""


class Taken(NamedTuple):
    """One print of a market order."""

    offset_ms: int
    side: Side
    tick: int
    lots: int


class Flow:
    """The book and those who act on it, one message interval at a time: `takers`, `providers`, `changes`."""

    def __init__(self, settings: MarketSettings, draws: Draws) -> None:
        self._settings = settings
        self._draws = draws
        self._fair = FairPrice(settings, draws)
        self._busy = LogState(
            settings.activity_log_sigma,
            settings.activity_half_life_s,
            settings.message_interval_ms / 1_000,
            draws.activity_normal,
        )
        middle = settings.start_price_ticks
        self._bids = Ladder(Side.BUY, settings.depth_levels, first_key=1 - middle)
        self._asks = Ladder(Side.SELL, settings.depth_levels, first_key=middle + 1)
        self._touch_lots = math.exp(settings.level_lots_log_mean)
        self._sizes = _sizes(settings.depth_shape)
        self._side = Side.BUY
        self._pressure = 0.0
        self._due = next(draws.wait)
        self._orders_ms: list[int] = []
        self._fill()

    def changes(self) -> tuple[list[Level], list[Level]]:
        """What the next message says of bids and asks."""
        return self._bids.changes(), self._asks.changes()

    def book(self) -> tuple[list[Level], list[Level]]:
        """All bids and asks."""
        return self._bids.levels(), self._asks.levels()

    def takers(self, interval_ms: int) -> Iterator[Taken]:
        """The market orders of one interval, in time order: new ones, and those that an earlier one drew."""
        self._fair.step()
        self._busy.step()
        waiting, draws = self._orders_ms, self._draws
        for offset_ms in self._arrivals(interval_ms):
            heappush(waiting, offset_ms)
        while waiting and waiting[0] <= interval_ms:
            offset_ms = heappop(waiting)
            yield from self._market_order(offset_ms)
            if next(draws.follows):
                heappush(waiting, offset_ms + next(draws.follow_wait_ms))
        self._orders_ms = [due_ms - interval_ms for due_ms in waiting]

    def _arrivals(self, interval_ms: int) -> Iterator[int]:
        """When new orders come. Unit-rate waits in operational time make them Poisson."""
        new_per_s = self._settings.trades_per_s * (1.0 - self._settings.burst_ratio)
        expected = new_per_s * interval_ms / 1_000 * self._fair.activity * self._busy.against_mean
        before, self._pressure = self._pressure, self._pressure + expected
        while self._due < self._pressure:
            share = (self._due - before) / expected
            yield min(interval_ms, 1 + int(share * interval_ms))
            self._due += next(self._draws.wait)

    def _market_order(self, offset_ms: int) -> Iterator[Taken]:
        settings, draws = self._settings, self._draws
        wanted = next(draws.trade_lots)
        reveals = next(draws.reveals)
        if reveals:
            self._fair.reveal()
        knows = next(draws.taker) < settings.informed_ratio or reveals
        side = self._informed_side() if knows else None
        informed = side is not None
        if side is None:
            side = self._next_side()
        ladder = self._asks if side is Side.BUY else self._bids
        stop = ladder.sign * self._fair.ticks if informed else math.inf
        left = wanted
        for key in ladder.keys[: settings.sweep_levels]:
            got = self._take(ladder, key, left, informed=informed) if key < stop else 0
            if not got:
                break
            left -= got
            for lots in self._prints(got):
                yield Taken(offset_ms, side, ladder.sign * key, lots)
            if not left:
                break
        if not informed:
            touches = min(1.0, (wanted - left) / self._touch_lots) ** settings.impact_power
            self._fair.move(side * touches * settings.impact_bps / BPS * self._impact_state())

    def _impact_state(self) -> float:
        """How much further an order moves the price at this volatility than at the middle one."""
        power = self._settings.impact_volatility_power
        return 1.0 if power is UNSET else self._fair.state**power

    def _take(self, ladder: Ladder, key: int, wanted: int, *, informed: bool) -> int:
        """What a level gives. Of a stale one only a share is still there: the rest was cancelled in the same
        moment, which the venue has yet to show.
        """
        shown = ladder.lots[key]
        there = math.ceil(shown * self._settings.stale_share_ratio) if informed else shown
        got = ladder.trade(key, min(wanted, there))
        if got == there < shown:
            ladder.take(key, shown - got)
        return got

    def _prints(self, lots: int) -> Iterator[int]:
        """What one level gave, maker by maker: a venue prints one trade for each."""
        if self._settings.maker_lots_log_mean is not None:
            for _ in range(_MOST_PRINTS - 1):
                maker = next(self._draws.maker_lots)
                if maker >= lots:
                    break
                lots -= maker
                yield maker
        yield lots

    def _informed_side(self) -> Side | None:
        """Where the book is wrong; None where it is right."""
        fair, asks, bids = self._fair.ticks, self._asks.keys, self._bids.keys
        if asks and asks[0] < fair:
            return Side.BUY
        if bids and -bids[0] > fair:
            return Side.SELL
        return None

    def _next_side(self) -> Side:
        """The last uninformed side goes on or turns: long orders come in pieces."""
        turn_chance = 1.0 - self._settings.run_persistence_ratio
        if next(self._draws.taker) < turn_chance:
            self._side = Side.SELL if self._side is Side.BUY else Side.BUY
        return self._side

    def providers(self) -> None:
        """Stale quotes go, the deep end fills, better prices come, queues move; the book is whole again after
        it.
        """
        edge = self._settings.provider_edge_ticks * self._fair.state
        fair = self._fair.seen_by_providers()
        bids, asks, either = self._bids, self._asks, self._draws.provider
        bid_asked, ask_asked = math.ceil(bids.sign * fair + edge), math.ceil(asks.sign * fair + edge)
        pulled = [self._pull(ladder, ladder.sign * fair + edge * _STALE_EDGE) for ladder in (bids, asks)]
        self._fill()
        self._improve(bids, max(bid_asked, 1 - asks.keys[0]))
        self._improve(asks, max(ask_asked, 1 - bids.keys[0]))
        for ladder, lots in zip((bids, asks), pulled, strict=True):
            self._quote_again(ladder, lots)
        expected = self._settings.level_changes_per_message * self._busy.against_mean
        for _ in range(self._draws.changes(expected)):
            if next(either) < 0.5:  # noqa: PLR2004 - either side
                self._change(bids, bid_asked)
            else:
                self._change(asks, ask_asked)
        self._fill()

    def _pull(self, ladder: Ladder, stale_below: float) -> int:
        """Keys below the mark are too near the fair price, or beyond it. How much was pulled."""
        pull_ratio, chance = self._settings.pull_ratio, self._draws.provider
        pulled = 0
        while ladder.keys and ladder.keys[0] < stale_below and next(chance) < pull_ratio:
            key = ladder.keys[0]
            lots = ladder.take(key, ladder.lots[key])
            if lots == 0:
                break
            pulled += lots
        return pulled

    def _quote_again(self, ladder: Ladder, pulled: int) -> None:
        """Who pulled a stale quote stands at the new best price again, up to a typical queue."""
        best = ladder.keys[0]
        again = int(min(pulled, self._touch_lots - ladder.lots[best]) * self._settings.follow_ratio)
        if again > 0:
            ladder.add(best, again)

    def _improve(self, ladder: Ladder, best_allowed: int) -> None:
        """A better price, and those of the queue left behind who would stand out there come along."""
        settings, left = self._settings, ladder.keys[0]
        room = left - best_allowed
        if room > 0 and next(self._draws.provider) < settings.improve_ratio:
            least = settings.improve_room_ratio
            better = math.ceil(room * (least + (1.0 - least) * (1.0 - next(self._draws.provider))))
            ladder.add(left - better, next(self._draws.order_lots))
            surplus = ladder.lots[left] - self._touch_lots * self._size(better)
            following = int(surplus * settings.follow_ratio)
            if following > 0:
                ladder.add(left - better, ladder.take(left, following))

    def _change(self, ladder: Ladder, best_allowed: int) -> None:
        """An arrival or a cancel at one price, the likelier the further the queue is from its typical
        size. Where levels are smaller than the touch, so are orders.
        """
        draws, keys = self._draws, ladder.keys
        distance, lots = next(draws.distance), next(draws.order_lots)
        key = keys[0] + distance
        if key > keys[-1]:
            return
        held = ladder.lots.get(key, 0)
        size = self._size(distance)
        typical = self._touch_lots * size
        if size < 1.0:
            lots = math.ceil(lots * size)
        arrives = next(draws.provider) * (held + typical) < typical
        if arrives and key >= best_allowed:
            if held or self._opens():
                ladder.add(key, lots)
        elif held and not arrives and len(keys) > 1:
            ladder.take(key, lots)

    def _opens(self) -> bool:
        """Whether a price that holds nothing becomes a level."""
        ratio = self._settings.new_level_ratio
        return ratio >= 1.0 or next(self._draws.provider) < ratio

    def _fill(self) -> None:
        """As many levels as the venue shows, no more and no fewer."""
        gap, lots = self._draws.gap, self._draws.level_lots
        for ladder in (self._bids, self._asks):
            ladder.cut()
            while len(ladder.keys) < ladder.depth:
                ladder.append(next(gap), math.ceil(next(lots) * self._size(len(ladder.keys))))

    def _size(self, ticks: int) -> float:
        """Typical size so far behind the touch, in typical touches."""
        sizes = self._sizes
        return sizes[ticks] if ticks < len(sizes) else sizes[-1]


def _sizes(shape: Sequence[tuple[int, float]]) -> list[float]:
    """A size for every tick: the shape, straight between its points; its last size holds behind them."""
    sizes = [shape[0][1]]
    for (start, one), (end, other) in pairwise(shape):
        inner = [one + (other - one) * step / (end - start) for step in range(1, end - start)]
        sizes += [*inner, other]
    return sizes
