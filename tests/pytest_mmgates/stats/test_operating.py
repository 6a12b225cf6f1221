"""Experiments side by side: the same decisions as one by one, and the table of a plan."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mmgates.stats.acceptance import Acceptance, Decision
from pytest_mmgates.stats.operating import (
    characteristics,
    first_decisions,
    heavy_tailed,
    pairs_to_accept,
    smallest_accepted_bps,
)
from pytest_mmgates.stats.sequence import Sequence

RULE = Acceptance(Sequence.tuned(0.025, 60), floor_bps=0.2, first_look=24, most=60)


@given(st.integers(0, 2**32), st.sampled_from([-0.5, 0.0, 0.2, 0.6]), st.sampled_from([20, 40, 60, 80]))
@settings(max_examples=30)
def test_side_by_side_is_one_by_one(seed: int, effect: float, n: int) -> None:
    values = heavy_tailed((20, n), deviation_bps=0.6, seed=seed) + effect
    found = first_decisions(values, RULE)
    alone = [RULE.run(row) for row in values]
    assert found.decisions.tolist() == [str(decision) for decision, _ in alone]
    assert found.n.tolist() == [looks for _, looks in alone]
    assert found.estimates == pytest.approx(
        [row[:looks].mean() for row, (_, looks) in zip(values, alone, strict=True)]
    )


def test_draws_have_the_deviation_that_was_asked_for() -> None:
    draws = heavy_tailed((400, 500), deviation_bps=1.7, seed=1)
    assert draws.std() == pytest.approx(1.7, rel=0.03)
    assert np.mean(np.abs(draws) > 4 * 1.7) > 10 * 6.3e-5  # a normal's


def test_a_better_change_is_accepted_more_often_and_sooner() -> None:
    table = characteristics(RULE, deviation_bps=0.5, seed=1, runs=400)
    accepted = [line.accept for line in table]
    assert accepted == sorted(accepted)
    assert accepted[0] == 0.0
    assert accepted[-1] > 0.9
    for line in table:
        assert line.accept + line.reject + line.undecided == pytest.approx(1.0)
    assert table == characteristics(RULE, deviation_bps=0.5, seed=1, runs=400)


def test_the_accepted_have_high_estimates() -> None:
    found = first_decisions(heavy_tailed((500, 60), deviation_bps=0.6, seed=2) + 0.2, RULE)
    assert found.share(Decision.ACCEPT) > 0.2
    assert found.estimate_of_accepted > 0.25
    assert np.isnan(first_decisions(np.zeros((3, 60)) - 1, RULE).estimate_of_accepted)


def test_the_smallest_effect_is_the_one_that_just_needs_all_pairs() -> None:
    noise = {"deviation_bps": 0.8, "seed": 3}
    smallest = smallest_accepted_bps(RULE, **noise)
    assert pairs_to_accept(RULE, effect_bps=smallest, **noise) is not None
    assert pairs_to_accept(RULE, effect_bps=smallest - 0.01, **noise) is None
    sooner = pairs_to_accept(RULE, effect_bps=2 * smallest, **noise)
    assert sooner is not None
    assert 24 <= sooner < 60
