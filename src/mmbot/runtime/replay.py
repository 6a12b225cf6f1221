"""The replay shell: a recording, the simulated venue, a virtual clock that jumps to what is due next.

Every market event acts twice: at the venue when it happened there, and at the bot when it arrived. Between
the two, and for orders and answers, stand the latency models. Measured durations are written into rows and
never move this clock, so fills and profit do not depend on the machine.

Ticks start at the first whole interval at which every symbol has a book, and end after `duration_ns` or with
the recording. A tape is never looped.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from mmbot.config.settings import SimSettings
from mmbot.engine.engine import Engine
from mmbot.engine.timeline import Rank, Timeline
from mmbot.model.commands import CancelOrder, Command, RequestSnapshot, SubmitOrder
from mmbot.model.events import BookDelta, BookSnapshot, Confirmed, Fill, MarketEvent, OrderEvent, Tick
from mmbot.model.records import EventRow, Row, SampleRow
from mmbot.runtime.tape import Tape, TapeFeed
from mmbot.sim.latency import Channel
from mmbot.sim.venue import SimVenue
from mmbot.telemetry.digest import RunDigest, combined
from mmbot.units import SECOND, Ns

_CHUNK_ROWS = 4096
_HALT_GRACE_NS = 5 * SECOND


@dataclass(slots=True)
class Counts:
    """What happened, for the manifest."""

    ticks: int = 0
    fills: int = 0
    orders: int = 0
    cancels: int = 0
    rejects: int = 0


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


_Item = _AtVenue | _Arrival | _Request | _Answer | _SnapshotAnswer | Tick


class _Symbol:
    """One instrument's venue half: its market still to come, its simulated venue, its channels."""

    __slots__ = (
        "_feed",
        "_market_data",
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
        self.venue = SimVenue(self.key, settings.queue)
        self.events = feed.events()
        self.seq = 0
        self.included = 0
        """Market events up to this one are part of the last snapshot that we received."""

    def venue_ns(self, event: MarketEvent) -> int:
        """When this event happened at the venue, on our clock."""
        exch_ns = event.recv_ns if isinstance(event, Confirmed) else event.exch_ns
        if self._feed.exchange_clock:
            return min(exch_ns, event.recv_ns)
        return self._market_data.sent(event.recv_ns)


class Replay:
    """One run over a tape. Iterate `run()` once."""

    def __init__(
        self,
        tape: Tape,
        engine: Engine,
        settings: SimSettings,
        *,
        tick_ns: int,
        sample_ns: int,
        duration_ns: int | None,
        seed: int,
        rss_bytes: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._tick_ns = tick_ns
        self._sample_ns = sample_ns
        self._duration_ns = duration_ns
        self._tape_end_ns = tape.last_ns
        self._rss_bytes = rss_bytes
        self._symbols = {
            feed.instrument.key: _Symbol(feed, settings, (seed, index))
            for index, feed in enumerate(tape.feeds)
        }
        self._timeline: Timeline[_Item] = Timeline()
        self._digests = {key: RunDigest() for key in self._symbols}
        self._rows: list[Row] = []
        self._end_ns = self._tape_end_ns
        self._next_sample_ns = 0
        self._halt_by_ns: int | None = None
        self._halt_asked: str | None = None
        self.counts = Counts()
        self.started_ns: int | None = None

    @property
    def end_ns(self) -> int:
        """Virtual end as known now; final after the run."""
        return self._end_ns

    @property
    def digest(self) -> str:
        return combined(self._digests)

    def halt(self, reason: str) -> None:
        """Ask the run to stop at its next tick: quotes are pulled, their cancels awaited."""
        self._halt_asked = self._halt_asked or reason

    def run(self) -> Iterator[list[Row]]:
        """Play to the end, a batch of rows at a time."""
        for symbol in self._symbols.values():
            self._advance_market(symbol)
        timeline = self._timeline
        while len(timeline):
            due_ns, item = timeline.pop()
            if due_ns >= self._end_ns:
                break
            self._handle(due_ns, item)
            if len(self._rows) >= _CHUNK_ROWS:
                yield self._take_rows()
        self._engine.finish(self._end_ns)
        self._rows += self._engine.drain()
        self._sample(self._end_ns)
        yield self._take_rows()

    def _handle(self, now_ns: int, item: _Item) -> None:
        match item:
            case Tick():
                self._tick(now_ns)
            case _AtVenue(symbol, event):
                self._deliver(symbol, now_ns, symbol.venue.on_market(Ns(now_ns), event))
                symbol.seq += 1
                self._timeline.push(event.recv_ns, Rank.LOCAL_MARKET, _Arrival(symbol, event, symbol.seq))
                self._advance_market(symbol)
            case _Arrival(symbol, event, seq):
                self._arrived(now_ns, symbol, event, seq)
            case _Request(symbol, command):
                self._requested(now_ns, symbol, command)
            case _Answer(event):
                self._answered(now_ns, event)
            case _SnapshotAnswer(symbol, snapshot, seq):
                symbol.included = seq
                stamped = msgspec.structs.replace(snapshot, recv_ns=Ns(now_ns))
                self._route(now_ns, self._engine.step(stamped))

    def _advance_market(self, symbol: _Symbol) -> None:
        event = next(symbol.events, None)
        if event is not None:
            self._timeline.push(symbol.venue_ns(event), Rank.VENUE_MARKET, _AtVenue(symbol, event))

    def _requested(self, now_ns: int, symbol: _Symbol, command: Command) -> None:
        if isinstance(command, RequestSnapshot):
            snapshot = symbol.venue.snapshot(Ns(now_ns))
            if snapshot is not None:
                answer = _SnapshotAnswer(symbol, snapshot, symbol.seq)
                self._timeline.push(symbol.resync.due(now_ns), Rank.LOCAL_ANSWER, answer)
            return
        self._deliver(symbol, now_ns, symbol.venue.on_order(Ns(now_ns), command))

    def _deliver(self, symbol: _Symbol, now_ns: int, answers: Sequence[OrderEvent]) -> None:
        for answer in answers:
            self._timeline.push(symbol.response.due(now_ns), Rank.LOCAL_ANSWER, _Answer(answer))

    def _arrived(self, now_ns: int, symbol: _Symbol, event: MarketEvent, seq: int) -> None:
        """A market event reaches us; one that our last snapshot already contains is only a sign of life."""
        if seq <= symbol.included and isinstance(event, BookDelta):
            event = Confirmed(symbol.key, Ns(now_ns))
        self._route(now_ns, self._engine.step(event))
        if self.started_ns is None and self._engine.ready:
            self._start(now_ns)

    def _answered(self, now_ns: int, event: OrderEvent) -> None:
        answer = msgspec.structs.replace(event, recv_ns=Ns(now_ns))
        if isinstance(answer, Fill):
            self._digests[answer.symbol].fill(answer)
            self.counts.fills += 1
        self._route(now_ns, self._engine.step(answer))

    def _start(self, now_ns: int) -> None:
        self.started_ns = -(-now_ns // self._tick_ns) * self._tick_ns
        self._next_sample_ns = self.started_ns
        if self._duration_ns is not None:
            self._end_ns = min(self._end_ns, self.started_ns + self._duration_ns)
        self._push_tick(self.started_ns)

    def _push_tick(self, due_ns: int) -> None:
        self._timeline.push(due_ns, Rank.TICK, Tick(Ns(due_ns)))

    def _tick(self, now_ns: int) -> None:
        engine = self._engine
        if self._halt_asked is not None:
            self._halting(now_ns, self._halt_asked)
            return
        self._route(now_ns, engine.step(Tick(Ns(now_ns))))
        self.counts.ticks += len(self._symbols)
        self._rows += engine.drain()
        if now_ns >= self._next_sample_ns:
            self._sample(now_ns)
            self._next_sample_ns += self._sample_ns
        self._push_tick(now_ns + self._tick_ns)

    def _halting(self, now_ns: int, reason: str) -> None:
        """Quotes pulled at the first tick of it; the run ends when none rests any more, or after a grace."""
        if self._halt_by_ns is None:
            self._halt_by_ns = now_ns + _HALT_GRACE_NS
            self._route(now_ns, self._engine.halt(now_ns, reason))
        resting = any(symbol.venue.resting_count for symbol in self._symbols.values())
        if resting and now_ns < self._halt_by_ns:
            self._push_tick(now_ns + self._tick_ns)
        else:
            self._end_ns = now_ns

    def _route(self, now_ns: int, commands: Sequence[Command]) -> None:
        for command in commands:
            symbol = self._symbols[command.symbol]
            self._digests[symbol.key].command(now_ns, command)
            due_ns = now_ns
            if not isinstance(command, RequestSnapshot):
                due_ns = symbol.entry.due(now_ns)
                self.counts.orders += isinstance(command, SubmitOrder)
                self.counts.cancels += isinstance(command, CancelOrder)
            self._timeline.push(due_ns, Rank.VENUE_ORDER, _Request(symbol, command))

    def _sample(self, now_ns: int) -> None:
        self._rows.append(SampleRow(now_ns, None, "rss_bytes", self._rss_bytes()))
        for key, symbol in self._symbols.items():
            self._rows.append(SampleRow(now_ns, key, "book_updates", self._engine.bots[key].market.updates))
            self._rows.append(SampleRow(now_ns, key, "resting_orders", symbol.venue.resting_count))

    def _take_rows(self) -> list[Row]:
        rows, self._rows = self._rows, []
        self.counts.rejects += sum(isinstance(row, EventRow) and row.kind == "order_reject" for row in rows)
        return rows
