"""The fit finds the need that fills were made with, within its errors, and says what it cannot tell."""

from dataclasses import replace

import numpy as np
import pytest
from tests.mmbot.calibration.markets import BOUNDS, HOUR_NS, Market

from mmbot.calibration.spread_need import Fills, Weights, fit_need, need_intervals, told_scores
from mmbot.errors import CalibrationError

OLD = Weights(3.0, 1.0, 1.0, 2.0, 2.0)
TRUTH = Weights(4.0, 6.0, 3.0, 0.0, 0.0)
TOLD = [True, True, False, False]
BLOCK_NS = HOUR_NS // 2


def test_a_known_need_lies_within_the_intervals_and_untold_weights_stay():
    fills = Market(TRUTH, seed=2)(OLD)
    assert told_scores(fills, BLOCK_NS) == TOLD
    found = fit_need(fills, OLD, BOUNDS, TOLD)
    intervals = need_intervals(fills, OLD, BOUNDS, TOLD, BLOCK_NS)
    for true, interval in zip(TRUTH[:3], intervals, strict=False):
        assert interval.low < true < interval.high < interval.low + 3.0
    assert found[3:] == OLD[3:]
    assert [(one.low, one.high) for one in intervals[3:]] == [(2.0, 2.0), (2.0, 2.0)]
    assert [one.value for one in intervals] == list(found)


def test_without_noise_the_fit_is_exact_and_each_fill_counts_by_its_weight():
    fills = Market(TRUTH, noise_bps=0.0)(OLD)
    assert fit_need(fills, OLD, BOUNDS, TOLD)[:3] == pytest.approx(TRUTH[:3], abs=1e-6)
    heavy = replace(fills, weight=np.where(fills.scores[:, 0] > 0, 1e-12, 1.0))
    dearer = replace(heavy, net_bps=fills.net_bps - 50.0 * (fills.scores[:, 0] > 0))
    assert fit_need(dearer, OLD, BOUNDS, TOLD).base_bps == pytest.approx(TRUTH.base_bps, abs=1e-3)


def test_a_need_that_falls_with_a_score_is_a_weight_of_nothing():
    found = fit_need(Market(Weights(8.0, -4.0, 0.0, 0.0, 0.0))(OLD), OLD, BOUNDS, TOLD)
    assert found.volatility_weight_bps == pytest.approx(0.0, abs=1e-9)


def test_no_weight_is_larger_than_what_can_be_quoted():
    found = fit_need(Market(Weights(4.0, 200.0, 0.0, 0.0, 0.0))(OLD), OLD, BOUNDS, TOLD)
    assert found.volatility_weight_bps == pytest.approx(BOUNDS.max_bps - BOUNDS.min_bps)


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say():
    """Of 40 markets, at a confidence of 95 %: 33 is what one in a thousand would stay below."""
    hits = 0
    for seed in range(40):
        fills = Market(TRUTH, hours=24, fills_per_hour=30.0, seed=seed)(OLD)
        interval = need_intervals(fills, OLD, BOUNDS, TOLD, BLOCK_NS)[1]
        hits += interval.low <= TRUTH.volatility_weight_bps <= interval.high
    assert hits >= 33


def few(count: int) -> Fills:
    fills = Market(TRUTH)(OLD)
    return Fills(*(getattr(fills, name)[:count] for name in Fills.__slots__))


def test_too_few_fills_are_no_evidence():
    with pytest.raises(CalibrationError, match="not enough evidence: 39 fills, expected 40"):
        told_scores(few(39), BLOCK_NS)
    with pytest.raises(CalibrationError, match="not enough evidence: 39 fills, expected 40"):
        fit_need(few(39), OLD, BOUNDS, TOLD)


def test_one_regime_tells_nothing_about_another():
    fills = Market(TRUTH)(OLD)
    calm = replace(fills, scores=np.zeros_like(fills.scores))
    with pytest.raises(CalibrationError, match=r"one regime only: .*volatility_score above 0 at 0"):
        told_scores(calm, BLOCK_NS)
    always = replace(fills, scores=np.ones_like(fills.scores))
    with pytest.raises(CalibrationError, match="one regime only"):
        told_scores(always, BLOCK_NS)
    with pytest.raises(CalibrationError, match="one regime only"):
        told_scores(fills, 10**6 * HOUR_NS)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["weight", "net_bps", "markout_bps", "asked_bps", "scores"])
def test_what_is_no_number_is_named(name: str, value: float):
    fills = few(50)
    wrong = getattr(fills, name).copy()
    wrong.flat[3] = value
    with pytest.raises(CalibrationError, match=f"fills: 1 values of {name} were NaN or infinite"):
        replace(fills, **{name: wrong})


def test_columns_are_as_long_as_each_other():
    with pytest.raises(CalibrationError, match="fills: 49 values of weight, expected 50, one a fill"):
        replace(few(50), weight=np.ones(49))
