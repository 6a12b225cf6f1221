"""The fit: closed forms, the direction of each step, and a market fitted to a market."""

import math

import pytest
from msgspec.structs import asdict, replace

from mmbot.sim.market import MarketSettings, SyntheticMarket
from mmbot.sim.market_draws import GAP_LIMIT
from mmbot.sim.market_fit import _KNOBS, SHAPE_AT, corrected, first_guess, fit, gap_stop
from mmbot.sim.market_statistics import SHAPE_FROM, Statistics, measure
from mmbot.units import Ns

KEY = "bybit_linear:LIKEUSDT"

TRUTH = MarketSettings(
    duration_s=3_600.0,
    start_price_ticks=30_000,
    message_interval_ms=150,
    message_jitter_ms=6,
    volatility_log_sigma=0.3,
    volatility_half_life_s=60.0,
    activity_log_sigma=0.4,
    activity_half_life_s=20.0,
    trades_per_s=1.2,
    burst_ratio=0.3,
    burst_wait_ms=8.0,
    run_persistence_ratio=0.8,
    reveal_ratio=0.2,
    price_move_ratio=0.01,
    trade_lots_log_mean=5.0,
    trade_lots_log_sigma=1.0,
    level_lots_log_mean=7.0,
    improve_room_ratio=1.0,
    follow_ratio=0.5,
    near_ratio=0.5,
    provider_delay_ms=0.0,
    depth_shape=((0, 1.0), (2, 0.3), (40, 0.6)),
)


def measured(settings: MarketSettings, seed: int = 5) -> Statistics:
    return measure(SyntheticMarket(settings, seed, Ns(0)).events(), depth_levels=50, window_s=30.0)


@pytest.fixture(scope="module")
def wanted() -> Statistics:
    return measured(TRUTH)


@pytest.mark.parametrize("stop", [0.1, 0.3, 0.5, 0.85, 1.0])
def test_the_chance_of_a_level_is_found_from_the_mean_gap(stop):
    mean = sum(min(gap, GAP_LIMIT) * stop * (1 - stop) ** (gap - 1) for gap in range(1, 2_000))

    assert gap_stop(mean) == pytest.approx(stop, abs=1e-9)


def test_every_point_of_the_shape_lies_in_its_bucket():
    ends = [*SHAPE_FROM[1:], math.inf]
    assert all(start <= at < end for at, start, end in zip(SHAPE_AT, SHAPE_FROM, ends, strict=True))


def test_every_knob_is_a_setting_within_its_bounds():
    for knob in _KNOBS:
        least, most = MarketSettings.bounds(knob.name)
        assert least <= knob.least < knob.most <= most


def test_statistics_that_are_met_change_nothing(wanted):
    settings = first_guess(wanted, KEY)
    there = corrected(settings, wanted, wanted, gain=1.0)
    slack = {"impact_bps"}  # it takes what room the volatility leaves

    changed = {name for name, value in asdict(there).items() if value != getattr(settings, name)}
    assert changed <= slack


def test_each_parameter_steps_towards_its_statistic(wanted):
    off = {
        "orders_per_s": (2.0, "trades_per_s", 1),
        "order_lots_log_mean": (1.1, "trade_lots_log_mean", 1),
        "same_side_ratio": (1.1, "run_persistence_ratio", 1),
        "volatility_bps_per_sqrt_min": (1.5, "volatility_bps_per_sqrt_min", 1),
        "touch_lots_log_mean": (1.05, "level_lots_log_mean", 1),
        "spread_ticks": (1.2, "provider_edge_ticks", 1),
        "sweep_ratio": (1.5, "stale_share_ratio", -1),
        "prints_per_order": (1.5, "maker_lots_log_mean", -1),
        "touch_lots_log_sigma": (1.3, "follow_ratio", -1),
        "changes_per_message": (1.5, "level_changes_dispersion", 1),
        "led_ratio": (0.5, "reveal_ratio", -1),
    }
    settings = first_guess(wanted, KEY)
    for statistic, (factor, parameter, sign) in off.items():
        target = replace(wanted, **{statistic: getattr(wanted, statistic) * factor})
        stepped = getattr(corrected(settings, target, wanted, gain=0.5), parameter)
        assert sign * (stepped - getattr(settings, parameter)) > 0, statistic


def test_what_cannot_be_compared_moves_nothing(wanted):
    settings = first_guess(wanted, KEY)
    blind = replace(wanted, order_count_cv=math.nan, depth_log_means=(math.nan,) * len(SHAPE_FROM))
    stepped = corrected(settings, wanted, blind, gain=1.0)

    assert stepped.volatility_log_sigma == settings.volatility_log_sigma
    assert stepped.depth_shape == settings.depth_shape


def test_the_same_statistics_give_the_same_fit(wanted):
    first, second, other = (fit(wanted, KEY, seed=seed, rounds=2, span_s=200.0) for seed in (1, 1, 2))

    assert first == second
    assert first != other


@pytest.fixture(scope="module")
def found(wanted) -> Statistics:
    settings = fit(wanted, KEY, rounds=8, span_s=1_800.0)
    assert settings.symbol == KEY
    return measured(replace(settings, duration_s=3_600.0), seed=77)


@pytest.mark.parametrize(
    ("statistic", "band"),
    [
        ("messages_per_s", 0.15),
        ("changes_per_message", 0.2),
        ("orders_per_s", 0.15),
        ("order_burst_ratio", 0.2),
        ("volatility_bps_per_sqrt_min", 0.3),
        ("spread_ticks", 0.1),
        ("gap_ticks", 0.1),
    ],
)
def test_a_market_fitted_to_a_market_resembles_it(wanted, found, statistic, band):
    assert getattr(found, statistic) == pytest.approx(getattr(wanted, statistic), rel=band)


@pytest.mark.parametrize("statistic", ["order_lots_log_mean", "order_lots_log_sigma", "touch_lots_log_mean"])
def test_the_fitted_market_has_the_sizes(wanted, found, statistic):
    assert getattr(found, statistic) == pytest.approx(getattr(wanted, statistic), abs=0.3)


def test_the_fitted_market_has_the_depth(wanted, found):
    for one, other in zip(wanted.depth_log_means[:8], found.depth_log_means[:8], strict=True):
        assert other == pytest.approx(one, abs=0.4)
