"""Who acts in the synthetic market: the fair price, the takers, the providers. `mmbot.sim.market` describes
the model.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmbot.model.events import Level
from mmbot.model.instrument import Side
from mmbot.sim.market_ladder import Ladder
from mmbot.sim.market_settings import MarketSettings
from mmbot.units import BPS, MS

_BLOCK = 4_096
_MS_PER_MINUTE = 60_000
_LOTS_LIMIT = 1e9

_LOG_PRICE_LIMIT = math.log(2.0)
_LOG_VOLATILITY_LIMIT = 3.0
"""Volatility, trading and asked edge are at most about twenty times their middle."""

_STALE_EDGE = 0.5
"""A quote is pulled when less than this share of the asked edge is left."""
_ORDER_SHARE = 0.25
"""One arrival or cancel, as a share of a typical level."""
_DEEPER = 0.3
_DEEPEST = 3.0
"""Typical size grows by this share of a touch per tick behind it, up to this many touches."""
_NEAR_RATIO = 0.8
_NEAR_CHANCE = 0.3
"""Most arrivals and cancels fall geometrically behind the touch with this chance at each tick; the rest
anywhere."""
_GAP_CHANCE = 0.85
_GAP_LIMIT = 4
"""Deep levels mostly follow tick by tick."""
_LATENCY_POWER = 3


class Draws:
    """Endless seeded streams of plain numbers, drawn in blocks, each from a generator of its own."""

    def __init__(self, settings: MarketSettings, seed: int) -> None:
        seeds = iter(np.random.SeedSequence(seed).spawn(12))

        def stream(draw: Callable[[np.random.Generator], NDArray[Any]]) -> Iterator[Any]:
            return _blocks(np.random.default_rng(next(seeds)), draw)

        def lots(log_mean: float, log_sigma: float) -> Callable[[np.random.Generator], NDArray[Any]]:
            return lambda rng: _whole(rng.lognormal(log_mean, log_sigma, _BLOCK))

        depth = settings.depth_levels
        least_ns, span_ns = (
            settings.latency_min_ms * MS,
            (settings.latency_max_ms - settings.latency_min_ms) * MS,
        )
        changes = settings.level_changes_per_message
        log_mean, log_sigma = settings.level_lots_log_mean, settings.level_lots_log_sigma
        self.price_normal: Iterator[float] = stream(lambda rng: rng.standard_normal(_BLOCK))
        self.volatility_normal: Iterator[float] = stream(lambda rng: rng.standard_normal(_BLOCK))
        self.wait: Iterator[float] = stream(lambda rng: rng.standard_exponential(_BLOCK))
        self.taker: Iterator[float] = stream(lambda rng: rng.random(_BLOCK))
        self.trade_lots: Iterator[int] = stream(
            lots(settings.trade_lots_log_mean, settings.trade_lots_log_sigma)
        )
        self.provider: Iterator[float] = stream(lambda rng: rng.random(_BLOCK))
        self.changes: Iterator[int] = stream(lambda rng: rng.poisson(changes, _BLOCK))
        self.distance: Iterator[int] = stream(lambda rng: _distances(rng, depth))
        self.level_lots: Iterator[int] = stream(lots(log_mean, log_sigma))
        self.order_lots: Iterator[int] = stream(lots(log_mean + math.log(_ORDER_SHARE), log_sigma))
        self.gap: Iterator[int] = stream(
            lambda rng: np.minimum(rng.geometric(_GAP_CHANCE, _BLOCK), _GAP_LIMIT)
        )
        self.latency_ns: Iterator[int] = stream(
            lambda rng: (least_ns + span_ns * rng.random(_BLOCK) ** _LATENCY_POWER).astype(np.int64)
        )


def _blocks(rng: np.random.Generator, draw: Callable[[np.random.Generator], NDArray[Any]]) -> Iterator[Any]:
    while True:
        yield from draw(rng).tolist()


def _whole(lots: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.clip(np.rint(lots), 1, _LOTS_LIMIT).astype(np.int64)


def _distances(rng: np.random.Generator, depth: int) -> NDArray[np.int64]:
    near = rng.geometric(_NEAR_CHANCE, _BLOCK) - 1
    return np.where(rng.random(_BLOCK) < _NEAR_RATIO, near, rng.integers(0, depth, _BLOCK))


class FairPrice:
    """The latent price: a random walk of the logarithm with clustering volatility."""

    __slots__ = (
        "_draws",
        "_kept",
        "_log_price",
        "_log_volatility",
        "_past",
        "_shock",
        "_start",
        "_step",
        "_variance",
        "state",
        "ticks",
    )

    def __init__(self, settings: MarketSettings, draws: Draws) -> None:
        minutes = settings.message_interval_ms / _MS_PER_MINUTE
        sigma = settings.volatility_log_sigma
        self._draws = draws
        self._variance = sigma**2
        self._kept = 0.5 ** (minutes * 60.0 / settings.volatility_half_life_s)
        self._shock = sigma * math.sqrt(1.0 - self._kept**2)
        self._step = settings.volatility_bps_per_sqrt_min / BPS * math.sqrt(minutes)
        self._start = float(settings.start_price_ticks)
        self._log_price = 0.0
        self._log_volatility = sigma * next(draws.volatility_normal)
        self.ticks = self._start
        delay = round(settings.provider_delay_ms / settings.message_interval_ms)
        self._past = deque([self._start] * (delay + 1), maxlen=delay + 1)
        self.state = 1.0
        """Volatility against its middle."""

    def step(self) -> None:
        """One message interval passes. The divisor keeps the mean variance at the one asked for."""
        draws = self._draws
        self._log_volatility = self._kept * self._log_volatility + self._shock * next(draws.volatility_normal)
        self.state = math.exp(min(self._log_volatility, _LOG_VOLATILITY_LIMIT))
        self.move(self._step * self.state * math.exp(-self._variance) * next(draws.price_normal))

    def seen_by_providers(self) -> float:
        """The fair price of `provider_delay_ms` ago. To be asked once an interval."""
        self._past.append(self.ticks)
        return self._past[0]

    @property
    def activity(self) -> float:
        """Trading against its mean: it follows volatility."""
        return self.state * math.exp(-self._variance / 2)

    def move(self, log_change: float) -> None:
        self._log_price = max(-_LOG_PRICE_LIMIT, min(_LOG_PRICE_LIMIT, self._log_price + log_change))
        self.ticks = self._start * math.exp(self._log_price)


class Taken(NamedTuple):
    """One level's part of a market order."""

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
        middle = settings.start_price_ticks
        self._bids = Ladder(Side.BUY, settings.depth_levels, first_key=1 - middle)
        self._asks = Ladder(Side.SELL, settings.depth_levels, first_key=middle + 1)
        self._touch_lots = math.exp(settings.level_lots_log_mean)
        self._side = Side.BUY
        self._pressure = 0.0
        self._due = next(draws.wait)
        self._fill()

    def changes(self) -> tuple[list[Level], list[Level]]:
        """What the next message says of bids and asks."""
        return self._bids.changes(), self._asks.changes()

    def takers(self) -> Iterator[Taken]:
        """The market orders of one interval, in time order. Unit-rate waits in operational time make them
        Poisson.
        """
        interval_ms = self._settings.message_interval_ms
        self._fair.step()
        expected = self._settings.trades_per_s * interval_ms / 1_000 * self._fair.activity
        before, self._pressure = self._pressure, self._pressure + expected
        while self._due < self._pressure:
            share = (self._due - before) / expected
            yield from self._market_order(min(interval_ms, 1 + int(share * interval_ms)))
            self._due += next(self._draws.wait)

    def _market_order(self, offset_ms: int) -> Iterator[Taken]:
        wanted = next(self._draws.trade_lots)
        side = self._informed_side() if next(self._draws.taker) < self._settings.informed_ratio else None
        informed = side is not None
        if side is None:
            side = self._next_side()
        ladder = self._asks if side is Side.BUY else self._bids
        stop = ladder.sign * self._fair.ticks if informed else math.inf
        left = wanted
        for key in ladder.keys[: self._settings.sweep_levels]:
            got = ladder.trade(key, left) if key < stop else 0
            if not got:
                break
            left -= got
            yield Taken(offset_ms, side, ladder.sign * key, got)
            if not left:
                break
        if not informed:
            touches = min(1.0, (wanted - left) / self._touch_lots)
            self._fair.move(side * touches * self._settings.impact_bps / BPS)

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
        for ladder in (self._bids, self._asks):
            self._pull(ladder, ladder.sign * fair + edge * _STALE_EDGE)
        self._fill()
        for ladder, other in ((self._bids, self._asks), (self._asks, self._bids)):
            asked = math.ceil(ladder.sign * fair + edge)
            self._improve(ladder, max(asked, 1 - other.keys[0]))
        for _ in range(next(self._draws.changes)):
            ladder = self._bids if next(self._draws.provider) < 0.5 else self._asks  # noqa: PLR2004 - either side
            self._change(ladder, math.ceil(ladder.sign * fair + edge))
        self._fill()

    def _pull(self, ladder: Ladder, stale_below: float) -> None:
        """Keys below the mark are too near the fair price, or beyond it."""
        pull_ratio, chance = self._settings.pull_ratio, self._draws.provider
        while ladder.keys and ladder.keys[0] < stale_below and next(chance) < pull_ratio:
            key = ladder.keys[0]
            if ladder.take(key, ladder.lots[key]) == 0:
                break

    def _improve(self, ladder: Ladder, best_allowed: int) -> None:
        room = ladder.keys[0] - best_allowed
        if room > 0 and next(self._draws.provider) < self._settings.improve_ratio:
            better = math.ceil(room * (1.0 - next(self._draws.provider)))
            ladder.add(ladder.keys[0] - better, next(self._draws.order_lots))

    def _change(self, ladder: Ladder, best_allowed: int) -> None:
        """An arrival or a cancel at one price, the likelier the further the queue is from its typical
        size.
        """
        distance, lots = next(self._draws.distance), next(self._draws.order_lots)
        key = ladder.keys[0] + distance
        if key > ladder.keys[-1]:
            return
        held = ladder.lots.get(key, 0)
        typical = self._touch_lots * min(_DEEPEST, 1.0 + _DEEPER * distance)
        arrives = next(self._draws.provider) * (held + typical) < typical
        if arrives and key >= best_allowed:
            ladder.add(key, lots)
        elif held and not arrives and len(ladder.keys) > 1:
            ladder.take(key, lots)

    def _fill(self) -> None:
        """As many levels as the venue shows, no more and no fewer."""
        gap, lots = self._draws.gap, self._draws.level_lots
        for ladder in (self._bids, self._asks):
            ladder.cut()
            while len(ladder.keys) < ladder.depth:
                size = min(_DEEPEST, 1.0 + _DEEPER * len(ladder.keys))
                ladder.append(next(gap), math.ceil(next(lots) * size))
