"""Waits between tries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.net.backoff import FIRST_NS, LONGEST_NS, Backoff
from mmbot.units import SECOND, Ns


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_the_nth_wait_lies_in_the_upper_half_of_its_step(seed: int, tries: int) -> None:
    backoff = Backoff(seed)
    for number in range(tries):
        step_ns = min(FIRST_NS * 2 ** (number + 1), LONGEST_NS)
        assert max(FIRST_NS, step_ns // 2) <= backoff.next_ns() <= step_ns


def test_a_seed_says_all_and_seeds_differ() -> None:
    def waits(seed: int) -> list[Ns]:
        backoff = Backoff(seed)
        return [backoff.next_ns() for _ in range(8)]

    assert waits(1) == waits(1)
    assert waits(1) != waits(2)


def test_well_again_starts_over() -> None:
    backoff = Backoff(3)
    for _ in range(10):
        backoff.next_ns()
    backoff.reset()
    assert backoff.next_ns() <= SECOND


@pytest.mark.parametrize(("first", "longest"), [(0, 1), (-1, 5), (3, 2)])
def test_a_range_that_is_none_is_refused(first: int, longest: int) -> None:
    with pytest.raises(ValueError, match="expected a rising range above 0"):
        Backoff(1, Ns(first), Ns(longest))
