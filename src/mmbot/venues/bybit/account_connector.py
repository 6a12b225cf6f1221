"""A Bybit account with sockets: the private stream, order entry, and REST for all else.

What is said is `account_talk`'s business; here it gets two connections that are kept up and an HTTP
client. Messages are taken with `drain`: read the clock, drain, then advance. Orders go over the trade
connection while it is logged in, else by REST, each request once: what became of one that broke off is looked
up, never sent again.
"""

import asyncio
from collections.abc import Callable, Sequence

from mmbot.clock import sleep, stopwatch
from mmbot.errors import RemoteProtocolError, TransportError
from mmbot.model.account import AccountMessage, LookUpOrder
from mmbot.model.commands import OrderBatch, OrderCommand
from mmbot.model.instrument import Fees, Instrument
from mmbot.net.backoff import Backoff
from mmbot.net.http import HttpClient
from mmbot.net.intake import Record
from mmbot.net.line import LOOK_NS, Line
from mmbot.units import Ns
from mmbot.venues.bybit.account import AccountSession, AccountSettings
from mmbot.venues.bybit.account_talk import AccountConnectorSettings, AccountTalk, Asking, Posting
from mmbot.venues.bybit.codec import Category
from mmbot.venues.bybit.hosts import Hosts
from mmbot.venues.bybit.instruments import fees
from mmbot.venues.bybit.signing import rest_headers
from mmbot.venues.credentials import Credentials

_HTTP_OK = 200


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
        self._clock = clock
        self._look_ns = look_ns
        self._http = HttpClient(hosts.rest)
        self._record = record
        self._talk = AccountTalk(
            instruments, credentials, self._recorded, settings, recv_ns=clock(), since_ns=since_ns
        )
        self.session: AccountSession = self._talk.session
        self._private_line, self._trade_line = (
            Line(
                settings.connections.url(hosts.stream, path),
                talk,
                clock=clock,
                backoff=Backoff(jitter),
                look_ns=look_ns,
            )
            for path, talk, jitter in (
                ("private", self._talk.stream, seed),
                ("trade", self._talk.entry, seed + 1),
            )
        )
        self.arrived = asyncio.Event()
        """Set while something can be drained."""
        self.started = asyncio.Event()
        """Set once `run` runs: from then on orders can be sent."""
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def ready(self) -> bool:
        """What we know of the account is current, and orders have their own connection."""
        return self.session.current and self._talk.entry.ready

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
        posting = self._talk.send(message, self._clock(), stopwatch())
        if posting is not None:
            self._tasks.create_task(self._post(posting))
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
            for asking in self._talk.asking(self._clock()):
                self._tasks.create_task(self._ask(asking))
        if self.session.waiting:
            self.arrived.set()

    async def _ask(self, asking: Asking) -> None:
        try:
            reply = await self._http.get(asking.target, asking.headers)
        except TransportError as error:
            self._talk.ask_failed(asking, error, self._clock())
        else:
            self._talk.answered(asking, reply.status, reply.headers, reply.body, self._clock())
        self._look()

    async def _post(self, posting: Posting) -> None:
        try:
            reply = await self._http.request(
                "POST", posting.target, body=posting.body, headers=posting.headers
            )
        except TransportError as error:
            self._talk.post_failed(posting, error, self._clock())
        else:
            self._talk.posted(posting, reply.status, reply.headers, reply.body, self._clock())
        self._look()


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
