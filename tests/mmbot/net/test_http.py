"""The HTTP client against bare sockets: what it sends is what was given, and errors name the phase."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.mmbot.net.loopback import bare
from tests.mmbot.net.test_ws import free_port

from mmbot.errors import TransportError
from mmbot.net.http import HttpClient, HttpTimeouts

pytestmark = pytest.mark.asyncio

PATIENT = HttpTimeouts()
OK = b"HTTP/1.1 200 OK\r\nX-Bapi-Limit-Status: 9\r\nContent-Length: 2\r\n\r\n{}"


@asynccontextmanager
async def host(
    answer: bytes | None, timeouts: HttpTimeouts = PATIENT
) -> AsyncIterator[tuple[HttpClient, list[bytes]]]:
    """A client and what reached its host. The host says `answer` once and closes; None: it says nothing."""
    asked: list[bytes] = []
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0] or b"0")
        asked.append(head + await reader.readexactly(length))
        if answer is None:
            await over.wait()
        else:
            writer.write(answer)

    async with bare(serve) as port:
        async with HttpClient(f"http://127.0.0.1:{port}", timeouts) as client:
            yield client, asked
        over.set()


async def test_the_target_goes_out_to_the_letter_and_the_answer_comes_back_raw() -> None:
    async with host(OK) as (client, asked):
        reply = await client.get("/v5/market/orderbook?symbol=A%2BB&cursor=a%3D%253D&x=%7e", {"X-Key": "k"})

    assert asked[0].startswith(b"GET /v5/market/orderbook?symbol=A%2BB&cursor=a%3D%253D&x=%7e HTTP/1.1\r\n")
    assert b"X-Key: k\r\n" in asked[0]
    assert (reply.status, reply.body, reply.headers["x-bapi-limit-status"]) == (200, b"{}", "9")


async def test_a_body_is_sent_as_it_is() -> None:
    async with host(OK) as (client, asked):
        await client.request("POST", "/v5/order/create", body=b'{"qty":"0.001" }')
    assert asked[0].endswith(b'\r\n\r\n{"qty":"0.001" }')


async def test_a_status_is_an_answer_and_a_redirect_is_not_followed() -> None:
    for status in (b"429 Too Many", b"302 Found\r\nLocation: http://127.0.0.1:1/", b"503 Down"):
        async with host(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n") as (client, _):
            assert (await client.get("/")).status == int(status[:3])


async def failing(client: HttpClient, method: str = "POST") -> TransportError:
    with pytest.raises(TransportError) as found:
        await client.request(method, "/v5/order/create?secret=1", body=b"{}")
    assert "secret" not in str(found.value)
    return found.value


async def test_a_host_that_is_not_there_cannot_have_it() -> None:
    async with HttpClient(f"http://127.0.0.1:{free_port()}") as client:
        error = await failing(client)
    assert error.phase == "connect"
    assert "/v5/order/create: no connection: " in str(error)


@pytest.mark.parametrize(
    ("answer", "phase", "text"),
    [
        (None, "answer", "no answer: time is up"),
        (b"", "answer", "no answer: "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "body", "the answer broke off: "),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "answer", "no answer: "),
    ],
)
async def test_a_request_that_may_have_arrived_says_so(answer: bytes | None, phase: str, text: str) -> None:
    async with host(answer, HttpTimeouts(1.0, 0.1)) as (client, asked):
        error = await failing(client)
    assert error.phase == phase
    assert text in str(error)
    assert len(asked) == 1  # and was not sent again


async def test_a_body_that_drips_for_ever_is_given_up() -> None:
    dripping = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
        await dripping.wait()

    async with bare(drip) as port:
        async with HttpClient(f"http://127.0.0.1:{port}", HttpTimeouts(0.05, 0.1)) as client:
            error = await failing(client)
        dripping.set()
    assert (error.phase, str(error).endswith("the answer broke off: time is up")) == ("body", True)


@pytest.mark.parametrize("url", ["api.bybit.com", "ftp://x", "http://x/path", "http://x?a=1", "", "https://"])
async def test_a_host_is_a_scheme_a_name_and_a_port(url: str) -> None:
    with pytest.raises(ValueError, match="expected http"):
        HttpClient(url)
