"""The Binance USD-M user stream with sockets: a listen key over REST, and the connection that it opens.

What a key's life is, `listen_key` says; what the stream says, `user`. Here both get an HTTP client and one
connection a key: a new key gives the old connection up, and so does a stream that says that its key is dead.
Whenever a connection ended, what is known of the account may be old, and AccountStale says so: what was
missed comes by REST alone, which whoever trades has to ask. Nobody trades here yet (`mmbot run --mode live`
refuses Binance), so nobody asks.

A user stream may be silent for hours. A connection is therefore held to be dead when a ping of the protocol
stays unanswered, as of market data.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from mmbot.clock import sleep, stopwatch
from mmbot.errors import RemoteProtocolError, TransportError
from mmbot.model.account import AccountReport, AccountStale
from mmbot.model.instrument import Instrument
from mmbot.net.backoff import Backoff
from mmbot.net.http import HttpClient
from mmbot.net.intake import Record
from mmbot.net.line import LOOK_NS, Line
from mmbot.net.silence import Silence
from mmbot.units import Ns
from mmbot.venues.binance.hosts import UsdmHosts
from mmbot.venues.binance.listen_key import KeyRequest, ListenKey
from mmbot.venues.binance.signing import key_header
from mmbot.venues.binance.user import ListenKeyExpired, UserReader
from mmbot.venues.credentials import Credentials

_TARGET = "/fapi/v1/listenKey"
_PING = b""


class UserConnector:
    """One account's stream. Run it, and drain meanwhile."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        hosts: UsdmHosts,
        credentials: Credentials,
        record: Record,
        *,
        clock: Callable[[], Ns],
        steady: Callable[[], int] = stopwatch,
        silence_s: float = 10.0,
        seed: int = 0,
        look_ns: Ns = LOOK_NS,
    ) -> None:
        """`record` takes every message of the stream; answers of REST hold the key and are not kept. `steady`
        measures the life of keys. Raises ConfigError for instruments that are none of Binance USD-M's.
        """
        self._hosts = hosts
        self._headers = key_header(credentials)
        self._clock, self._steady, self._look_ns, self._seed = clock, steady, look_ns, seed
        self._key = ListenKey()
        self._talk = _UserTalk(UserReader(instruments), record, self._expired, silence_s)

    @property
    def arrived(self) -> asyncio.Event:
        """Set while something can be drained."""
        return self._talk.arrived

    def drain(self) -> list[AccountReport | AccountStale]:
        """Everything told since the last time, in order."""
        return self._talk.drain()

    async def run(self) -> None:
        """Keep a key and its connection up until cancelled."""
        connected: str | None = None
        line: asyncio.Task[None] | None = None
        async with HttpClient(self._hosts.rest) as http:
            try:
                while True:
                    asked = self._key.due(self._steady())
                    if asked is not None:
                        await self._ask(http, asked)
                    if self._key.key != connected:
                        await _ended(line)
                        self._talk.given_up(self._clock(), "its listen key is no longer valid")
                        connected = self._key.key
                        line = None if connected is None else asyncio.create_task(self._line(connected).run())
                    await sleep(self._look_ns)
                    if line is not None and line.done():
                        line.result()
            finally:
                await _ended(line)

    def _line(self, key: str) -> Line:
        return Line(
            self._hosts.private(key),
            self._talk,
            clock=self._clock,
            backoff=Backoff(self._seed),
            look_ns=self._look_ns,
        )

    async def _ask(self, http: HttpClient, asked: KeyRequest) -> None:
        """A refusal or no answer is asked again by the key's own clock."""
        try:
            reply = await http.request(asked.method, _TARGET, headers=self._headers)
        except TransportError:
            self._key.failed(self._steady())
            return
        with contextlib.suppress(RemoteProtocolError):
            self._key.answered(reply.status, reply.body, self._steady())

    def _expired(self) -> None:
        self._key.expired(self._steady())


async def _ended(line: "asyncio.Task[None] | None") -> None:
    if line is not None:
        line.cancel()
        await asyncio.gather(line, return_exceptions=True)


class _UserTalk:
    """The conversation of one connection after the other: the venue talks, and answers pings."""

    def __init__(
        self, reader: UserReader, record: Record, expired: Callable[[], None], silence_s: float
    ) -> None:
        self._reader = reader
        self._record = record
        self._expired = expired
        self._silence = Silence(silence_s)
        self._open = False
        self._outgoing: list[bytes] = []
        self._told: list[AccountReport | AccountStale] = []
        self.arrived = asyncio.Event()

    def drain(self) -> list[AccountReport | AccountStale]:
        self.arrived.clear()
        told, self._told = self._told, []
        return told

    def connected(self, recv_ns: Ns, now_ns: int) -> None:  # noqa: ARG002 (the protocol's)
        self._silence.begins(now_ns)
        self._open = True

    def received(self, recv_ns: Ns, payload: bytes, now_ns: int) -> None:
        self._silence.broken(now_ns)
        self._record(recv_ns, payload)
        said = self._reader.receive(payload, recv_ns)
        if isinstance(said, ListenKeyExpired):
            self._expired()
            raise TransportError("its listen key has expired", "lost")
        self._tell(*said)

    def alive(self, now_ns: int) -> None:
        self._silence.broken(now_ns)

    def due(self, recv_ns: Ns, now_ns: int) -> None:  # noqa: ARG002 (the protocol's)
        if self._silence.ping_due(now_ns):
            self._outgoing.append(_PING)

    def outgoing(self) -> list[bytes]:
        sent, self._outgoing = self._outgoing, []
        return sent

    def lost(self, recv_ns: Ns, reason: str) -> None:
        self._open = False
        self._outgoing.clear()
        self._tell(AccountStale(reason, recv_ns))

    def given_up(self, recv_ns: Ns, reason: str) -> None:
        """The connection was closed from our side, if there was one."""
        if self._open:
            self.lost(recv_ns, reason)

    def unreachable(self, recv_ns: Ns, reason: str) -> None:
        """The account has been stale since the last connection ended, or was never known."""

    def _tell(self, *messages: AccountReport | AccountStale) -> None:
        self._told += messages
        if messages:
            self.arrived.set()
