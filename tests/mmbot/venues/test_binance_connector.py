"""Binance USD-M over real sockets: recorded frames served on loopback, REST snapshots where they were."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from aiohttp import WSMsgType, web

from mmbot.clock import RisingClock
from mmbot.errors import TransportError
from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, MarketEvent, Trade, Trouble
from mmbot.model.instrument import Fees, Instrument
from mmbot.model.notes import Happened
from mmbot.net.http import HttpClient
from mmbot.net.intake import Intake
from mmbot.recording.reader import frames
from mmbot.units import MS, SECOND, Ns
from mmbot.venues.binance.connector import PUBLISHED_FEES, UsdmConnector, fetch_instruments
from mmbot.venues.binance.hosts import UsdmHosts, usdm_hosts
from mmbot.venues.binance.session import BinanceSession
from mmbot.venues.binance.stream import RouteStream

SUSHI = Instrument(
    venue="binance_usdm",
    symbol="SUSHIUSDT",
    base="SUSHI",
    quote="USDT",
    tick_size="0.001",
    lot_size="1",
    min_notional=5.0,
    fees=Fees("test", 2.0, 5.0),
)


class Capture:
    """A capture, split as the routes split it: depth, trades, and the snapshot."""

    def __init__(self, path: Path) -> None:
        self.depth: list[bytes] = []
        self.trades: list[bytes] = []
        self.info = (path.parent / "exchange_info.json").read_bytes()
        self.lines = [(frame.recv_ns, frame.payload) for frame in frames([path])]
        for _, payload in self.lines:
            if payload.startswith(b'{"_rest"'):
                self.snapshot = bytes(msgspec.json.decode(payload, type=dict[str, msgspec.Raw])["body"])
            elif b"@depth" in payload:
                self.depth.append(payload)
            elif b"@aggTrade" in payload:
                self.trades.append(payload)

    def told(self) -> list[MarketEvent]:
        """What the capture says of book and trades when it is read from the file."""
        session = BinanceSession([SUSHI], "aggTrade")
        return [
            event
            for recv_ns, payload in self.lines
            if b"bookTicker" not in payload and b"@kline" not in payload
            for event in session.receive(payload, recv_ns)
            if isinstance(event, BookSnapshot | BookDelta | Trade)
        ]


@pytest.fixture(scope="module")
def capture(data_dir: Path) -> Capture:
    return Capture(data_dir / "binance_usdm_20210722" / "sushiusdt.dat.gz")


class LoopbackUsdm:
    """Both routes and REST on one port. The first frame of each route flows at once, the rest once the
    snapshot was fetched.
    """

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.url = ""
        self.fetched = 0
        self.paths: list[str] = []
        self.sockets: dict[str, web.WebSocketResponse] = {}
        self.skip: int | None = None
        """A depth frame of the first connection that is left out."""
        self._released = asyncio.Event()

    async def snapshot(self, request: web.Request) -> web.Response:
        assert request.query_string == "symbol=SUSHIUSDT&limit=1000"
        self.fetched += 1
        self._released.set()
        return web.Response(body=self.capture.snapshot)

    async def info(self, _: web.Request) -> web.Response:
        return web.Response(body=self.capture.info)

    async def public(self, request: web.Request) -> web.WebSocketResponse:
        return await self._stream(request, "public", self.capture.depth)

    async def market(self, request: web.Request) -> web.WebSocketResponse:
        return await self._stream(request, "market", self.capture.trades)

    async def _stream(self, request: web.Request, route: str, told: list[bytes]) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        first = route not in self.sockets
        self.sockets[route] = socket
        self.paths.append(request.path_qs)
        for number, frame in enumerate(told):
            if number == 1:
                await self._released.wait()
            if first and route == "public" and number == self.skip:
                self._released.clear()
                continue
            await socket.send_str(frame.decode())
        async for message in socket:
            assert message.type is WSMsgType.TEXT, message
        return socket


@asynccontextmanager
async def usdm(capture: Capture) -> AsyncIterator[LoopbackUsdm]:
    venue = LoopbackUsdm(capture)
    app = web.Application()
    app.router.add_get("/fapi/v1/depth", venue.snapshot)
    app.router.add_get("/fapi/v1/exchangeInfo", venue.info)
    app.router.add_get("/public/stream", venue.public)
    app.router.add_get("/market/stream", venue.market)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    venue.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield venue
    finally:
        await runner.cleanup()


class Consumer:
    def __init__(self, venue: LoopbackUsdm) -> None:
        self.lines: list[tuple[Ns, bytes]] = []
        self.events: list[MarketEvent] = []
        self.notes: list[Happened] = []
        self.connector = UsdmConnector(
            [SUSHI],
            usdm_hosts(venue.url),
            lambda *line: self.lines.append(line),
            clock=RisingClock(),
            look_ns=Ns(5 * MS),
        )

    async def until(self, seen: Callable[["Consumer"], bool]) -> None:
        task = asyncio.create_task(self.connector.run())
        try:
            async with asyncio.timeout(20):
                while not seen(self):
                    await self.connector.arrived.wait()
                    batch = self.connector.drain()
                    self.events += batch.events
                    self.notes += [note.mmbot for _, note in batch.notes]
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def of(self, *kinds: type[MarketEvent]) -> list[MarketEvent]:
        return [event for event in self.events if isinstance(event, kinds)]


def timeless(events: list[MarketEvent]) -> list[MarketEvent]:
    return [
        msgspec.structs.replace(
            event, recv_ns=0, exch_ns=0 if isinstance(event, BookSnapshot) else event.exch_ns
        )
        for event in events
    ]


@pytest.mark.asyncio
async def test_recorded_frames_over_sockets_are_the_events_of_the_file(capture: Capture) -> None:
    told = capture.told()
    deltas = [event for event in told if isinstance(event, BookDelta)]
    trades = [event for event in told if isinstance(event, Trade)]
    assert (len(deltas), len(trades)) == (252, 40)
    async with usdm(capture) as venue:
        consumer = Consumer(venue)
        await consumer.until(
            lambda one: len(one.of(BookDelta)) == len(deltas) and len(one.of(Trade)) == len(trades)
        )

    assert timeless(consumer.of(BookSnapshot, BookDelta)) == timeless(
        [event for event in told if not isinstance(event, Trade)]
    )
    assert timeless(consumer.of(Trade)) == timeless(trades)
    assert consumer.of(BookTrouble) == []
    assert venue.fetched == 1
    assert sorted(venue.paths) == [
        "/market/stream?streams=sushiusdt@aggTrade",
        "/public/stream?streams=sushiusdt@depth@100ms",
    ]


@pytest.mark.asyncio
async def test_what_was_recorded_reads_back_as_what_was_consumed(capture: Capture) -> None:
    async with usdm(capture) as venue:
        consumer = Consumer(venue)
        await consumer.until(lambda one: len(one.of(BookDelta)) == 252)
        consumer.events += consumer.connector.drain().events
    session = BinanceSession([SUSHI], "aggTrade")
    again = [event for recv_ns, line in consumer.lines for event in session.receive(line, recv_ns)]
    assert again == consumer.events


@pytest.mark.asyncio
async def test_a_gap_fetches_another_snapshot(capture: Capture) -> None:
    async with usdm(capture) as venue:
        venue.skip = 100
        consumer = Consumer(venue)
        await consumer.until(
            lambda one: (
                venue.fetched == 2 and any(event.trouble is Trouble.GAP for event in one.of(BookTrouble))
            )
        )
    before = consumer.events[: consumer.events.index(consumer.of(BookTrouble)[0])]
    assert len([event for event in before if isinstance(event, BookDelta)]) > 90
    assert not [
        event for event in consumer.events[len(before) :] if isinstance(event, BookDelta)
    ]  # nothing of a broken chain


@pytest.mark.asyncio
@pytest.mark.parametrize("route", ["public", "market"])
async def test_a_lost_route_loses_the_book_until_a_fresh_snapshot(capture: Capture, route: str) -> None:
    async with usdm(capture) as venue:
        consumer = Consumer(venue)

        def lost_and_back(one: Consumer) -> bool:
            if len(one.of(BookDelta)) == 252 and Happened.LOST not in one.notes:
                transport = venue.sockets[route]._req.transport
                assert transport is not None
                transport.abort()
            return len(one.of(BookSnapshot)) == 2

        await consumer.until(lost_and_back)

    (lost,) = (event for event in consumer.of(BookTrouble) if event.trouble is Trouble.LOST)
    assert lost.detail == f"{route}: the socket was closed without a word"
    second = consumer.of(BookSnapshot)[1]
    between = consumer.events[consumer.events.index(lost) : consumer.events.index(second)]
    assert not [event for event in between if isinstance(event, BookDelta)]


class Watched:
    """A route on a virtual clock."""

    def __init__(self) -> None:
        self.wanted: list[str | None] = []
        intake = Intake(lambda *_: None, BinanceSession([SUSHI], "aggTrade").receive)
        self.stream = RouteStream("public", intake, 5.0, self.wanted.append)
        self.now_ns = 0
        self.stream.connected(Ns(10**18), 0)

    def passes(self, seconds: float, *, answering: bool, look_ns: int = 50 * MS) -> int:
        """Time goes by; returns how many pings were sent."""
        pings = 0
        for _ in range(round(seconds * SECOND / look_ns)):
            self.now_ns += look_ns
            self.stream.due(Ns(10**18), self.now_ns)
            sent = self.stream.outgoing()
            assert set(sent) <= {b""}
            pings += len(sent)
            if sent and answering:
                self.stream.alive(self.now_ns)
        return pings


def test_an_idle_route_answers_pings_and_lives() -> None:
    assert Watched().passes(60, answering=True) == 24


def test_a_silent_route_is_lost_after_five_seconds() -> None:
    watched = Watched()
    with pytest.raises(TransportError, match=r"nothing was received for 5\.0 s"):
        watched.passes(60, answering=False)
    assert watched.now_ns == 5 * SECOND


def test_a_day_is_nearly_over_before_the_venue_says_so() -> None:
    watched = Watched()
    with pytest.raises(TransportError, match="its 24 hours are nearly over"):
        watched.passes(86_400, answering=True, look_ns=SECOND)
    assert watched.now_ns == 86_400 * SECOND - 600 * SECOND


def test_hosts() -> None:
    assert usdm_hosts("mainnet") == UsdmHosts("https://fapi.binance.com", "wss://fstream.binance.com")
    assert usdm_hosts("mainnet").route("public", ["BTCUSDT", "ETHUSDT"]) == (
        "wss://fstream.binance.com/public/stream?streams=btcusdt@depth@100ms/ethusdt@depth@100ms"
    )
    assert usdm_hosts("http://127.0.0.1:8").stream == "ws://127.0.0.1:8"


@pytest.mark.asyncio
async def test_instruments_come_from_exchange_info(capture: Capture) -> None:
    async with usdm(capture) as venue, HttpClient(venue.url) as http:
        (found,) = await fetch_instruments(http, ["SUSHIUSDT"], PUBLISHED_FEES)
    assert (found.key, found.tick_size, found.lot_size) == (SUSHI.key, "0.0010", "1")
