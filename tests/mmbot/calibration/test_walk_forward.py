"""Stretches are predicted from what lay before them alone, and luck does not pass."""

from dataclasses import replace

import numpy as np
import pytest
from tests.mmbot.builders import START_NS
from tests.mmbot.calibration.markets import BOUNDS, HOUR_NS, Market

from mmbot.calibration.spread_need import Weights
from mmbot.calibration.walk_forward import Splits, walk_forward
from mmbot.units import SECOND

OLD = Weights(5.0, 0.0, 0.0, 0.0, 0.0)
TOLD = [True, True, False, False]
SPLITS = Splits(START_NS, START_NS + 36 * HOUR_NS, 4, 300 * SECOND, HOUR_NS // 2)


def test_a_need_that_grows_with_a_score_is_foretold_better_in_every_stretch():
    found = walk_forward(Market(Weights(4.0, 8.0, 0.0, 0.0, 0.0))(OLD), OLD, BOUNDS, SPLITS, TOLD)
    assert found.better
    assert [fold.gain_bps2 is not None and fold.gain_bps2.value > 0 for fold in found.folds] == [True] * 4
    for fold in found.folds:
        assert fold.needed_bps == pytest.approx(fold.new_bps, abs=1.5)
    assert found.raw_gain_bps2 is not None
    assert 0 < found.raw_gain_bps2 < found.gain_bps2.value < found.old_error_bps2


def test_where_the_old_weights_are_right_they_are_seldom_beaten():
    """One in forty by luck: of 40 more than 5 are seen once in a thousand times."""
    market = Market(OLD._replace(base_bps=4.0), hours=36, fills_per_hour=30.0)
    beaten = [
        walk_forward(replace(market, seed=seed)(OLD), OLD, BOUNDS, SPLITS, TOLD).better for seed in range(40)
    ]
    assert sum(beaten) <= 5


def test_no_markout_of_a_fitted_fill_ends_in_what_is_predicted():
    """Fills within the embargo that would turn the fit over are not in it."""
    fills = Market(Weights(4.0, 8.0, 0.0, 0.0, 0.0))(OLD)
    plain = walk_forward(fills, OLD, BOUNDS, SPLITS, TOLD)
    before_ns = plain.folds[0].from_ns - fills.ts_ns
    inside = (before_ns > 0) & (before_ns <= SPLITS.embargo_ns)
    assert inside.any()
    spoilt = replace(fills, net_bps=np.where(inside, -1e6, fills.net_bps))
    found = walk_forward(spoilt, OLD, BOUNDS, SPLITS, TOLD)
    assert found.folds[0] == plain.folds[0]
    assert found.folds[1] != plain.folds[1]


def test_a_spread_that_lost_claims_to_cover_and_is_held_to_that():
    """Base alone is wrong: no score matters, and still the fit foretells better."""
    found = walk_forward(Market(Weights(9.0, 0.0, 0.0, 0.0, 0.0))(OLD), OLD, BOUNDS, SPLITS, TOLD)
    assert found.better
    assert found.folds[0].old_bps == pytest.approx(OLD.base_bps)


def test_a_stretch_that_cannot_be_predicted_says_why():
    fills = Market(Weights(4.0, 8.0, 0.0, 0.0, 0.0), fills_per_hour=5.0)(OLD)
    found = walk_forward(fills, OLD, BOUNDS, SPLITS, TOLD)
    assert found.folds[0].reason.startswith("not enough evidence: ")
    assert found.folds[0].gain_bps2 is None
    late = replace(SPLITS, to_ns=START_NS + 100 * HOUR_NS)
    assert walk_forward(fills, OLD, BOUNDS, late, TOLD).folds[-1].reason == "no fills to predict"
    early = walk_forward(fills.within(START_NS, START_NS + HOUR_NS), OLD, BOUNDS, SPLITS, TOLD)
    assert (early.gain_bps2, early.better) == (None, False)
