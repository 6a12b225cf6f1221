"""Half spread: clamped always, slewed always, and each score pushes one way."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, shipped_settings

from mmbot.strategy.glft import Glft, GlftSettings
from mmbot.strategy.spread import AdaptiveSpread, SpreadSettings
from mmbot.units import MS, SECOND

SETTINGS = shipped_settings().spread

volatilities = st.none() | st.floats(0, 50)
scores = st.floats(0, 1)
ticks = st.lists(st.tuples(st.integers(1, 5 * SECOND), volatilities, scores), min_size=1, max_size=30)


models = st.none() | st.builds(
    Glft,
    st.builds(GlftSettings, st.floats(1e-3, 100), st.floats(0.01, 5), st.floats(0.02, 5)),
    st.just(500.0),
    st.just(5_000.0),
    st.floats(-1, 10),
)


def played(
    settings: SpreadSettings, path: list[tuple[int, float | None, float]], model: Glft | None = None
) -> list[tuple[int, float]]:
    spread, now_ns, found = AdaptiveSpread(settings, model), START_NS, []
    for elapsed_ns, volatility_bps, score in path:
        now_ns += elapsed_ns
        found.append((elapsed_ns, spread(now_ns, volatility_bps, score)))
    return found


@given(ticks, models)
def test_the_half_spread_never_leaves_its_bounds(
    path: list[tuple[int, float | None, float]], model: Glft | None
):
    assert all(SETTINGS.min_bps <= half <= SETTINGS.max_bps for _, half in played(SETTINGS, path, model))


@given(ticks, models)
def test_the_half_spread_moves_no_faster_than_its_slew_limit(
    path: list[tuple[int, float | None, float]], model: Glft | None
):
    found = played(SETTINGS, path, model)
    for (_, before), (elapsed_ns, now) in pairwise(found):
        assert abs(now - before) <= SETTINGS.slew_bps_per_s * elapsed_ns / SECOND + 1e-9


def first(volatility_bps: float | None, *, liquidity: float = 0.0) -> float:
    """Half spread of a first tick, which has nothing to be slewed from."""
    return AdaptiveSpread(SETTINGS)(START_NS, volatility_bps, liquidity)


@given(st.floats(0, 20), st.floats(0, 20))
def test_more_volatility_never_tightens(one: float, other: float):
    assert first(min(one, other)) <= first(max(one, other))


@pytest.mark.parametrize(
    ("volatility_bps", "score"), [(None, 0), (0.0, 0), (1.0, 0), (1.5, 0.5), (2.0, 1), (9.0, 1)]
)
def test_the_volatility_score_is_zero_at_the_reference_and_one_at_twice_it(
    volatility_bps: float | None, score: float
):
    expected = SETTINGS.base_bps + score * SETTINGS.volatility_weight_bps
    assert first(volatility_bps) == pytest.approx(expected)


@given(st.floats(0, 1), st.floats(0, 1))
def test_less_liquidity_never_tightens(one: float, other: float):
    assert first(None, liquidity=min(one, other)) <= first(None, liquidity=max(one, other))


@pytest.mark.parametrize("score", [0.0, 0.25, 1.0])
def test_the_liquidity_score_is_weighted(score: float):
    expected = SETTINGS.base_bps + score * SETTINGS.liquidity_weight_bps
    assert first(None, liquidity=score) == pytest.approx(expected)


def test_a_wide_spread_comes_back_no_faster_than_it_may():
    spread = AdaptiveSpread(SETTINGS)
    spread(START_NS, 100.0, 0.0)
    assert spread(START_NS + 100 * MS, None, 0.0) == pytest.approx(6.0 - 0.2)
