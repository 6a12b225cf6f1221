"""The socket shell of the paper exchange: aiohttp outside, `PaperExchange` inside, and the pace of the tape.

One event loop owns everything, so the exchange needs no locks. Before a message is handled, the tape is
played up to now: an order never meets a market older than itself.

Pace: at a finite speed exchange time starts with the wall clock and runs so many times as fast. At `max` an
event is played whenever every client that listens has taken what was sent before, and none while nobody
listens. `stepped` leaves it to whoever holds the exchange (tests): `step` plays the tape and sends what
follows from it.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Literal

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from mmbot.errors import ConfigError
from mmbot.units import MS, SECOND
from mmbot.venues.paper.connection import Connection
from mmbot.venues.paper.exchange import PaperExchange
from mmbot.venues.paper.rest import Request, Rest
from mmbot.venues.paper.wire import encoded

_log = logging.getLogger("mmbot.paper")
_LONGEST_WAIT_S = 0.25
_WIDEST_CHUNK = 64
"""Events at most between two looks at the clients, at max speed."""

Speed = float | Literal["max", "stepped"]


class PaperServer:
    """Serves one exchange on loopback. `wall_ns` reads the clock."""

    def __init__(self, exchange: PaperExchange, speed: Speed, wall_ns: Callable[[], int]) -> None:
        self.exchange = exchange
        self._speed = speed
        self._wall_ns = wall_ns
        self._rest = Rest(exchange)
        self._wakes: dict[str, asyncio.Event] = {}
        self._drained = asyncio.Event()
        self._start_ns = exchange.now_ns
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self, port: int) -> AsyncIterator["PaperServer"]:
        """Listen on 127.0.0.1; port 0 takes a free one. Raises ConfigError for one that is taken."""
        app = web.Application()
        app.router.add_post("/paper/faults", self._set_faults)
        app.router.add_get("/paper/faults", self._show_faults)
        app.router.add_route("*", "/{path:.*}", self._any)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await self._listen(site, port)
            address = runner.addresses[0]
            self.port = int(address[1])
            pace = asyncio.create_task(self._play())
            try:
                yield self
            finally:
                pace.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await pace
        finally:
            for connection in list(self.exchange.connections):
                connection.closing = True
            self._flush()
            await runner.cleanup()

    def step(self, until_ns: int) -> None:
        """Play the tape up to an exchange time and send what follows from it."""
        self.exchange.step(until_ns)
        self._flush()

    async def _listen(self, site: web.TCPSite, port: int) -> None:
        try:
            await site.start()
        except OSError as error:
            raise ConfigError(f"--port: {port} cannot be listened on: {error.strerror}") from error

    def _catch_up(self) -> None:
        """Play what is due, at a finite speed."""
        if isinstance(self._speed, str):
            return
        due_ns = self._start_ns + round((self._wall_ns() - self._start_ns) * self._speed)
        self.exchange.step(max(due_ns, self.exchange.now_ns))

    async def _play(self) -> None:
        if self._speed == "stepped":
            return
        await (self._play_freely() if self._speed == "max" else self._play_timed(self._speed))
        _log.warning("the tape is over: streams are silent, open orders stay, new ones are rejected")

    async def _play_timed(self, speed: float) -> None:
        while not self.exchange.ended:
            self._catch_up()
            self._flush()
            next_ns = self.exchange.next_ns
            if next_ns is not None:
                wait_s = (next_ns - self.exchange.now_ns) / SECOND / speed
                await asyncio.sleep(min(max(wait_s, 0.0), _LONGEST_WAIT_S))

    async def _play_freely(self) -> None:
        exchange = self.exchange
        while not exchange.ended:
            listening = [one for one in exchange.connections if one.topics]
            if not listening or any(one.outbox for one in listening):
                self._drained.clear()
                await self._drained.wait()
                continue
            for _ in range(_WIDEST_CHUNK):
                exchange.step_one()
                if any(one.outbox for one in listening):
                    break
            self._flush()
            await asyncio.sleep(0)

    def _flush(self) -> None:
        """Wake the sockets that have something to send."""
        for connection in self.exchange.connections:
            if connection.outbox or connection.closing:
                self._wakes[connection.conn_id].set()

    async def _any(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        body = await request.read()
        self._catch_up()
        path, _, query = request.raw_path.partition("?")
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Request(request.method, path, query, headers, body, request.remote or "")
        reply = self._rest.handle(asked, self._wall_ns())
        self._flush()
        await asyncio.sleep(self.exchange.faults.now.rest_delay_ms * MS / SECOND)
        kind = "application/json" if reply.status == web.HTTPOk.status_code else "text/plain"
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers, content_type=kind)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        connection = self.exchange.open(request.path)
        if connection is None:
            return web.Response(status=404, text="404, path not found")
        wake = self._wakes[connection.conn_id] = asyncio.Event()
        socket = web.WebSocketResponse()
        try:
            await socket.prepare(request)
            writer = asyncio.create_task(self._write(connection, socket, wake))
            try:
                await self._read(connection, socket)
            finally:
                writer.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                    await writer
        finally:
            self.exchange.close(connection)
            del self._wakes[connection.conn_id]
            self._drained.set()
        return socket

    async def _read(self, connection: Connection, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                self._catch_up()
                self.exchange.receive(connection, message.data, self._wall_ns())
                self._flush()
                self._drained.set()

    async def _write(
        self, connection: Connection, socket: web.WebSocketResponse, wake: asyncio.Event
    ) -> None:
        """Send the outbox of one connection whenever it has something."""
        while True:
            await wake.wait()
            wake.clear()
            await asyncio.sleep(self.exchange.faults.now.delay_ms * MS / SECOND)
            sending, connection.outbox = connection.outbox, []
            for frame in sending:
                await socket.send_str(frame.decode())
            self._drained.set()
            if connection.closing and not connection.outbox:
                await socket.close(code=WSCloseCode.GOING_AWAY)
                return

    async def _set_faults(self, request: web.Request) -> web.Response:
        """POST /paper/faults: switches to set, as JSON; the answer is how all of them stand."""
        try:
            changes = msgspec.json.decode(await request.read(), type=dict[str, object])
            self.exchange.faults.set(changes)
        except (msgspec.DecodeError, ConfigError) as error:
            return web.Response(status=400, text=f"{error}\n")
        self._catch_up()
        self.exchange.act_on_faults()
        self._flush()
        return await self._show_faults(request)

    async def _show_faults(self, _: web.Request) -> web.Response:
        switches = msgspec.structs.asdict(self.exchange.faults.now)
        return web.Response(body=encoded(switches), content_type="application/json")
