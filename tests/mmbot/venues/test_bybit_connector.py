"""Faults of a market-data connection, over real sockets: what the consumer sees, and how soon.

Times of the fault table (a tick is 150 ms): pulled within a tick of the end, back within five seconds,
silence noticed within its limit and a tick. They are asserted with room for a machine that is busy elsewhere.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from tests.mmbot.venues.loopback_bybit import LoopbackBybit, bybit
from tests.mmbot.venues.test_bybit_session import BTC, DEPTH, ETH, delta, snapshot

from mmbot.clock import RisingClock, stopwatch
from mmbot.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, MarketEvent, Trouble
from mmbot.model.instrument import Fees
from mmbot.model.notes import Happened
from mmbot.net.http import HttpClient
from mmbot.units import MS, SECOND, Ns
from mmbot.venues.bybit.connector import PublicConnector, fetch_instruments
from mmbot.venues.bybit.hosts import hosts
from mmbot.venues.bybit.stream import StreamSettings

pytestmark = pytest.mark.asyncio
BOOK = f"orderbook.{DEPTH}.BTCUSDT"
FEES = Fees("test", 2.0, 5.5)


def fresh(number: int, topics: list[str]) -> Sequence[bytes]:
    """After each subscription a snapshot of its own: update ids 1000, 2000, ..."""
    return [snapshot(1000 * (number + 1))] if BOOK in topics else []


class Consumer:
    """Takes events as they come, and keeps them."""

    def __init__(self, connector: PublicConnector, lines: list[tuple[Ns, bytes]]) -> None:
        self.connector = connector
        self.lines = lines
        self.events: list[MarketEvent] = []
        self.notes: list[Happened] = []

    async def until(self, seen: Callable[[MarketEvent], bool]) -> MarketEvent:
        """The first event from now on of which that holds."""
        start = len(self.events)
        while True:
            for event in self.events[start:]:
                if seen(event):
                    return event
            start = len(self.events)
            await self.connector.arrived.wait()
            batch = self.connector.drain()
            self.events += batch.events
            self.notes += [note.mmbot for _, note in batch.notes]

    async def book(self, update_id: int) -> MarketEvent:
        return await self.until(
            lambda event: isinstance(event, BookSnapshot | BookDelta) and event.update_id == update_id
        )

    async def trouble(self, kind: Trouble) -> BookTrouble:
        event = await self.until(lambda event: isinstance(event, BookTrouble) and event.trouble is kind)
        assert isinstance(event, BookTrouble)
        return event


@asynccontextmanager
async def consuming(venue: LoopbackBybit, **settings: float) -> AsyncIterator[Consumer]:
    """A connector that runs, with its consumer."""
    lines: list[tuple[Ns, bytes]] = []
    connector = PublicConnector(
        [BTC],
        hosts(venue.url),
        lambda *line: lines.append(line),
        clock=RisingClock(),
        depth=DEPTH,
        settings=StreamSettings(**settings),
        look_ns=Ns(5 * MS),
    )
    task = asyncio.create_task(connector.run())
    try:
        async with asyncio.timeout(20):
            yield Consumer(connector, lines)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_closed_socket_pulls_the_book_at_once_and_comes_back_with_a_fresh_one() -> None:
    async with bybit([BTC], fresh) as venue, consuming(venue) as consumer:
        await consumer.book(1000)
        cut_at = stopwatch()
        venue.cut()
        lost = await consumer.trouble(Trouble.LOST)
        pulled_ns = stopwatch() - cut_at
        await consumer.book(2000)
        back_ns = stopwatch() - cut_at

        assert lost.detail == "the socket was closed without a word"
        assert pulled_ns < SECOND
        assert 0.5 * SECOND <= back_ns < 5 * SECOND  # after the first wait, which is 0.5 to 1 s
        assert [request["op"] for request in venue.requests] == ["subscribe", "subscribe"]
        assert consumer.notes == [Happened.CONNECTED, Happened.LOST, Happened.CONNECTED]


async def test_an_open_socket_that_says_nothing_counts_as_closed() -> None:
    async with bybit([BTC], fresh) as venue, consuming(venue, silence_s=0.3) as consumer:
        await consumer.book(1000)
        silent_at = stopwatch()
        venue.silent = True
        lost = await consumer.trouble(Trouble.LOST)
        noticed_ns = stopwatch() - silent_at
        venue.silent = False
        await consumer.book(2000)

    assert lost.detail.startswith("nothing was received for 0.")
    assert 0.2 * SECOND < noticed_ns < 2 * SECOND


async def test_a_venue_that_acknowledges_nothing_is_left() -> None:
    async with bybit([BTC], fresh) as venue:
        venue.silent = True
        async with consuming(venue, answer_s=0.1) as consumer:
            lost = await consumer.trouble(Trouble.LOST)
    assert lost.detail == f"subscribe of {BOOK}, publicTrade.BTCUSDT: no ack came"


async def test_a_gap_is_asked_for_anew_on_the_same_connection() -> None:
    async with bybit([BTC], fresh) as venue, consuming(venue) as consumer:
        await consumer.book(1000)
        await venue.push(delta(1001), delta(1003))
        assert (await consumer.trouble(Trouble.GAP)).detail == "update id was 1003, expected 1002"
        await consumer.book(2000)

        assert len(venue.sockets) == 1
        asked = [(request["op"], request["args"]) for request in venue.requests]
        assert asked[1:] == [("unsubscribe", [BOOK]), ("subscribe", [BOOK])]
        assert consumer.notes == [Happened.CONNECTED, Happened.RESUBSCRIBED]


async def test_a_duplicate_is_counted_and_changes_nothing() -> None:
    async with bybit([BTC], fresh) as venue, consuming(venue) as consumer:
        await consumer.book(1000)
        await venue.push(delta(1001), delta(1001), delta(1002))
        await consumer.book(1002)

    books = [event for event in consumer.events if isinstance(event, BookSnapshot | BookDelta)]
    assert [book.update_id for book in books] == [1000, 1001, 1002]
    troubles = [event.trouble for event in consumer.events if isinstance(event, BookTrouble)]
    assert troubles == [Trouble.DUPLICATE]
    assert [request["op"] for request in venue.requests] == ["subscribe"]


@pytest.mark.parametrize(
    "bad",
    [delta(1001)[:90], delta(1001).replace(b'"1.00"', b'"1e308"'), b'{"topic":"orderbook.2.BTCUSDT"}'],
    ids=["truncated", "out of range", "without data"],
)
async def test_a_frame_that_cannot_be_believed_ends_the_connection_and_is_kept(bad: bytes) -> None:
    async with bybit([BTC], fresh) as venue, consuming(venue) as consumer:
        await consumer.book(1000)
        await venue.push(bad)
        await consumer.trouble(Trouble.LOST)
        await consumer.book(2000)

    recorded = [line for _, line in consumer.lines]
    where = recorded.index(bad)
    assert recorded[where + 1].startswith(b'{"mmbot":"lost","detail":"')
    assert not any(isinstance(event, BookDelta) for event in consumer.events)


async def test_a_restart_of_the_service_replaces_the_book() -> None:
    async with bybit([BTC], fresh) as venue, consuming(venue) as consumer:
        await consumer.book(1000)
        await venue.push(snapshot(1, bids=[(8, 1), (7, 1)]), delta(2, bids=[]))
        await consumer.book(2)
        replaced = [event for event in consumer.events if isinstance(event, BookSnapshot)][-1]
        assert (replaced.update_id, replaced.bids) == (1, [(8, 1), (7, 1)])

        await venue.push(delta(1))  # a restart whose snapshot was lost
        await consumer.trouble(Trouble.GAP)
        await consumer.book(2000)


async def test_a_refused_subscription_ends_the_run() -> None:
    async with bybit([BTC], fresh) as venue:
        venue.refusing = f"Invalid symbol :[{BOOK}]"
        connector = PublicConnector(
            [BTC], hosts(venue.url), lambda *_: None, clock=RisingClock(), depth=DEPTH
        )
        with pytest.raises(LocalProtocolError, match=r"was refused: Invalid symbol :\[orderbook.2.BTCUSDT\]"):
            async with asyncio.timeout(10):
                await connector.run()


async def test_a_venue_that_is_not_there_is_told_and_tried_again() -> None:
    async with bybit([BTC], fresh) as venue:
        gone = venue.url
    connector = PublicConnector([BTC], hosts(gone), lambda *_: None, clock=RisingClock(), depth=DEPTH)
    task = asyncio.create_task(connector.run())
    async with asyncio.timeout(10):
        await connector.arrived.wait()
    ((_, note),) = connector.drain().notes
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert note.mmbot is Happened.UNREACHABLE
    assert "no connection" in note.detail


async def test_instruments_come_from_the_venue_itself() -> None:
    async with bybit([BTC, ETH], fresh) as venue, HttpClient(venue.url) as http:
        found = await fetch_instruments(http, "linear", ["ETHUSDT", "BTCUSDT"], FEES)
        assert [one.key for one in found] == [ETH.key, BTC.key]
        assert (found[1].tick_size, found[1].lot_size, found[1].fees) == (BTC.tick_size, BTC.lot_size, FEES)
        with pytest.raises(ConfigError, match="bybit_linear: NOSUCH: not among the instruments"):
            await fetch_instruments(http, "linear", ["BTCUSDT", "NOSUCH"], FEES)


async def test_a_status_that_is_none_is_told() -> None:
    async with bybit([BTC], fresh) as venue, HttpClient(venue.url) as http:
        http.base_url += "/elsewhere"
        with pytest.raises(RemoteProtocolError, match="HTTP status was 404"):
            await fetch_instruments(http, "linear", ["BTCUSDT"], FEES)
