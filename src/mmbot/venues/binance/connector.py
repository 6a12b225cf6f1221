"""Binance USD-M market data with sockets: two routes, and REST snapshots that align the books.

A snapshot is fetched once the depth stream flows, and again whenever a book broke: the first time at once,
then after a rising wait; one at a time for each symbol. Its answer goes the way of every frame: recorded,
then read.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from mmbot.clock import sleep
from mmbot.errors import RemoteProtocolError, TransportError
from mmbot.model.events import BookTrouble
from mmbot.model.instrument import Fees, Instrument
from mmbot.model.notes import Happened, Note, rest
from mmbot.net.backoff import Backoff
from mmbot.net.http import HttpClient
from mmbot.net.intake import Batch, Intake, Record
from mmbot.net.line import LOOK_NS, Line
from mmbot.units import Ns
from mmbot.venues.binance import instruments as wire
from mmbot.venues.binance.hosts import ROUTES, TRADE_STREAM, UsdmHosts, depth_target
from mmbot.venues.binance.session import BinanceSession
from mmbot.venues.binance.stream import RouteStream

USDM = "binance_usdm"
PUBLISHED_FEES = Fees("regular user, published", 2.0, 5.0)
"""For who has no account to ask: https://www.binance.com/en/fee/futureFee"""
_HTTP_OK = 200


class UsdmConnector:
    """Depth and trades of some symbols."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        hosts: UsdmHosts,
        record: Record,
        *,
        clock: Callable[[], Ns],
        silence_s: float = 5.0,
        seed: int = 0,
        look_ns: Ns = LOOK_NS,
    ) -> None:
        self._hosts = hosts
        self._clock = clock
        self._intake = Intake(record, BinanceSession(instruments, TRADE_STREAM).receive)
        self._symbols = {instrument.key: instrument.symbol for instrument in instruments}
        self._wanted = {key: asyncio.Event() for key in self._symbols}
        self._waits = {key: Backoff(seed + index) for index, key in enumerate(self._symbols)}
        self._streams = {route: RouteStream(route, self._intake, silence_s, self._want) for route in ROUTES}
        names = list(self._symbols.values())
        self._lines = [
            Line(hosts.route(route, names), stream, clock=clock, backoff=Backoff(seed), look_ns=look_ns)
            for route, stream in self._streams.items()
        ]

    async def run(self) -> None:
        """Keep both routes up and the books aligned until cancelled."""
        async with HttpClient(self._hosts.rest) as http:
            work = [line.run() for line in self._lines]
            work += [self._align(http, key) for key in self._symbols]
            tasks = [asyncio.create_task(one) for one in work]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def arrived(self) -> asyncio.Event:
        """Set while something can be drained."""
        return self._intake.arrived

    def drain(self) -> Batch:
        """Everything received since the last time, in order."""
        return self._intake.drain()

    def resync(self, symbol: str) -> None:
        """Somebody wants the whole book of `venue:SYMBOL`. A snapshot can only be aligned with what is
        buffered from now on, so the chains are given up like those of a lost connection, of all symbols.
        """
        self._intake.note(self._clock(), Note(Happened.LOST, f"{symbol}: the whole book was asked for"))
        self._want(None)

    def _want(self, key: str | None) -> None:
        for wanted in self._wanted.values() if key is None else (self._wanted[key],):
            wanted.set()

    async def _align(self, http: HttpClient, key: str) -> None:
        """Fetch a snapshot each time that one is wanted and the depth stream flows."""
        wanted, waits = self._wanted[key], self._waits[key]
        while True:
            await wanted.wait()
            wanted.clear()
            if not self._streams["public"].flowing:
                continue  # wanted again when it flows
            if await self._fetched(http, key):
                waits.reset()
            else:
                await sleep(waits.next_ns())
                wanted.set()

    async def _fetched(self, http: HttpClient, key: str) -> bool:
        """Did a snapshot come that the buffered stream follows?"""
        target = depth_target(self._symbols[key])
        try:
            reply = await http.get(target)
        except TransportError:
            return False
        if reply.status != _HTTP_OK or not self._streams["public"].flowing:
            return False
        with contextlib.suppress(RemoteProtocolError, TransportError):
            events = self._intake.take(self._clock(), rest(http.base_url + target, reply.body))
            return not any(isinstance(event, BookTrouble) and event.trouble.breaks_book for event in events)
        return False


async def fetch_instruments(http: HttpClient, symbols: Sequence[str], fees: Fees) -> list[Instrument]:
    """Raises TransportError; RemoteProtocolError for an answer that is none; ConfigError for a symbol that is
    not there or not trading.
    """
    reply = await http.get("/fapi/v1/exchangeInfo")
    if reply.status != _HTTP_OK:
        raise RemoteProtocolError(f"{http.base_url}: exchangeInfo: HTTP status was {reply.status}")
    return [wire.instrument(reply.body, USDM, symbol, fees) for symbol in symbols]
