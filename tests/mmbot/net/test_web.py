"""The run's own HTTP server, asked over real sockets: pages, streams, ports, and its end."""

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator

import aiohttp
import pytest

from mmbot.errors import ConfigError
from mmbot.net.http import HttpClient
from mmbot.net.web import Asked, Page, Routes, Stream, WebServer, serving


def echo(asked: Asked) -> Page:
    return Page(f"{asked.path} {asked.query.get('symbol')} {asked.headers['X-Who']}".encode(), "text/plain")


async def counted(until: int) -> AsyncGenerator[bytes, None]:
    for number in range(until):
        yield f"data: {number}\n\n".encode()


def fetched(url: str, target: str, method: str = "GET") -> tuple[int, str, bytes]:
    async def ask() -> tuple[int, str, bytes]:
        async with HttpClient(url) as http:
            reply = await http.request(method, target, headers={"X-Who": "me"})
            return reply.status, reply.headers["Content-Type"], reply.body

    return asyncio.run(ask())


def test_a_page_knows_what_was_asked() -> None:
    with serving({"/echo": echo}, 0, option="--port") as server:
        assert fetched(server.url, "/echo?symbol=a%20b") == (200, "text/plain", b"/echo a b me")


def test_a_status_of_its_own() -> None:
    with serving({"/": lambda _: Page(b"not yet", "text/plain", 503)}, 0, option="--port") as server:
        assert fetched(server.url, "/")[0] == 503


def test_what_is_not_a_route_and_what_is_not_a_get() -> None:
    with serving({"/echo": echo}, 0, option="--port") as server:
        assert fetched(server.url, "/other")[0] == 404
        assert fetched(server.url, "/echo", "POST")[0] == 405


def test_a_stream_is_sent_to_its_end() -> None:
    routes: Routes = {"/events": lambda _: Stream(counted(3))}
    with serving(routes, 0, option="--port") as server:
        status, kind, body = fetched(server.url, "/events")
    assert (status, kind, body) == (200, "text/event-stream", b"data: 0\n\ndata: 1\n\ndata: 2\n\n")


def test_stopping_ends_a_stream_that_would_not_end() -> None:
    closed = threading.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            yield b"data: first\n\n"
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def reading() -> None:
        server = WebServer({"/events": lambda _: Stream(endless())}, 0, option="--port").start()
        async with aiohttp.ClientSession() as session, session.get(f"{server.url}/events") as reply:
            assert await reply.content.readany() == b"data: first\n\n"
            await asyncio.to_thread(server.stop)
            assert await reply.content.read() == b""

    asyncio.run(reading())
    assert closed.wait(5)


def test_a_port_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        expected = rf"^--metrics-port: was {port}, expected a free port of 127\.0\.0\.1: .*in use$"
        with pytest.raises(ConfigError, match=expected), serving({}, port, option="--metrics-port"):
            pytest.fail("nothing can be served")


def test_it_listens_on_loopback_and_on_nothing_after_it_has_stopped() -> None:
    with serving({"/echo": echo}, 0, option="--port") as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        port = server.port
        assert port > 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port)).close()
