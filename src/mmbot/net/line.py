"""One connection that is kept up: connect, talk, notice the end, wait, again.

What is said is the conversation's business, what follows from it `net.upkeep`'s (both sans-IO); this is the
shell that has the socket and the clocks. Durations are measured on a steady clock, stamps are wall time.
"""

import asyncio
from collections.abc import Callable

from mmbot.clock import sleep, stopwatch
from mmbot.errors import TransportError
from mmbot.net.backoff import Backoff
from mmbot.net.upkeep import Conversation, Upkeep
from mmbot.net.ws import WsConnection, connect
from mmbot.units import MS, Ns

LOOK_NS = Ns(50 * MS)
"""How often a conversation is asked what is due."""


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
        self._upkeep = Upkeep(conversation, backoff)
        self._clock = clock
        self._look_s = look_ns / 1e9
        self._connect_s = connect_s

    async def run(self) -> None:
        """Never returns. Raises what the conversation raises, but for trouble of the peer or the network:
        that ends a connection, and there is another after a wait.
        """
        while True:
            opened_at = stopwatch()
            try:
                await self._one()
            except TransportError as error:
                self._upkeep.unreachable(self._clock(), str(error))
            await sleep(self._upkeep.wait_ns(stopwatch() - opened_at))

    async def _one(self) -> None:
        """One connection from its beginning to its end. Raises TransportError if there was none."""
        upkeep = self._upkeep
        connection = await connect(
            self._url,
            self._received,
            on_open=self._opened,
            on_life=lambda: upkeep.alive(stopwatch()),
            clock=self._clock,
            timeout_s=self._connect_s,
        )
        ended = asyncio.ensure_future(connection.ended())
        try:
            while not (await asyncio.wait({ended}, timeout=self._look_s))[0]:
                upkeep.look(self._clock(), stopwatch())
            upkeep.lost(self._clock(), ended.result())
        finally:
            ended.cancel()
            upkeep.dropped()
            await connection.close()

    def flush(self) -> None:
        """Send what the conversation wants sent. Raises TransportError."""
        self._upkeep.flush()

    def _opened(self, connection: WsConnection) -> None:
        self._upkeep.opened(connection, self._clock(), stopwatch())

    def _received(self, recv_ns: Ns, payload: bytes) -> None:
        self._upkeep.received(recv_ns, payload, stopwatch())
