"""Record a live market: connector in, files out; nothing is traded and nothing is decided.

What waits is written every half second in a thread of its own, so that a slow disk delays no frame and a
process that dies loses less than a second. The run ends after its time, at `stop`, or with the first error;
what was received until then is in the files.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from mmbot.clock import RisingClock, stopwatch
from mmbot.errors import ConfigError, MmbotError, OutputError
from mmbot.model.instrument import Instrument
from mmbot.net.http import HttpClient
from mmbot.net.intake import Batch, Record
from mmbot.recording.manifest import RecordingManifest
from mmbot.recording.writer import FILE_BYTES, RecordingWriter
from mmbot.runtime.record_statistics import RecordStatistics
from mmbot.units import SECOND
from mmbot.venues.binance.connector import PUBLISHED_FEES, USDM, UsdmConnector
from mmbot.venues.binance.connector import fetch_instruments as fetch_usdm_instruments
from mmbot.venues.binance.hosts import UsdmHosts, usdm_hosts
from mmbot.venues.bybit import instruments as bybit
from mmbot.venues.bybit.codec import Category
from mmbot.venues.bybit.connector import PublicConnector, fetch_instruments
from mmbot.venues.bybit.hosts import Hosts
from mmbot.venues.bybit.hosts import hosts as bybit_hosts

_WRITE_EVERY_S = 0.5
VENUES: dict[str, Category] = {
    "bybit": "linear",
    "bybit_linear": "linear",
    "bybit_spot": "spot",
    "bybit_inverse": "inverse",
}


class RecordRequest(NamedTuple):
    """`host` as `venues.bybit.hosts` reads it; `duration_ns` None: until stopped."""

    venue: str
    symbols: list[str]
    host: str
    out: Path
    duration_ns: int | None
    depth: int = 50
    file_bytes: int = FILE_BYTES


class Runs(Protocol):
    """Something that is kept up."""

    async def run(self) -> None: ...


class Connector(Runs, Protocol):
    """A venue's market data, as this shell uses it."""

    def drain(self) -> Batch: ...


async def record(
    request: RecordRequest, stop: asyncio.Event, seen: Callable[[RecordStatistics], None]
) -> RecordingManifest:
    """Record until the time is over or `stop` is set; `seen` is called twice a second.

    Raises ConfigError for a venue or symbol that is none; TransportError or RemoteProtocolError if the
    instruments cannot be had; LocalProtocolError for a refused subscription; OutputError if a file cannot
    be written.
    """
    market = await (_usdm(request) if request.venue == USDM else _bybit(request))
    writer = RecordingWriter(
        request.out,
        kind=market.kind,
        source=market.source,
        instruments=market.instruments,
        file_bytes=request.file_bytes,
    )
    connector = market.connect(writer.add)
    statistics = RecordStatistics(market.instruments)
    try:
        async with running(connector) as ended:
            await _write_while(connector, writer, ended, stop, request.duration_ns, statistics, seen)
        _take_in(connector, writer, statistics)
        return writer.finish("complete")
    except OutputError as error:
        writer.abandon(str(error))
        raise
    except MmbotError as error:
        _take_in(connector, writer, statistics)
        writer.finish("failed", str(error))
        raise


class _Market(NamedTuple):
    """A venue that was asked for its instruments."""

    kind: Literal["recorded", "synthetic"]
    source: str
    instruments: list[Instrument]
    connect: Callable[[Record], Connector]


def kind_of(hosts: Hosts | UsdmHosts) -> Literal["recorded", "synthetic"]:
    """No venue serves without encryption: what comes over plain HTTP is a market that somebody plays."""
    return "recorded" if hosts.rest.startswith("https://") else "synthetic"


async def _bybit(request: RecordRequest) -> _Market:
    if request.venue not in VENUES:
        raise ConfigError(f"venue was {request.venue!r}, expected one of {', '.join((*VENUES, USDM))}")
    hosts, category, clock = bybit_hosts(request.host), VENUES[request.venue], RisingClock()
    fees = bybit.PUBLISHED_FEES[category]
    async with HttpClient(hosts.rest) as http:
        instruments = await fetch_instruments(http, category, request.symbols, fees)

    def connect(record: Record) -> Connector:
        seed = clock() % SECOND
        return PublicConnector(instruments, hosts, record, clock=clock, depth=request.depth, seed=seed)

    source = f"{hosts.public(category)} {', '.join(request.symbols)}, {request.depth} levels"
    return _Market(kind_of(hosts), source, instruments, connect)


async def _usdm(request: RecordRequest) -> _Market:
    hosts, clock = usdm_hosts(request.host), RisingClock()
    async with HttpClient(hosts.rest) as http:
        instruments = await fetch_usdm_instruments(http, request.symbols, PUBLISHED_FEES)

    def connect(record: Record) -> Connector:
        return UsdmConnector(instruments, hosts, record, clock=clock, seed=clock() % SECOND)

    return _Market(kind_of(hosts), f"{hosts.stream} {', '.join(request.symbols)}", instruments, connect)


@contextlib.asynccontextmanager
async def running(connector: Runs) -> AsyncIterator[asyncio.Task[None]]:
    """The connector as a task; closed politely at the end. An error of its own is raised here."""
    task = asyncio.create_task(connector.run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _write_while(
    connector: Connector,
    writer: RecordingWriter,
    ended: asyncio.Task[None],
    stop: asyncio.Event,
    duration_ns: int | None,
    statistics: RecordStatistics,
    seen: Callable[[RecordStatistics], None],
) -> None:
    started_at = stopwatch()
    stopped = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set() and not ended.done():
            left_s = _WRITE_EVERY_S
            if duration_ns is not None:
                left_s = min(left_s, (duration_ns - (stopwatch() - started_at)) / SECOND)
            if left_s <= 0:
                return
            await asyncio.wait({stopped, ended}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            _take_in(connector, writer, statistics)
            await asyncio.to_thread(writer.write, writer.take())
            statistics.elapsed_ns = stopwatch() - started_at
            seen(statistics)
    finally:
        stopped.cancel()


def _take_in(connector: Connector, writer: RecordingWriter, statistics: RecordStatistics) -> None:
    batch = connector.drain()
    writer.saw(batch.events)
    statistics.add(batch)
