"""Differences of arms, pair by pair."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mmgates.stats.pairs import (
    BPS,
    LEAST_BATCHES,
    Sums,
    batched,
    choose_batch,
    differences_bps,
    lag1,
    sign_flip_p,
)


@st.composite
def arms(draw: st.DrawFn) -> tuple[Sums, Sums]:
    n = draw(st.integers(1, 20))
    column = lambda low, high: np.array(  # noqa: E731
        draw(st.lists(st.floats(low, high), min_size=n, max_size=n))
    )
    return tuple(Sums(column(-50, 50), column(1, 1e5)) for _ in "AB")


@given(arms())
@settings(max_examples=80)
def test_the_mean_difference_is_the_difference_of_the_ratios(both: tuple[Sums, Sums]) -> None:
    a, b = both
    expected = BPS * (b.net.sum() / b.notional.sum() - a.net.sum() / a.notional.sum())
    assert differences_bps(a, b).mean() == pytest.approx(expected, rel=1e-9, abs=1e-6)
    assert b.ratio_bps - a.ratio_bps == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_a_block_counts_by_what_it_traded() -> None:
    big_and_small = Sums(np.array([1.0, -0.5]), np.array([10_000.0, 100.0]))
    assert big_and_small.ratio_bps == pytest.approx(BPS * 0.5 / 10_100)
    mean_of_blocks = (1.0 + -50.0) / 2
    assert big_and_small.ratio_bps > mean_of_blocks


def test_a_block_without_a_trade_is_the_arms_mean() -> None:
    one_silent = Sums(np.array([2.0, 0.0, 1.0]), np.array([10_000.0, 0.0, 10_000.0]))
    assert one_silent.linearised_bps()[1] == pytest.approx(one_silent.ratio_bps)


def test_an_arm_that_never_traded_has_no_number() -> None:
    silent = Sums(np.zeros(3), np.zeros(3))
    assert np.isnan(silent.ratio_bps)
    assert np.isnan(silent.linearised_bps()).all()


@pytest.mark.parametrize(
    ("net", "notional", "said"),
    [
        ([1.0], [1.0, 2.0], "expected"),
        ([np.nan], [1.0], "finite"),
        ([1.0], [np.inf], "finite"),
        ([1.0], [-1.0], "negative"),
    ],
)
def test_sums_that_cannot_be(net: list[float], notional: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Sums(np.array(net), np.array(notional))


def correlated(rho: float, n: int, seed: int) -> np.ndarray:
    draws = np.random.default_rng(seed).standard_normal(n)
    for at in range(1, n):
        draws[at] = rho * draws[at - 1] + np.sqrt(1 - rho**2) * draws[at]
    return draws


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_lag1_is_the_correlation_of_neighbours(rho: float) -> None:
    assert lag1(correlated(rho, 20_000, 5)) == pytest.approx(rho, abs=0.02)


def test_lag1_of_nothing_is_nothing() -> None:
    assert lag1(np.array([])) == 0
    assert lag1(np.full(9, 4.0)) == 0


def test_a_batch_is_the_mean_of_neighbours() -> None:
    assert batched(np.arange(7.0), 3).tolist() == [1.0, 4.0]


def test_batches_grow_until_neighbours_do_not_know_each_other() -> None:
    chosen = choose_batch(correlated(0.7, 2_000, 6))
    assert chosen.usable
    assert chosen.size >= 8
    assert chosen.lag1 <= 0.1
    assert choose_batch(correlated(0.0, 2_000, 6)).size == 1


def test_too_few_batches_are_no_verdict() -> None:
    chosen = choose_batch(correlated(0.95, 200, 7))
    assert not chosen.usable
    assert chosen.batches < LEAST_BATCHES


def test_sign_flips_count_every_order_that_the_coins_could_have_given() -> None:
    seen = np.array([0.4, 0.9, -0.1, 0.7, 0.3, 0.2])
    orders = [np.dot(signs, seen) for signs in product((-1, 1), repeat=len(seen))]
    exact = np.mean([total >= seen.sum() - 1e-12 for total in orders])
    assert sign_flip_p(seen, flips=40_000, seed=1) == pytest.approx(exact, abs=0.004)


def test_sign_flips_of_no_effect_are_even() -> None:
    values = [sign_flip_p(correlated(0.0, 40, seed), flips=400, seed=seed) for seed in range(400)]
    assert np.mean(np.array(values) <= 0.1) == pytest.approx(0.1, abs=0.045)
    with pytest.raises(ValueError, match="at least one"):
        sign_flip_p(np.array([]), flips=10, seed=1)
