"""One process of the bot, from its start to its end or its death, wired as `runtime.trade_run` wires one.

Engine, shell, world, lifecycle, order log, sessions, conversations and their upkeep are the bot's own. What
the simulation has instead: connections and HTTP of `network`, a disk in memory, clocks of virtual time, and
nobody who waits. The shell's coroutine awaits nothing but its clock, so it is resumed by hand when it is
time: no event loop, no threads. Market data is read in ordinary Python, with the rules of the kernel.
"""

from collections.abc import Callable, Coroutine, Generator, Sequence
from pathlib import Path
from types import coroutine
from typing import Any, Protocol

from mmbot.clock import RisingClock
from mmbot.config.settings import Settings
from mmbot.errors import TransportError
from mmbot.execution.reconcile import Reconciler
from mmbot.model.account import AccountMessage, LookUpOrder
from mmbot.model.commands import OrderBatch, OrderCommand
from mmbot.model.instrument import Instrument
from mmbot.model.notes import Note
from mmbot.model.orders import OWN_PREFIXES
from mmbot.model.records import Row
from mmbot.net.backoff import Backoff
from mmbot.net.intake import Batch, Intake
from mmbot.net.upkeep import Conversation, Upkeep
from mmbot.runtime.assemble import build_engine, plain_markets
from mmbot.runtime.live import WallTimes
from mmbot.runtime.live_world import LiveWorld
from mmbot.runtime.order_log_file import OrderLogFile
from mmbot.runtime.simulation.network import Kind, Link, Network
from mmbot.runtime.trade_run import CONNECTIONS, live_in_force, restored
from mmbot.runtime.trading import Ground, Trading
from mmbot.sim.disk import SimDisk
from mmbot.sim.event_heap import Act, EventHeap
from mmbot.sim.fault_plan import Fault, FaultPlan
from mmbot.units import MS, SECOND, Ns
from mmbot.venues.bybit.account_talk import AccountConnectorSettings, AccountTalk, Asking, Posting
from mmbot.venues.bybit.stream import PublicStream, StreamSettings, public_talk
from mmbot.venues.credentials import Credentials
from mmbot.venues.paper.rest import Reply

ARM = "A"
DEPTH = 50
_RSS_BYTES = 1 << 20
_LOOK_NS = 100 * MS
_ORDERS_PER_S = 10
"""What the paper exchange takes of a plain account."""
_ROTATE_BYTES = 300_000
"""A simulation rotates its log as often as weeks of trading would."""
_FOREVER: int | None = None


class Machine(Protocol):
    """What the process runs on."""

    heap: EventHeap
    plan: FaultPlan
    network: Network
    disk: SimDisk
    wall_offset_ns: int

    def guarded(self, act: Act) -> Act:
        """The same act, whose end by an error is the end of the process."""

    def linked(self, kind: Kind, *, up: bool) -> None:
        """The process knows that a link of its is up, or gone."""

    def noted(self, note: Note) -> None: ...

    def wrote(self, rows: Sequence[Row]) -> None: ...


class SimLine:
    """`net.line.Line` on virtual time: one connection that is kept up."""

    def __init__(
        self, process: "Process", kind: Kind, path: str, talk: Conversation, backoff: Backoff
    ) -> None:
        self._process = process
        self._kind: Kind = kind
        self._path = path
        self._tried_ns = 0
        self.upkeep = Upkeep(talk, backoff)

    @property
    def alive(self) -> bool:
        return self._process.alive

    def dial(self) -> None:
        self._tried_ns = self._process.steady()
        self._process.machine.network.dial(self._kind, self._path, self)

    def opened(self, link: Link) -> None:
        process = self._process
        process.machine.linked(self._kind, up=True)
        process.act(lambda: self.upkeep.opened(link, process.clock(), process.steady()))

    def refused(self, reason: str) -> None:
        process = self._process
        process.act(lambda: self.upkeep.unreachable(process.clock(), reason))
        self._again()

    def received(self, payload: bytes) -> None:
        process = self._process
        process.act(lambda: self.upkeep.received(process.clock(), payload, process.steady()))

    def ended(self, reason: str) -> None:
        process = self._process
        process.machine.linked(self._kind, up=False)
        process.act(lambda: self.upkeep.lost(process.clock(), reason))
        self._again()

    def look(self) -> None:
        self.upkeep.look(self._process.clock(), self._process.steady())

    def _again(self) -> None:
        wait_ns = self.upkeep.wait_ns(self._process.steady() - self._tried_ns)
        self._process.after(wait_ns, self.dial)


class PublicOverNetwork:
    """Market data: the door of a live world."""

    def __init__(self, intake: Intake, stream: PublicStream, steady: Callable[[], int]) -> None:
        self._intake, self._stream, self._steady = intake, stream, steady

    def drain(self) -> Batch:
        return self._intake.drain()

    def resync(self, symbol: str) -> None:
        self._stream.resync(symbol, self._steady())


class AccountOverNetwork:
    """Our account: the other door. What `AccountConnector` does with tasks, as acts."""

    def __init__(self, process: "Process", talk: AccountTalk, trade: SimLine) -> None:
        self._process = process
        self._talk = talk
        self._trade = trade
        self.session = talk.session

    def drain(self) -> list[AccountMessage]:
        return self.session.drain()

    def send(self, message: OrderCommand | OrderBatch) -> None:
        posting = self._talk.send(message, self._process.clock(), self._process.steady())
        if posting is not None:
            self._post(posting)
        self._trade.upkeep.flush()
        self.look()

    def look_up(self, command: LookUpOrder) -> None:
        self.session.look_up(command, self._process.clock())

    def survey(self, since_ns: Ns) -> None:
        self.session.survey(since_ns, self._process.clock())

    def look(self) -> None:
        for asking in self._talk.asking(self._process.clock()):
            self._ask(asking)

    def _ask(self, asking: Asking) -> None:
        def answered(reply: Reply) -> None:
            self._talk.answered(asking, reply.status, reply.headers, reply.body, self._process.clock())
            self.look()

        def failed(error: TransportError) -> None:
            self._talk.ask_failed(asking, error, self._process.clock())
            self.look()

        self._process.request("GET", asking.target, b"", asking.headers, answered, failed)

    def _post(self, posting: Posting) -> None:
        def answered(reply: Reply) -> None:
            self._talk.posted(posting, reply.status, reply.headers, reply.body, self._process.clock())
            self.look()

        def failed(error: TransportError) -> None:
            self._talk.post_failed(posting, error, self._process.clock())
            self.look()

        self._process.request("POST", posting.target, posting.body, posting.headers, answered, failed)


class Process:
    """`alive` until it is killed; `over` when its run has ended by itself."""

    def __init__(
        self,
        machine: Machine,
        instrument: Instrument,
        settings: Settings,
        credentials: Credentials,
        folder: Ground,
        seed: int,
    ) -> None:
        """Raises what a start raises."""
        self.machine = machine
        self.alive = True
        self.over = False
        heap = machine.heap
        self.clock = RisingClock(lambda: heap.now_ns + machine.wall_offset_ns, lambda: heap.now_ns)
        settings = as_live(settings)
        instruments = [instrument]
        self._key = instrument.key
        self.log = OrderLogFile(Path("orders"), OWN_PREFIXES, rotate_bytes=_ROTATE_BYTES, disk=machine.disk)
        self.lifecycle = restored(instruments, OWN_PREFIXES, self.log)
        reconciler = Reconciler(self.lifecycle)
        self._intake, stream = public_talk(instruments, DEPTH, _unrecorded, StreamSettings(), seed)
        self.talk = AccountTalk(
            instruments,
            credentials,
            _unrecorded,
            AccountConnectorSettings(connections=CONNECTIONS),
            recv_ns=self.clock(),
            since_ns=Ns(reconciler.since_ns or self.clock()),
        )
        trade = SimLine(self, "trade", "/v5/trade", self.talk.entry, Backoff(seed + 2))
        self._lines = [
            SimLine(self, "public", "/v5/public/linear", stream, Backoff(seed)),
            SimLine(self, "private", "/v5/private", self.talk.stream, Backoff(seed + 1)),
            trade,
        ]
        self._account = AccountOverNetwork(self, self.talk, trade)
        markets = plain_markets(settings, instruments)
        self.engine = build_engine(settings, instruments, markets, arm=ARM, clock=self.steady)
        public = PublicOverNetwork(self._intake, stream, self.steady)
        self.world = LiveWorld(
            markets, public, self._account, self.lifecycle, self.log, reconciler, self.clock
        )
        times = WallTimes(
            tick_ns=round(settings.pipeline.tick_interval_ms * MS),
            sample_ns=round(settings.telemetry.sample_interval_s * SECOND),
            deadline_ns=round(settings.pipeline.deadline_ms * MS),
            duration_ns=_FOREVER,
        )
        self._tick_ns, self._deadline_ns = times.tick_ns, times.deadline_ns
        self.trading = Trading(
            self.engine,
            times,
            self.world,
            folder,
            settings.limits.max_position_quote,
            lambda: _RSS_BYTES,
            self.clock,
            _sleep_until,
            lambda _, note: machine.noted(note),
            self.halt,
        )
        self._shell: Coroutine[int, None, None] = self.trading.run(machine.wrote)
        self.decided_ns = 0

    def start(self) -> None:
        """Connect and begin to tick."""
        for line in self._lines:
            line.dial()
        self.act(lambda: self.world.start(self.clock()))
        self.after(0, self._look)
        self.after(0, self._resume)

    def halt(self, reason: str) -> None:
        self.trading.halt(reason)

    def kill(self) -> None:
        """No more of it. Whoever waits for it waits for ever."""
        self.alive = False
        self._shell.close()
        self.machine.disk.process_died()
        self.machine.network.died()

    def steady(self) -> int:
        return self.machine.heap.now_ns

    def act(self, act: Act) -> None:
        """Do it now, as the process."""
        if self.alive:
            self.machine.guarded(act)()

    def after(self, wait_ns: int, act: Act) -> None:
        self.machine.heap.after(wait_ns, lambda: self.act(act))

    def request(
        self,
        method: str,
        target: str,
        body: bytes,
        headers: Any,
        answered: Callable[[Reply], None],
        failed: Callable[[TransportError], None],
    ) -> None:
        def heard(reply: Reply) -> None:
            self.machine.network.heard(reply)
            answered(reply)

        self.machine.network.request(
            method,
            target,
            body,
            headers,
            lambda reply: self.act(lambda: heard(reply)),
            lambda error: self.act(lambda: failed(error)),
        )

    @property
    def clock_ns(self) -> int:
        return self.clock()

    @property
    def engine_lots(self) -> int:
        return self.engine.bots[self._key].position.lots

    @property
    def waiting(self) -> dict[str, int]:
        return {"open orders": len(self.lifecycle.open), **self.talk.session.sizes()}

    @property
    def quoting(self) -> bool:
        """Ticks run, and nothing forbids to quote."""
        return self.trading.started_ns is not None and self.world.refusal(self.clock()) is None

    def _look(self) -> None:
        for line in self._lines:
            line.look()
        self._account.look()
        self.after(_LOOK_NS, self._look)

    def _resume(self) -> None:
        """On to the shell's next wait, which is over when its clock says so."""
        late_ns = self.clock() - self.decided_ns
        if late_ns > self._deadline_ns:  # it drops what it missed, and plays the newest
            self.decided_ns += late_ns // self._tick_ns * self._tick_ns
        try:
            at_ns = self._shell.send(None)
        except StopIteration:
            self.over = True
            return
        self.decided_ns = at_ns
        wait_ns = max(at_ns - self.clock(), 0)
        if self.machine.plan.strikes(Fault.STALL, self.steady()):
            wait_ns += self.machine.plan.between(20, 600) * MS
        self.after(wait_ns, self._resume)


def as_live(settings: Settings) -> Settings:
    """What is in force in a live run of them."""
    return live_in_force(settings, _ORDERS_PER_S)


@coroutine
def _pause(at_ns: int) -> Generator[int, None, None]:
    yield at_ns


async def _sleep_until(at_ns: int, clock: Callable[[], int]) -> None:
    """As `clock.sleep_until`: once in any case, and again for a timer that was early."""
    await _pause(at_ns)
    while clock() < at_ns:
        await _pause(at_ns)


def _unrecorded(recv_ns: Ns, payload: bytes) -> None:
    """What was received is in the trace of the simulation."""
