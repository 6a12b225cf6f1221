"""The account's side of the fault table, in virtual time: engine, sessions, lifecycle, log and world of a
live bot, the paper exchange without sockets, and what gets lost between the two.

What needs real sockets and processes stands in `test_live_trading.py` and `test_live_kills.py`;
`docs/live.md` lists every row with its test.
"""

import json
from itertools import cycle
from pathlib import Path

import numpy as np
from tests.mmbot.builders import KEY, START_NS, linear, shipped_settings, trade
from tests.mmbot.venues.paper.floor import Floor

from mmbot.errors import TransportError
from mmbot.execution.lifecycle import Lifecycle
from mmbot.execution.reconcile import Reconciler
from mmbot.model.account import AccountEvent, Asked
from mmbot.model.commands import CancelOrder, OrderBatch, OrderCommand, SubmitOrder
from mmbot.model.instrument import Side
from mmbot.model.orders import own_prefix
from mmbot.model.records import EventRow
from mmbot.runtime.assemble import build_engine, plain_markets
from mmbot.runtime.live_world import LiveWorld
from mmbot.runtime.order_log_file import OrderLogFile
from mmbot.runtime.trade_run import CONNECTIONS
from mmbot.units import MS, SECOND, Lots, Ns, Ticks
from mmbot.venues.bybit.account_connector import AccountConnector
from mmbot.venues.bybit.connector import PublicConnector
from mmbot.venues.bybit.hosts import hosts
from mmbot.venues.bybit.orders import OrderRequest
from mmbot.venues.bybit.private_stream import PrivateStream, login
from mmbot.venues.bybit.queries import Query
from mmbot.venues.clock_offset import ClockOffset
from mmbot.venues.credentials import Credentials, Secret
from mmbot.venues.paper.rest import Reply, Request

TICK_NS = 100 * MS
NOWHERE = hosts("http://127.0.0.1:1")
ALICE = Credentials("alice", Secret("alice-secret"))
LASTS_S = 200
TRADES_MS = range(10_000, LASTS_S * 1_000, 4_700)
FOUND_WITHIN_NS = 30 * SECOND
NOTICED_WITHIN_NS = 10 * SECOND
CANCELLED_WITHIN_NS = 2 * SECOND
SETTINGS = shipped_settings(
    guards={"soft_latency_ms": 1e6, "hard_latency_ms": 1e6}, breaker={"min_samples": 10**6}
)
"""Orders whose acknowledgement is lost would pull the quotes, and nothing would be left to lose."""


def asked(floor: Floor, query: Query) -> Reply:
    headers = floor.headers("alice", query.parameters) if query.signed else {}
    what = Request("GET", query.path, query.parameters, headers, b"", "here")
    return floor.rest.handle(what, floor.wall_ns)


def posted(floor: Floor, request: OrderRequest) -> Reply:
    headers = floor.headers("alice", request.body)
    what = Request("POST", request.operation.path, "", headers, request.body.encode(), "here")
    return floor.rest.handle(what, floor.wall_ns)


class FloorConnector(AccountConnector):
    """A connector whose requests are carried out by a floor in memory, at once: all of it but the sockets."""

    def __init__(self, floor: Floor) -> None:
        self._floor, start_ns = floor, Ns(floor.wall_ns)
        clock = lambda: Ns(floor.wall_ns)  # noqa: E731
        super().__init__([linear()], NOWHERE, ALICE, lambda *_: None, clock=clock, since_ns=start_ns)
        self.created: list[str] = []
        self.limited_until_ns = 0
        """Until then every order is refused with 429."""
        self.limited = 0
        self.round_trip_ns = 0
        self.dead = False
        """The stream's socket stays open, and says nothing."""
        self.noticed_ns: int | None = None
        self._private = PrivateStream(self.session, login(ALICE, ClockOffset()), CONNECTIONS, lambda *_: None)
        self.reconnected()

    def send(self, message: OrderCommand | OrderBatch) -> None:
        request = self._talk.entry.send(message, self._clock(), self._clock())
        if request is not None:
            if request.operation.asked is Asked.CREATE:
                self.created += request.client_ids
            reply = self._carried_out(request)
            self._floor.wall_ns += self.round_trip_ns
            self._talk.entry.rest_answered(request, reply.status, reply.headers, reply.body, self._clock())

    def _carried_out(self, request: OrderRequest) -> Reply:
        if self._clock() >= self.limited_until_ns:
            return posted(self._floor, request)
        self.limited += 1
        return Reply(429, b"Too Many Requests", {"Retry-After": "1"})

    def take(self) -> None:
        """What the stream says, and what REST answers."""
        now_ns = self._clock()
        waiting, self._stream.outbox = self._stream.outbox, []
        for frame in [] if self.dead else waiting:
            self._private.received(now_ns, frame, now_ns)
        self._watch(now_ns)
        for query in self.session.queries(now_ns):
            reply = asked(self._floor, query)
            self.session.answered(query, reply.status, reply.body, sent_ns=now_ns, now_ns=now_ns)

    def _watch(self, now_ns: Ns) -> None:
        """Ping, and notice that nobody answers."""
        if self.noticed_ns is not None:
            return
        try:
            self._private.due(now_ns, now_ns)
        except TransportError as error:
            self.noticed_ns = now_ns
            self._private.lost(now_ns, str(error))
        for ping in self._private.outgoing():
            self._floor.exchange.receive(self._stream, ping.decode(), now_ns)

    def reconnected(self) -> None:
        """A new connection of the private stream: it logs in and subscribes from the next `take` on."""
        self._stream = self._floor.open("/v5/private")
        self.dead, self.noticed_ns = False, None
        self._private.connected(self._clock(), self._clock())


class Bot:
    """The engine, the world and the log of a live bot, on a floor whose market trades through its quotes."""

    def __init__(self, folder: Path) -> None:
        sides = cycle(((Side.SELL, 9_500), (Side.BUY, 10_500)))
        trades = [
            trade(side, tick, 10_000, ns=START_NS + at_ms * MS)
            for at_ms, (side, tick) in zip(TRADES_MS, sides, strict=False)
        ]
        self.floor = Floor(*trades)
        self.connector = FloorConnector(self.floor)
        self.lifecycle = Lifecycle([linear()], own_prefix("A"))
        self.public = PublicConnector(
            [linear()], NOWHERE, lambda *_: None, clock=lambda: self.now_ns, depth=1
        )
        markets = plain_markets(SETTINGS, [linear()])
        self.engine = build_engine(SETTINGS, [linear()], markets, arm="A")
        self.world = LiveWorld(
            markets,
            self.public,
            self.connector,
            self.lifecycle,
            OrderLogFile(folder, own_prefix("A")),
            Reconciler(self.lifecycle),
            lambda: self.now_ns,
        )
        self.waited_ns: list[int] = []
        """Of each fill, from its execution until it was booked."""
        self.world.attach(self.engine, lambda fill: self.waited_ns.append(self.now_ns - fill.venue_ns))
        self.world.start(self.now_ns)

    @property
    def now_ns(self) -> Ns:
        return Ns(self.floor.wall_ns)

    @property
    def executions(self) -> int:
        return len(self.floor.exchange.members["alice"].account.executions)

    def step(self) -> None:
        """A tick: market and account up to now, then what the engine wants."""
        self.floor.wall_ns += TICK_NS
        self.floor.exchange.step(self.floor.wall_ns)
        data = {"s": "SYNTHUSDT", "b": [["100.00", "5"]], "a": [["100.03", "4"]], "u": 1, "seq": 1}
        now_ms = self.now_ns // MS
        frame = {"topic": "orderbook.1.SYNTHUSDT", "type": "snapshot", "ts": now_ms, "data": data}
        self.public._intake.take(self.now_ns, json.dumps(frame).encode())
        self.connector.take()
        self.world.advance(self.now_ns)
        if self.world.agreed:
            refused = self.world.refusal(self.now_ns) is not None
            wanted = self.engine.pull_quotes if refused else self.engine.tick
            self.world.send_all(self.now_ns, wanted(self.now_ns))

    def until(self, second: float) -> None:
        while self.now_ns < START_NS + second * SECOND:
            self.step()


def test_fills_that_the_stream_loses_are_found_within_thirty_seconds(tmp_path: Path) -> None:
    bot = Bot(tmp_path)
    bot.floor.exchange.faults.set({"private_drop_ratio": 0.8, "seed": 3})
    bot.until(LASTS_S)
    bot.floor.exchange.faults.set({"private_drop_ratio": 0.0})
    bot.until(LASTS_S + 40)
    assert len(bot.waited_ns) == bot.executions >= 15
    assert sum(one > SECOND for one in bot.waited_ns) > 10, "the stream told them after all"
    assert max(bot.waited_ns) <= FOUND_WITHIN_NS
    account = bot.floor.exchange.members["alice"].account
    assert bot.lifecycle.positions[KEY].lots == account.desks["linear", "SYNTHUSDT"].position.lots


def test_a_dead_stream_is_noticed_within_ten_seconds_and_no_create_leaves_until_all_agrees(
    tmp_path: Path,
) -> None:
    """The socket stays open and says nothing more; market data and REST live."""
    bot = Bot(tmp_path)
    bot.until(9.5)
    bot.connector.dead, dead_ns = True, bot.now_ns
    bot.until(25)
    created = len(bot.connector.created)
    assert bot.connector.noticed_ns is not None
    assert SECOND < bot.connector.noticed_ns - dead_ns <= NOTICED_WITHIN_NS
    bot.until(45)
    assert bot.world.refusal(bot.now_ns) == "the account's stream is not current"
    assert len(bot.connector.created) == created > 0
    assert not bot.engine.working, "what was out is pulled, and known to be gone"
    bot.connector.reconnected()
    bot.until(48)
    assert bot.world.refusal(bot.now_ns) is None
    assert len(bot.waited_ns) == bot.executions > 0
    assert len(bot.connector.created) > created
    kinds = [row.kind for row in bot.world.take_rows() if isinstance(row, EventRow)]
    assert kinds.index("account_stale") < kinds.index("account_current", kinds.index("account_stale"))


class Order:
    """One order at a floor, with a lifecycle of its own."""

    def __init__(self, client_id: str) -> None:
        self.floor = Floor()
        self.connector = FloorConnector(self.floor)
        self.lifecycle = Lifecycle([linear()], "mmA-")
        self.lifecycle.opened(self.now_ns, KEY, Lots(0), None, Ns(0))
        while not self.connector.session.current:
            self.connector.take()
        self._send(SubmitOrder(KEY, client_id, Side.BUY, Ticks(9_900), Lots(100)))
        self._cancel = CancelOrder(KEY, client_id)

    @property
    def now_ns(self) -> Ns:
        return Ns(self.floor.wall_ns)

    def cancelled(self, limited_ns: int) -> int:
        """Cancel it while the venue refuses everything for so long; returns how long that took."""
        began_ns = self.now_ns
        self.connector.limited_until_ns = began_ns + limited_ns
        self.connector.round_trip_ns = 50 * MS
        self._send(self._cancel)
        while self.lifecycle.open:
            self.floor.wall_ns += TICK_NS
            for command in self.lifecycle.due(self.now_ns):
                if command == self._cancel:
                    self._send(command, logged=True)
        return self.now_ns - began_ns

    def _send(self, command: SubmitOrder | CancelOrder, *, logged: bool = False) -> None:
        if not logged:
            self.lifecycle.commands(self.now_ns, [command])
        self.connector.send(command)
        self.connector.take()
        for said in self.connector.drain():
            if isinstance(said, AccountEvent):
                self.lifecycle.heard(said)


def test_cancels_are_through_within_two_seconds_while_the_venue_answers_429() -> None:
    """It is over its limit for up to a second, and asks for the second: whoever asks sooner is refused."""
    draw = np.random.default_rng(5)
    took_ns, limited = [], 0
    for number in range(300):
        order = Order(f"mmA-SYNTHUSDT-{number + 1}")
        took_ns.append(order.cancelled(int(draw.integers(0, SECOND))))
        assert order.connector.limited <= 1, "Retry-After was not waited for"
        limited += order.connector.limited
    assert limited > 250
    assert np.percentile(took_ns, 99) <= CANCELLED_WITHIN_NS
