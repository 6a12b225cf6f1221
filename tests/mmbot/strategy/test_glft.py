"""The closed form against the problem that it solves, and against its limits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, delta, market_of, ms, shipped_settings, snapshot

from mmbot.strategy.glft import Glft, GlftSettings, GlftSkew
from mmbot.strategy.spread import AdaptiveSpread
from mmbot.strategy.vitals import Rest, Vitals

ORDERS = 20
"""Most orders that the solved market maker holds."""


def best_of_one_order(aversion: float, intensity: float, decay: float, fee_bps: float) -> tuple[float, float]:
    """Of a lone order that pays its distance: the distance that is best, and what it is worth per second.

    By search: the most of A exp(-k d) (1 - exp(-g (d - fee))) / g over a fine grid of distances d.
    """
    distances = np.linspace(fee_bps, fee_bps + 40.0 / decay, 400_001)
    worth = intensity * np.exp(-decay * distances) * -np.expm1(-aversion * (distances - fee_bps)) / aversion
    best = int(worth.argmax())
    return float(distances[best]), float(worth[best])


def solved(
    aversion: float, intensity: float, decay: float, sigma: float, fee_bps: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Best distances of bid and ask, bps, for every position of -ORDERS to ORDERS, far from the end.

    The Bellman equation of the utility -exp(-g (cash + q mid + theta_q)), backwards in time by Runge-Kutta:
    d theta_q / d tau = -g sigma^2 q^2 / 2 + H(theta_q - theta_(q+1)) + H(theta_q - theta_(q-1)), where H(p)
    is the best worth of an order that has to pay p first. Shifting distances by p shows H(p) = H(0) exp(-k p)
    and that the best distance is p more than that of a lone order. No order where it would exceed ORDERS.
    """
    held = np.arange(-ORDERS, ORDERS + 1)
    distance, worth = best_of_one_order(aversion, intensity, decay, fee_bps)

    def change(theta: np.ndarray) -> np.ndarray:
        slope = -aversion * sigma**2 * held**2 / 2
        step = np.diff(theta)
        slope[:-1] += worth * np.exp(decay * step)
        slope[1:] += worth * np.exp(-decay * step)
        return slope

    theta, tau = np.zeros(len(held)), 0.06
    for _ in range(10_000):
        one = change(theta)
        two = change(theta + tau / 2 * one)
        three = change(theta + tau / 2 * two)
        theta = theta + tau / 6 * (one + 2 * two + 2 * three + change(theta + tau * three))
    step = np.diff(theta)
    return distance - step, distance + step


def glft(aversion: float, intensity: float, decay: float, fee_bps: float = 0.0) -> Glft:
    """Orders of 10 000, so that a bps of one is worth 1 and risk aversions are per bps; caps of ORDERS."""
    return Glft(GlftSettings(aversion, intensity, decay), 10_000.0, 10_000.0 * ORDERS, fee_bps)


@pytest.mark.parametrize(
    ("aversion", "intensity", "decay", "sigma", "fee_bps"),
    [
        (0.01, 0.9, 0.3, 0.3, 0.0),
        (0.05, 0.2, 0.5, 0.3, 0.0),
        (0.002, 1.5, 0.2, 1.0, 0.0),
        (0.01, 0.9, 0.3, 0.3, 2.0),
        (0.01, 0.9, 0.3, 0.3, -0.5),
    ],
)
def test_the_closed_form_is_the_solution_far_from_the_end(
    aversion: float, intensity: float, decay: float, sigma: float, fee_bps: float
):
    bids, asks = solved(aversion, intensity, decay, sigma, fee_bps)
    model = glft(aversion, intensity, decay, fee_bps)
    bids_at, asks_at = bids[ORDERS - 3 : ORDERS + 4], asks[ORDERS - 4 : ORDERS + 3]
    for orders, bid, ask in zip(range(-3, 4), bids_at, asks_at, strict=True):
        half, skew = model.half_spread_bps(sigma), model.skew_bps(orders / ORDERS, sigma)
        assert (bid + ask) / 2 == pytest.approx(half, rel=0.002)
        assert (ask - bid) / 2 == pytest.approx(skew, rel=0.025, abs=1e-6)


def test_a_solution_of_another_problem_is_not_matched():
    bids, _ = solved(0.01, 0.9, 0.3, 0.3)
    model = glft(0.01, 0.9, 0.3)
    assert bids[ORDERS] == pytest.approx(model.half_spread_bps(0.3), rel=0.002)
    for other in (
        glft(0.02, 0.9, 0.3),
        glft(0.01, 0.3, 0.3),
        glft(0.01, 0.9, 0.25),
        glft(0.01, 0.9, 0.3, 0.5),
    ):
        assert bids[ORDERS] != pytest.approx(other.half_spread_bps(0.3), rel=0.002)


positive = st.floats(1e-3, 10.0)
ratios = st.floats(-2, 2)
volatilities = st.none() | st.floats(0, 50)
aversions = st.floats(1e-6, 1.0)


@given(st.floats(1e-12, 1e-9), positive, positive)
def test_who_does_not_mind_risk_asks_for_one_over_k_and_does_not_skew(
    aversion: float, intensity: float, decay: float
):
    model = glft(aversion, intensity, decay)
    assert model.half_spread_bps(None) == pytest.approx(1 / decay, rel=1e-3)
    assert abs(model.skew_bps(1.0, 1.0)) < 0.05 * ORDERS


@given(aversions, positive, positive, volatilities)
def test_more_risk_never_narrows_and_never_skews_less(
    aversion: float, intensity: float, decay: float, volatility_bps: float | None
):
    model = glft(aversion, intensity, decay)
    riskier = (volatility_bps or 0.0) + 1.0
    assert model.half_spread_bps(riskier) > model.half_spread_bps(volatility_bps)
    assert model.skew_bps(1.0, riskier) < model.skew_bps(1.0, volatility_bps) <= 0
    assert math.isfinite(model.half_spread_bps(riskier))


@given(aversions, positive, positive, volatilities, ratios, ratios)
def test_the_skew_works_against_the_position_in_proportion(
    aversion: float, intensity: float, decay: float, volatility_bps: float | None, one: float, other: float
):
    model = glft(aversion, intensity, decay)
    assert model.skew_bps(max(one, other), volatility_bps) <= model.skew_bps(min(one, other), volatility_bps)
    assert model.skew_bps(-one, volatility_bps) == -model.skew_bps(one, volatility_bps)


@given(aversions, positive, positive, st.floats(0.1, 10))
def test_only_the_risk_of_one_order_counts(aversion: float, intensity: float, decay: float, size: float):
    """An order ten times larger for somebody ten times less averse is the same problem."""
    one = Glft(GlftSettings(aversion, intensity, decay), 100.0, 1_000.0, 2.0)
    other = Glft(GlftSettings(aversion / size, intensity, decay), 100.0 * size, 1_000.0 * size, 2.0)
    assert other.half_spread_bps(1.0) == pytest.approx(one.half_spread_bps(1.0))
    assert other.skew_bps(0.5, 1.0) == pytest.approx(one.skew_bps(0.5, 1.0))


def test_an_order_of_nothing_still_has_finite_quotes():
    model = Glft(GlftSettings(0.01, 0.5, 0.3), 0.0, 1_000.0, 2.0)
    assert math.isfinite(model.half_spread_bps(5.0))
    assert math.isfinite(model.skew_bps(2.0, 5.0))


def test_the_half_spread_between_its_bounds_is_the_models_and_every_volatility_counts():
    settings, model = shipped_settings(spread={"min_bps": 0.1}).spread, glft(0.01, 0.5, 0.3)
    spread = AdaptiveSpread(settings, model)
    vitals = Vitals(shipped_settings().vitals, Rest(math.inf, math.inf, math.inf, math.inf))
    assert spread(START_NS, 1.5, 1.0, vitals) == model.half_spread_bps(1.5) > settings.min_bps
    assert spread.calm_bps == 0.0


@pytest.mark.parametrize(("limit_bps", "limited"), [(1000.0, False), (0.5, True)])
def test_the_skew_is_the_models_at_the_markets_volatility_within_its_limit(
    limit_bps: float, *, limited: bool
):
    market, model = market_of(), glft(0.5, 0.5, 0.3)
    skew = GlftSkew(model, limit_bps, market)
    assert skew(0.5) == 0.0
    market.apply(snapshot([(10_000, 5)], [(10_004, 5)]))
    market.observe(ms(0))
    market.apply(delta([(10_002, 5)], [], ns=ms(90)))
    market.observe(ms(100))
    wish = model.skew_bps(0.5, market.volatility_bps)
    assert wish < -0.5
    assert skew(0.5) == (-limit_bps if limited else wish)
    assert skew(-0.5) == -skew(0.5)
