"""The believed offset comes from the shortest round trip, and is judged on what it proves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, ms

from mmbot.errors import RemoteProtocolError
from mmbot.units import MS, SECOND, Ns
from mmbot.venues.clock_offset import ClockOffset, ClockState


def asked(clock: ClockOffset, at_ms: float, ahead_ms: float, out_ms: float = 10, back_ms: float = 10) -> None:
    """One question at `at_ms` to a server whose clock is `ahead_ms` ahead."""
    sent, recv = ms(at_ms), ms(at_ms + out_ms + back_ms)
    clock.sample(Ns(sent), Ns(ms(at_ms + out_ms + ahead_ms)), Ns(recv))


def test_nothing_is_believed_before_the_first_sample():
    clock = ClockOffset()
    assert clock.state is ClockState.UNKNOWN
    assert clock.best is None
    assert clock.server_ms(Ns(START_NS)) == START_NS // MS


def test_the_shortest_round_trip_is_believed():
    clock = ClockOffset()
    asked(clock, 0, 40, out_ms=300, back_ms=10)
    assert clock.best is not None
    assert clock.best.offset_ns == 185 * MS
    asked(clock, 1000, 40)
    assert clock.best.offset_ns == 40 * MS
    asked(clock, 2000, 40, out_ms=10, back_ms=900)
    assert clock.best.offset_ns == 40 * MS
    assert clock.server_ms(Ns(ms(3000))) == START_NS // MS + 3040


def test_a_sample_is_believed_for_ten_minutes():
    clock = ClockOffset()
    asked(clock, 0, 40)
    asked(clock, 599_000, 70, out_ms=20, back_ms=20)
    assert clock.best is not None
    assert clock.best.offset_ns == 40 * MS
    asked(clock, 601_000, 70, out_ms=20, back_ms=20)
    assert clock.best.offset_ns == 70 * MS


def test_after_the_venue_refused_our_time_only_new_samples_count():
    clock = ClockOffset()
    asked(clock, 0, 0)
    clock.forget()
    asked(clock, 1000, 1500, out_ms=50, back_ms=50)
    assert clock.best is not None
    assert clock.best.offset_ns == 1500 * MS


@pytest.mark.parametrize(
    ("ahead_ms", "state"),
    [
        (0, ClockState.GOOD),
        (510, ClockState.GOOD),
        (511, ClockState.WARN),
        (-511, ClockState.WARN),
        (2010, ClockState.WARN),
        (2011, ClockState.HALT),
        (-2011, ClockState.HALT),
    ],
)
def test_the_offset_is_judged_less_half_its_round_trip(ahead_ms, state):
    clock = ClockOffset()
    asked(clock, 0, ahead_ms)
    assert clock.state is state


def test_an_answer_from_before_its_question_says_nothing():
    with pytest.raises(RemoteProtocolError, match="expected the answer later"):
        ClockOffset().sample(Ns(START_NS), Ns(START_NS), Ns(START_NS - 1))


trips = st.integers(0, 5 * SECOND)


@given(st.integers(-10 * SECOND, 10 * SECOND), st.lists(st.tuples(trips, trips), min_size=1, max_size=20))
def test_the_offset_is_never_wrong_by_more_than_half_the_best_round_trip(ahead_ns, journeys):
    clock = ClockOffset()
    for number, (out_ns, back_ns) in enumerate(journeys):
        sent = START_NS + number * SECOND
        clock.sample(Ns(sent), Ns(sent + out_ns + ahead_ns), Ns(sent + out_ns + back_ns))
    assert clock.best is not None
    assert clock.best.rtt_ns == min(out_ns + back_ns for out_ns, back_ns in journeys)
    assert abs(clock.best.offset_ns - ahead_ns) <= clock.best.rtt_ns / 2 + 1
