"""When an experiment ends, and how."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mmgates.stats.acceptance import Acceptance, Decision
from pytest_mmgates.stats.planning import pairs_needed, power
from pytest_mmgates.stats.sequence import Bounds, Sequence

RULE = Acceptance(Sequence.tuned(0.025, 100), floor_bps=0.2, first_look=24, most=100)


@pytest.mark.parametrize(
    ("n", "estimate", "low", "high", "decision"),
    [
        (23, 5.0, 4.0, 6.0, Decision.GO_ON),
        (24, 0.3, 0.01, 0.6, Decision.ACCEPT),
        (24, 0.2, 0.01, 0.4, Decision.ACCEPT),
        (24, 0.3, 0.0, 0.6, Decision.GO_ON),
        (24, 0.19, 0.1, 0.3, Decision.GO_ON),
        (24, 0.1, 0.01, 0.19, Decision.FUTILE),
        (24, 0.0, -0.1, 0.1, Decision.FUTILE),
        (24, -1.0, -2.0, -0.1, Decision.HARM),
        (99, 0.1, -0.1, 0.3, Decision.GO_ON),
        (100, 0.1, -0.1, 0.3, Decision.INCONCLUSIVE),
        (100, 0.3, 0.1, 0.5, Decision.ACCEPT),
    ],
)
def test_each_way_out(n: int, estimate: float, low: float, high: float, decision: Decision) -> None:
    assert RULE.of(Bounds(n, estimate, low, high)) is decision


@given(st.floats(-3, 3), st.floats(0, 3), st.integers(2, 100))
def test_nothing_is_accepted_below_the_floor_or_by_chance(estimate: float, reach: float, n: int) -> None:
    decision = RULE.of(Bounds(n, estimate, estimate - reach, estimate + reach))
    if decision is Decision.ACCEPT:
        assert estimate >= 0.2
        assert estimate - reach > 0
        assert n >= 24


def test_it_ends_at_the_first_final_look() -> None:
    noise = np.tile([0.05, -0.05], 50)
    assert RULE.run(noise + 0.5) == (Decision.ACCEPT, 24)
    assert RULE.run(noise - 0.5) == (Decision.HARM, 24)
    assert RULE.run(noise) == (Decision.FUTILE, 24)
    assert RULE.run(noise[:10]) == (Decision.GO_ON, 10)


def test_what_is_beyond_the_plan_is_not_looked_at() -> None:
    undecided = np.tile([3.0, -2.8], 60)
    decision, n = RULE.run(undecided)
    assert (decision, n) == (Decision.INCONCLUSIVE, 100)


@pytest.mark.parametrize(("floor", "first", "most"), [(0.0, 24, 100), (0.2, 1, 100), (0.2, 24, 23)])
def test_rules_that_cannot_be(floor: float, first: int, most: int) -> None:
    with pytest.raises(ValueError, match="expected floor > 0"):
        Acceptance(RULE.sequence, floor, first, most)


def test_no_plan_shows_the_floor_itself() -> None:
    assert pairs_needed(effect_bps=0.2, floor_bps=0.2, deviation_bps=1.0, alpha=0.025).pairs is None
    with pytest.raises(ValueError, match="expected > 0"):
        pairs_needed(effect_bps=0.3, floor_bps=0.2, deviation_bps=0.0, alpha=0.025)


@pytest.mark.parametrize("effect", [0.25, 0.3, 0.4])
def test_the_planned_number_is_the_least_that_is_enough(effect: float) -> None:
    asked = {"effect_bps": effect, "floor_bps": 0.2, "deviation_bps": 1.3}
    need = pairs_needed(**asked, alpha=0.025, asked=0.9).pairs
    assert need is not None
    assert power(need, **asked, sequence=Sequence.tuned(0.025, need)) >= 0.9
    assert power(need - 1, **asked, sequence=Sequence.tuned(0.025, need - 1)) < 0.9


def test_more_noise_needs_more_pairs() -> None:
    needs = [
        pairs_needed(effect_bps=0.3, floor_bps=0.2, deviation_bps=deviation, alpha=0.025).pairs
        for deviation in (0.5, 1.0, 2.0)
    ]
    assert needs == sorted(needs)
    assert needs[2] / needs[1] == pytest.approx(4, rel=0.1)
