"""New weights where they are needed, the old ones where not, and nothing on too little evidence."""

import re
from dataclasses import replace

import numpy as np
import pytest
from tests.mmbot.builders import START_NS
from tests.mmbot.calibration.markets import BOUNDS, HOUR_NS, Market

from mmbot.calibration.spread_need import Fills, Weights
from mmbot.calibration.weights import Calibration, Plan, calibrate
from mmbot.errors import CalibrationError
from mmbot.units import SECOND

OLD = Weights(5.0, 0.0, 0.0, 2.0, 2.0)
PLAN = Plan(START_NS, START_NS + 23 * HOUR_NS, START_NS + 24 * HOUR_NS, START_NS + 36 * HOUR_NS)
GROWING = Market(Weights(3.0, 8.0, 0.0, 0.0, 0.0), noise_bps=3.0)
FLAT = Market(Weights(4.0, 0.0, 0.0, 0.0, 0.0), noise_bps=3.0)


def found(market: Market, plan: Plan = PLAN, old: Weights = OLD) -> Calibration:
    return calibrate(market(old), old, BOUNDS, plan, market)


def test_weights_that_are_needed_are_found_and_confirmed():
    result = found(GROWING)
    assert not result.kept_old
    assert result.new.base_bps == OLD.base_bps  # a calm fill earns what it earned
    assert result.new.volatility_weight_bps == pytest.approx(8.0, abs=1.0)
    assert result.new[3:] == OLD[3:]
    assert result.kept == ("latency_score", "pnl_score")
    assert result.confirmation is not None
    assert result.confirmation.net_bps.low > 0
    assert result.confirmation.earned_per_hour.value > 0
    assert all(round(value, 2) == value for value in result.new)


def test_wider_quotes_that_are_filled_by_worse_trades_are_followed_in_rounds():
    """Asked for d, a fill needs d / 4 more: what covers is a third more than the first fit says."""
    result = found(replace(GROWING, need=Weights(3.0, 8.0, 0.0, 0.0, 0.0), selection=0.25, noise_bps=1.0))
    first, last = result.need.volatility_weight_bps, result.new.volatility_weight_bps
    assert first == pytest.approx(8.0, abs=0.6)
    assert first + 0.7 < last < 8.0 / 0.75
    assert [round_.fills for round_ in result.rounds] == sorted(
        (round_.fills for round_ in result.rounds), reverse=True
    )
    assert not result.kept_old


def test_a_base_that_calm_fills_lose_at_is_raised_to_what_they_need():
    result = found(replace(FLAT, need=Weights(7.0, 0.0, 0.0, 0.0, 0.0), hours=36))
    assert result.new.base_bps == pytest.approx(7.0, abs=0.3)
    assert not result.kept_old


def test_where_no_weight_matters_the_old_are_kept():
    """But for luck, less than one in twenty."""
    assert sum(found(replace(FLAT, seed=seed)).kept_old for seed in range(20)) >= 19


def test_what_is_needed_and_configured_already_is_kept():
    right = Weights(5.0, 8.0, 0.0, 2.0, 2.0)
    result = found(replace(GROWING, noise_bps=0.0), old=right)
    assert result.reason == "what is needed is what is configured"
    assert result.rounds == ()
    assert result.confirmation is None


def test_what_the_held_back_time_does_not_show_is_not_kept():
    """The market changes when the fit is done: nothing is needed, and nobody comes to wide quotes."""
    before_ns = PLAN.confirm_from_ns
    eager = replace(FLAT, need=Weights(*[0.0] * 5), decay_per_bps=0.4, fills_per_hour=600.0)

    def replay(weights: Weights) -> Fills:
        early, late = (market(weights) for market in (GROWING, eager))
        halves = (early.within(0, before_ns), late.within(before_ns, 2**62))
        columns = (tuple(getattr(half, name) for half in halves) for name in Fills.__slots__)
        return Fills(*map(np.concatenate, columns))

    result = calibrate(replay(OLD), OLD, BOUNDS, PLAN, replay)
    assert result.reason.startswith("confirmation: ")
    assert "earned an hour against the old weights, expected no less" in result.reason
    assert result.new.volatility_weight_bps > 5


def test_a_spread_that_nobody_fills_confirms_nothing():
    result = found(replace(GROWING, decay_per_bps=0.5, fills_per_hour=80.0))
    assert re.match(
        "not enough evidence: .* fills under the new weights in the time held back", result.reason
    )


def test_where_fills_run_out_before_they_are_covered_no_spread_is_proposed():
    result = found(replace(GROWING, decay_per_bps=0.5, fills_per_hour=50.0))
    assert result.reason.startswith("no spread was found that covers what its fills lose: quoting base_bps 5")
    assert result.confirmation is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"confirm_from_ns": PLAN.to_ns + 299 * SECOND}, "overlaps the confirmation"),
        ({"confirm_from_ns": PLAN.from_ns, "confirm_to_ns": PLAN.to_ns}, "overlaps the confirmation"),
        ({"embargo_ns": 59 * SECOND}, "embargo was 59 s, expected 60 s at least"),
        ({"block_ns": 300 * SECOND}, "blocks were 300 s, expected more than the embargo of 300 s"),
        ({"folds": 0}, "folds were 0, expected at least 1"),
        ({"to_ns": PLAN.from_ns + 2 * HOUR_NS}, "calibration window was 7200 s, expected 5 blocks"),
        (
            {"confirm_to_ns": PLAN.confirm_from_ns + 3 * HOUR_NS},
            "confirmation was 10800 s, expected 8",
        ),
    ],
    ids=str,
)
def test_a_plan_that_proves_nothing_is_refused(changes: dict[str, int], told: str):
    with pytest.raises(CalibrationError, match=told):
        replace(PLAN, **changes)


def test_time_before_the_confirmation_may_lie_after_it_as_well():
    """Fit on the later part, confirm on the earlier: apart by the embargo too."""
    fitted = {"from_ns": PLAN.confirm_to_ns + 300 * SECOND, "to_ns": PLAN.confirm_to_ns + 12 * HOUR_NS}
    assert replace(PLAN, **fitted).folds == PLAN.folds


def test_regimes_are_those_of_the_window():
    result = found(GROWING)
    volatility = [regime for regime in result.regimes if regime.score == "volatility_score"]
    assert sum(regime.fills for regime in volatility) == result.fills
    needed = [regime.needed_bps.value for regime in volatility]
    assert needed == sorted(needed)
    for regime in volatility:
        assert regime.fitted_bps == pytest.approx(regime.needed_bps.value, abs=2.0)
        assert regime.asked_bps == pytest.approx(OLD.base_bps)
        assert regime.markout_bps == pytest.approx(regime.asked_bps - regime.needed_bps.value + 2.0)
