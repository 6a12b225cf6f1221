"""A websocket server on loopback whose every word the test says: no rules of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import picows


class Peer(picows.WSListener):
    """The server's end of one connection."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()
        """Texts of the client."""
        self.gone = asyncio.Event()
        self.controls: asyncio.Queue[tuple[picows.WSMsgType, bytes]] = asyncio.Queue()
        """Pings, pongs and closes of the client."""
        self.transport: picows.WSTransport

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == picows.WSMsgType.TEXT:
            self.heard.put_nowait(frame.get_payload_as_bytes())
            return
        self.controls.put_nowait((frame.msg_type, frame.get_payload_as_bytes()))
        if frame.msg_type == picows.WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:  # noqa: ARG002 (theirs)
        self.gone.set()

    def say(self, *messages: bytes) -> None:
        for message in messages:
            self.transport.send(picows.WSMsgType.TEXT, message)

    def drop(self) -> None:
        """Cut the line: no goodbye."""
        self.transport.underlying_transport.abort()


class Server:
    """Accepts on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        self._peers: asyncio.Queue[Peer] = asyncio.Queue()
        self._all: list[Peer] = []
        self.listening: asyncio.Server
        self.port: int

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def peer(self) -> Peer:
        """The next connection."""
        return await self._peers.get()

    def _accept(self, request: picows.WSUpgradeRequest) -> Peer:
        peer = Peer(request.path.decode())
        self._peers.put_nowait(peer)
        self._all.append(peer)
        return peer

    async def listen(self, port: int = 0) -> None:
        self.listening = await picows.ws_create_server(
            self._accept, "127.0.0.1", port, enable_auto_pong=False
        )
        self.port = self.listening.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Nobody can connect, and who was is cut off."""
        self.listening.close()
        for peer in self._all:
            if not peer.gone.is_set():
                peer.drop()
                await peer.gone.wait()


@asynccontextmanager
async def server() -> AsyncIterator[Server]:
    one = Server()
    await one.listen()
    try:
        yield one
    finally:
        await one.close()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def bare(serve: Serve) -> AsyncIterator[int]:
    """Bare sockets on a port of 127.0.0.1, each served by that and then closed. Ends when all are."""
    idle = asyncio.Event()
    idle.set()
    busy = 0

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal busy
        busy += 1
        idle.clear()
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):  # the client has gone
                await writer.wait_closed()
            busy -= 1
            if not busy:
                idle.set()

    async with await asyncio.start_server(attend, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]
        await idle.wait()
