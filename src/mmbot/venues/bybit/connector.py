"""Bybit v5 market data with sockets: instruments by REST, books and trades by websocket.

The rules are in `stream` and `session`; here they get a connection that is kept up. Events are taken with
`drain`: read the clock, drain, then advance.
"""

import asyncio
from collections.abc import Callable, Sequence

from mmbot.clock import sleep, stopwatch
from mmbot.errors import RemoteProtocolError
from mmbot.model.instrument import Fees, Instrument
from mmbot.net.backoff import Backoff
from mmbot.net.http import HttpClient, HttpReply
from mmbot.net.intake import Batch, Record
from mmbot.net.line import LOOK_NS, Line
from mmbot.units import SECOND, Ns
from mmbot.venues.bybit import instruments as wire
from mmbot.venues.bybit.budget import retry_after_ns
from mmbot.venues.bybit.codec import Category, category
from mmbot.venues.bybit.hosts import Hosts
from mmbot.venues.bybit.stream import StreamSettings, public_talk

_HTTP_OK, _TOO_MANY, _SERVER_ERRORS = 200, 429, range(500, 600)
_TRIES = 5
_LONGEST_WAIT_NS = Ns(10 * SECOND)


class PublicConnector:
    """One public connection: instruments of one category, books of one depth."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        hosts: Hosts,
        record: Record,
        *,
        clock: Callable[[], Ns],
        depth: int = 50,
        settings: StreamSettings | None = None,
        seed: int = 0,
        look_ns: Ns = LOOK_NS,
    ) -> None:
        """`record` takes every line. `seed`: of the jitter of waits. Raises ConfigError for instruments that
        no connection could carry.
        """
        self._intake, self._stream = public_talk(
            instruments, depth, record, settings or StreamSettings(), seed
        )
        url = hosts.public(category(instruments[0]))
        self._line = Line(url, self._stream, clock=clock, backoff=Backoff(seed), look_ns=look_ns)

    async def run(self) -> None:
        """Keep the connection up until cancelled. Raises LocalProtocolError for a refused subscription."""
        await self._line.run()

    @property
    def arrived(self) -> asyncio.Event:
        """Set while something can be drained."""
        return self._intake.arrived

    def drain(self) -> Batch:
        """Everything received since the last time, in order."""
        return self._intake.drain()

    def resync(self, symbol: str) -> None:
        """Ask for the whole book of `venue:SYMBOL`; once while one is on its way."""
        self._stream.resync(symbol, stopwatch())


async def fetch_instruments(
    http: HttpClient, asked: Category, symbols: Sequence[str], fees: Fees
) -> list[Instrument]:
    """The instruments by their symbols, from all pages of instruments-info.

    A venue that is too busy is asked again, five times in all, after what it says (Retry-After, at most 10 s)
    or after a rising wait. Raises TransportError; RemoteProtocolError for an answer that is none;
    ConfigError for a symbol that is not there or not trading.
    """
    found: dict[str, Instrument] = {}
    cursor = ""
    while True:
        reply = await _answered(http, wire.listing_target(asked, cursor))
        listed, cursor = wire.page(reply.body)
        here = [symbol for symbol in symbols if symbol in listed]
        found |= {symbol: wire.instrument(reply.body, symbol, fees) for symbol in here}
        if len(found) == len(set(symbols)):
            return [found[symbol] for symbol in symbols]
        if not cursor:
            missing = ", ".join(symbol for symbol in symbols if symbol not in found)
            raise wire.unknown(asked, missing)


async def _answered(http: HttpClient, target: str) -> HttpReply:
    """A reply of status 200. Raises TransportError, RemoteProtocolError for any other status."""
    waits = Backoff(0, longest_ns=_LONGEST_WAIT_NS)
    reply, tries = await http.get(target), 1
    while tries < _TRIES and (reply.status == _TOO_MANY or reply.status in _SERVER_ERRORS):
        await sleep(_wait_ns(reply, waits))
        reply, tries = await http.get(target), tries + 1
    if reply.status != _HTTP_OK:
        times = f" after {tries} tries" if tries > 1 else ""
        raise RemoteProtocolError(f"{http.base_url}: instruments-info: HTTP status was {reply.status}{times}")
    return reply


def _wait_ns(reply: HttpReply, waits: Backoff) -> int:
    """How long to wait for a venue that is too busy."""
    told_ns = retry_after_ns(reply.headers)
    return min(told_ns, _LONGEST_WAIT_NS) if told_ns else waits.next_ns()
