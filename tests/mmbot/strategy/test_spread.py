"""Half spread: clamped always, slewed always, each score pushes one way, and what was wide cools off."""

import math
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, shipped_settings

from mmbot.strategy.glft import Glft, GlftSettings
from mmbot.strategy.spread import AdaptiveSpread, SpreadSettings
from mmbot.strategy.vitals import Rest, Vitals
from mmbot.units import MS, SECOND

SETTINGS = shipped_settings().spread


class Step(NamedTuple):
    """A tick: how long after the one before, what is seen, and whether a guard is up."""

    elapsed_ns: int
    volatility_bps: float | None
    liquidity: float
    latency_ms: float | None
    drawdown_quote: float
    guarded: bool


models = st.none() | st.builds(
    Glft,
    st.builds(GlftSettings, st.floats(1e-3, 100), st.floats(0.01, 5), st.floats(0.02, 5)),
    st.just(500.0),
    st.just(5_000.0),
    st.floats(-1, 10),
)


steps = st.builds(
    Step,
    st.integers(1, 5 * SECOND),
    st.none() | st.floats(0, 50),
    st.floats(0, 1),
    st.none() | st.floats(0, 500),
    st.floats(0, 100),
    st.booleans(),
)
paths = st.lists(steps, min_size=1, max_size=30)
settings_drawn = st.builds(
    SpreadSettings,
    model=st.just("adaptive"),
    base_bps=st.floats(0.5, 40),
    min_bps=st.floats(0.1, 5),
    max_bps=st.floats(5, 50),
    volatility_reference_bps=st.floats(0.1, 5),
    volatility_weight_bps=st.floats(0, 20),
    liquidity_weight_bps=st.floats(0, 20),
    liquidity_fast_halflife_s=st.just(5.0),
    liquidity_halflife_s=st.just(120.0),
    latency_reference_ms=st.floats(1, 200),
    latency_weight_bps=st.floats(0, 20),
    drawdown_reference_quote=st.floats(0.1, 50),
    pnl_weight_bps=st.floats(0, 20),
    slew_bps_per_s=st.floats(0.01, 100),
    cool_off_s=st.sampled_from([0.0, 0.5, 7.0]),
)


def vitals_of(
    latency_ms: float | None = None, drawdown_quote: float = 0.0, settings: SpreadSettings = SETTINGS
) -> Vitals:
    rest = Rest(settings.latency_reference_ms, settings.drawdown_reference_quote, 1.0, math.inf)
    vitals = Vitals(shipped_settings().vitals, rest)
    if latency_ms is not None:
        vitals.answered(START_NS, round(latency_ms * MS))
    vitals.marked(START_NS, drawdown_quote, None)
    vitals.marked(START_NS, 0.0, None)
    return vitals


CALM = vitals_of()


def played(settings: SpreadSettings, path: list[Step], model: Glft | None = None) -> list[float]:
    spread, now_ns, found = AdaptiveSpread(settings, model), START_NS, []
    for step in path:
        now_ns += step.elapsed_ns
        vitals = vitals_of(step.latency_ms, step.drawdown_quote, settings)
        found.append(spread(now_ns, step.volatility_bps, step.liquidity, vitals))
        if step.guarded:
            spread.cool_off(now_ns)
    return found


@given(settings_drawn, paths, models)
def test_the_half_spread_never_leaves_its_bounds(
    settings: SpreadSettings, path: list[Step], model: Glft | None
):
    assert all(settings.min_bps <= half <= settings.max_bps for half in played(settings, path, model))


@given(settings_drawn, paths, models)
def test_the_half_spread_moves_no_faster_than_its_slew_limit(
    settings: SpreadSettings, path: list[Step], model: Glft | None
):
    for (before, now), step in zip(pairwise(played(settings, path, model)), path[1:], strict=True):
        assert abs(now - before) <= settings.slew_bps_per_s * step.elapsed_ns / SECOND + 1e-9


def asks_for_the_widest(settings: SpreadSettings, step: Step) -> bool:
    vitals = vitals_of(step.latency_ms, step.drawdown_quote, settings)
    return AdaptiveSpread(settings)(START_NS, step.volatility_bps, step.liquidity, vitals) == settings.max_bps


@given(settings_drawn, paths)
def test_it_does_not_tighten_within_its_cool_off(settings: SpreadSettings, path: list[Step]):
    halves = played(settings, path)
    for at, (before, now) in enumerate(pairwise(halves), 1):
        since_ns = 0
        for back in range(at, 0, -1):
            since_ns += path[back].elapsed_ns
            if path[back - 1].guarded or asks_for_the_widest(settings, path[back - 1]):
                assert now >= before or since_ns >= settings.cool_off_s * SECOND
                break


def first(volatility_bps: float | None, *, liquidity: float = 0.0, vitals: Vitals = CALM) -> float:
    """Half spread of a first tick, which has nothing to be slewed from."""
    return AdaptiveSpread(SETTINGS)(START_NS, volatility_bps, liquidity, vitals)


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


@pytest.mark.parametrize(("latency_ms", "score"), [(None, 0), (50, 0), (75, 0.5), (100, 1), (900, 1)])
def test_the_latency_score_is_zero_at_the_reference_and_one_at_twice_it(
    latency_ms: float | None, score: float
):
    expected = SETTINGS.base_bps + score * SETTINGS.latency_weight_bps
    assert first(None, vitals=vitals_of(latency_ms)) == pytest.approx(expected)


@pytest.mark.parametrize(("drawdown_quote", "score"), [(0, 0), (10, 0), (12.5, 0.25), (20, 1), (400, 1)])
def test_the_pnl_score_is_zero_at_the_reference_and_one_at_twice_it(drawdown_quote: float, score: float):
    expected = SETTINGS.base_bps + score * SETTINGS.pnl_weight_bps
    assert first(None, vitals=vitals_of(drawdown_quote=drawdown_quote)) == pytest.approx(expected)


@given(settings_drawn, steps)
def test_the_half_spread_is_the_weighted_sum_of_the_scores_it_names(settings: SpreadSettings, step: Step):
    spread, vitals = AdaptiveSpread(settings), vitals_of(step.latency_ms, step.drawdown_quote, settings)
    scores = spread.scores(step.volatility_bps, step.liquidity, vitals)
    assert all(0 <= score <= 1 for score in scores)
    wanted = (
        settings.base_bps
        + settings.volatility_weight_bps * scores.volatility
        + settings.liquidity_weight_bps * scores.liquidity
        + settings.latency_weight_bps * scores.latency
        + settings.pnl_weight_bps * scores.pnl
    )
    clamped = min(max(wanted, settings.min_bps), settings.max_bps)
    assert spread(START_NS, step.volatility_bps, step.liquidity, vitals) == pytest.approx(clamped)


def test_our_own_latency_and_losses_widen_a_model_too_and_it_has_no_score_of_volatility():
    model = Glft(GlftSettings(1.0, 0.5, 1.0), 500.0, 5_000.0, 2.0)
    late = vitals_of(75.0)
    calm, widened = (AdaptiveSpread(SETTINGS, model)(START_NS, 2.0, 0.5, vitals) for vitals in (CALM, late))
    assert widened == pytest.approx(calm + 0.5 * SETTINGS.latency_weight_bps)
    assert AdaptiveSpread(SETTINGS, model).scores(2.0, 0.5, late) == (0.0, 0.0, 0.5, 0.0)


def test_a_wide_spread_comes_back_no_faster_than_it_may():
    spread = AdaptiveSpread(SETTINGS)
    spread(START_NS, 100.0, 0.0, CALM)
    assert spread(START_NS + 100 * MS, None, 0.0, CALM) == pytest.approx(6.0 - 0.2)


def test_after_a_guard_it_waits_for_its_cool_off_and_may_widen_meanwhile():
    spread, at = AdaptiveSpread(SETTINGS), lambda ms: START_NS + ms * MS
    spread(at(0), 1.5, 0.0, CALM)
    spread.cool_off(at(0))
    assert spread(at(1_000), None, 0.0, CALM) == 4.5
    assert spread(at(2_000), 2.0, 0.0, CALM) == 6.0
    assert spread(at(4_999), None, 0.0, CALM) == 6.0
    assert spread(at(5_099), None, 0.0, CALM) == pytest.approx(5.8)


def test_after_its_widest_it_waits_for_its_cool_off():
    settings = shipped_settings(spread={"max_bps": 5.0}).spread
    spread, at = AdaptiveSpread(settings), lambda ms: START_NS + ms * MS
    assert spread(at(0), 9.0, 0.0, CALM) == 5.0
    assert spread.widest(1.0) is False
    assert spread(at(4_900), None, 0.0, CALM) == 5.0
    assert not spread.settled(9.0, 0.0)
    assert spread(at(5_000), None, 0.0, CALM) == pytest.approx(4.8)
    assert spread(at(5_900), None, 0.0, CALM) == 3.0


@pytest.mark.parametrize(("cool_off_s", "widest"), [(5.0, True), (0.0, False)])
def test_a_score_that_would_make_it_its_widest_is_known(cool_off_s: float, *, widest: bool):
    settings = shipped_settings(spread={"max_bps": 4.0, "cool_off_s": cool_off_s}).spread
    spread = AdaptiveSpread(settings)
    assert spread.widest(0.7) is widest
    assert not spread.widest(0.6)
