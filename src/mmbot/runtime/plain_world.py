"""The world of a replay in ordinary Python: recorded markets, simulated venues, and messages on their way, on
one timeline.

The oracle of the compiled world, and what runs where the kernel cannot: with a latency of market data that is
drawn anew for every message.
"""

from collections.abc import Sequence

import msgspec

from mmbot.config.settings import SimSettings
from mmbot.engine.timeline import Rank, Timeline
from mmbot.model.commands import Command, OrderCommand, RequestSnapshot
from mmbot.model.events import BookDelta, BookSnapshot, Confirmed, Fill, MarketEvent, OrderEvent
from mmbot.runtime.tape import Tape, TapeFeed
from mmbot.runtime.world import FillSeen, Hears
from mmbot.sim.latency import Channel
from mmbot.sim.venue import SimVenue
from mmbot.units import Ns


class _AtVenue(msgspec.Struct, frozen=True, gc=False):
    """A recorded market event, due at the venue."""

    symbol: "_Symbol"
    event: MarketEvent


class _Arrival(msgspec.Struct, frozen=True, gc=False):
    """A market event on its way to us. `seq` orders it against a snapshot that may already contain it."""

    symbol: "_Symbol"
    event: MarketEvent
    seq: int


class _Request(msgspec.Struct, frozen=True, gc=False):
    """A command of ours on its way to the venue."""

    symbol: "_Symbol"
    command: Command


class _Answer(msgspec.Struct, frozen=True, gc=False):
    """The venue's answer about an order, on its way to us."""

    event: OrderEvent


class _SnapshotAnswer(msgspec.Struct, frozen=True, gc=False):
    """The venue's whole book on its way to us, market events up to `seq` included."""

    symbol: "_Symbol"
    snapshot: BookSnapshot
    seq: int


_Item = _AtVenue | _Arrival | _Request | _Answer | _SnapshotAnswer


class _Symbol:
    """One instrument's venue half: its market still to come, its simulated venue, its channels."""

    __slots__ = (
        "_feed",
        "_market_data",
        "_venue_ns",
        "entry",
        "events",
        "included",
        "key",
        "response",
        "resync",
        "seq",
        "venue",
    )

    def __init__(self, feed: TapeFeed, settings: SimSettings, seed: tuple[int, int]) -> None:
        self._feed = feed
        self.key = feed.instrument.key
        self._market_data = Channel(settings.market_data, (*seed, 0))
        self.entry = Channel(settings.entry, (*seed, 1))
        self.response = Channel(settings.response, (*seed, 2))
        self.resync = Channel(settings.resync, (*seed, 3))
        self.venue = SimVenue(feed.instrument, settings.queue)
        self.events = feed.events()
        self._venue_ns = 0
        self.seq = 0
        self.included = 0
        """Market events up to this one are part of the last snapshot that we received."""

    def venue_ns(self, event: MarketEvent) -> int:
        """When this event happened at the venue, on our clock; never before the one in front of it."""
        if self._feed.exchange_clock:
            exch_ns = event.recv_ns if isinstance(event, Confirmed) else min(event.exch_ns, event.recv_ns)
            self._venue_ns = max(exch_ns, self._venue_ns)
            return self._venue_ns
        return self._market_data.sent(event.recv_ns)


class PlainWorld:
    """Delivers everything that is due to the engine, in the order of the timeline."""

    def __init__(
        self, tape: Tape, engine: Hears, settings: SimSettings, seed: int, on_fill: FillSeen
    ) -> None:
        self._engine = engine
        self._on_fill = on_fill
        self._timeline: Timeline[_Item] = Timeline()
        self._symbols = {
            feed.instrument.key: _Symbol(feed, settings, (seed, index))
            for index, feed in enumerate(tape.feeds)
        }
        for symbol in self._symbols.values():
            self._advance_market(symbol)

    def advance(self, until_ns: int) -> None:
        timeline = self._timeline
        while timeline.next_ns <= until_ns:
            due_ns, item = timeline.pop()
            self._handle(due_ns, item)

    def send(self, now_ns: int, command: Command) -> None:
        symbol = self._symbols[command.symbol]
        due_ns = now_ns if isinstance(command, RequestSnapshot) else symbol.entry.due(now_ns)
        self._timeline.push(due_ns, Rank.VENUE_ORDER, _Request(symbol, command))

    def resting(self, symbol: str) -> int:
        return self._symbols[symbol].venue.resting_count

    def _handle(self, now_ns: int, item: _Item) -> None:
        match item:
            case _AtVenue(symbol, event):
                self._deliver(symbol, now_ns, symbol.venue.on_market(Ns(now_ns), event))
                symbol.seq += 1
                self._timeline.push(event.recv_ns, Rank.LOCAL_MARKET, _Arrival(symbol, event, symbol.seq))
                self._advance_market(symbol)
            case _Arrival(symbol, event, seq):
                # an event that our last snapshot already contains is only a sign of life
                known = seq <= symbol.included and isinstance(event, BookDelta)
                self._engine.step(Confirmed(symbol.key, Ns(now_ns)) if known else event)
            case _Request(symbol, command):
                self._requested(now_ns, symbol, command)
            case _Answer(event):
                answer = msgspec.structs.replace(event, recv_ns=Ns(now_ns))
                if isinstance(answer, Fill):
                    self._on_fill(answer)
                self._engine.step(answer)
            case _SnapshotAnswer(symbol, snapshot, seq):
                symbol.included = seq
                self._engine.step(msgspec.structs.replace(snapshot, recv_ns=Ns(now_ns)))

    def _advance_market(self, symbol: _Symbol) -> None:
        event = next(symbol.events, None)
        if event is not None:
            self._timeline.push(symbol.venue_ns(event), Rank.VENUE_MARKET, _AtVenue(symbol, event))

    def _requested(self, now_ns: int, symbol: _Symbol, command: Command) -> None:
        if isinstance(command, OrderCommand):
            self._deliver(symbol, now_ns, symbol.venue.on_order(Ns(now_ns), command))
            return
        snapshot = symbol.venue.snapshot(Ns(now_ns))
        if snapshot is not None:
            answer = _SnapshotAnswer(symbol, snapshot, symbol.seq)
            self._timeline.push(symbol.resync.due(now_ns), Rank.LOCAL_ANSWER, answer)

    def _deliver(self, symbol: _Symbol, now_ns: int, answers: Sequence[OrderEvent]) -> None:
        for answer in answers:
            self._timeline.push(symbol.response.due(now_ns), Rank.LOCAL_ANSWER, _Answer(answer))
