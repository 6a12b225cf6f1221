"""The Binance session against recorded frames: counts, chain, tops and ends as their README state them."""

import gzip
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec
import pytest

from mmbot.book.l2 import L2Book
from mmbot.model.events import (
    BookDelta,
    BookSnapshot,
    BookTrouble,
    MarketEvent,
    TopOfBook,
    Trade,
    Trouble,
)
from mmbot.model.instrument import Contract, Fees, Instrument, Side
from mmbot.recording.reader import Frame, frames
from mmbot.units import Ns
from mmbot.venues.binance.session import BinanceSession


def instrument(venue: str, symbol: str, tick_size: str, lot_size: str) -> Instrument:
    inverted = venue == "binance_coinm"
    return Instrument(
        venue=venue,
        symbol=symbol,
        base=symbol[:3],
        quote="USD",
        tick_size=tick_size,
        lot_size=lot_size,
        min_notional=5.0,
        fees=Fees(tier="regular", maker_bps=2.0, taker_bps=5.0),
        contract=Contract.INVERSE if inverted else Contract.LINEAR,
        contract_value=10.0 if inverted else 1.0,
    )


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a whole capture comes to. `end` is (last id, bid, bid size, ask, ask size), `depth` (bids, asks),
    `traded` (taker buys, taker sells) in lots.
    """

    lines: int
    snapshots: int = 1
    applied: int
    tops: int
    trades: int
    troubles: int = 0
    crossed: int = 0
    shared_ids: int
    unequal_tops: int = 0
    end: tuple[int, ...]
    depth: tuple[int, int] | None = None
    traded: tuple[int, int] | None = None


class Case(msgspec.Struct, frozen=True):
    """One capture and what its README says of it; of the two of 2021 it gives no number of shared ids, theirs
    were counted here.
    """

    files: tuple[str, ...]
    instrument: Instrument
    stated: Facts
    trade_stream: str = "trade"


CASES = {
    "spot_nexousdt": Case(
        files=(
            "binance_spot_nexousdt/nexousdt_20240723.dat.gz",
            "binance_spot_nexousdt/nexousdt_20240724.dat.gz",
        ),
        instrument=instrument("binance_spot", "NEXOUSDT", "0.001", "0.01"),
        stated=Facts(
            lines=114_078,
            applied=68_182,
            tops=33_437,
            shared_ids=12_198,
            trades=12_458,
            end=(134_331_742, 1_221, 2_988, 1_223, 13_167),
            depth=(310, 815),
            traded=(52_431_850, 34_595_218),
        ),
    ),
    "usdm_btcusdt": Case(
        files=(
            "binance_usdm_btcusdt_20240718/btcusdt_20240718.gz",
            "binance_usdm_btcusdt_20240718/btcusdt_20240719.gz",
        ),
        instrument=instrument("binance_usdm", "BTCUSDT", "0.1", "0.001"),
        stated=Facts(
            lines=71_984,
            applied=9_017,
            tops=52_260,
            shared_ids=625,
            trades=10_701,
            end=(4_984_057_064_916, 638_674, 2, 638_675, 5_045),
            depth=(5_276, 5_156),
        ),
    ),
    "usdm_ethusdt": Case(
        files=("binance_eth_3venues_20240808/usdm_ethusdt_20240808.gz",),
        instrument=instrument("binance_usdm", "ETHUSDT", "0.01", "0.001"),
        stated=Facts(
            lines=74_655,
            applied=6_581,
            tops=53_992,
            shared_ids=551,
            trades=14_076,
            end=(5_123_135_545_737, 268_138, 8_486, 268_139, 22_624),
        ),
    ),
    "spot_ethusdt": Case(
        files=(
            "binance_eth_3venues_20240808/spot_ethusdt_20240808.gz",
            "binance_eth_3venues_20240808/spot_ethusdt_20240809.gz",
        ),
        instrument=instrument("binance_spot", "ETHUSDT", "0.01", "0.00001"),
        stated=Facts(
            lines=79_744,
            applied=6_468,
            tops=58_758,
            shared_ids=1_056,
            trades=14_515,
            end=(35_346_924_199, 267_760, 1_304_490, 267_761, 452_320),
        ),
    ),
    "coinm_ethusd": Case(
        files=(
            "binance_eth_3venues_20240808/cm_ethusd_perp_20240808.gz",
            "binance_eth_3venues_20240808/cm_ethusd_perp_20240809.gz",
        ),
        instrument=instrument("binance_coinm", "ETHUSD_PERP", "0.01", "1"),
        stated=Facts(
            lines=78_314,
            applied=39_133,
            tops=35_563,
            shared_ids=2_278,
            trades=3_595,
            end=(1_007_206_781_958, 267_700, 567, 267_701, 7_991),
        ),
    ),
    "usdm_sushiusdt": Case(
        files=("binance_usdm_20210722/sushiusdt.dat.gz",),
        instrument=instrument("binance_usdm", "SUSHIUSDT", "0.001", "1"),
        stated=Facts(
            lines=623,
            applied=252,
            tops=305,
            shared_ids=12,
            trades=40,
            end=(600_860_425_198, 7_612, 303, 7_616, 267),
        ),
        trade_stream="aggTrade",
    ),
    "usdm_ctkusdt": Case(
        files=("binance_usdm_20210722/ctkusdt.dat.gz",),
        instrument=instrument("binance_usdm", "CTKUSDT", "0.00001", "1"),
        stated=Facts(
            lines=401,
            applied=180,
            tops=145,
            shared_ids=18,
            trades=38,
            end=(600_860_423_222, 101_100, 1_698, 101_200, 10_123),
        ),
        trade_stream="aggTrade",
    ),
}
SMALL = "usdm_sushiusdt"


def recorded(case: Case, data_dir: Path) -> Iterator[Frame]:
    return frames([data_dir / file for file in case.files])


def events(case: Case, stream: Iterator[Frame] | list[Frame]) -> Iterator[MarketEvent]:
    session = BinanceSession([case.instrument], case.trade_stream)
    for frame in stream:
        yield from session.receive(frame.payload, frame.recv_ns)


def rebuilt(case: Case, data_dir: Path) -> Facts:
    """Play the capture into a book, and hold each statement of the venue's own top against it."""
    session, book = BinanceSession([case.instrument], case.trade_stream), L2Book()
    kinds: Counter[str] = Counter()
    tops_by_id: dict[int, set[tuple[int, ...]]] = {}
    book_by_id: dict[int, tuple[int, ...]] = {}
    lines = crossed = last_id = 0
    traded = {Side.BUY: 0, Side.SELL: 0}
    for frame in recorded(case, data_dir):
        lines += 1
        for event in session.receive(frame.payload, frame.recv_ns):
            kinds[type(event).__name__] += 1
            match event:
                case TopOfBook():
                    top = (event.bid_tick, event.bid_lots, event.ask_tick, event.ask_lots)
                    tops_by_id.setdefault(event.update_id, set()).add(top)
                case Trade():
                    traded[event.side] += event.lots
                case BookSnapshot() | BookDelta():
                    change = book.replace if isinstance(event, BookSnapshot) else book.apply
                    change(event.bids, event.asks)
                    crossed += book.crossed
                    last_id = event.update_id
                    book_by_id[last_id] = touch(book)
    shared = [update_id for update_id in book_by_id if update_id in tops_by_id]
    return Facts(
        lines=lines,
        snapshots=kinds["BookSnapshot"],
        applied=kinds["BookDelta"],
        tops=kinds["TopOfBook"],
        trades=kinds["Trade"],
        troubles=kinds["BookTrouble"],
        crossed=crossed,
        shared_ids=len(shared),
        unequal_tops=sum({book_by_id[update_id]} != tops_by_id[update_id] for update_id in shared),
        end=(last_id, *touch(book)),
        depth=(len(book.bids), len(book.asks)) if case.stated.depth else None,
        traded=(traded[Side.BUY], traded[Side.SELL]) if case.stated.traded else None,
    )


def touch(book: L2Book) -> tuple[int, ...]:
    bid, ask = book.best_bid, book.best_ask
    assert bid is not None
    assert ask is not None
    return bid, book.bids[bid], ask, book.asks[ask]


@pytest.mark.parametrize("name", CASES)
def test_a_capture_is_rebuilt_as_its_readme_states(name: str, data_dir: Path):
    """No gap, no duplicate, never crossed, every count, and the venue's own top at every shared update id."""
    assert rebuilt(CASES[name], data_dir) == CASES[name].stated


@pytest.fixture
def small(data_dir: Path) -> list[Frame]:
    return list(recorded(CASES[SMALL], data_dir))


def depths(stream: list[Frame]) -> list[int]:
    """Positions of the depth frames that are applied: those after the snapshot and its alignment."""
    found = [number for number, frame in enumerate(stream) if b"@depth" in frame.payload[:60]]
    snapshot = next(number for number, frame in enumerate(stream) if b"lastUpdateId" in frame.payload)
    return [number for number in found if number > snapshot][4:]


def book_events(stream: list[Frame]) -> list[MarketEvent]:
    return [
        event
        for event in events(CASES[SMALL], stream)
        if isinstance(event, BookSnapshot | BookDelta | BookTrouble)
    ]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_lost_frame_is_exactly_one_gap_and_no_further_delta(small: list[Frame], share: float):
    chain = depths(small)
    lost = chain[int(share * (len(chain) - 2))]
    whole, found = book_events(small), book_events(small[:lost] + small[lost + 1 :])
    assert isinstance(found[-1], BookTrouble)
    assert found[-1].trouble is Trouble.GAP
    assert found[:-1] == whole[: len(found) - 1]
    assert len(found) < len(whole)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_frame_that_came_twice_is_a_duplicate_and_the_book_goes_on(small: list[Frame], share: float):
    chain = depths(small)
    twice = chain[int(share * (len(chain) - 1))]
    found = book_events(small[: twice + 1] + small[twice:])
    troubles = [event for event in found if isinstance(event, BookTrouble)]
    assert [trouble.trouble for trouble in troubles] == [Trouble.DUPLICATE]
    found.remove(troubles[0])
    assert found == book_events(small)


def test_without_its_snapshot_a_capture_has_no_book(small: list[Frame]):
    rest = [frame for frame in small if b"lastUpdateId" not in frame.payload]
    assert book_events(rest) == []


@pytest.mark.parametrize(
    ("name", "digits", "unit_ns"), [("spot_nexousdt", 16, 1_000), ("usdm_btcusdt", 19, 1)]
)
def test_receive_times_are_read_in_nanoseconds_from_either_unit(
    name: str, digits: int, unit_ns: int, data_dir: Path
):
    (first,) = islice(recorded(CASES[name], data_dir), 1)
    with gzip.open(data_dir / CASES[name].files[0]) as file:
        assert first.recv_ns == Ns(unit_ns * int(file.read(digits)))
