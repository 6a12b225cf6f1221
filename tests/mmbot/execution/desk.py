"""A whole desk without I/O: the engine, the lifecycle, an order log in memory, the reconciler, and the
invariants after every event. What the live shell does with sockets and a disk, in a loop over virtual time.
"""

from collections.abc import Sequence
from functools import cache

from tests.mmbot.builders import KEY, START_NS, engine_of, linear, shipped_settings, snapshot
from tests.mmbot.execution.nasty_venue import NastyVenue

from mmbot.execution.invariants import Invariants
from mmbot.execution.lifecycle import Lifecycle
from mmbot.execution.order_log import encoded, head, must_sync, read
from mmbot.execution.order_records import LifecycleState, Record
from mmbot.execution.reconcile import Reconciler
from mmbot.model.account import AccountEvent
from mmbot.model.commands import Message, unpacked
from mmbot.model.events import Fill, Tick
from mmbot.model.records import EventRow
from mmbot.units import MS, SECOND, Ns

PREFIX = "mmA-"
STEP_NS = 100 * MS
TICK_NS = 500 * MS
RECONCILE_NS = 10 * SECOND
MID_TICK = 7_500


class KilledError(Exception):
    """The process ends here."""


class MemoryLog:
    """The bytes of an order log. `kill_at`: the write at which the process dies; `how`: before a byte of it
    is written, in the middle of it, after all of it, or with the machine, which loses what was not synced.
    """

    def __init__(self, content: bytes = b"", kill_at: int | None = None, how: str = "before") -> None:
        self.content = content or head(PREFIX, LifecycleState(symbols={}, positions={}))
        self._synced = len(self.content)
        self._lines = self.content.count(b"\n")
        self.writes = 0
        self._kill_at, self._how = kill_at, how

    def append(self, records: Sequence[Record]) -> None:
        if not records:
            return
        lines = encoded(records, self._lines + 1)
        self.writes += 1
        if self.writes == self._kill_at:
            self._die(lines)
        self.content += lines
        self._lines += len(records)
        if must_sync(records):
            self._synced = len(self.content)

    def _die(self, lines: bytes) -> None:
        if self._how == "torn":
            self.content += lines[: len(lines) // 2]
        elif self._how == "after":
            self.content += lines
        elif self._how == "machine":
            self.content = self.content[: self._synced]
        raise KilledError

    def reopened(self, kill_at: int | None = None, how: str = "before") -> "MemoryLog":
        """After the death, what a new start finds, without the torn tail."""
        return MemoryLog(self.content[: read(self.content, "log").length], kill_at, how)


_REASONS = ("volatility_bps", "latency_ms", "drawdown_quote", "taker_ratio")


@cache
def _settings():
    """Guards would pull the quotes of so nasty a venue, and nothing would be left to go wrong."""
    off = [f"{level}_{what}" for level in ("soft", "hard") for what in _REASONS]
    return shipped_settings(
        guards=dict.fromkeys(off, 1e6),
        emit={"levels": 1, "order_notional_quote": 500.0},
        inventory={"max_position_quote": 1_500.0},
        limits={"max_position_quote": 1_500.0},
    )


def most_lots() -> int:
    """By the limit on a position, at a price below all of the desk's market."""
    return int(_settings().limits.max_position_quote / (0.99 * MID_TICK / 100) / 0.01)


class Desk:
    """One run, from its start to its end or its death."""

    def __init__(self, venue: NastyVenue, log: MemoryLog, now_ns: int = START_NS) -> None:
        self.venue, self.log, self.now_ns = venue, log, now_ns
        content = read(log.content, "log")
        self.lifecycle = Lifecycle([linear()], PREFIX, state=content.state)
        for record in content.records:
            self.lifecycle.apply(record)
        self.reconciler = Reconciler(self.lifecycle)
        self.invariants = Invariants(self.lifecycle, {KEY: most_lots()}, self._held())
        self.engine = engine_of(_settings(), linear())
        self.rows: list[EventRow] = []
        self.fills = 0
        self.agreed = False
        self._resume()
        self._started = False
        self._next_tick_ns = now_ns
        self._next_reconcile_ns = now_ns

    def _resume(self) -> None:
        """The engine stands where the log does: at its beginning, and where the books began."""
        orders = self.lifecycle.symbol_state(KEY).orders
        self.engine.bots[KEY].resume(self.lifecycle.positions[KEY].state(), orders)

    def _held(self) -> dict[str, int]:
        return {KEY: self.lifecycle.positions[KEY].lots}

    @property
    def position(self) -> int:
        return self.engine.bots[KEY].position.lots

    def run(self, seconds: float) -> None:
        """Play so long."""
        if not self._started:
            self.lifecycle.restarted(Ns(self.now_ns))
            self._write()
            self._started = True
        end_ns = self.now_ns + round(seconds * SECOND)
        while self.now_ns < end_ns:
            self.now_ns += STEP_NS
            self._step()
        self.rows += [row for row in self.engine.drain() if isinstance(row, EventRow)]

    def settle(self, seconds: float) -> None:
        """The venue is calm: pull every quote and wait until nothing is open."""
        self.venue.calm = True
        self._send(self.engine.halt(self.now_ns, "end"))
        self.invariants.halted()
        self.run(seconds)

    def _step(self) -> None:
        for event in self.venue.advance(self.now_ns):
            self.hear(event)
        commands = self.lifecycle.due(Ns(self.now_ns))
        self.invariants.due(commands)
        self._write()
        self.venue.send(self.now_ns, commands)
        if self.now_ns >= self._next_reconcile_ns:
            self._reconcile()
        if self.reconciler.refusal is None and self.now_ns >= self._next_tick_ns:
            self._next_tick_ns = self.now_ns + TICK_NS
            self._tick()
        self.invariants.check(self.now_ns, {KEY: self.venue.position} if self.venue.calm else None)

    def hear(self, event: AccountEvent) -> None:
        events = self.lifecycle.heard(event)
        self.invariants.heard(events)
        self._write()
        self._tell(events)
        self.invariants.check(self.now_ns)

    def _tell(self, events: Sequence) -> None:
        for event in events:
            self.fills += isinstance(event, Fill)
            self.engine.step(event)

    def _reconcile(self) -> None:
        done = self.reconciler.check(Ns(self.now_ns), self.venue.account(self.now_ns))
        self.invariants.heard(done.events)
        self._write()
        self._tell(done.events)
        if not self.agreed and self.reconciler.refusal is None:
            self.agreed = True
            self._resume()
        self.venue.send(self.now_ns, done.cancels)
        wait_ns = RECONCILE_NS if self.reconciler.refusal is None else SECOND
        self._next_reconcile_ns = self.now_ns + wait_ns

    def _tick(self) -> None:
        wave = (self.now_ns // SECOND) % 60
        mid = MID_TICK + (wave if wave < 30 else 60 - wave)
        self.engine.step(snapshot([(mid - 5, 500)], [(mid + 5, 500)], ns=self.now_ns))
        self._send(self.engine.step(Tick(Ns(self.now_ns))))
        self.rows += [row for row in self.engine.drain() if isinstance(row, EventRow)]

    def _send(self, messages: Sequence[Message]) -> None:
        self.invariants.sending(messages)
        leaving = self.lifecycle.commands(Ns(self.now_ns), messages)
        self._write()
        self.venue.send(self.now_ns, list(unpacked(leaving)))

    def _write(self) -> None:
        self.log.append(self.lifecycle.records)
        self.lifecycle.records.clear()
