"""The clock for stamps: it follows the wall clock, and never backwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.clock import RisingClock

SECOND = 10**9
HOUR = 3600 * SECOND
steps = st.lists(st.tuples(st.integers(0, 10 * SECOND), st.integers(-HOUR, HOUR)), max_size=20)


class Machine:
    """A machine's two clocks, one of which somebody sets."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.wall_ns, self.steady_ns = 1_767_225_600 * SECOND, 5 * SECOND
        patch.setattr("mmbot.clock.time.time_ns", lambda: self.wall_ns)
        patch.setattr("mmbot.clock.time.perf_counter_ns", lambda: self.steady_ns)

    def passes(self, duration_ns: int, step_ns: int = 0) -> None:
        self.wall_ns += duration_ns + step_ns
        self.steady_ns += duration_ns


@given(steps)
def test_it_never_runs_backwards_and_is_never_behind_the_wall(changes: list[tuple[int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        machine = Machine(patch)
        clock = RisingClock()
        before = clock()
        for duration_ns, step_ns in changes:
            machine.passes(duration_ns, step_ns)
            now = clock()
            assert now >= max(before + duration_ns, machine.wall_ns)
            before = now


def test_after_a_step_back_it_goes_on_at_the_machines_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    clock = RisingClock()
    first = clock()
    machine.passes(SECOND, step_ns=-3600 * SECOND)
    assert clock() == first + SECOND
    machine.passes(SECOND, step_ns=3600 * SECOND + 5)
    assert clock() == machine.wall_ns
