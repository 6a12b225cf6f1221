"""Whether counts fit the planned shares, and whether a wash-out was long enough."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mmgates.stats.acceptance import Decision, decide_once, shrunk_bps
from pytest_mmgates.stats.balance import exact_p
from pytest_mmgates.stats.carryover import STILL_THERE, memory, sensitivity
from pytest_mmgates.stats.sequence import Bounds


def exactly(count: int, n: int, share: float) -> float:
    chances = [math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1)]
    return sum(chance for chance in chances if chance <= chances[count] * (1 + 1e-9))


@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.1, 0.5, 0.9, 0.37]))
def test_the_p_of_a_count_is_that_of_all_that_are_no_more_likely(one: int, other: int, share: float) -> None:
    count, n = min(one, other), max(one, other)
    assert exact_p(count, n, share) == pytest.approx(exactly(count, n, share), rel=1e-6)


def test_a_planned_split_is_no_mismatch() -> None:
    assert exact_p(0, 0, 0.1) == 1.0
    assert exact_p(10, 100, 0.1) == pytest.approx(1.0)
    assert exact_p(50, 100, 0.1) < 1e-20
    assert exact_p(13, 13, 0.5) < 0.001
    with pytest.raises(ValueError, match="count was 3 of 2"):
        exact_p(3, 2, 0.5)


def test_optional_oracle_agrees() -> None:
    stats = pytest.importorskip("scipy.stats")
    for count, n, share in ((3, 40, 0.1), (20, 40, 0.5), (399, 1000, 0.37), (0, 12, 0.9)):
        assert exact_p(count, n, share) == pytest.approx(stats.binomtest(count, n, share).pvalue, rel=1e-7)


def test_optional_oracle_agrees_on_what_is_left() -> None:
    stats = pytest.importorskip("scipy.stats")
    draws = np.random.default_rng(5)
    before = draws.normal(0, 100, 80)
    after = 0.3 * before + draws.normal(0, 40, 80)
    found, fitted = memory(before, after), stats.linregress(before, after)
    assert found is not None
    assert (found.share, found.se) == pytest.approx((fitted.slope, fitted.stderr))


@pytest.mark.parametrize(("share", "too_short"), [(0.0, False), (0.2, False), (0.4, True), (0.9, True)])
def test_an_inventory_that_is_still_there_says_so(share: float, *, too_short: bool) -> None:
    before = np.random.default_rng(6).normal(0, 100, 50)
    found = memory(before, share * before + 5.0)
    assert found is not None
    assert found.share == pytest.approx(share, abs=1e-9)
    assert found.too_short is too_short
    assert pytest.approx(math.exp(-1.5)) == STILL_THERE


def test_too_little_says_nothing() -> None:
    assert memory(np.ones(23), np.ones(23)) is None
    assert memory(np.zeros(50), np.zeros(50)) is None
    assert sensitivity(np.ones(1), np.ones(1)) is None


@pytest.mark.parametrize(("away", "too_short"), [(0.0, False), (0.09, False), (0.11, True), (-0.11, True)])
def test_an_estimate_that_moves_by_a_standard_error_says_so(away: float, *, too_short: bool) -> None:
    once = np.tile([1.0, -1.0], 50)
    once *= 0.1 * 10 / once.std(ddof=1)  # standard error 0.1
    found = sensitivity(once, once + away)
    assert found is not None
    assert found.se_bps == pytest.approx(0.1)
    assert found.too_short is too_short


@given(st.floats(-2, 2), st.floats(0, 2))
def test_what_is_to_be_believed_lies_between_estimate_and_bound(estimate: float, reach: float) -> None:
    bounds = Bounds(30, estimate, estimate - reach, estimate + reach)
    assert bounds.low <= shrunk_bps(bounds) <= bounds.estimate


def test_a_look_at_the_end_is_one_look() -> None:
    noise = np.random.default_rng(8).normal(0, 0.1, 60)
    found = {
        effect: decide_once(noise + effect, alpha=0.025, floor_bps=0.2, first_look=24).decision
        for effect in (-0.5, 0.0, 0.5)
    }
    assert found == {-0.5: Decision.HARM, 0.0: Decision.FUTILE, 0.5: Decision.ACCEPT}
    alone = decide_once(noise[:1], alpha=0.025, floor_bps=0.2, first_look=24)
    assert (alone.decision, alone.bounds) == (Decision.INCONCLUSIVE, None)
