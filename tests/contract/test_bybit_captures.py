"""The Bybit codec and session against recorded frames: counts, chain, depth and tops as the captures' README
states them."""

import gzip
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, Confirmed, MarketEvent, Trade, Trouble
from mmbot.model.instrument import Fees, Instrument
from mmbot.units import MS, Ns
from mmbot.venues.bybit.codec import BookFrame, Codec, Print, TradesFrame, decode
from mmbot.venues.bybit.session import BybitSession

DATA = Path(__file__).parents[2].parent / "shared" / "data"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no captures at {DATA}")


def instrument(venue: str, symbol: str, tick_size: str, lot_size: str) -> Instrument:
    return Instrument(
        venue=venue,
        symbol=symbol,
        base=symbol.removesuffix("USDT"),
        quote="USDT",
        tick_size=tick_size,
        lot_size=lot_size,
        min_notional=5.0,
        fees=Fees(tier="vip0", maker_bps=2.0, taker_bps=5.5),
    )


class Case(msgspec.Struct, frozen=True):
    """One capture and what its README says of it."""

    file: str
    instrument: Instrument
    deltas: int
    trades: int
    others: int
    end_id: int
    end_bid: int
    end_ask: int


CASES = [
    Case(
        file="linear_btcusdt",
        instrument=instrument("bybit_linear", "BTCUSDT", "0.10", "0.001"),
        deltas=413,
        trades=56,
        others=1 + 184 + 22 + 1,
        end_id=15_077_365,
        end_bid=651_142,
        end_ask=651_143,
    ),
    Case(
        file="linear_solusdt",
        instrument=instrument("bybit_linear", "SOLUSDT", "0.010", "0.1"),
        deltas=382,
        trades=165,
        others=1 + 192 + 25 + 1,
        end_id=13_783_705,
        end_bid=7_726,
        end_ask=7_727,
    ),
    Case(
        file="spot_btcusdt",
        instrument=instrument("bybit_spot", "BTCUSDT", "0.1", "0.000001"),
        deltas=299,
        trades=11,
        others=41 + 15 + 1,
        end_id=62_505_723,
        end_bid=651_404,
        end_ask=651_405,
    ),
]
XRP = instrument("bybit_linear", "XRPUSDT", "0.0001", "1")

each_capture = pytest.mark.parametrize("case", CASES, ids=[case.file for case in CASES])


def lines(case: Case) -> Iterator[tuple[Ns, bytes]]:
    with gzip.open(DATA / "bybit_v5_20260809" / f"{case.file}.dat.gz") as capture:
        for line in capture:
            stamp, _, payload = line.partition(b" ")
            yield Ns(int(stamp)), payload.rstrip(b"\n")


def archive() -> Iterator[tuple[Ns, bytes]]:
    """The archive has no receive time: its `ts` stands for it."""
    path = DATA / "bybit_ob500_archive_sample" / "2024-12-01_XRPUSDT_ob500.data"
    for payload in path.read_bytes().splitlines():
        yield Ns(msgspec.json.decode(payload)["ts"] * MS), payload


def replay(session: BybitSession, frames: Iterator[tuple[Ns, bytes]]) -> list[MarketEvent]:
    return [event for recv_ns, payload in frames for event in session.receive(payload, recv_ns)]


class Book:
    """A plain book of its own, against which the session's claims are checked."""

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}

    def apply(self, event: BookSnapshot | BookDelta) -> None:
        if isinstance(event, BookSnapshot):
            self.bids.clear()
            self.asks.clear()
        for side, levels in ((self.bids, event.bids), (self.asks, event.asks)):
            side.update(levels)
            for tick, lots in levels:
                if not lots:
                    del side[tick]


def rebuild(events: list[MarketEvent], depth: int) -> Book:
    book = Book()
    for event in events:
        if isinstance(event, BookSnapshot | BookDelta):
            book.apply(event)
            assert (len(book.bids), len(book.asks)) == (depth, depth)
            assert max(book.bids) < min(book.asks)
    return book


@each_capture
def test_every_frame_of_a_capture_is_told_apart(case):
    events = replay(BybitSession([case.instrument], 200), lines(case))

    counts = Counter(type(event).__name__ for event in events)
    assert counts == {
        "BookSnapshot": 1,
        "BookDelta": case.deltas,
        "Trade": case.trades,
        "Confirmed": case.others,
    }
    assert {event.symbol for event in events} == {case.instrument.key}


@each_capture
def test_the_book_of_a_capture_ends_where_its_readme_says(case):
    events = replay(BybitSession([case.instrument], None), lines(case))

    book = rebuild(events, 200)
    last = [event for event in events if isinstance(event, BookDelta)][-1]
    assert (last.update_id, max(book.bids), min(book.asks)) == (case.end_id, case.end_bid, case.end_ask)


@each_capture
def test_trades_are_in_time_order_and_never_after_their_push(case):
    trades = [
        event
        for event in replay(BybitSession([case.instrument], 200), lines(case))
        if isinstance(event, Trade)
    ]

    assert [trade.exch_ns for trade in trades] == sorted(trade.exch_ns for trade in trades)
    assert all(trade.lots > 0 and trade.exch_ns < trade.recv_ns for trade in trades)


@each_capture
def test_encoding_gives_back_the_very_bytes_of_the_venue(case):
    codec = Codec(case.instrument)
    compared = 0
    for recv_ns, payload in lines(case):
        frame = decode(payload)
        if isinstance(frame, BookFrame | TradesFrame):
            assert again(codec, frame, payload, recv_ns) == payload
            compared += 1
    assert compared > case.deltas


def again(codec: Codec, frame: BookFrame | TradesFrame, payload: bytes, recv_ns: Ns) -> bytes:
    """Decoded and encoded; what events do not carry is read from the frame apart."""
    wire = msgspec.json.decode(payload)
    if isinstance(frame, BookFrame):
        event = codec.book(frame, recv_ns)
        return codec.encode_book(event, depth=frame.depth, seq=frame.seq, ts_ms=wire["ts"])
    prints = [
        Print(trade, one["i"], one["seq"], one.get("L", "PlusTick"))
        for trade, one in zip(codec.trades(frame, recv_ns), wire["data"], strict=True)
        if isinstance(trade, Trade)
    ]
    return codec.encode_trades(prints, ts_ms=wire["ts"])


def test_the_downloadable_archive_reads_like_the_stream():
    events = replay(BybitSession([XRP], 500), archive())

    assert Counter(type(event).__name__ for event in events) == {"BookSnapshot": 1, "BookDelta": 49}
    rebuild(events, 500)


def test_the_archive_encodes_back_to_its_very_bytes():
    codec = Codec(XRP)
    for recv_ns, payload in archive():
        frame = decode(payload)
        assert isinstance(frame, BookFrame)
        assert again(codec, frame, payload, recv_ns) == payload


@each_capture
def test_a_lost_delta_ends_the_book_at_once_and_for_good(case):
    session = BybitSession([case.instrument], 200)
    deltas = -1  # the first book frame is the snapshot
    found = []
    for recv_ns, payload in lines(case):
        deltas += isinstance(decode(payload), BookFrame)
        if isinstance(decode(payload), BookFrame) and deltas == 100:
            continue
        found += [
            event for event in session.receive(payload, recv_ns) if not isinstance(event, Trade | Confirmed)
        ]

    troubles = [event.trouble for event in found if isinstance(event, BookTrouble)]
    assert troubles == [Trouble.GAP] + [Trouble.BEFORE_SNAPSHOT] * (case.deltas - 101)
    assert not any(isinstance(event, BookDelta) for event in found[100:])


@each_capture
def test_every_delta_delivered_twice_is_refused_once(case):
    session = BybitSession([case.instrument], 200)
    events = []
    for recv_ns, payload in lines(case):
        events += session.receive(payload, recv_ns)
        if b'"delta"' in payload and isinstance(decode(payload), BookFrame):
            events += session.receive(payload, recv_ns)

    troubles = [event.trouble for event in events if isinstance(event, BookTrouble)]
    assert troubles == [Trouble.DUPLICATE] * case.deltas
    assert max(rebuild(events, 200).bids) == case.end_bid


@each_capture
def test_a_capture_that_lost_its_snapshot_yields_no_book(case):
    session = BybitSession([case.instrument], 200)
    events = []
    for recv_ns, payload in lines(case):
        frame = decode(payload)
        if not (isinstance(frame, BookFrame) and frame.is_snapshot):
            events += session.receive(payload, recv_ns)

    troubles = [event.trouble for event in events if isinstance(event, BookTrouble)]
    assert troubles == [Trouble.BEFORE_SNAPSHOT] * case.deltas
    assert not any(isinstance(event, BookDelta) for event in events)
