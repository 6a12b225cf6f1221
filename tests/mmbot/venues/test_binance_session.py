"""The Binance session keeps the venue's rule for a local book: buffer, align, bridge, chain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import NEXO, START_NS, USDM, ms, wire_depth, wire_snapshot, wire_stream, wire_trade

from mmbot.errors import RemoteProtocolError
from mmbot.model.events import (
    BookDelta,
    BookSnapshot,
    BookTrouble,
    Confirmed,
    MarketEvent,
    TopOfBook,
    Trade,
)
from mmbot.model.instrument import Instrument, Side
from mmbot.units import MS, Ns
from mmbot.venues.binance.session import BinanceSession

SNAP = wire_snapshot(100, [["1.200", "5"]], [["1.202", "4"]])


def spot(first_id: int, last_id: int) -> bytes:
    return wire_depth(first_id, last_id, [["1.201", f"{last_id}"]], [])


def futures(first_id: int, last_id: int, pu: int) -> bytes:
    return wire_depth(
        first_id, last_id, [["60000.1", f"{last_id}"]], [], symbol="BTCUSDT", pu=pu, T=START_NS // MS
    )


def received(*payloads: bytes, instrument: Instrument = NEXO) -> list[MarketEvent]:
    """Events of these frames, one a millisecond."""
    session, found = BinanceSession([instrument]), []
    for number, payload in enumerate(payloads):
        found += session.receive(payload, Ns(ms(number)))
    return found


def shape(events: list[MarketEvent]) -> list[str | int]:
    """Update ids of snapshots (S) and deltas, names of troubles, a dot for a sign of life."""
    found: list[str | int] = []
    for event in events:
        match event:
            case BookSnapshot():
                found.append(f"S{event.update_id}")
            case BookDelta():
                found.append(event.update_id)
            case BookTrouble():
                found.append(event.trouble.value)
            case _:
                found.append(".")
    return found


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([SNAP, spot(101, 103), spot(104, 104)], ["S100", 103, 104]),
        ([SNAP, spot(95, 103), spot(104, 104)], ["S100", 103, 104]),
        ([SNAP, spot(90, 100), spot(101, 101)], ["S100", ".", 101]),
        ([SNAP, spot(102, 103)], ["S100", "gap"]),
        ([SNAP, spot(101, 103), spot(105, 106), spot(107, 107)], ["S100", 103, "gap", "."]),
        ([SNAP, spot(101, 103), spot(101, 103), spot(104, 104)], ["S100", 103, "duplicate", 104]),
        ([SNAP, spot(101, 103), spot(99, 99), spot(104, 104)], ["S100", 103, "duplicate", 104]),
        ([SNAP, spot(101, 105), spot(104, 108)], ["S100", 105, "gap"]),
        ([spot(90, 95), spot(96, 101), SNAP, spot(102, 102)], [".", ".", "S100", ".", 101, 102]),
        ([spot(90, 95), SNAP], [".", "S100", "."]),
        ([SNAP, spot(101, 101), SNAP, spot(101, 101)], ["S100", 101, "S100", 101]),
    ],
    ids=[
        "chain",
        "bridge over the snapshot",
        "stale after the snapshot",
        "no bridge",
        "gap",
        "duplicate",
        "old",
        "overlap",
        "buffered bridge",
        "buffered stale",
        "new snapshot",
    ],
)
def test_spot_follows_its_rule(frames: list[bytes], expected: list[str | int]):
    assert shape(received(*frames)) == expected


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([SNAP, futures(95, 103, 90), futures(200, 210, 103)], ["S100", 103, 210]),
        ([SNAP, futures(95, 100, 90), futures(150, 160, 100)], ["S100", 100, 160]),
        ([SNAP, futures(90, 99, 80), futures(100, 104, 99)], ["S100", ".", 104]),
        ([SNAP, futures(101, 103, 100)], ["S100", "gap"]),
        ([SNAP, futures(95, 103, 90), futures(105, 106, 104)], ["S100", 103, "gap"]),
        (
            [SNAP, futures(95, 103, 90), futures(104, 105, 102), futures(106, 107, 105)],
            ["S100", 103, "gap", "."],
        ),
        (
            [SNAP, futures(95, 103, 90), futures(95, 103, 90), futures(104, 106, 103)],
            ["S100", 103, "duplicate", 106],
        ),
        (
            [futures(80, 90, 70), futures(91, 102, 90), SNAP, futures(103, 104, 102)],
            [".", ".", "S100", ".", 102, 104],
        ),
    ],
    ids=[
        "chain on pu alone",
        "bridge ends at it",
        "stale",
        "no bridge",
        "gap",
        "gap behind",
        "duplicate",
        "buffered",
    ],
)
def test_futures_follow_theirs(frames: list[bytes], expected: list[str | int]):
    frames = [wire_snapshot(100, [], []) if frame is SNAP else frame for frame in frames]
    assert shape(received(*frames, instrument=USDM)) == expected


def test_after_a_gap_the_next_snapshot_opens_the_chain_again_with_what_was_buffered():
    frames = [
        SNAP,
        spot(101, 101),
        spot(105, 106),
        spot(107, 108),
        wire_snapshot(105, [], []),
        spot(109, 109),
    ]
    assert shape(received(*frames)) == ["S100", 101, "gap", ".", "S105", 106, 108, 109]


def test_what_was_buffered_is_stamped_when_the_snapshot_came():
    events = received(spot(96, 101), spot(102, 102), SNAP)
    assert [event.recv_ns for event in events] == [ms(0), ms(1), ms(2), ms(2), ms(2)]


def test_a_gap_says_what_was_found_and_after_what():
    *_, spot_gap = received(SNAP, spot(101, 103), spot(105, 106))
    *_, futures_gap = received(
        wire_snapshot(100, [], []), futures(99, 103, 1), futures(105, 106, 9), instrument=USDM
    )
    assert isinstance(spot_gap, BookTrouble)
    assert isinstance(futures_gap, BookTrouble)
    assert spot_gap.detail == "U=105 u=106 after u=103"
    assert futures_gap.detail == "U=105 u=106 pu=9 after u=103"


@given(st.data())
def test_any_stream_with_one_frame_lost_has_one_gap_and_no_delta_after_it(data: st.DataObject):
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=3, max_size=12))
    frames, first = [], 101
    for size in sizes:
        frames.append(spot(first, first + size - 1))
        first += size
    lost = data.draw(st.integers(0, len(frames) - 2))
    found = shape(received(SNAP, *frames[:lost], *frames[lost + 1 :]))
    assert found.count("gap") == 1
    assert found[found.index("gap") + 1 :] == ["."] * (len(frames) - lost - 2)
    assert len([item for item in found if isinstance(item, int)]) == lost


@given(st.data())
def test_any_stream_with_one_frame_twice_has_one_duplicate_and_loses_nothing(data: st.DataObject):
    count = data.draw(st.integers(1, 10))
    frames = [spot(101 + number, 101 + number) for number in range(count)]
    twice = data.draw(st.integers(0, count - 1))
    found = shape(received(SNAP, *frames[: twice + 1], *frames[twice:]))
    assert found.count("duplicate") == 1
    assert [item for item in found if isinstance(item, int)] == [101 + number for number in range(count)]


def test_prices_and_sizes_are_ticks_and_lots():
    events = received(SNAP, wire_depth(101, 101, [["1.201", "0.50"], ["1.199", "0"]], [["1.300", "7.00"]]))
    assert isinstance(events[0], BookSnapshot)
    assert (events[0].bids, events[0].asks) == ([(1_200, 500)], [(1_202, 400)])
    assert isinstance(events[1], BookDelta)
    assert (events[1].bids, events[1].asks) == ([(1_201, 50), (1_199, 0)], [(1_300, 700)])
    assert (events[1].exch_ns, events[1].recv_ns) == (START_NS, ms(1))


@pytest.mark.parametrize(("sold", "taker"), [(True, Side.SELL), (False, Side.BUY)])
def test_a_buyer_who_was_the_maker_means_that_the_taker_sold(taker: Side, *, sold: bool):
    (event,) = received(wire_trade("1.2", "3.5", sold=sold))
    assert event == Trade(NEXO.key, Ns(START_NS), Ns(ms(0)), taker, 1_200, 350)


def test_a_print_that_is_not_from_the_book_is_only_a_sign_of_life():
    frame = wire_trade("60000", "1", sold=True, symbol="BTCUSDT", X="INSURANCE_FUND")
    assert received(frame, instrument=USDM) == [Confirmed(USDM.key, Ns(ms(0)))]


def test_of_two_trade_streams_one_is_believed():
    frames = [wire_trade("1.2", "3.5", sold=True), wire_trade("1.2", "3.5", sold=True, kind="aggTrade")]
    for believed, kinds in (("trade", [Trade, Confirmed]), ("aggTrade", [Confirmed, Trade])):
        session = BinanceSession([NEXO], believed)
        assert [type(session.receive(frame, Ns(ms(0)))[0]) for frame in frames] == kinds


def test_a_book_ticker_is_the_venues_own_statement():
    frame = wire_stream(
        "x@bookTicker", u=7, s="NEXOUSDT", b="1.200", B="5", a="1.202", A="4", T=START_NS // MS
    )
    assert received(frame) == [TopOfBook(NEXO.key, Ns(START_NS), Ns(ms(0)), 1_200, 500, 1_202, 400, 7)]


def test_other_streams_and_notes_confirm_whom_they_concern():
    session = BinanceSession([NEXO, USDM])
    kline, note = wire_stream("x@kline_1m", s="BTCUSDT"), b'{"_sent":{"op":"subscribe"}}'
    assert session.receive(kline, Ns(5)) == [Confirmed(USDM.key, Ns(5))]
    assert session.receive(note, Ns(6)) == [Confirmed(NEXO.key, Ns(6)), Confirmed(USDM.key, Ns(6))]


def test_each_instrument_of_a_connection_has_its_own_chain():
    session = BinanceSession([NEXO, USDM])
    url = "https://x/api/v3/depth?symbol={}&limit=5"
    for instrument in (NEXO, USDM):
        body = b'{"lastUpdateId":100,"bids":[],"asks":[]}'
        wrapped = b'{"_rest":"%s","body":%s}' % (url.format(instrument.symbol).encode(), body)
        (event,) = session.receive(wrapped, Ns(1))
        assert event.symbol == instrument.key
    assert shape(session.receive(spot(105, 106), Ns(2))) == ["gap"]
    assert shape(session.receive(futures(99, 103, 1), Ns(3))) == [103]


@pytest.mark.parametrize(
    "payload", [SNAP, spot(1, 1).replace(b"NEXOUSDT", b"ETHUSDT")], ids=["unnamed", "foreign"]
)
def test_a_frame_of_no_instrument_of_ours_is_refused(payload: bytes):
    with pytest.raises(RemoteProtocolError, match="expected NEXOUSDT, BTCUSDT"):
        BinanceSession([NEXO, USDM]).receive(payload, Ns(1))
