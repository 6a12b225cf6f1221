"""Bounds that hold at every look."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mmgates.stats.sequence import Sequence

values = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=60).map(np.array)
sequences = st.builds(Sequence.tuned, st.floats(0.001, 0.2), st.integers(2, 2_000))


def test_the_width_is_the_formulas() -> None:
    n, rho, alpha = 100, 0.2, 0.025
    mixed = 100 * 0.04 + 1
    by_hand = math.sqrt(2 * mixed / (100**2 * 0.04) * math.log(1 + math.sqrt(mixed) / (2 * alpha)))
    assert Sequence(alpha, rho).width(n) == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize("planned", [24, 100, 336, 2_000])
def test_tuned_is_narrowest_where_it_was_planned(planned: int) -> None:
    tuned = Sequence.tuned(0.025, planned)
    others = [Sequence(0.025, tuned.rho * factor) for factor in (0.5, 0.8, 1.25, 2.0)]
    assert all(tuned.width(planned) < other.width(planned) for other in others)


def test_looking_always_costs_half_as_much_again_as_looking_once() -> None:
    at_once = 1.959964
    assert 1.5 < Sequence.tuned(0.025, 336).width(336) * math.sqrt(336) / at_once < 1.6


@given(sequences, values)
@settings(max_examples=60)
def test_the_path_ends_at_the_bounds(sequence: Sequence, seen: np.ndarray) -> None:
    bounds = sequence.bounds(seen)
    means, lows, highs = sequence.path(seen)
    scale = 1 + float(np.abs(seen).max())
    assert means[-1] == pytest.approx(bounds.estimate, abs=1e-9 * scale)
    assert lows[-1] == pytest.approx(bounds.low, abs=1e-6 * scale)
    assert highs[-1] == pytest.approx(bounds.high, abs=1e-6 * scale)
    assert np.isnan(lows[0])
    assert np.isnan(highs[0])


@given(sequences, values, st.floats(-50, 50), st.floats(0.1, 10))
@settings(max_examples=60)
def test_bounds_move_and_stretch_with_the_values(
    sequence: Sequence, seen: np.ndarray, shift: float, stretch: float
) -> None:
    before, after = sequence.bounds(seen), sequence.bounds(seen * stretch + shift)
    scale = 1 + float(np.abs(seen).max()) * stretch + abs(shift)
    assert after.low == pytest.approx(before.low * stretch + shift, abs=1e-9 * scale * sequence.width(2))
    assert after.high == pytest.approx(before.high * stretch + shift, abs=1e-9 * scale * sequence.width(2))


@pytest.mark.parametrize(("alpha", "planned"), [(0.0, 10), (0.5, 10), (0.025, 1)])
def test_it_refuses_what_it_cannot_be_tuned_to(alpha: float, planned: int) -> None:
    with pytest.raises(ValueError, match=r"expected 0 < alpha < 0\.5 and n >= 2"):
        Sequence.tuned(alpha, planned)


@pytest.mark.parametrize("seen", [[1.0], [1.0, math.nan], [1.0, math.inf], [[1.0, 2.0]]])
def test_it_refuses_what_has_no_deviation(seen: list[float]) -> None:
    with pytest.raises(ValueError, match="at least 2 finite values"):
        Sequence.tuned(0.025, 10).bounds(np.array(seen))
