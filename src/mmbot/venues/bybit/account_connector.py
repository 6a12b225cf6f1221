"""A Bybit account with sockets: the private stream, order entry, and REST for all else.

The rules are in `account`, `private_stream` and `order_entry`; here they get two connections that are kept up
and an HTTP client. Messages are taken with `drain`: read the clock, drain, then advance. Orders go over the
trade connection while it is logged in, else by REST, each request once: what became of one that broke off is
looked up, never sent again.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from mmbot.clock import sleep, stopwatch
from mmbot.errors import RemoteProtocolError, TransportError
from mmbot.model.account import AccountMessage, LookUpOrder
from mmbot.model.commands import OrderBatch, OrderCommand
from mmbot.model.instrument import Fees, Instrument
from mmbot.model.notes import rest_answer, rest_failure
from mmbot.net.backoff import Backoff
from mmbot.net.http import HttpClient
from mmbot.net.intake import Record
from mmbot.net.line import LOOK_NS, Line
from mmbot.units import MS, Ns
from mmbot.venues.bybit.account import AccountSession, AccountSettings
from mmbot.venues.bybit.budget import Budget, BudgetSettings, retry_after_ns
from mmbot.venues.bybit.codec import Category
from mmbot.venues.bybit.hosts import Hosts
from mmbot.venues.bybit.instruments import fees
from mmbot.venues.bybit.order_entry import OrderEntry
from mmbot.venues.bybit.orders import OrderRequest, OrderWriter
from mmbot.venues.bybit.private_stream import ConnectionSettings, PrivateStream, login
from mmbot.venues.bybit.queries import Query
from mmbot.venues.bybit.signing import rest_headers
from mmbot.venues.clock_offset import ClockOffset
from mmbot.venues.credentials import Credentials

_HTTP_OK = 200


class AccountConnectorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: AccountSettings = AccountSettings()
    budget: BudgetSettings = BudgetSettings()
    connections: ConnectionSettings = ConnectionSettings()


class AccountConnector:
    """One account, the given instruments of it. Run it; send, look up and drain meanwhile."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        hosts: Hosts,
        credentials: Credentials,
        record: Record,
        *,
        clock: Callable[[], Ns],
        since_ns: Ns,
        settings: AccountConnectorSettings | None = None,
        seed: int = 0,
        look_ns: Ns = LOOK_NS,
    ) -> None:
        """`record` takes every websocket message and every answer of REST. `since_ns`: executions from then
        on are not known yet. `seed`: of the jitter of waits. Raises ConfigError for instruments that are none
        of Bybit's.
        """
        settings = settings or AccountConnectorSettings()
        now_ns = clock()
        self._clock = clock
        self._credentials = credentials
        self._window_ms = settings.account.recv_window_ms
        self._look_ns = look_ns
        self._http = HttpClient(hosts.rest)
        self._record = record
        self._offset = ClockOffset()
        budget = Budget(settings.budget)
        self.session = AccountSession(
            instruments, settings.account, self._offset, budget, now_ns=now_ns, since_ns=since_ns
        )
        hello = login(credentials, self._offset)
        connections = settings.connections
        stream = PrivateStream(self.session, hello, connections, self._recorded)
        self._entry = OrderEntry(
            OrderWriter(instruments),
            self.session,
            hello,
            self._offset,
            budget,
            connections,
            self._recorded,
            recv_window_ms=self._window_ms,
            req_id_prefix=f"{now_ns // MS:x}",
        )
        self._private_line, self._trade_line = (
            Line(
                connections.url(hosts.stream, path),
                talk,
                clock=clock,
                backoff=Backoff(jitter),
                look_ns=look_ns,
            )
            for path, talk, jitter in (("private", stream, seed), ("trade", self._entry, seed + 1))
        )
        self.arrived = asyncio.Event()
        """Set while something can be drained."""
        self.started = asyncio.Event()
        """Set once `run` runs: from then on orders can be sent."""
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def ready(self) -> bool:
        """What we know of the account is current, and orders have their own connection."""
        return self.session.current and self._entry.ready

    async def run(self) -> None:
        """Keep everything up until cancelled. Then orders that were not answered have an unknown outcome."""
        async with self._http, asyncio.TaskGroup() as self._tasks:
            self.started.set()
            self._tasks.create_task(self._private_line.run())
            self._tasks.create_task(self._trade_line.run())
            while True:
                self._look()
                await sleep(self._look_ns)

    def drain(self) -> list[AccountMessage]:
        """Everything told since the last time, in order."""
        self.arrived.clear()
        return self.session.drain()

    def send(self, message: OrderCommand | OrderBatch) -> None:
        """Orders are on their way when it returns; each will be answered. Raises LocalProtocolError for what
        breaks the venue's rules, RuntimeError while this does not run.
        """
        if self._tasks is None:
            raise RuntimeError("the account connector does not run: orders have nowhere to go")
        request = self._entry.send(message, self._clock(), stopwatch())
        if request is not None:
            self._tasks.create_task(self._post(request))
        self._trade_line.flush()
        self._look()

    def look_up(self, command: LookUpOrder) -> None:
        """Raises LocalProtocolError for an instrument that is not ours."""
        self.session.look_up(command, self._clock())

    def survey(self, since_ns: Ns) -> None:
        """Ask for a VenueAccount: executions from then on, and all else."""
        self.session.survey(since_ns, self._clock())

    def _recorded(self, recv_ns: Ns, payload: bytes) -> None:
        """Whoever waits wakes after the message was read: it is read before the loop turns."""
        self._record(recv_ns, payload)
        self.arrived.set()

    def _look(self) -> None:
        """Ask what is due; wake who waits."""
        if self._tasks is not None:
            for query in self.session.queries(self._clock()):
                self._tasks.create_task(self._ask(query))
        if self.session.waiting:
            self.arrived.set()

    async def _ask(self, query: Query) -> None:
        sent_ns, parameters = self._clock(), query.parameters
        headers = self._signed(sent_ns, parameters) if query.signed else None
        target = f"{query.path}?{parameters}" if parameters else query.path
        try:
            reply = await self._http.get(target, headers)
            now_ns = self._clock()
            self._record(now_ns, rest_answer(f"GET {target}", reply.status, reply.body))
            retry_ns = retry_after_ns(reply.headers)
            self.session.answered(
                query, reply.status, reply.body, sent_ns=sent_ns, now_ns=now_ns, retry_ns=retry_ns
            )
        except TransportError as error:
            self._record(self._clock(), rest_failure(f"GET {target}", str(error)))
            self.session.failed(query, self._clock())
        except RemoteProtocolError:
            self.session.failed(query, self._clock())
        self._look()

    async def _post(self, request: OrderRequest) -> None:
        headers = self._signed(self._clock(), request.body) | {"Content-Type": "application/json"}
        path = request.operation.path
        asked = f"POST {path} {','.join(request.client_ids)}"
        try:
            reply = await self._http.request("POST", path, body=request.body.encode(), headers=headers)
        except TransportError as error:
            now_ns = self._clock()
            self._record(now_ns, rest_failure(asked, str(error)))
            self._entry.rest_failed(request, str(error), now_ns, arrived=error.phase != "connect")
        else:
            now_ns, found = self._clock(), dict(reply.headers)
            self._record(now_ns, rest_answer(asked, reply.status, reply.body))
            self._entry.rest_answered(request, reply.status, found, reply.body, now_ns)
        self._look()

    def _signed(self, now_ns: Ns, payload: str) -> dict[str, str]:
        timestamp_ms = self._offset.server_ms(now_ns)
        return rest_headers(self._credentials, timestamp_ms, self._window_ms, payload)


async def fetch_fees(
    http: HttpClient, credentials: Credentials, asked: Category, symbol: str, tier: str, *, server_ms: int
) -> Fees:
    """What the account pays for this symbol; `tier` is how reports call it, `server_ms` the venue's time.

    Raises TransportError; RemoteProtocolError for an answer that is none; ConfigError for a symbol without
    rates.
    """
    parameters = f"category={asked}&symbol={symbol}"
    headers = rest_headers(credentials, server_ms, AccountSettings().recv_window_ms, parameters)
    reply = await http.get(f"/v5/account/fee-rate?{parameters}", headers)
    if reply.status != _HTTP_OK:
        raise RemoteProtocolError(f"{http.base_url}: fee-rate: HTTP status was {reply.status}, expected 200")
    return fees(reply.body, symbol, tier)
