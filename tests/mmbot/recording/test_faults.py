"""A fault changes what reached us and nothing else, on a copy; one outside the recording is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import KEY, START_NS, columns_of_events

from mmbot.errors import RecordingError
from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, MarketEvent, Trade, Trouble
from mmbot.model.instrument import Side
from mmbot.recording.faults import stamped, with_gap, with_silence
from mmbot.units import Lots, Ns, Ticks

LENGTH = 100


def tape() -> list[MarketEvent]:
    """A snapshot, then a delta of two levels and a trade by turns, one every nanosecond."""
    first = Ns(START_NS)
    events: list[MarketEvent] = [
        BookSnapshot(KEY, first, first, [(Ticks(99), Lots(5))], [(Ticks(101), Lots(5))])
    ]
    for number in range(1, LENGTH + 1):
        now = Ns(START_NS + number)
        if number % 2:
            levels = [(Ticks(99), Lots(number)), (Ticks(98), Lots(number))]
            events.append(BookDelta(KEY, now, now, levels, []))
        else:
            events.append(Trade(KEY, now, now, Side.BUY, Ticks(101), Lots(1)))
    return events


RECORDED = columns_of_events(tape())
moments = st.integers(1, LENGTH).map(lambda at: START_NS + at)


@given(start_ns=moments, lasts_ns=st.integers(0, LENGTH))
def test_a_silence_holds_back_and_loses_nothing(start_ns: int, lasts_ns: int):
    end_ns = start_ns + lasts_ns
    if end_ns > START_NS + LENGTH:
        with pytest.raises(RecordingError, match="expected one within the recording"):
            with_silence(RECORDED, start_ns, lasts_ns)
        return
    before, after = RECORDED.arrays, with_silence(RECORDED, start_ns, lasts_ns).arrays
    for name in ("exch_ns", "tick", "lots", "kind"):
        assert np.array_equal(before[name], after[name])
    recv_ns = after["recv_ns"]
    assert not ((recv_ns >= start_ns) & (recv_ns < end_ns)).any()
    moved = recv_ns != before["recv_ns"]
    assert (recv_ns[moved] == end_ns).all()
    assert (np.diff(recv_ns) >= 0).all()


@given(at_ns=moments)
def test_a_gap_stands_before_the_message_that_reveals_it(at_ns: int):
    broken = with_gap(RECORDED, at_ns)
    events, before = list(broken.events(KEY)), list(RECORDED.events(KEY))
    (place,) = [number for number, event in enumerate(events) if isinstance(event, BookTrouble)]
    gap = events.pop(place)
    assert events == before
    assert isinstance(gap, BookTrouble)
    assert (gap.trouble, gap.ours_alone, gap.recv_ns) == (Trouble.GAP, True, at_ns)
    assert before[place].recv_ns == at_ns
    assert len(broken) == len(RECORDED) + 1


def test_snapshots_are_found_where_they_are_then():
    again = BookSnapshot(KEY, Ns(START_NS + 9), Ns(START_NS + 9), [], [])
    columns = columns_of_events([*tape()[:9], again, *tape()[10:]])
    broken = with_gap(columns, START_NS + 5)
    first, second = broken.meta.snapshots
    assert first == columns.meta.snapshots[0]
    assert second == columns.meta.snapshots[1]._replace(row=columns.meta.snapshots[1].row + 1)
    late = with_silence(columns, START_NS + 5, 20)
    assert [place.recv_ns for place in late.meta.snapshots] == [START_NS, START_NS + 25]


def test_the_recording_stays_as_it_was():
    before = {name: column.copy() for name, column in RECORDED.arrays.items()}
    with_silence(stamped(with_gap(RECORDED, START_NS + 7), 20), START_NS + 3, 50)
    assert all(np.array_equal(RECORDED.arrays[name], column) for name, column in before.items())


def test_stamps_lie_one_latency_before_ours():
    arrays = stamped(RECORDED, 20).arrays
    assert (arrays["recv_ns"] - arrays["exch_ns"] == 20).all()


@pytest.mark.parametrize("at_ns", [0, START_NS, START_NS + LENGTH + 1])
def test_a_gap_outside_the_recording_is_refused(at_ns: int):
    with pytest.raises(RecordingError, match="expected one within the recording"):
        with_gap(RECORDED, at_ns)
