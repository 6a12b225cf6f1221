"""Breaker: closed, open, half-open; few samples decide nothing, one failed probe does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, shipped_settings

from mmbot.risk.breaker import Breaker, BreakerState, Outcomes
from mmbot.units import MS, SECOND


def breaker(**changes: float) -> Breaker:
    chosen = {"window_s": 20.0, "min_samples": 10, "max_failure_ratio": 0.5, "open_s": 10.0, "probes": 2}
    return Breaker(shipped_settings(breaker={**chosen, **changes}).breaker)


def opened() -> Breaker:
    """Open since START_NS."""
    watched = breaker()
    for _ in range(10):
        watched.failed(START_NS, START_NS)
    assert watched.refusal(START_NS) == "breaker: open for another 10.0 s"
    return watched


def half_open() -> tuple[Breaker, int]:
    """Half-open since the time beside it, both probes sent then."""
    watched, now_ns = opened(), START_NS + 10 * SECOND
    for _ in range(2):
        assert watched.refusal(now_ns) is None
        watched.created()
    assert watched.refusal(now_ns) == "breaker: half-open, its probes are out"
    return watched, now_ns


@pytest.mark.parametrize(
    ("answered", "failed", "is_open"),
    [(0, 9, False), (0, 10, True), (5, 5, False), (5, 6, True), (9, 1, False)],
)
def test_it_opens_on_enough_samples_of_which_more_than_the_ratio_failed(
    answered: int, failed: int, *, is_open: bool
):
    watched = breaker()
    for _ in range(answered):
        watched.answered(START_NS, START_NS, create=True)
    for _ in range(failed):
        watched.failed(START_NS, START_NS)
    assert (watched.refusal(START_NS) is not None) == is_open


def test_failures_that_left_the_window_are_forgotten():
    watched = breaker()
    for _ in range(10):
        watched.failed(START_NS, START_NS)
    assert watched.refusal(START_NS + 22 * SECOND) is None


def test_open_lasts_its_time_and_then_lets_probes_out():
    watched = opened()
    assert watched.refusal(START_NS + 10 * SECOND - 1) is not None
    assert watched.state is BreakerState.OPEN
    assert watched.refusal(START_NS + 10 * SECOND) is None
    assert watched.state is BreakerState.HALF_OPEN


def test_answers_to_all_probes_close_it_with_a_clean_window():
    watched, now_ns = half_open()
    watched.answered(now_ns, now_ns + MS, create=True)
    assert watched.refusal(now_ns + MS) is not None
    watched.answered(now_ns, now_ns + 2 * MS, create=True)
    assert watched.refusal(now_ns + 3 * MS) is None
    assert watched.state is BreakerState.CLOSED
    for _ in range(9):
        watched.failed(now_ns, now_ns + 4 * MS)
    assert watched.refusal(now_ns + 5 * MS) is None


def test_one_failed_probe_opens_it_again_for_the_whole_time():
    watched, now_ns = half_open()
    watched.answered(now_ns, now_ns + MS, create=True)
    watched.failed(now_ns, now_ns + MS)
    assert watched.refusal(now_ns + 2 * MS) == "breaker: open for another 10.0 s"


def test_what_was_sent_before_is_no_probe():
    watched, now_ns = half_open()
    for _ in range(5):
        watched.failed(START_NS, now_ns + MS)
        watched.answered(START_NS, now_ns + MS, create=True)
    assert watched.refusal(now_ns + MS) == "breaker: half-open, its probes are out"


def test_an_answered_cancel_is_no_probe():
    watched, now_ns = half_open()
    for _ in range(5):
        watched.answered(now_ns, now_ns + MS, create=False)
    assert watched.refusal(now_ns + MS) == "breaker: half-open, its probes are out"


outcomes = st.lists(st.tuples(st.integers(0, 3 * SECOND), st.booleans()), max_size=60)


@given(outcomes, st.integers(0, 5 * SECOND))
def test_the_window_holds_at_least_its_time_and_at_most_a_slice_more(
    told: list[tuple[int, bool]], then_ns: int
):
    counted, now_ns, times = Outcomes(20 * SECOND), START_NS, []
    for step_ns, failed in told:
        now_ns += step_ns
        counted.add(now_ns, failed=failed)
        times.append((now_ns, failed))
    now_ns += then_ns
    requests, failures = counted.counts(now_ns)
    least = [failed for at_ns, failed in times if at_ns > now_ns - 20 * SECOND]
    most = [failed for at_ns, failed in times if at_ns > now_ns - 21 * SECOND - 1]
    assert len(least) <= requests <= len(most)
    assert sum(least) <= failures <= sum(most)


@given(outcomes, st.randoms(use_true_random=False))
def test_between_two_questions_the_order_of_outcomes_does_not_matter(told, random):
    """The kernel plays symbols one after the other from tick to tick."""
    shuffled = list(told)
    random.shuffle(shuffled)
    answers = []
    for order in (told, shuffled):
        watched = breaker(min_samples=3)
        for at_ns, failed in order:
            if failed:
                watched.failed(START_NS, START_NS + at_ns)
            else:
                watched.answered(START_NS, START_NS + at_ns, create=True)
        answers.append(watched.refusal(START_NS + 3 * SECOND))
    assert answers[0] == answers[1]


@given(
    st.lists(st.tuples(st.integers(0, 3 * SECOND), st.integers(0, 40 * SECOND), st.booleans()), max_size=40)
)
def test_what_is_counted_is_what_the_window_holds(path: list[tuple[int, int, bool]]):
    """Sums that run along equal the outcomes counted one by one, also of answers that come late."""
    outcomes, slice_ns, now_ns = Outcomes(20 * SECOND), SECOND, 1_000 * SECOND
    told: list[tuple[int, bool]] = []
    for step_ns, late_ns, failed in path:
        now_ns += step_ns
        outcomes.add(now_ns - late_ns, failed=failed)
        told.append((now_ns - late_ns, failed))
        kept = [bad for at_ns, bad in told if at_ns // slice_ns >= now_ns // slice_ns - 20]
        assert outcomes.counts(now_ns) == (len(kept), sum(kept))
