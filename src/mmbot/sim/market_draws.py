"""Everything random in the synthetic market: seeded streams, each from a generator of its own."""

import math
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmbot.sim.market_settings import MarketSettings
from mmbot.units import MS

GAP_LIMIT = 4
"""Levels that come into view at the deep end are at most this many ticks apart."""

_BLOCK = 4_096
_LOTS_LIMIT = 1e9
_ORDER_LIMIT = 16.0
"""One arrival or cancel is at most this many typical touches."""
_LATENCY_POWER = 3
_WAIT_LIMIT_MS = 3_600_000
_STREAMS = 20

Draw = Callable[[np.random.Generator], NDArray[Any]]


class Draws:
    """Endless streams of plain numbers, drawn in blocks. A new stream goes to the end: a seed's children keep
    their numbers, and markets that do not use it stay as they were.
    """

    def __init__(self, settings: MarketSettings, seed: int) -> None:
        seeds = iter(np.random.SeedSequence(seed).spawn(_STREAMS))

        def stream(draw: Draw) -> Iterator[Any]:
            return _blocks(np.random.default_rng(next(seeds)), draw)

        log_mean, log_sigma = settings.level_lots_log_mean, settings.level_lots_log_sigma
        trade_log_mean, trade_log_sigma = settings.trade_lots_log_mean, settings.trade_lots_log_sigma
        self.price_normal: Iterator[float] = stream(_normal)
        self.volatility_normal: Iterator[float] = stream(_normal)
        self.wait: Iterator[float] = stream(lambda rng: rng.standard_exponential(_BLOCK))
        self.taker: Iterator[float] = stream(_uniform)
        self.trade_lots: Iterator[int] = stream(_lots(trade_log_mean, trade_log_sigma))
        self.provider: Iterator[float] = stream(_uniform)
        self._change_count = np.random.default_rng(next(seeds))
        self.distance: Iterator[int] = stream(_distances(settings))
        self.level_lots: Iterator[int] = stream(_lots(log_mean, log_sigma))
        self.order_lots: Iterator[int] = stream(_order_lots(settings))
        self.gap: Iterator[int] = stream(
            lambda rng: np.minimum(rng.geometric(settings.gap_stop_ratio, _BLOCK), GAP_LIMIT)
        )
        self.latency_ns: Iterator[int] = stream(_latencies(settings))
        self.activity_normal: Iterator[float] = stream(_normal)
        self.moves: Iterator[bool] = stream(lambda rng: rng.random(_BLOCK) < settings.price_move_ratio)
        self.follows: Iterator[bool] = stream(lambda rng: rng.random(_BLOCK) < settings.burst_ratio)
        self.follow_wait_ms: Iterator[int] = stream(_follow_waits(settings))
        self.maker_lots: Iterator[int] = stream(
            _lots(settings.maker_lots_log_mean or 0.0, settings.maker_lots_log_sigma)
        )
        self._uneven = np.random.default_rng(next(seeds))
        self._dispersion = settings.level_changes_dispersion
        self.jitter_ms: Iterator[int] = stream(_jitters(settings))
        self.reveals: Iterator[bool] = stream(lambda rng: rng.random(_BLOCK) < settings.reveal_ratio)

    def changes(self, mean: float) -> int:
        """How many arrivals and cancels an interval has: Poisson around a mean that is itself a gamma."""
        if self._dispersion:
            mean *= self._uneven.standard_gamma(1.0 / self._dispersion) * self._dispersion
        return int(self._change_count.poisson(mean))


def _blocks(rng: np.random.Generator, draw: Draw) -> Iterator[Any]:
    """Endless; numbers come from a list, without Python code for each of them."""
    return chain.from_iterable(draw(rng).tolist() for _ in repeat(None))


def _normal(rng: np.random.Generator) -> NDArray[Any]:
    return rng.standard_normal(_BLOCK)


def _uniform(rng: np.random.Generator) -> NDArray[Any]:
    return rng.random(_BLOCK)


def _whole(lots: NDArray[np.float64], most: float = _LOTS_LIMIT) -> NDArray[np.int64]:
    return np.clip(np.rint(lots), 1, max(1.0, min(most, _LOTS_LIMIT))).astype(np.int64)


def _lots(log_mean: float, log_sigma: float) -> Draw:
    return lambda rng: _whole(rng.lognormal(log_mean, log_sigma, _BLOCK))


def _order_lots(settings: MarketSettings) -> Draw:
    log_mean = settings.level_lots_log_mean + math.log(settings.order_share_ratio)
    log_sigma = settings.order_lots_log_sigma
    if log_sigma is None:
        log_sigma = settings.level_lots_log_sigma
    most = _ORDER_LIMIT * math.exp(settings.level_lots_log_mean)
    return lambda rng: _whole(rng.lognormal(log_mean, log_sigma, _BLOCK), most)


def _distances(settings: MarketSettings) -> Draw:
    """Mostly geometric behind the touch, the rest anywhere."""
    near_ratio, stop, span = settings.near_ratio, settings.near_stop_ratio, settings.far_ticks

    def draw(rng: np.random.Generator) -> NDArray[Any]:
        near = rng.geometric(stop, _BLOCK) - 1
        return np.where(rng.random(_BLOCK) < near_ratio, near, rng.integers(0, span, _BLOCK))

    return draw


def _follow_waits(settings: MarketSettings) -> Draw:
    median, log_sigma = settings.burst_wait_ms, settings.burst_wait_log_sigma

    def draw(rng: np.random.Generator) -> NDArray[Any]:
        waits = median * rng.lognormal(0.0, log_sigma, _BLOCK)
        return np.clip(np.rint(waits), 1, _WAIT_LIMIT_MS).astype(np.int64)

    return draw


def _jitters(settings: MarketSettings) -> Draw:
    """Whole ms around the message interval, evenly either way."""
    most = settings.message_jitter_ms
    return lambda rng: rng.integers(-most, most + 1, _BLOCK)


def _latencies(settings: MarketSettings) -> Draw:
    least_ns = settings.latency_min_ms * MS
    span_ns = (settings.latency_max_ms - settings.latency_min_ms) * MS
    return lambda rng: (least_ns + span_ns * rng.random(_BLOCK) ** _LATENCY_POWER).astype(np.int64)
