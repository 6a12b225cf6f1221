"""Fit of the synthetic market to measured statistics: pure sums, no I/O.

Some parameters are read off the statistics. The rest act through the whole market (what a queue looks like
follows from arrivals, cancels, trades and moves), so they are found by the simulated method of moments: each
parameter has one statistic that it moves most and in a known direction; a market is generated, measured by
the same code as the capture, and each parameter takes a step by how far its statistic is off. Every round has
a seed of its own and the steps grow smaller, so that luck averages out (Robbins and Monro). The result is not
exact and need not be: `docs/synthetic-market.md` shows what remains.

Not identified by public data and left at their defaults: how many are informed (`informed_ratio`), latency
to us. Set, not fitted, after what both captures show: the touch answers an order in the very next messages
(`provider_delay_ms` 0); a spread that opened closes in one step (`improve_room_ratio` 1); and an order five
hundred times larger moves the price three to four times as far (`impact_power` 1/4).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec.structs import replace

from mmbot.sim.market import MarketSettings, SyntheticMarket
from mmbot.sim.market_draws import GAP_LIMIT
from mmbot.sim.market_statistics import Statistics, measure
from mmbot.units import Ns

SHAPE_AT = (0, 1, 2, 3, 6, 10, 16, 26, 43, 70, 110)
"""Where the generator's shape has its points: inside the buckets of the measured one."""

_SWEEP_LEVELS = 20
_IMPACT_POWER = 0.25
_VOLATILITY_ROOM = 0.05
_LEAST_MOVES = 0.00001
_ORDERS = 6_000
_LEAST_S, _MOST_S = 3_600.0, 86_400.0
_ROUNDS = 24
_PATIENCE = 3
"""Rounds until the steps are half as long."""
_DIGITS = 4
_START_NS = Ns(0)

Shift = Callable[[Statistics, Statistics], float]


class Knob(NamedTuple):
    """A parameter, how far its statistic is off (wanted, found; positive: raise it), and what it may be.

    `factor`: the step is on the logarithm of the parameter.
    """

    name: str
    shift: Shift
    least: float
    most: float
    factor: bool = False


def fit(
    wanted: Statistics, symbol: str, *, seed: int = 1, rounds: int = _ROUNDS, span_s: float | None = None
) -> MarketSettings:
    """Settings whose market has these statistics, as nearly as the model can. Deterministic.

    A round generates `span_s` of market; without it, as much as has some thousand orders. Raises
    RecordingError if a market on the way is too quiet to be measured.
    """
    settings = first_guess(wanted, symbol)
    span_s = span_s or min(_MOST_S, max(_LEAST_S, _ORDERS / wanted.orders_per_s))
    for done in range(rounds):
        market = SyntheticMarket(replace(settings, duration_s=span_s), seed + done, _START_NS)
        found = measure(market.events(), depth_levels=wanted.depth_levels, window_s=wanted.window_s)
        settings = corrected(settings, wanted, found, gain=1.0 / (1.0 + done / _PATIENCE))
    return settings


def corrected(settings: MarketSettings, wanted: Statistics, found: Statistics, gain: float) -> MarketSettings:
    """One step of every parameter towards the wanted statistics."""
    changes: dict[str, Any] = {}
    for knob in _KNOBS:
        value = getattr(settings, knob.name)
        step = knob.shift(wanted, found)
        if not math.isfinite(step):
            continue
        step = gain * max(-1.0, min(1.0, step))
        moved = value * math.exp(step) if knob.factor else value + step
        changes[knob.name] = _rounded(max(knob.least, min(knob.most, moved)))
    return replace(settings, depth_shape=_shape(settings, wanted, found, gain), **changes)


def first_guess(wanted: Statistics, symbol: str) -> MarketSettings:
    """What can be read off the statistics, and starts for the rest."""
    return MarketSettings(
        symbol=symbol,
        start_price_ticks=wanted.start_ticks,
        depth_levels=wanted.depth_levels,
        **_price_guess(wanted),
        **_taker_guess(wanted),
        **_provider_guess(wanted),
        **_book_guess(wanted),
    )


def _price_guess(wanted: Statistics) -> dict[str, Any]:
    """Moves an interval as if those of a second were independent, shared out to orders and to nobody."""
    an_interval = 1.0 - (1.0 - wanted.moved_ratio) ** (wanted.message_interval_ms / 1_000)
    return {
        "volatility_bps_per_sqrt_min": _rounded(wanted.volatility_bps_per_sqrt_min),
        "volatility_half_life_s": wanted.window_s,
        "price_move_ratio": _rounded(max(_LEAST_MOVES, (1.0 - wanted.led_ratio) * an_interval)),
        "reveal_ratio": _rounded(min(1.0, wanted.led_ratio * wanted.moved_ratio / wanted.orders_per_s)),
        "activity_log_sigma": 0.3,
        "activity_half_life_s": wanted.window_s,
    }


def _taker_guess(wanted: Statistics) -> dict[str, Any]:
    return {
        "trades_per_s": _rounded(wanted.orders_per_s),
        "burst_ratio": _rounded(max(0.0, wanted.order_burst_ratio - 0.05)),  # 5 % follow so soon by chance
        "burst_wait_ms": _rounded(math.exp(wanted.burst_gap_log_mean)),
        "burst_wait_log_sigma": _rounded(wanted.burst_gap_log_sigma),
        "run_persistence_ratio": _rounded(wanted.same_side_ratio),
        "impact_power": _IMPACT_POWER,
        "stale_share_ratio": 0.5,
        "trade_lots_log_mean": _rounded(wanted.order_lots_log_mean),
        "trade_lots_log_sigma": _rounded(wanted.order_lots_log_sigma),
        "sweep_levels": _SWEEP_LEVELS,
        "maker_lots_log_mean": _rounded(wanted.print_lots_log_mean),
        "maker_lots_log_sigma": _rounded(wanted.print_lots_log_sigma),
    }


def _provider_guess(wanted: Statistics) -> dict[str, Any]:
    interval_ms = round(wanted.message_interval_ms)
    jitter_ms = round(math.sqrt(3.0) * wanted.message_interval_sd_ms)
    changes_per_s = wanted.messages_per_s * wanted.changes_per_message
    near = 1.0 - 2 * min(0.49, wanted.change_far_ratio)
    return {
        "message_interval_ms": interval_ms,
        "message_jitter_ms": min(jitter_ms, interval_ms - 1),
        "provider_delay_ms": 0.0,
        "provider_edge_ticks": _rounded(min(1.0, max(0.0, (wanted.spread_ticks - 1.0) / 2))),
        "pull_ratio": 0.9,
        "improve_ratio": 0.9,
        "improve_room_ratio": 1.0,
        "follow_ratio": 0.7,
        "level_changes_per_message": _rounded(changes_per_s * wanted.message_interval_ms / 1_000),
        "level_changes_dispersion": 1.0,
        "near_ratio": _rounded(near),
        "near_stop_ratio": _rounded(min(0.9, max(0.05, wanted.change_touch_ratio / near))),
        "far_ticks": max(1, round(wanted.depth_levels * wanted.gap_ticks)),
    }


def _book_guess(wanted: Statistics) -> dict[str, Any]:
    share = math.exp(wanted.touch_change_log_mean - wanted.touch_lots_log_mean)
    return {
        "order_share_ratio": _rounded(min(1.0, max(0.001, share))),
        "order_lots_log_sigma": _rounded(min(3.0, wanted.touch_change_log_sigma)),
        "level_lots_log_mean": _rounded(wanted.touch_lots_log_mean),
        "level_lots_log_sigma": _rounded(min(3.0, wanted.touch_lots_log_sigma)),
        "gap_stop_ratio": _rounded(gap_stop(wanted.gap_ticks)),
        "depth_shape": _first_shape(wanted),
    }


def gap_stop(mean_ticks: float) -> float:
    """The chance at each tick that the next level stands there, for a mean gap: bisection, as gaps are cut
    off.
    """
    least, most = 0.01, 1.0
    for _ in range(60):
        middle = (least + most) / 2
        mean = (1.0 - (1.0 - middle) ** GAP_LIMIT) / middle
        least, most = (middle, most) if mean > mean_ticks else (least, middle)
    return most


def _first_shape(wanted: Statistics) -> tuple[tuple[int, float], ...]:
    """Sizes against the touch at the distances that the capture shows."""
    logs = wanted.depth_log_means
    seen = [(at, log) for at, log in zip(SHAPE_AT, logs, strict=True) if math.isfinite(log)]
    return tuple((at, _size(log - logs[0])) for at, log in seen)


def _shape(
    settings: MarketSettings, wanted: Statistics, found: Statistics, gain: float
) -> tuple[tuple[int, float], ...]:
    points = []
    for at, size in settings.depth_shape:
        bucket = SHAPE_AT.index(at)
        off = (wanted.depth_log_means[bucket] - wanted.depth_log_means[0]) - (
            found.depth_log_means[bucket] - found.depth_log_means[0]
        )
        step = gain * max(-1.0, min(1.0, off)) if math.isfinite(off) else 0.0
        points.append((at, _size(math.log(size) + step)))
    return tuple(points)


def _size(log: float) -> float:
    return _rounded(math.exp(max(-12.0, min(12.0, log))))


def _rounded(value: float) -> float:
    """To the digits that a scenario file shows, so that the file is the fit."""
    return float(f"{value:.{_DIGITS}g}")


def _log_of(name: str, gain: float = 1.0) -> Shift:
    """How far a positive statistic is off, as a logarithm."""

    def shift(wanted: Statistics, found: Statistics) -> float:
        one, other = getattr(wanted, name), getattr(found, name)
        return gain * math.log(one / other) if one > 0 and other > 0 else math.nan

    return shift


def _gap_of(name: str, gain: float = 1.0) -> Shift:
    """How far a statistic is off, as a difference."""
    return lambda wanted, found: gain * (getattr(wanted, name) - getattr(found, name))


def _changes(wanted: Statistics, found: Statistics) -> float:
    one, other = (each.messages_per_s * each.changes_per_message for each in (wanted, found))
    return math.log(one / other) if one > 0 and other > 0 else math.nan


def _moves(wanted: Statistics, found: Statistics) -> float:
    return math.log(max(1e-4, wanted.moved_ratio) / max(1e-4, found.moved_ratio))


def _led(wanted: Statistics, found: Statistics) -> float:
    """Too few moves, or too few of them led by orders: more orders must reveal the fair price."""
    return _moves(wanted, found) + math.log((wanted.led_ratio + 0.02) / (found.led_ratio + 0.02))


def _unled(wanted: Statistics, found: Statistics) -> float:
    return _moves(wanted, found) + math.log((1.02 - wanted.led_ratio) / (1.02 - found.led_ratio))


def _impact(wanted: Statistics, found: Statistics) -> float:
    """The response to orders, but no more of it than the volatility leaves room for."""
    room = math.log(wanted.volatility_bps_per_sqrt_min / found.volatility_bps_per_sqrt_min) + _VOLATILITY_ROOM
    return min(0.7 * (wanted.response_bps - found.response_bps), room)


def _near(wanted: Statistics, found: Statistics) -> float:
    """Too many changes far out, or too few at the touch: more must be near it."""
    far = wanted.change_far_ratio - found.change_far_ratio
    touch = wanted.change_touch_ratio - found.change_touch_ratio
    return 0.5 * (touch - far)


def _wide(wanted: Statistics, found: Statistics) -> float:
    """More time at three ticks and wider than wanted: providers must be quicker."""
    one, other = (1e-3 + 1.0 - each.spread_one_ratio - each.spread_two_ratio for each in (wanted, found))
    return 0.5 * math.log(other / one)


def _share(wanted: Statistics, found: Statistics) -> float:
    """Change of the queue at the touch against the queue itself."""
    one, other = (each.touch_change_log_mean - each.touch_lots_log_mean for each in (wanted, found))
    return one - other


def _denser(wanted: Statistics, found: Statistics) -> float:
    """Wider gaps than wanted: more prices must become levels."""
    one, other = (max(0.0, each.gap_ticks - 1.0) + 0.01 for each in (wanted, found))
    return 0.7 * math.log(other / one)


_KNOBS = (
    Knob("volatility_bps_per_sqrt_min", _log_of("volatility_bps_per_sqrt_min"), 0.01, 100.0, factor=True),
    Knob("volatility_log_sigma", _gap_of("order_count_cv", 0.4), 0.0, 1.5),
    Knob("volatility_half_life_s", _gap_of("order_count_memory", 2.0), 1.0, 7_200.0, factor=True),
    Knob("price_move_ratio", _unled, _LEAST_MOVES, 1.0, factor=True),
    Knob("reveal_ratio", _led, 0.0001, 1.0, factor=True),
    Knob("activity_log_sigma", _gap_of("change_count_cv", 0.6), 0.0, 1.5),
    Knob("activity_half_life_s", _gap_of("change_count_memory", 2.0), 0.5, 7_200.0, factor=True),
    Knob("trades_per_s", _log_of("orders_per_s"), 0.0, 1_000.0, factor=True),
    Knob("burst_ratio", _gap_of("order_burst_ratio"), 0.0, 0.9),
    Knob("burst_wait_ms", _gap_of("burst_gap_log_mean", 0.7), 1.0, 10_000.0, factor=True),
    Knob("stale_share_ratio", _log_of("sweep_ratio", -1.0), 0.005, 1.0, factor=True),
    Knob("run_persistence_ratio", _gap_of("same_side_ratio"), 0.0, 0.98),
    Knob("impact_bps", _impact, 0.0, 50.0),
    Knob("trade_lots_log_mean", _gap_of("order_lots_log_mean"), 0.0, 16.0),
    Knob("trade_lots_log_sigma", _gap_of("order_lots_log_sigma"), 0.0, 3.0),
    Knob("maker_lots_log_mean", _log_of("prints_per_order", -1.5), 0.0, 16.0),
    Knob("maker_lots_log_sigma", _gap_of("print_lots_log_sigma", 0.7), 0.0, 3.0),
    Knob("provider_edge_ticks", _gap_of("spread_ticks", 0.4), 0.0, 10.0),
    Knob("follow_ratio", _gap_of("touch_lots_log_sigma", -0.4), 0.0, 1.0),
    Knob("pull_ratio", _wide, 0.1, 1.0, factor=True),
    Knob("improve_ratio", _wide, 0.1, 1.0, factor=True),
    Knob("level_changes_per_message", _changes, 0.001, 500.0, factor=True),
    Knob("level_changes_dispersion", _log_of("changes_per_message", 1.5), 0.01, 100.0, factor=True),
    Knob("near_ratio", _near, 0.01, 0.99),
    Knob("near_stop_ratio", _log_of("change_touch_ratio"), 0.01, 1.0, factor=True),
    Knob("order_share_ratio", _share, 0.0001, 1.0, factor=True),
    Knob("order_lots_log_sigma", _gap_of("touch_change_log_sigma", 0.7), 0.0, 3.0),
    Knob("new_level_ratio", _denser, 0.005, 1.0, factor=True),
    Knob("level_lots_log_mean", _gap_of("touch_lots_log_mean", 0.7), 0.0, 16.0),
)
