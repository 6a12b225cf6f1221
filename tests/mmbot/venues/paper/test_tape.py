"""The line of exchange time: started when asked, in order, and as far apart as recorded."""

from tests.mmbot.builders import START_NS, confirmed, delta, linear, snapshot

from mmbot.units import MS, SECOND
from mmbot.venues.paper.tape import Feed, timeline

LATER_NS = START_NS + 1_000 * SECOND


def at(*offsets_ms):
    return [delta([(1, 1)], [], ns=START_NS + offset * MS) for offset in offsets_ms]


def played(*feeds):
    moments = timeline([Feed(linear(), events) for events in feeds], LATER_NS)
    return [((moment.ns - LATER_NS) // MS, moment.feed) for moment in moments]


def test_the_tape_starts_when_asked_and_keeps_its_distances():
    assert played(at(0, 5, 7)) == [(0, 0), (5, 0), (7, 0)]


def test_a_stamp_that_goes_back_happens_right_after_the_one_before_it():
    assert played(at(0, 5, 3, 6)) == [(0, 0), (5, 0), (5, 0), (6, 0)]


def test_feeds_are_one_line_and_the_earliest_starts_it():
    assert played(at(4, 8), at(2, 6)) == [(0, 1), (2, 0), (4, 1), (6, 0)]


def test_stamps_move_by_whole_milliseconds():
    moments = list(timeline([Feed(linear(), [snapshot([], [], ns=START_NS + 3)])], LATER_NS))
    assert LATER_NS - MS < moments[0].ns <= LATER_NS
    assert moments[0].ns % MS == 3


def test_confirmations_are_no_market_and_no_market_is_no_tape():
    assert played([confirmed(START_NS), *at(3)]) == [(0, 0)]
    assert played([]) == []
