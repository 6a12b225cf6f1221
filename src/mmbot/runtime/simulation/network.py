"""The wires between a bot and the paper exchange, on virtual time, and what goes wrong on them.

Bytes are what both ends say: requests are signed and encoded by the bot's own sessions, and read, matched
and answered by `venues.paper`. A link keeps the order of its messages, as TCP does, unless a fault says
otherwise; every message takes some milliseconds. What is lost on a link that stays open stands for what real
venues lose between their own services.

`witness` sees everything that leaves and arrives, before any rule of the bot does.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, Protocol
from urllib.parse import urlsplit

import msgspec

from mmbot.errors import TransportError
from mmbot.runtime.simulation.trace import Trace
from mmbot.sim.event_heap import EventHeap
from mmbot.sim.fault_plan import Fault, FaultPlan
from mmbot.units import MS, SECOND
from mmbot.venues.paper.connection import Connection
from mmbot.venues.paper.exchange import PaperExchange
from mmbot.venues.paper.rest import Reply, Request, Rest

Kind = Literal["public", "private", "trade"]
OrderRow = Mapping[str, Any]

_BANNED = 403
_ANSWER_NS = 5 * SECOND
"""An HTTP request that was not answered by then never will be: `net.http.HttpTimeouts`."""
_DRAINED_NS = 15 * MS
_LOST_WITH = {
    Fault.MARKET_DISCONNECT: "public",
    Fault.USER_DISCONNECT: "private",
    Fault.TRADE_DISCONNECT: "trade",
}
_SILENT_WITH = {Fault.MARKET_SILENCE: "public", Fault.USER_SILENCE: "private"}


class Orders(NamedTuple):
    """One request about orders, as it went over the wire. `action`: create, amend or cancel."""

    action: str
    rows: list[OrderRow]


class Client(Protocol):
    """The bot's end of a link."""

    @property
    def alive(self) -> bool: ...

    def opened(self, link: "Link") -> None: ...

    def refused(self, reason: str) -> None: ...

    def received(self, payload: bytes) -> None: ...

    def ended(self, reason: str) -> None: ...


class Witness(Protocol):
    """Sees what goes over the wires."""

    def left(self, orders: Orders) -> None:
        """The bot sent them; they may or may not arrive."""

    def landed(self, orders: Orders) -> None:
        """They arrived, were refused on the way, or never will arrive."""

    def heard(self, link: "Link", book: "BookFrame | None") -> None:
        """A message is about to be read by the bot."""

    def shut_out(self) -> None:
        """The bot is told that its address is banned."""

    def asked(self) -> None:
        """The bot sends an HTTP request."""


class BookFrame(NamedTuple):
    """Which book message of its link it is, counted from 1, and whether it is a whole book."""

    number: int
    whole: bool


class Link:
    """One open connection, the socket of the bot's end."""

    def __init__(self, network: "Network", kind: Kind, connection: Connection, client: Client) -> None:
        self.kind = kind
        self.connection = connection
        self.client = client
        self.open = True
        self.books = 0
        """Book messages that the venue sent on it."""
        self.venue_free_ns = self.bot_free_ns = 0
        """When the last message in that direction arrives: the next one comes later."""
        self._network = network

    def send(self, payload: bytes) -> None:
        """Raises TransportError for a link that is closed."""
        if not self.open:
            raise TransportError("the connection is closed", "lost")
        self._network.to_venue(self, payload)

    def ping(self) -> None:
        """Pings of the protocol itself: Bybit has its own, as messages."""

    def give_up(self, reason: str) -> None:
        self._network.close(self, reason)


class Network:
    """All links of one simulation. `link_of(kind)`: the open one of the running bot."""

    def __init__(
        self, heap: EventHeap, plan: FaultPlan, exchange: PaperExchange, witness: Witness, trace: Trace
    ) -> None:
        self._heap = heap
        self._plan = plan
        self.exchange = exchange
        self._rest = Rest(exchange)
        self._witness = witness
        self._trace = trace
        self._links: list[Link] = []
        self._down_ns: dict[str, int] = {"public": 0, "private": 0, "trade": 0}
        """Nobody can connect before."""
        self._silent_ns: dict[str, int] = {"public": 0, "private": 0, "trade": 0}
        """Nothing arrives before, in either direction."""
        self.limited_ns = self.banned_ns = 0
        """HTTP 429 and 403 until then."""

    def play_market(self) -> None:
        """Every event of the tape at its time."""
        self._market()

    def episode(self, fault: Fault, until_ns: int) -> None:
        """Begin one that is the network's."""
        if fault in _LOST_WITH:
            kind = _LOST_WITH[fault]
            self._down_ns[kind] = until_ns
            for link in [link for link in self._links if link.kind == kind]:
                self._plan.reached[fault] += 1
                self.close(link, "reset by peer")
        elif fault in _SILENT_WITH:
            self._silent_ns[_SILENT_WITH[fault]] = until_ns
        elif fault is Fault.RATE_LIMITED:
            self.limited_ns = until_ns
        elif fault is Fault.BANNED:
            self.banned_ns = until_ns

    def dial(self, kind: Kind, path: str, client: Client) -> None:
        """Connect; the client is told what came of it."""
        wait_ns = self._latency_ns() * 2
        self._heap.after(wait_ns, lambda: self._dialled(kind, path, client))

    def close(self, link: Link, reason: str) -> None:
        """Both ends notice. What is on its way to the venue by then is lost with the link."""
        if not link.open:
            return
        link.open = False
        self._links.remove(link)
        self.exchange.close(link.connection)
        self._heap.after(0, lambda: link.client.ended(reason) if link.client.alive else None)

    def died(self) -> None:
        """A process is gone, and its sockets with it, when what it sent has arrived."""
        for link in [link for link in self._links if not link.client.alive]:
            self._heap.after(_DRAINED_NS, lambda link=link: self.close(link, "its process died"))  # type: ignore[misc]

    def to_venue(self, link: Link, payload: bytes) -> None:
        self._trace.add(self._heap.now_ns, b">" + payload)
        orders = _orders_of(payload) if link.kind == "trade" else None
        if orders is not None:
            self._witness.left(orders)
        if self._silent_ns[link.kind] > self._heap.now_ns:
            self._spoiled(Fault.MARKET_SILENCE if link.kind == "public" else Fault.USER_SILENCE)
            self._landed(orders)
            return
        arrives_ns = link.venue_free_ns = max(link.venue_free_ns, self._heap.now_ns + self._latency_ns())
        if orders is not None:
            if self._lost_on_the_way(orders):
                self._landed(orders)
                return
            if orders.action == "create" and self._strikes(Fault.CREATE_LATE):
                arrives_ns += self._plan.between(500, 8_000) * MS
        self._heap.at(arrives_ns, lambda: self._arrive(link, payload, orders))

    def request(
        self,
        method: str,
        target: str,
        body: bytes,
        headers: Mapping[str, str] | None,
        answered: Callable[[Reply], None],
        failed: Callable[[TransportError], None],
    ) -> None:
        """One HTTP request; one of the two is called once."""
        url = urlsplit(target)
        lower = {name.lower(): value for name, value in (headers or {}).items()}
        request = Request(method, url.path, url.query, lower, body, "bot")
        self._trace.add(self._heap.now_ns, f"{method} {target}".encode() + body)
        self._witness.asked()
        orders = _posted(url.path, body) if method == "POST" else None
        if orders is not None:
            self._witness.left(orders)
        lost = self._strikes(Fault.REST_TIMEOUT)
        carried_out = not lost or self._plan.random() < 0.5  # noqa: PLR2004 (a coin)
        if lost:
            error = TransportError("venue: no answer: timed out", "answer")
            self._heap.after(_ANSWER_NS, lambda: failed(error))
        if carried_out:
            tell = (lambda _: None) if lost else answered
            self._heap.after(self._latency_ns(), lambda: self._carry_out(request, orders, tell))
        else:
            self._landed(orders)

    def pump(self) -> None:
        """Take what the exchange has to say and put it on its way."""
        for link in list(self._links):
            connection = link.connection
            if connection.outbox:
                frames, connection.outbox = connection.outbox, []
                for frame in frames:
                    self._to_bot(link, frame)
            if connection.closing:
                self.close(link, "closed by the venue")

    def _market(self) -> None:
        exchange = self.exchange
        exchange.step_one()
        self.pump()
        if exchange.next_ns is not None:
            self._heap.at(exchange.next_ns, self._market)

    def _dialled(self, kind: Kind, path: str, client: Client) -> None:
        if not client.alive:
            return
        connection = None if self._down_ns[kind] > self._heap.now_ns else self.exchange.open(path)
        if connection is None:
            client.refused("connect: connection refused")
            return
        link = Link(self, kind, connection, client)
        self._links.append(link)
        client.opened(link)

    def _arrive(self, link: Link, payload: bytes, orders: Orders | None) -> None:
        if link.open:
            self.exchange.step(self._heap.now_ns)
            self.exchange.receive(link.connection, payload, self._heap.now_ns)
            self.pump()
        self._landed(orders)

    def _carry_out(self, request: Request, orders: Orders | None, answered: Callable[[Reply], None]) -> None:
        reply = self._reply(request)
        self._landed(orders)
        self.pump()
        self._heap.after(self._latency_ns(), lambda: self._reply_arrives(reply, answered))

    def _reply_arrives(self, reply: Reply, answered: Callable[[Reply], None]) -> None:
        self._trace.add(self._heap.now_ns, b"%d " % reply.status + reply.body)
        answered(reply)

    def heard(self, reply: Reply) -> None:
        """The bot takes an answer in. What it asked before it heard of a ban is not held against it."""
        if reply.status == _BANNED:
            self._witness.shut_out()

    def _reply(self, request: Request) -> Reply:
        now_ns = self._heap.now_ns
        self.exchange.step(now_ns)
        if self.banned_ns > now_ns:
            self._plan.reached[Fault.BANNED] += 1
            return Reply(_BANNED, b"403, access too frequent")
        if self.limited_ns > now_ns:
            self._plan.reached[Fault.RATE_LIMITED] += 1
            return Reply(429, b"Too Many Requests", {"Retry-After": "1"})
        if not self._strikes(Fault.SERVER_ERROR):
            return self._rest.handle(request, now_ns)
        if self._plan.random() < 0.5:  # noqa: PLR2004 (a coin)
            self._rest.handle(request, now_ns)
        return Reply(502, b"502 Bad Gateway")

    def _to_bot(self, link: Link, frame: bytes) -> None:
        """Put a message on its way, unless a fault has it."""
        now_ns = self._heap.now_ns
        book: BookFrame | None = None
        if frame.startswith(b'{"topic":"orderbook'):
            link.books += 1
            book = BookFrame(link.books, b'"type":"snapshot"' in frame)
        if self._silent_ns[link.kind] > now_ns:
            self._spoiled(Fault.MARKET_SILENCE if link.kind == "public" else Fault.USER_SILENCE)
            return
        delays = self._delays_ns(link.kind, frame, book)
        for late_ns in delays:
            arrives_ns = max(link.bot_free_ns, now_ns + self._latency_ns())
            if late_ns:
                arrives_ns += late_ns
            else:
                link.bot_free_ns = arrives_ns
            self._heap.at(arrives_ns, lambda: self._reach(link, frame, book))

    def _reach(self, link: Link, frame: bytes, book: BookFrame | None) -> None:
        if link.open and link.client.alive:
            self._trace.add(self._heap.now_ns, frame)
            self._witness.heard(link, book)
            link.client.received(frame)

    def _delays_ns(self, kind: Kind, frame: bytes, book: BookFrame | None) -> Iterable[int]:
        """When it comes, beyond its turn: once as a rule, not at all, or twice."""
        if not frame.startswith(b'{"topic"'):
            return self._answer_delays_ns(frame)
        if kind == "public":
            return self._public_delays_ns(book)
        if self._strikes(Fault.USER_LOSS):
            return ()
        if frame.startswith(b'{"topic":"execution') and self._strikes(Fault.FILL_AFTER_CANCEL):
            return (self._plan.between(200, 6_000) * MS,)
        if self._strikes(Fault.USER_REORDER):
            return (self._plan.between(20, 4_000) * MS,)
        return (0, self._plan.between(0, 2_000) * MS) if self._strikes(Fault.USER_DUPLICATE) else (0,)

    def _public_delays_ns(self, book: BookFrame | None) -> Iterable[int]:
        if book is not None and not book.whole and self._strikes(Fault.MARKET_GAP):
            return ()
        if self._strikes(Fault.MARKET_REORDER):
            return (self._plan.between(100, 600) * MS,)
        return (0, self._plan.between(0, 500) * MS) if self._strikes(Fault.MARKET_DUPLICATE) else (0,)

    def _answer_delays_ns(self, frame: bytes) -> Iterable[int]:
        """Of an answer of order entry; anything else that is no topic comes in time."""
        if b'"op":"order.' not in frame:
            return (0,)
        creates = b'"op":"order.create' in frame
        if self._strikes(Fault.ACK_LOST if creates else Fault.CANCEL_ACK_LOST):
            return ()
        return (self._plan.between(1_000, 8_000) * MS,) if self._strikes(Fault.ACK_LATE) else (0,)

    def _lost_on_the_way(self, orders: Orders) -> bool:
        if orders.action == "create":
            return self._strikes(Fault.CREATE_LOST)
        return orders.action == "cancel" and self._strikes(Fault.CANCEL_LOST)

    def _landed(self, orders: Orders | None) -> None:
        if orders is not None:
            self._witness.landed(orders)

    def _strikes(self, fault: Fault) -> bool:
        return self._plan.strikes(fault, self._heap.now_ns)

    def _spoiled(self, fault: Fault) -> None:
        self._plan.reached[fault] += 1

    def _latency_ns(self) -> int:
        return 2 * MS + int(self._plan.random() * 8 * MS)


class _Args(msgspec.Struct):
    op: str
    args: list[dict[str, Any]] = []


_request = msgspec.json.Decoder(_Args)


def _orders_of(payload: bytes) -> Orders | None:
    """Of a message on the trade connection; None for one that is about no order."""
    if b'"op":"order.' not in payload:
        return None
    message = _request.decode(payload)
    return _orders(message.op.removeprefix("order."), message.args[0])


def _posted(path: str, body: bytes) -> Orders:
    return _orders(path.rpartition("/")[2], msgspec.json.decode(body))


def _orders(action: str, args: dict[str, Any]) -> Orders:
    return Orders(action.removesuffix("-batch"), args.get("request", [args]))
