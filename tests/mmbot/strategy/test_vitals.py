"""Vitals: latency means that fade and are forgotten, a drawdown over a window, and when all of it is calm."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS

from mmbot.strategy.vitals import Drawdown, LatencyMean, Rest, Vitals, VitalsSettings
from mmbot.units import MS, SECOND

SETTINGS = VitalsSettings(latency_halflife_s=10, drawdown_window_s=60, resync_window_s=300)
REST = Rest(latency_ms=50.0, drawdown_quote=10.0, taker_ratio=0.06, resyncs=4)


def at(seconds: float) -> int:
    return START_NS + round(seconds * SECOND)


@pytest.fixture
def vitals() -> Vitals:
    return Vitals(SETTINGS, REST)


class TestLatencyMean:
    def test_samples_of_one_moment_weigh_the_same(self):
        mean = LatencyMean(10)
        for latency_ms in (10, 20, 60):
            mean.add(at(0), latency_ms * MS)
        assert mean.at(at(0)) == pytest.approx(30.0)

    def test_a_sample_weighs_half_as_much_a_half_life_later(self):
        mean = LatencyMean(10)
        mean.add(at(0), 30 * MS)
        mean.add(at(10), 60 * MS)
        assert mean.at(at(10)) == pytest.approx((30 * 0.5 + 60) / 1.5)

    def test_what_is_not_renewed_for_a_half_life_is_forgotten(self):
        mean = LatencyMean(10)
        assert mean.at(at(0)) is None
        mean.add(at(0), 30 * MS)
        assert mean.at(at(10)) == 30.0
        assert mean.at(at(10.001)) is None
        mean.add(at(10.001), 50 * MS)
        assert mean.at(at(10.001)) == 50.0

    samples = st.lists(st.tuples(st.floats(0, 60), st.integers(0, 10**9)), min_size=1, max_size=20)

    @given(samples)
    def test_a_mean_stays_among_its_samples(self, path: list[tuple[float, int]]):
        mean, now_s = LatencyMean(10), 0.0
        for elapsed_s, latency_ns in path:
            now_s += elapsed_s
            mean.add(at(now_s), latency_ns)
        seen_ms = [latency_ns / MS for _, latency_ns in path]
        found_ms = mean.at(at(now_s))
        assert found_ms is not None
        assert min(seen_ms) - 1e-6 <= found_ms <= max(seen_ms) + 1e-6


@given(st.lists(st.tuples(st.integers(1, 90), st.floats(-100, 100)), min_size=1, max_size=40))
def test_a_drawdown_is_the_highest_mark_of_the_window_less_the_last(path: list[tuple[int, float]]):
    drawdown, marks, now_s = Drawdown(60), list[tuple[int, float]](), 0
    for elapsed_s, value in path:
        now_s += elapsed_s
        marks.append((now_s, value))
        peak = max(value for marked_s, value in marks if now_s - marked_s <= 60)
        assert drawdown.marked(at(now_s), value) == peak - value


class TestVitals:
    def test_nothing_known_is_calm(self, vitals: Vitals):
        assert vitals.calm
        assert (vitals.latency_ms, vitals.drawdown_quote, vitals.taker_ratio) == (None, 0.0, None)

    def test_the_worse_latency_counts(self, vitals: Vitals):
        vitals.answered(at(0), 20 * MS)
        vitals.sampled(at(0), 5 * MS)
        assert vitals.latency_ms == 20.0
        vitals.sampled(at(0), 95 * MS)
        assert vitals.latency_ms == 50.0

    @pytest.mark.parametrize(("waited_ms", "calm"), [(49.99, True), (50.0, False)])
    def test_latency_is_calm_below_its_rest(self, vitals: Vitals, waited_ms: float, *, calm: bool):
        vitals.answered(at(0), round(waited_ms * MS))
        assert vitals.calm is calm

    @pytest.mark.parametrize(("lost", "calm"), [(9.99, True), (10.0, False)])
    def test_a_drawdown_is_calm_below_its_rest(self, vitals: Vitals, lost: float, *, calm: bool):
        vitals.marked(at(0), 0.0, None)
        vitals.marked(at(1), -lost, None)
        assert vitals.calm is calm

    @pytest.mark.parametrize(("ratio", "calm"), [(0.059, True), (0.06, False)])
    def test_taking_is_calm_below_its_rest(self, vitals: Vitals, ratio: float, *, calm: bool):
        vitals.marked(at(0), 0.0, ratio)
        assert vitals.calm is calm

    def test_a_bot_that_hears_nothing_more_forgets_its_latency_and_tries_again(self, vitals: Vitals):
        vitals.answered(at(0), SECOND)
        vitals.observe(at(10))
        assert not vitals.calm
        vitals.observe(at(10.1))
        assert vitals.calm
        assert vitals.latency_ms is None

    def test_no_vital_disturbs_a_bot_whose_stages_act_on_none(self):
        vitals = Vitals(SETTINGS, Rest(math.inf, math.inf, math.inf, math.inf))
        vitals.answered(at(0), 10**15)
        vitals.marked(at(0), 0.0, 1.0)
        assert vitals.calm
        assert vitals.latency_ms == 10**9

    def test_a_book_is_broken_once_until_it_is_whole_again(self, vitals: Vitals):
        vitals.broke(at(0), crossed=False)
        assert vitals.resyncs == 0, "there was none yet"
        vitals.whole()
        for second in (1, 2, 3):
            vitals.broke(at(second), crossed=second == 2)
        assert (vitals.resyncs, vitals.crossed) == (1, True)
        vitals.whole()
        assert (vitals.resyncs, vitals.crossed) == (1, False)

    def test_the_fourth_break_of_the_window_is_not_calm_until_the_first_has_left_it(self, vitals: Vitals):
        for second in (0, 10, 20, 30):
            assert vitals.calm
            vitals.whole()
            vitals.broke(at(second), crossed=False)
        assert not vitals.calm
        vitals.observe(at(300))
        assert not vitals.calm
        vitals.observe(at(300.1))
        assert (vitals.calm, vitals.resyncs) == (True, 3)
