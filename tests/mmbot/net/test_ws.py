"""The websocket client against a server on loopback."""

import asyncio
import base64
import contextlib
import hashlib
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import picows
import pytest
from tests.mmbot.net.loopback import Peer, bare, server

from mmbot.errors import RemoteProtocolError, TransportError
from mmbot.net.ws import WsConnection, connect
from mmbot.units import Ns

pytestmark = pytest.mark.asyncio


class Heard:
    """What came, in order, with its stamp; a clock that counts."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[tuple[Ns, bytes]] = asyncio.Queue()
        self.life: asyncio.Queue[None] = asyncio.Queue()
        self._now = 0

    def clock(self) -> Ns:
        self._now += 1
        return Ns(self._now)

    def take(self, recv_ns: Ns, payload: bytes) -> None:
        self.messages.put_nowait((recv_ns, payload))

    @asynccontextmanager
    async def talk(self) -> AsyncIterator[tuple[WsConnection, Peer]]:
        """An open connection and the server's end of it."""
        async with server() as one:
            connection = await connect(
                one.url, self.take, on_life=lambda: self.life.put_nowait(None), clock=self.clock
            )
            yield connection, await one.peer()


async def test_messages_come_whole_in_order_and_stamped_by_the_clock() -> None:
    heard = Heard()
    async with heard.talk() as (connection, peer):
        peer.say(b"a", b"b" * 70_000)
        peer.transport.send(picows.WSMsgType.BINARY, b"\x00\xff")

        came = [await heard.messages.get() for _ in range(3)]
        assert came == [(1, b"a"), (2, b"b" * 70_000), (3, b"\x00\xff")]
        connection.send(b'{"op":"ping"}')
        assert await peer.heard.get() == b'{"op":"ping"}'


async def test_a_message_in_three_frames_is_one_with_the_time_of_its_last() -> None:
    heard = Heard()
    async with heard.talk() as (_, peer):
        peer.transport.send(picows.WSMsgType.TEXT, b"one ", fin=False)
        peer.transport.send(picows.WSMsgType.CONTINUATION, b"two ", fin=False)
        peer.transport.send_ping(b"in between")
        peer.transport.send(picows.WSMsgType.CONTINUATION, b"three")

        assert await heard.messages.get() == (4, b"one two three")
        assert await peer.controls.get() == (picows.WSMsgType.PONG, b"in between")


async def test_a_ping_is_answered_and_a_pong_is_a_sign_of_life_but_no_message() -> None:
    heard = Heard()
    async with heard.talk() as (connection, peer):
        peer.transport.send_ping(b"are you there")
        assert await peer.controls.get() == (picows.WSMsgType.PONG, b"are you there")
        connection.ping()
        assert (await peer.controls.get())[0] == picows.WSMsgType.PING
        peer.transport.send_pong()
        for _ in range(2):
            await heard.life.get()
        assert heard.messages.empty()


async def test_the_peers_close_is_the_reason() -> None:
    async with Heard().talk() as (connection, peer):
        peer.transport.send_close(picows.WSCloseCode.GOING_AWAY, b"restart")
        assert await connection.ended() == "closed by the peer: 1001 restart"
        with pytest.raises(TransportError, match="the connection was lost") as found:
            connection.send(b"late")
        assert found.value.phase == "send"


async def test_a_cut_line_is_the_reason() -> None:
    async with Heard().talk() as (connection, peer):
        peer.drop()
        assert await connection.ended() == "the socket was closed without a word"
        assert not connection.open


async def test_an_error_of_the_handler_ends_the_connection_and_is_raised_again() -> None:
    def refuse(_: Ns, payload: bytes) -> None:
        raise RemoteProtocolError(f"was {payload!r}")

    async with server() as one:
        connection = await connect(one.url, refuse)
        peer = await one.peer()
        peer.say(b"bad")
        with pytest.raises(RemoteProtocolError, match="was b'bad'"):
            await connection.ended()
        await connection.close()


async def test_nothing_is_handed_on_after_giving_up() -> None:
    seen: list[bytes] = []

    def once(_: Ns, payload: bytes) -> None:
        seen.append(payload)
        opened[0].give_up("enough")

    opened: list[WsConnection] = []
    async with server() as one:
        opened.append(await connect(one.url, once))
        peer = await one.peer()
        peer.say(b"1", b"2", b"3")
        assert await opened[0].ended() == "enough"
        await opened[0].close()
    assert seen == [b"1"]


async def test_a_peer_that_takes_nothing_is_an_error_and_not_memory() -> None:
    """A bare socket that shakes hands and never reads again."""
    shaken = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        key = (await reader.readuntil(b"\r\n\r\n")).split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
        reader._transport.pause_reading()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + _accept(key) + b"\r\n\r\n"
        )
        await shaken.wait()
        writer.transport.abort()

    async with bare(deaf) as port:
        connection = await connect(f"ws://127.0.0.1:{port}", Heard().take)
        with pytest.raises(TransportError, match=r"\d+ bytes were not taken by the peer"):  # noqa: PT012
            for _ in range(1000):
                connection.send(b"x" * 65_536)
        connection.give_up("deaf")
        shaken.set()
        await connection.close()


def _accept(key: bytes) -> bytes:
    return base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())  # noqa: S324


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def test_nobody_there_is_named() -> None:
    with pytest.raises(TransportError, match=r"ws://127.0.0.1:\d+: no connection: ") as found:
        await connect(f"ws://127.0.0.1:{free_port()}", Heard().take)
    assert found.value.phase == "connect"


async def test_a_status_instead_of_a_websocket_is_named() -> None:
    async def forbid(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    async with bare(forbid) as port:
        with pytest.raises(TransportError, match="no websocket: HTTP status 403"):
            await connect(f"ws://127.0.0.1:{port}", Heard().take)


async def test_a_host_that_never_answers_is_given_up_in_time() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with bare(silent) as port:
        with pytest.raises(TransportError, match=r"no connection within 0.05 s"):
            await connect(f"ws://127.0.0.1:{port}", Heard().take, timeout_s=0.05)


async def test_a_handshake_that_nobody_waits_for_any_longer_is_hung_up() -> None:
    asked, given_up, hung_up = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await given_up.wait()
        key = re.search(rb"(?i)sec-websocket-key: (\S+)", request)
        assert key is not None
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + _accept(key[1]) + b"\r\n\r\n\x81\x02hi"
        )
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        hung_up.set()

    async with bare(late) as port:
        heard = Heard()
        opening = asyncio.ensure_future(connect(f"ws://127.0.0.1:{port}", heard.take))
        await asked.wait()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        given_up.set()
        async with asyncio.timeout(4.0):
            await hung_up.wait()
        assert heard.messages.empty()


async def test_what_is_open_before_the_first_message() -> None:
    order: list[str] = []
    done = asyncio.Event()

    def first(connection: WsConnection) -> None:
        order.append("open")
        connection.send(b"subscribe")

    def message(_: Ns, payload: bytes) -> None:
        order.append(payload.decode())
        done.set()

    async with server() as one:
        connection = await connect(one.url, message, on_open=first)
        peer = await one.peer()
        assert await peer.heard.get() == b"subscribe"
        peer.say(b"data")
        await done.wait()
        await connection.close()
        await connection.close()
    assert order == ["open", "data"]
