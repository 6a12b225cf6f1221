"""The market events of several instruments as one line of exchange time.

Exchange time is the venue's own stamp, moved as a whole so that the tape starts when the exchange does; gaps
between events stay what they were. Where a stamp goes back, as those of trades and books of one venue may do
by a little, the event happens right after the one before it. Confirmations say nothing about a market.
"""

import heapq
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from mmbot.model.events import Confirmed, MarketEvent
from mmbot.model.instrument import Instrument
from mmbot.units import MS


class Feed(NamedTuple):
    """One instrument, renamed to a venue of Bybit's, and its events."""

    instrument: Instrument
    events: Iterable[MarketEvent]


class Moment(NamedTuple):
    """An event of feed number `feed`, at exchange time."""

    ns: int
    feed: int
    event: MarketEvent


def timeline(feeds: Iterable[Feed], start_ns: int) -> Iterator[Moment]:
    """All events in order; the first happens at `start_ns`, to the millisecond."""
    lines = [_stamped(number, feed.events) for number, feed in enumerate(feeds)]
    merged = heapq.merge(*lines, key=lambda moment: moment.ns)
    first = next(merged, None)
    if first is None:
        return
    shift_ns = (start_ns - first.ns) // MS * MS
    for moment in chain([first], merged):
        yield moment._replace(ns=moment.ns + shift_ns)


def _stamped(number: int, events: Iterable[MarketEvent]) -> Iterator[Moment]:
    last_ns = 0
    for event in events:
        if not isinstance(event, Confirmed):
            last_ns = max(last_ns, event.exch_ns)
            yield Moment(last_ns, number, event)
