"""When a connection that says nothing counts as dead."""

import pytest

from mmbot.errors import TransportError
from mmbot.net.silence import Silence
from mmbot.units import SECOND

BEGAN = 1_000 * SECOND


@pytest.fixture
def silence() -> Silence:
    watched = Silence(10.0)
    watched.begins(BEGAN)
    return watched


def test_half_of_the_limit_is_waited_for_then_it_is_pinged_once(silence: Silence) -> None:
    assert not silence.ping_due(BEGAN + 5 * SECOND - 1)
    assert silence.ping_due(BEGAN + 5 * SECOND)
    assert not silence.ping_due(BEGAN + 6 * SECOND)


def test_a_ping_that_nobody_answers_ends_it_at_the_limit(silence: Silence) -> None:
    assert silence.ping_due(BEGAN + 5 * SECOND)
    assert not silence.ping_due(BEGAN + 10 * SECOND - 1)
    with pytest.raises(TransportError, match=r"nothing was received for 10\.0 s"):
        silence.ping_due(BEGAN + 10 * SECOND)


def test_a_pong_begins_it_anew(silence: Silence) -> None:
    assert silence.ping_due(BEGAN + 5 * SECOND)
    silence.broken(BEGAN + 9 * SECOND)
    assert not silence.ping_due(BEGAN + 10 * SECOND)
    assert silence.ping_due(BEGAN + 14 * SECOND)


def test_who_looks_late_still_pings_and_waits_for_the_answer(silence: Silence) -> None:
    assert silence.ping_due(BEGAN + 60 * SECOND)
    assert not silence.ping_due(BEGAN + 64 * SECOND)
    with pytest.raises(TransportError, match="65"):
        silence.ping_due(BEGAN + 65 * SECOND)
