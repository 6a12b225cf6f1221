"""What every shell does with an engine and a world: tick, route commands, count, digest, sample, halt.

A shell decides when: `runtime.replay` jumps from tick to tick, `runtime.live` waits for each. What a tick is
stands here, once, so a recording that is replayed takes the very steps that were taken live.

Some of what decides belongs to the machine and not to the market: when the first tick was, which ticks were
dropped because it was late, when the run was halted and when it ended. Live that is measured and recorded,
in a replay it is read from the recording; either way a tick is told all that was known by then (`Timing`).
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mmbot.engine.engine import Engine
from mmbot.model.commands import AmendOrder, CancelOrder, Command, Message, SubmitOrder, unpacked
from mmbot.model.events import Fill, LatencySample
from mmbot.model.notes import Happened, Note
from mmbot.model.records import EventRow, Row, SampleRow
from mmbot.runtime.world import FillSeen, World
from mmbot.telemetry.digest import RunDigest, combined
from mmbot.units import SECOND, Ns

HALT_GRACE_NS = 5 * SECOND
"""How long a halted shell waits for its last order to be gone."""


@dataclass(slots=True)
class Counts:
    """What happened, for the manifest."""

    ticks: int = 0
    skipped_ticks: int = 0
    """Left out by the wake filter; their rows do not exist."""
    dropped_ticks: int = 0
    """Never played, because the machine was late by more than the deadline."""
    outages: int = 0
    """Times without any process: a live run was interrupted, and went on."""
    fills: int = 0
    orders: int = 0
    amends: int = 0
    cancels: int = 0
    rejects: int = 0


Timing = tuple[Ns, Note]
"""When what became known of the bot and its machine: a note of `model.notes.OF_A_BOT`."""


class Player:
    """Engine and world of one run, moved from tick to tick, and what is kept of it."""

    def __init__(
        self,
        engine: Engine,
        world: Callable[[FillSeen], World],
        rss_bytes: Callable[[], int],
        timing: Iterable[Timing] = (),
    ) -> None:
        """`timing`: what is known of the machine, in time order; live it is still empty."""
        self._engine = engine
        self._world = world(self._filled)
        self._rss_bytes = rss_bytes
        self._digests = {symbol: RunDigest() for symbol in engine.bots}
        self._rows: list[Row] = []
        self._halt_asked: str | None = None
        self._finish_asked: str | None = None
        self.suspend_asked: str | None = None
        self._timing = deque(timing)
        self._between = deque[Callable[[int], EventRow]]()
        self.counts = Counts()
        self.started_ns: int | None = None

    @property
    def digest(self) -> str:
        return combined(self._digests)

    @property
    def halt_reason(self) -> str | None:
        """Why the run was asked to stop, if it was."""
        return self._halt_asked

    def halt(self, reason: str) -> None:
        """Ask the run to stop at its next tick: quotes are pulled, their cancels awaited."""
        self._halt_asked = self._halt_asked or reason

    @property
    def finish_reason(self) -> str | None:
        """Why the run ended before its time, with all that it was for."""
        return None if self._halt_asked is not None else self._finish_asked

    def finish(self, reason: str) -> None:
        """Ask the run to end at its next tick, as if its time were over then. A halt goes first."""
        self._finish_asked = self._finish_asked or reason

    @property
    def engine(self) -> Engine:
        return self._engine

    def __getstate__(self) -> dict[str, Any]:
        """What a run goes on from: not what it was asked to do next."""
        asked = dict.fromkeys(("_halt_asked", "_finish_asked", "suspend_asked"))
        return {**self.__dict__, **asked, "_between": deque()}

    def between_ticks(self, act: Callable[[int], EventRow]) -> None:
        """Do this before the next tick, told its time, and write down what it says; all that was asked, in
        its order.
        """
        self._between.append(act)

    def _told(self, now_ns: int) -> None:
        """What was known of the machine by this tick."""
        timing = self._timing
        while timing and timing[0][0] <= now_ns:
            recv_ns, note = timing.popleft()
            if note.mmbot is Happened.DROPPED:
                self.counts.dropped_ticks += note.ticks * len(self._digests)
                self._rows.append(EventRow(recv_ns, None, "ticks_dropped", {"ticks": note.ticks}))
            elif note.mmbot is Happened.LATE:
                for symbol in self._digests:
                    self._engine.step(LatencySample(symbol, recv_ns, note.latency_ns))

    def _act(self, now_ns: int) -> None:
        """What was asked to be done between two ticks. Who asks meanwhile is served at the next."""
        for _ in range(len(self._between)):
            self._rows.append(self._between.popleft()(now_ns))

    def _tick(self, now_ns: int) -> None:
        """One tick of every symbol; the world has advanced to it."""
        commands = self._engine.tick(now_ns)
        if commands:
            self._route(now_ns, commands)
        self.counts.ticks += len(self._digests)

    def _close(self, end_ns: int) -> list[Row]:
        """What still arrives before the end; the last rows, and the last sample."""
        self._world.advance(end_ns - 1)
        self._engine.finish(end_ns)
        self._sample(end_ns)
        return self._take_rows()

    def _route(self, now_ns: int, messages: Sequence[Message]) -> None:
        for command in unpacked(messages):
            self._count(now_ns, command)
            self._world.send(now_ns, command)

    def _count(self, now_ns: int, command: Command) -> None:
        self._digests[command.symbol].command(now_ns, command)
        self.counts.orders += isinstance(command, SubmitOrder)
        self.counts.amends += isinstance(command, AmendOrder)
        self.counts.cancels += isinstance(command, CancelOrder)

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
