"""One connection that is kept up: connect, talk, notice the end, wait, again.

What is said is the conversation's business (sans-IO, one for each venue); this is the shell that has the
socket and the clocks. Durations are measured on a steady clock, stamps are wall time.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from mmbot.clock import sleep, stopwatch
from mmbot.errors import RemoteProtocolError, TransportError
from mmbot.net.backoff import LONGEST_NS, Backoff
from mmbot.net.ws import WsConnection, connect
from mmbot.units import MS, Ns

LOOK_NS = Ns(50 * MS)
"""How often a conversation is asked what is due."""


class Conversation(Protocol):
    """What is said on a connection, and when it is over. `now_ns` is the steady clock; `recv_ns` stamps."""

    def connected(self, recv_ns: Ns, now_ns: int) -> None: ...

    def received(self, recv_ns: Ns, payload: bytes, now_ns: int) -> None:
        """Raises RemoteProtocolError or TransportError to give the connection up."""

    def alive(self, now_ns: int) -> None:
        """A ping or pong of the protocol itself came."""

    def due(self, recv_ns: Ns, now_ns: int) -> None:
        """What the time makes us say. Raises TransportError to give the connection up."""

    def outgoing(self) -> list[bytes]:
        """What is to be sent now; each is returned once. An empty text is a ping of the protocol itself."""

    def lost(self, recv_ns: Ns, reason: str) -> None:
        """A connection ended. Told before anything else can come."""

    def unreachable(self, recv_ns: Ns, reason: str) -> None:
        """A try to connect failed."""


class Line:
    """Keeps one connection up until it is cancelled."""

    def __init__(
        self,
        url: str,
        conversation: Conversation,
        *,
        clock: Callable[[], Ns],
        backoff: Backoff,
        look_ns: Ns = LOOK_NS,
        connect_s: float = 5.0,
    ) -> None:
        self._url = url
        self._talk = conversation
        self._clock = clock
        self._backoff = backoff
        self._look_s = look_ns / 1e9
        self._connect_s = connect_s
        self._connection: WsConnection | None = None

    async def run(self) -> None:
        """Never returns. Raises what the conversation raises, but for trouble of the peer or the network:
        that ends a connection, and there is another after a wait.
        """
        while True:
            opened_at = stopwatch()
            try:
                await self._one()
            except TransportError as error:
                self._talk.unreachable(self._clock(), str(error))
            if stopwatch() - opened_at > LONGEST_NS:
                self._backoff.reset()
            await sleep(self._backoff.next_ns())

    async def _one(self) -> None:
        """One connection from its beginning to its end. Raises TransportError if there was none."""
        connection = await connect(
            self._url,
            self._received,
            on_open=self._opened,
            on_life=lambda: self._talk.alive(stopwatch()),
            clock=self._clock,
            timeout_s=self._connect_s,
        )
        ended = asyncio.ensure_future(connection.ended())
        try:
            while not (await asyncio.wait({ended}, timeout=self._look_s))[0]:
                self._look()
            self._lose(ended.result())
        finally:
            ended.cancel()
            self._connection = None
            await connection.close()

    def _opened(self, connection: WsConnection) -> None:
        self._connection = connection
        self._talk.connected(self._clock(), stopwatch())
        self.flush()

    def _received(self, recv_ns: Ns, payload: bytes) -> None:
        try:
            self._talk.received(recv_ns, payload, stopwatch())
            self.flush()
        except (RemoteProtocolError, TransportError) as error:
            self._lose(str(error))

    def _look(self) -> None:
        try:
            self._talk.due(self._clock(), stopwatch())
            self.flush()
        except TransportError as error:
            self._lose(str(error))

    def flush(self) -> None:
        """Send what the conversation wants sent. Raises TransportError."""
        connection = self._connection
        if connection is None:
            return
        for message in self._talk.outgoing():
            if message:
                connection.send(message)
            else:
                connection.ping()

    def _lose(self, reason: str) -> None:
        """The connection is over: told once, for the first reason."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.give_up(reason)
            self._talk.lost(self._clock(), reason)
