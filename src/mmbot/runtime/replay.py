"""The replay shell: a recording, the simulated venue, a virtual clock that jumps from tick to tick.

Every market event acts twice: at the venue when it happened there, and at the bot when it arrived. Between
the two, and for orders and answers, stand the latency models. The world (`runtime.world`) delivers all of
that; the shell ticks, routes commands, counts, samples and halts. Measured durations are written into rows
and never move this clock, so fills and profit do not depend on the machine.

Ticks start at the first whole interval at which every symbol has a book, and end after `duration_ns` or with
the recording. A tape is never looped.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mmbot.engine.engine import Engine
from mmbot.model.commands import CancelOrder, Message, SubmitOrder, unpacked
from mmbot.model.events import Fill
from mmbot.model.records import EventRow, Row, SampleRow
from mmbot.runtime.world import FillSeen, World
from mmbot.telemetry.digest import RunDigest, combined
from mmbot.units import SECOND

_CHUNK_TICKS = 4096
_HALT_GRACE_NS = 5 * SECOND


@dataclass(slots=True)
class Counts:
    """What happened, for the manifest."""

    ticks: int = 0
    skipped_ticks: int = 0
    """Left out by the wake filter; their rows do not exist."""
    fills: int = 0
    orders: int = 0
    cancels: int = 0
    rejects: int = 0


@dataclass(frozen=True, slots=True)
class Times:
    """When a replay ticks, samples and ends. `duration_ns` None: as long as the tape."""

    first_ns: int
    tape_end_ns: int
    tick_ns: int
    sample_ns: int
    duration_ns: int | None


class Replay:
    """One run over a tape. Iterate `run()` once."""

    def __init__(
        self,
        engine: Engine,
        times: Times,
        world: Callable[[FillSeen], World],
        rss_bytes: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._times = times
        self._world = world(self._filled)
        self._rss_bytes = rss_bytes
        self._digests = {symbol: RunDigest() for symbol in engine.bots}
        self._rows: list[Row] = []
        self._halt_asked: str | None = None
        self._between: Callable[[int], EventRow] | None = None
        self.end_ns = times.tape_end_ns
        """Virtual end as known now; final after the run."""
        self.counts = Counts()
        self.started_ns: int | None = None

    @property
    def digest(self) -> str:
        return combined(self._digests)

    def halt(self, reason: str) -> None:
        """Ask the run to stop at its next tick: quotes are pulled, their cancels awaited."""
        self._halt_asked = self._halt_asked or reason

    def between_ticks(self, act: Callable[[int], EventRow]) -> None:
        """Do this before the next tick, told its time, and write down what it says; again if asked again."""
        self._between = act

    def run(self) -> Iterator[list[Row]]:
        """Play to the end, a batch of rows at a time."""
        step_ns, sample_ns = self._times.tick_ns, self._times.sample_ns
        engine, world, symbols = self._engine, self._world, len(self._digests)
        now_ns = next_sample_ns = self._start()
        while now_ns < self.end_ns:
            world.advance(now_ns)
            if self._halt_asked is not None:
                self._halt(now_ns, self._halt_asked)
                break
            if self._between is not None:
                self._act(now_ns)
            commands = engine.tick(now_ns)
            if commands:
                self._route(now_ns, commands)
            self.counts.ticks += symbols
            if now_ns >= next_sample_ns:
                self._sample(now_ns)
                next_sample_ns += sample_ns
                yield self._take_rows()
            elif not self.counts.ticks % _CHUNK_TICKS:
                yield self._take_rows()
            now_ns += step_ns
        yield from self._close()

    def _act(self, now_ns: int) -> None:
        """What was asked to be done between two ticks. Who asks meanwhile is served at the next."""
        act, self._between = self._between, None
        if act is not None:
            self._rows.append(act(now_ns))

    def _close(self) -> Iterator[list[Row]]:
        """What still arrives before the end, and the last sample."""
        self._world.advance(self.end_ns - 1)
        self._engine.finish(self.end_ns)
        self._sample(self.end_ns)
        yield self._take_rows()

    def _start(self) -> int:
        """The first tick: the first whole interval at which every symbol has a book."""
        times = self._times
        now_ns = -(-times.first_ns // times.tick_ns) * times.tick_ns
        self._world.advance(now_ns)
        while not self._engine.ready and now_ns < self.end_ns:
            now_ns += times.tick_ns
            self._world.advance(now_ns)
        if self._engine.ready:
            self.started_ns = now_ns
            if times.duration_ns is not None:
                self.end_ns = min(self.end_ns, now_ns + times.duration_ns)
        return now_ns

    def _halt(self, now_ns: int, reason: str) -> None:
        """Pull the quotes; the run ends when the last order is known to be gone, or after a grace."""
        give_up_ns = min(now_ns + _HALT_GRACE_NS, self.end_ns)
        self._route(now_ns, self._engine.halt(now_ns, reason))
        while self._engine.working and now_ns < give_up_ns:
            now_ns += self._times.tick_ns
            self._world.advance(now_ns)
            self._route(now_ns, self._engine.tick(now_ns))
        self.end_ns = now_ns

    def _route(self, now_ns: int, messages: Sequence[Message]) -> None:
        for command in unpacked(messages):
            self._digests[command.symbol].command(now_ns, command)
            self.counts.orders += isinstance(command, SubmitOrder)
            self.counts.cancels += isinstance(command, CancelOrder)
            self._world.send(now_ns, command)

    def _filled(self, fill: Fill) -> None:
        self._digests[fill.symbol].fill(fill)
        self.counts.fills += 1

    def _sample(self, now_ns: int) -> None:
        self._rows.append(SampleRow(now_ns, None, "rss_bytes", self._rss_bytes()))
        for symbol, bot in self._engine.bots.items():
            self._rows.append(SampleRow(now_ns, symbol, "book_updates", bot.market.updates))
            self._rows.append(SampleRow(now_ns, symbol, "resting_orders", self._world.resting(symbol)))

    def _take_rows(self) -> list[Row]:
        rows, self._rows = self._rows + self._engine.drain(), []
        self.counts.rejects += sum(isinstance(row, EventRow) and row.kind == "order_reject" for row in rows)
        return rows
