"""The Binance user stream over real sockets: recorded events served on loopback, behind listen keys that
live, are renewed and die.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from tests.mmbot.builders import linear

from mmbot.clock import RisingClock
from mmbot.model.account import AccountStale, Execution, OrderReport
from mmbot.model.instrument import Instrument
from mmbot.units import MS, SECOND, Ns
from mmbot.venues.binance.hosts import UsdmHosts
from mmbot.venues.binance.user_connector import UserConnector
from mmbot.venues.credentials import Credentials, Secret

MINUTE = 60 * SECOND
EXPIRED = b'{"e":"listenKeyExpired","E":1736996475556,"listenKey":"key-1"}'


class Session:
    """A recorded one: its events and the instruments that they are of."""

    def __init__(self, path: Path) -> None:
        self.events = path.read_bytes().splitlines()
        rows = [msgspec.json.decode(event)["o"] for event in self.events]
        places = {row["s"]: len(row["p"].partition(".")[2]) for row in rows if row["p"] != "0"}
        self.instruments: list[Instrument] = [
            linear(venue="binance_usdm", symbol=symbol, tick_size=f"0.{'1'.zfill(digits)}", lot_size="0.01")
            for symbol, digits in places.items()
        ]
        self.trades = sum(row["x"] == "TRADE" for row in rows)


@pytest.fixture(scope="module")
def session(data_dir: Path) -> Session:
    return Session(data_dir / "wire_fixtures/nexustrader/binance_um_order_trade_update.jsonl")


class Venue:
    """Hands out keys, and tells each connection of a valid one the recorded events."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.asked: list[tuple[str, str | None]] = []
        self.refuses = 0
        """How many requests from now on get a 503."""
        self.connected: list[str] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.moved = asyncio.Event()

    async def key(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.headers.get("X-MBX-APIKEY")))
        self.moved.set()
        if self.refuses:
            self.refuses -= 1
            return web.json_response({"code": -1001, "msg": "busy"}, status=503)
        made = sum(method == "POST" for method, _ in self.asked)
        return web.json_response({"listenKey": f"key-{made}"} if request.method == "POST" else {})

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connected.append(request.match_info["key"])
        self.sockets.append(socket)
        for event in self.session.events:
            await socket.send_str(event.decode())
        self.moved.set()
        async for _ in socket:
            raise AssertionError("a user stream is only listened to")
        return socket


class Desk:
    """A venue, a connector on it, and the steady clock that its keys live by."""

    def __init__(self, venue: Venue, connector: UserConnector) -> None:
        self.venue, self.connector = venue, connector
        self.told: list[object] = []

    async def until(self, count: int, kind: type) -> None:
        """So many messages of a kind were told."""
        async with asyncio.timeout(20):
            while sum(isinstance(one, kind) for one in self.told) < count:
                await self.connector.arrived.wait()
                self.told += self.connector.drain()

    async def asked(self, count: int) -> list[str]:
        """The methods of the first so many requests, once they came."""
        async with asyncio.timeout(20):
            while len(self.venue.asked) < count:
                self.venue.moved.clear()
                await self.venue.moved.wait()
        return [method for method, _ in self.venue.asked]


class Steady:
    """A steady clock that stands still until it is moved, or moves on by `step_ns` when it is read."""

    def __init__(self, step_ns: int = 0) -> None:
        self.now_ns = 0
        self._step_ns = step_ns

    def __call__(self) -> int:
        self.now_ns += self._step_ns
        return self.now_ns


@asynccontextmanager
async def desk(session: Session, steady: Steady, refuses: int = 0) -> AsyncIterator[Desk]:
    venue = Venue(session)
    venue.refuses = refuses
    app = web.Application()
    app.router.add_route("*", "/fapi/v1/listenKey", venue.key)
    app.router.add_get("/private/ws/{key}", venue.stream)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    hosts = UsdmHosts(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}")
    connector = UserConnector(
        session.instruments,
        hosts,
        Credentials("an-api-key", Secret("a-secret")),
        lambda *_: venue.moved.set(),
        clock=RisingClock(),
        steady=steady,
        look_ns=Ns(5 * MS),
    )
    task = asyncio.create_task(connector.run())
    try:
        yield Desk(venue, connector)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await runner.cleanup()


@pytest.mark.asyncio
async def test_the_recorded_session_comes_through_behind_a_key(session: Session) -> None:
    async with desk(session, Steady()) as running:
        await running.until(len(session.events), OrderReport)

        assert sum(isinstance(one, Execution) for one in running.told) == session.trades
        assert running.venue.connected == ["key-1"]
        assert running.venue.asked == [("POST", "an-api-key")]


@pytest.mark.asyncio
async def test_a_key_is_renewed_after_half_an_hour_on_the_same_connection(session: Session) -> None:
    steady = Steady()
    async with desk(session, steady) as running:
        await running.until(1, OrderReport)
        steady.now_ns = 30 * MINUTE

        assert await running.asked(2) == ["POST", "PUT"]
        assert running.venue.connected == ["key-1"]
        assert not [one for one in running.told if isinstance(one, AccountStale)]


@pytest.mark.asyncio
async def test_an_expired_key_makes_the_account_stale_and_gets_a_new_connection(session: Session) -> None:
    async with desk(session, Steady()) as running:
        await running.until(len(session.events), OrderReport)
        await running.venue.sockets[0].send_str(EXPIRED.decode())
        await running.until(2 * len(session.events), OrderReport)

        stale = [one for one in running.told if isinstance(one, AccountStale)]
        assert [one.reason for one in stale] == ["its listen key has expired"]
        assert running.venue.connected == ["key-1", "key-2"]
        assert [method for method, _ in running.venue.asked] == ["POST", "POST"]


@pytest.mark.asyncio
async def test_a_key_that_nobody_renews_is_given_up_after_an_hour(session: Session) -> None:
    steady = Steady()
    async with desk(session, steady) as running:
        await running.until(len(session.events), OrderReport)
        running.venue.refuses = 1
        steady.now_ns = 30 * MINUTE
        await running.asked(2)
        steady.now_ns = 60 * MINUTE
        await running.until(2 * len(session.events), OrderReport)

        stale = [one for one in running.told if isinstance(one, AccountStale)]
        assert [one.reason for one in stale] == ["its listen key is no longer valid"]
        assert running.venue.connected == ["key-1", "key-2"]
        assert [method for method, _ in running.venue.asked] == ["POST", "PUT", "POST"]


@pytest.mark.asyncio
async def test_a_refused_key_is_asked_for_again_after_a_minute(session: Session) -> None:
    steady = Steady(step_ns=2 * SECOND)
    async with desk(session, steady, refuses=1) as running:
        assert await running.asked(2) == ["POST", "POST"]
        assert steady.now_ns >= MINUTE
        await running.until(1, OrderReport)
        assert running.venue.connected == ["key-2"]


@pytest.mark.asyncio
async def test_a_lost_connection_is_stale_and_comes_back_on_the_same_key(session: Session) -> None:
    async with desk(session, Steady()) as running:
        await running.until(len(session.events), OrderReport)
        await running.venue.sockets[0].close()
        await running.until(2 * len(session.events), OrderReport)

        assert sum(isinstance(one, AccountStale) for one in running.told) == 1
        assert running.venue.connected == ["key-1", "key-1"]
        assert len(running.venue.asked) == 1
