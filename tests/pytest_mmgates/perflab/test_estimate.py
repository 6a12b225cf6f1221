"""The estimate finds a change that was put in, does not care how the sides are named, and knows its error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mmgates.perflab.estimate import (
    Floats,
    estimate,
    hodges_lehmann,
    line_at_p95,
    reference,
    statistics,
    tail_mean,
)

TICKS = 200
SEEDS = st.integers(0, 2**32 - 1)
CHANGES = st.floats(-0.2, 0.2)


def profile(rng: np.random.Generator, spread: float) -> Floats:
    """Costs of ticks in ns; `spread` 0 = all alike."""
    return 1_000.0 * np.exp(rng.normal(0.0, spread, TICKS))


def rounds(rng: np.random.Generator, ticks: Floats, count: int, *, luck: float = 0.01) -> Floats:
    """Each round lies elsewhere in memory, and each tick has a little noise of its own."""
    layout = np.exp(rng.normal(0.0, luck, (count, 1)))
    noise = 1.0 + 0.01 * rng.random((count, len(ticks)))
    return ticks * layout * noise


@settings(max_examples=20)
@given(SEEDS, CHANGES, st.sampled_from([0.01, 0.5]))
def test_a_proportional_change_is_found_by_both_statistics(seed: int, change: float, spread: float):
    rng = np.random.default_rng(seed)
    ticks = profile(rng, spread)
    a = rounds(rng, ticks, 8, luck=0.0)
    found = estimate(a, a * np.exp(change), rng)
    assert found.line == pytest.approx(change, abs=1e-9)
    assert found.tail == pytest.approx(change, abs=1e-9)


@settings(max_examples=20)
@given(SEEDS, CHANGES)
def test_swapping_the_sides_changes_the_sign_and_nothing_else(seed: int, change: float):
    rng = np.random.default_rng(seed)
    ticks = profile(rng, 0.4)
    a, b = rounds(rng, ticks, 6), rounds(rng, ticks, 6) * np.exp(change)
    ref = reference(a, b)
    assert reference(b, a) == pytest.approx(ref)
    assert statistics(b, a, ref)[:, 0] == pytest.approx(-statistics(a, b, ref)[:, 0], abs=1e-6)
    assert statistics(b, a, ref)[:, 1] == pytest.approx(-statistics(a, b, ref)[:, 1])


def test_the_line_is_read_at_the_p95_and_not_at_the_median():
    rng = np.random.default_rng(3)
    ticks = profile(rng, 0.6)
    p95 = np.quantile(ticks, 0.95)
    slowed = ticks + 0.03 * np.median(ticks)  # the same for every tick: less, in proportion, for dear ones
    found = line_at_p95(np.log(slowed / ticks)[None], ticks)[0]
    assert np.expm1(found) == pytest.approx(0.03 * np.median(ticks) / p95, rel=0.05)


def test_a_flat_profile_is_read_at_its_median():
    ratios = np.array([[0.1, 0.2, 0.9]])
    assert line_at_p95(ratios, np.array([100.0, 101.0, 102.0]))[0] == pytest.approx(0.2)


def test_the_tail_sees_what_the_line_does_not():
    rng = np.random.default_rng(4)
    a = rounds(rng, profile(rng, 0.01), 8, luck=0.0)
    b = a.copy()
    b[:, ::10] *= 1.2
    found = estimate(a, b, rng)
    assert abs(found.line) < 0.005
    assert found.tail > 0.15


def test_the_tail_is_the_mean_of_the_order_statistics_around_p95():
    costs = np.arange(100.0)[None]
    assert tail_mean(costs)[0] == np.arange(92, 98).mean()


def test_the_centre_is_that_of_hodges_and_lehmann():
    assert hodges_lehmann(np.array([[1.0, 2.0, 9.0]]))[0] == np.median([1.0, 1.5, 5.0, 2.0, 5.5, 9.0])


def test_errors_are_those_of_rounds_and_not_of_ticks():
    """On identical code the error must be about as large as the standard error says, whatever the luck of a
    layout: with ticks as the unit it would be several times larger.
    """
    rng = np.random.default_rng(6)
    scores = []
    for _ in range(40):
        ticks = profile(rng, 0.3)
        found = estimate(rounds(rng, ticks, 8), rounds(rng, ticks, 8), rng)
        scores.append(found.line / found.line_se)
    assert 0.7 < np.sqrt(np.mean(np.square(scores))) < 1.4
