"""The server over real sockets: paces, faults that only a socket can show, an orderly end."""

import asyncio
import contextlib
import json
import logging

import aiohttp
import pytest
from tests.mmbot.builders import START_NS, delta
from tests.mmbot.venues.paper.floor import Floor, signed
from yarl import URL

from mmbot.clock import wall_ns
from mmbot.errors import ConfigError
from mmbot.units import MS, SECOND
from mmbot.venues.paper.server import PaperServer

pytestmark = pytest.mark.asyncio
BOOK = {"op": "subscribe", "args": ["orderbook.50.SYNTHUSDT"]}


def deltas(count, ns):
    return [delta([(10_000, 600 + number)], [], ns=START_NS + number * ns) for number in range(1, count + 1)]


@contextlib.asynccontextmanager
async def served(floor, speed="stepped", clock=lambda: START_NS):
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(PaperServer(floor.exchange, speed, clock).running(0))
        host = f"http://127.0.0.1:{server.port}"
        yield server, await stack.enter_async_context(aiohttp.ClientSession(host))


async def test_a_step_sends_what_follows_from_it():
    async with served(Floor(*deltas(3, MS))) as (server, client):
        socket = await client.ws_connect("/v5/public/linear")
        await socket.send_json(BOOK)
        assert (await socket.receive_json())["success"]
        first = (await socket.receive_json())["data"]["u"]
        server.step(START_NS + 2 * MS)
        later = [(await socket.receive_json())["data"]["u"] for _ in range(2)]
        assert later == [first + 1, first + 2]


async def test_rest_signs_the_query_as_it_was_sent():
    async with served(Floor()) as (_, client):
        query, stamp = "accountType=UNIFIED&coin=USDT%2CSYNTH", str(START_NS // MS)
        headers = {
            "X-BAPI-API-KEY": "alice",
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": "5000",
            "X-BAPI-SIGN": signed("alice-secret", f"{stamp}alice5000{query}"),
        }
        async with client.get(
            URL(f"/v5/account/wallet-balance?{query}", encoded=True), headers=headers
        ) as reply:
            answer = await reply.json()
        assert answer["retCode"] == 0
        assert [coin["coin"] for coin in answer["result"]["list"][0]["coin"]] == ["SYNTH", "USDT"]


async def test_at_max_the_tape_waits_for_a_listener_and_then_loses_it_nothing(caplog):
    caplog.set_level(logging.WARNING)
    async with served(Floor(*deltas(500, SECOND)), "max") as (server, client):
        async with client.get("/v5/market/time") as reply:
            assert reply.status == 200
        assert server.exchange.now_ns == START_NS, "nobody listens"
        async with client.ws_connect("/v5/public/linear") as socket:
            await socket.send_json(BOOK)
            await socket.receive_json()
            updates = [(await socket.receive_json())["data"]["u"] for _ in range(502)]
            assert updates == list(range(updates[0], updates[0] + 502))
            assert server.exchange.ended
            await socket.send_json({"op": "ping"})
            assert (await socket.receive_json())["ret_msg"] == "pong", "silent, and alive"
    assert "the tape is over" in caplog.text


async def test_at_a_finite_speed_exchange_time_runs_so_many_times_as_fast():
    started = wall_ns()

    def clock():
        return START_NS + wall_ns() - started

    async with served(Floor(*deltas(5, SECOND)), 50.0, clock) as (server, client):
        socket = await client.ws_connect("/v5/public/linear")
        await socket.send_json(BOOK)
        await socket.receive_json()
        sizes = set()
        while "6.05" not in sizes:
            message = await asyncio.wait_for(socket.receive_json(), 10)
            sizes |= {size for _, size in message["data"]["b"]}
        assert server.exchange.now_ns >= START_NS + 5 * SECOND
        assert server.exchange.now_ns <= START_NS + 50 * (clock() - START_NS)


async def test_fault_switches_are_set_shown_and_refused_over_http():
    async with served(Floor()) as (server, client):
        async with client.post("/paper/faults", json={"drop_ratio": 0.25}) as reply:
            assert (await reply.json())["drop_ratio"] == 0.25
        async with client.post("/paper/faults", json={"drop": 1}) as reply:
            assert reply.status == 400
            assert "drop" in await reply.text()
        async with client.post("/paper/faults", data=b"[") as reply:
            assert reply.status == 400
        async with client.get("/paper/faults") as reply:
            assert json.loads(await reply.text())["drop_ratio"] == 0.25
        assert server.exchange.faults.now.drop_ratio == 0.25


async def test_sockets_are_closed_by_kind():
    async with served(Floor()) as (_, client):
        public, private = [await client.ws_connect(path) for path in ("/v5/public/linear", "/v5/private")]
        async with client.post("/paper/faults", json={"close": "public"}) as reply:
            assert (await reply.json())["close"] == ""
        assert (await asyncio.wait_for(public.receive(), 5)).type is aiohttp.WSMsgType.CLOSE
        await private.send_json({"op": "ping"})
        assert (await private.receive_json())["op"] == "pong"


async def test_a_path_that_is_none_and_a_port_that_is_taken():
    async with served(Floor()) as (server, client):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await client.ws_connect("/v5/public/option")
        other = PaperServer(Floor().exchange, "stepped", wall_ns)
        with pytest.raises(ConfigError, match=f"--port: {server.port} cannot be listened on"):
            async with other.running(server.port):
                pass


async def test_stopping_the_server_closes_its_sockets():
    floor = Floor()
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(aiohttp.ClientSession())
        async with PaperServer(floor.exchange, "stepped", wall_ns).running(0) as server:
            socket = await client.ws_connect(f"http://127.0.0.1:{server.port}/v5/public/linear")
        assert (await asyncio.wait_for(socket.receive(), 5)).type in (
            aiohttp.WSMsgType.CLOSE,
            aiohttp.WSMsgType.CLOSING,
            aiohttp.WSMsgType.CLOSED,
        )
        await socket.close()
    assert floor.exchange.connections == []
