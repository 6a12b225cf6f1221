"""The switch stays off, and a heart that does not move is a dead one."""

from hypothesis import given
from hypothesis import strategies as st

from mmbot.risk.kill_switch import DeadMan, KillSwitch
from mmbot.units import SECOND


def test_the_first_reason_stays():
    switch = KillSwitch()
    assert not switch.off
    assert switch.press("daily loss")
    assert not switch.press("another")
    assert switch.off
    assert switch.reason == "daily loss"


def test_a_bot_that_never_beats_is_dead_when_patience_ends():
    guard = DeadMan(3.0, now_ns=0)
    guard.heard(None, 2 * SECOND)
    assert not guard.dead(3 * SECOND)
    assert guard.dead(3 * SECOND + 1)


def test_the_same_number_again_is_no_beat():
    guard = DeadMan(3.0, now_ns=0)
    guard.heard(7, 1 * SECOND)
    guard.heard(7, 4 * SECOND)
    assert guard.dead(4 * SECOND + 1)


@given(gaps=st.lists(st.integers(0, 6 * SECOND), min_size=1, max_size=30))
def test_it_is_dead_exactly_when_the_last_beat_is_older_than_patience(gaps: list[int]):
    guard, now_ns = DeadMan(3.0, now_ns=0), 0
    for number, gap_ns in enumerate(gaps):
        now_ns += gap_ns
        assert guard.dead(now_ns) == (gap_ns > 3 * SECOND)
        guard.heard(number, now_ns)
        assert not guard.dead(now_ns)
