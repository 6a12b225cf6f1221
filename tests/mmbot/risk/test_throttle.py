"""Throttle: no second above the limit, the reserve is for cancels, and nobody waits for ever."""

from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS

from mmbot.model.commands import Room
from mmbot.risk.throttle import Throttle, ThrottleSettings
from mmbot.units import MS, SECOND

TICK = 100 * MS


def throttle(messages_per_s: int = 10, reserved_for_cancels: int = 4) -> Throttle:
    return Throttle(ThrottleSettings(messages_per_s, reserved_for_cancels))


def test_creates_leave_the_reserve_and_cancels_may_use_everything():
    watched = throttle()
    assert watched.room(START_NS, "a", 0) == Room(0, 6)
    assert watched.room(START_NS, "a", 3) == Room(3, 3)
    assert watched.room(START_NS, "a", 20) == Room(10, 0)
    watched.spent(START_NS, 6)
    assert watched.room(START_NS, "a", 20) == Room(4, 0)


def test_a_message_is_forgotten_after_a_second():
    watched = throttle()
    watched.spent(START_NS, 10)
    assert watched.room(START_NS + SECOND - 1, "a", 20) == Room(0, 0)
    assert watched.room(START_NS + SECOND, "a", 20) == Room(10, 0)


def test_what_waits_is_served_before_those_that_come_later():
    watched = throttle()
    watched.owes("b", 1, 3)
    assert watched.room(START_NS, "a", 20) == Room(9, 0)
    assert watched.room(START_NS, "a", 0) == Room(0, 2)
    assert watched.room(START_NS, "b", 1) == Room(1, 5)
    watched.owes("b", 0, 0)
    assert watched.room(START_NS, "a", 0) == Room(0, 6)


def test_creates_that_wait_never_hold_back_a_cancel():
    watched = throttle()
    watched.owes("b", 0, 50)
    assert watched.room(START_NS, "a", 20) == Room(10, 0)


asks = st.lists(
    st.fixed_dictionaries({name: st.tuples(st.integers(0, 8), st.integers(0, 8)) for name in "abc"}),
    min_size=1,
    max_size=40,
)


@given(asks, st.integers(1, 12), st.integers(0, 12))
def test_no_second_holds_more_than_the_limit_nor_creates_beyond_theirs(
    ticks: list[dict[str, tuple[int, int]]], limit: int, reserved: int
):
    reserved = min(reserved, limit)
    watched = throttle(limit, reserved)
    sent: list[tuple[int, int]] = []
    for number, tick in enumerate(ticks):
        now_ns = START_NS + number * TICK
        for symbol, (cancels, creates) in tick.items():
            room = watched.room(now_ns, symbol, cancels)
            created = min(creates, room.creates)
            assert room.cancels <= cancels
            before = sum(messages for at_ns, messages in sent if at_ns > now_ns - SECOND)
            if created:
                assert before + room.cancels + created <= limit - reserved
            watched.spent(now_ns, room.cancels + created)
            watched.owes(symbol, cancels - room.cancels, creates - created)
            sent.append((now_ns, room.cancels + created))
            assert before + room.cancels + created <= limit


def test_the_last_of_many_symbols_is_served_in_its_turn():
    """Each wants two creates at every tick, from a budget of five a second."""
    watched, served = throttle(5, 0), dict.fromkeys("abcdef", 0)
    for number in range(100):
        now_ns = START_NS + number * TICK
        for symbol in served:
            created = min(watched.room(now_ns, symbol, 0).creates, 2)
            watched.spent(now_ns, created)
            watched.owes(symbol, 0, 2 - created)
            served[symbol] += created
    assert min(served.values()) >= 6
    assert sum(served.values()) == 50
