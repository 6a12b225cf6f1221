"""Faults are asked for in words, and meet a copy of the tape."""

import pytest
from tests.mmbot.builders import columns_of_events, confirmed, linear, ms, snapshot

from mmbot.errors import ConfigError
from mmbot.runtime.faults import injected, parse_fault
from mmbot.runtime.tape import Tape, TapeFeed
from mmbot.sim.latency import LatencySettings
from mmbot.units import MS, SECOND


def unsynchronised() -> Tape:
    events = [snapshot([(99, 5)], [(101, 5)]), *(confirmed(ms(at)) for at in range(0, 10_000, 100))]
    return Tape("recorded", [TapeFeed(linear(), columns_of_events(events), ["x"], "", exchange_clock=False)])


def test_a_tape_that_says_nothing_of_the_venues_clock_is_stamped_by_the_model():
    tape = unsynchronised()
    faulty = injected(tape, [parse_fault("silence@2s+3s")], LatencySettings("constant", 20.0, 0.0))
    (feed,) = faulty.feeds
    before, after = tape.feeds[0].columns.arrays, feed.columns.arrays
    assert feed.exchange_clock
    assert (before["recv_ns"] - after["exch_ns"] == 20 * MS).all()
    assert (after["recv_ns"] != before["recv_ns"]).sum() == 30
    assert injected(tape, [], LatencySettings("constant", 20.0, 0.0)) is tape


def test_a_latency_that_is_drawn_is_refused():
    with pytest.raises(ConfigError, match=r"sim\.market_data: was .*, faults in this tape need constant"):
        injected(unsynchronised(), [parse_fault("gap@2s")], LatencySettings("lognormal", 20.0, 0.3))


def test_a_fault_is_read_as_it_is_written():
    silence, gap = parse_fault("silence@10m+5s"), parse_fault("gap@90s")
    assert (silence.at_ns, silence.lasts_ns) == (600 * SECOND, 5 * SECOND)
    assert (gap.at_ns, gap.lasts_ns, gap.text) == (90 * SECOND, None, "gap@90s")


@pytest.mark.parametrize(
    "text", ["", "gap", "gap@", "gap@1m+5s", "silence@1m", "silence@x+5s", "noise@1m+5s"]
)
def test_anything_else_is_no_fault(text: str):
    with pytest.raises(ConfigError, match="expected silence@"):
        parse_fault(text)
