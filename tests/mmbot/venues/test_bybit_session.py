"""Bybit session: the book rule, one clause a test, on a two-level book that fits on a line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.errors import ConfigError, RemoteProtocolError
from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, Confirmed, MarketEvent, Trade, Trouble
from mmbot.model.instrument import Fees, Instrument, Side
from mmbot.units import MS, Ns
from mmbot.venues.bybit.codec import Codec, Print
from mmbot.venues.bybit.session import BybitSession, topics

DEPTH = 2
RECV = Ns(1_786_310_819_720_003_100)
EXCH = Ns(1_786_310_819_700 * MS)


def make(symbol: str, venue: str = "bybit_linear") -> Instrument:
    return Instrument(
        venue=venue,
        symbol=symbol,
        base=symbol.removesuffix("USDT"),
        quote="USDT",
        tick_size="0.10",
        lot_size="0.001",
        min_notional=5.0,
        fees=Fees(tier="vip0", maker_bps=2.0, taker_bps=5.5),
    )


BTC = make("BTCUSDT")
ETH = make("ETHUSDT")
PONG = b'{"success":true,"ret_msg":"pong","conn_id":"d9","req_id":"p1","op":"ping"}'


def snapshot(
    update_id: int = 100, *, instrument: Instrument = BTC, depth: int = DEPTH, **sides: object
) -> bytes:
    sides = {"bids": [(10, 5), (9, 5)], "asks": [(11, 5), (12, 5)]} | sides
    event = BookSnapshot(instrument.key, EXCH, RECV, update_id=update_id, **sides)
    return Codec(instrument).encode_book(event, depth=depth, seq=update_id, ts_ms=EXCH // MS)


def delta(update_id: int, *, instrument: Instrument = BTC, depth: int = DEPTH, **sides: object) -> bytes:
    sides = {"bids": [(10, 6)], "asks": []} | sides
    event = BookDelta(instrument.key, EXCH, RECV, update_id=update_id, **sides)
    return Codec(instrument).encode_book(event, depth=depth, seq=update_id, ts_ms=EXCH // MS)


def trade(*ids: str, instrument: Instrument = BTC) -> bytes:
    event = Trade(instrument.key, EXCH, RECV, Side.SELL, 10, 3)
    prints = [Print(event, told, 1, "PlusTick") for told in ids or ["1"]]
    return Codec(instrument).encode_trades(prints, ts_ms=EXCH // MS)


def feed(*payloads: bytes, instruments: tuple[Instrument, ...] = (BTC,)) -> list[MarketEvent]:
    session = BybitSession(instruments, DEPTH)
    return [event for payload in payloads for event in session.receive(payload, RECV)]


def kinds(events: list[MarketEvent]) -> list[object]:
    """Event types, and for troubles which."""
    return [event.trouble if isinstance(event, BookTrouble) else type(event) for event in events]


def test_snapshot_then_deltas_pass_in_full():
    found = feed(snapshot(100), delta(101), delta(102))

    assert found == [
        BookSnapshot(BTC.key, EXCH, RECV, [(10, 5), (9, 5)], [(11, 5), (12, 5)], 100),
        BookDelta(BTC.key, EXCH, RECV, [(10, 6)], [], 101),
        BookDelta(BTC.key, EXCH, RECV, [(10, 6)], [], 102),
    ]


def test_a_delta_before_any_snapshot_is_refused_by_name():
    found = feed(delta(101))

    assert found == [
        BookTrouble(
            BTC.key, EXCH, RECV, Trouble.BEFORE_SNAPSHOT, "update id was 101, expected a snapshot first"
        )
    ]


def test_a_gap_breaks_the_book_until_the_next_snapshot():
    found = feed(snapshot(100), delta(102), delta(103), delta(104), snapshot(105), delta(106))

    assert kinds(found) == [
        BookSnapshot,
        Trouble.GAP,
        Trouble.BEFORE_SNAPSHOT,
        Trouble.BEFORE_SNAPSHOT,
        BookSnapshot,
        BookDelta,
    ]
    assert found[1].detail == "update id was 102, expected 101"


def test_duplicates_are_dropped_and_the_chain_goes_on():
    found = feed(snapshot(100), delta(100), delta(101), delta(101), delta(99), delta(102))

    assert kinds(found) == [
        BookSnapshot,
        Trouble.DUPLICATE,
        BookDelta,
        Trouble.DUPLICATE,
        Trouble.DUPLICATE,
        BookDelta,
    ]


def test_a_print_that_was_told_before_is_no_second_trade():
    found = feed(trade("1", "2"), trade("1", "2"), trade("2", "3"), trade("1"))
    assert kinds(found) == [Trade, Trade, Confirmed, Trade, Confirmed]


def test_ids_of_prints_are_remembered_in_a_bounded_number():
    session = BybitSession((BTC,), DEPTH)
    for told in range(1_500):
        session.receive(trade(str(told)), RECV)
    (book,) = session._books.values()
    assert list(book._told) == [str(told) for told in range(500, 1_500)]


def test_a_restart_snapshot_replaces_the_book_and_starts_a_new_chain():
    found = feed(
        snapshot(100), delta(101), snapshot(1, bids=[(7, 1), (6, 1)], asks=[(8, 1), (9, 1)]), delta(2)
    )

    assert kinds(found) == [
        BookSnapshot,
        BookDelta,
        BookSnapshot,
        Trouble.DEPTH,
    ]  # bid 10 is a third level now
    assert kinds(feed(snapshot(100), snapshot(1), delta(2))) == [BookSnapshot, BookSnapshot, BookDelta]


def test_a_restart_whose_snapshot_never_came_is_a_gap_and_no_duplicate():
    found = feed(snapshot(100), delta(1), delta(2), delta(101))

    assert kinds(found) == [
        BookSnapshot,
        Trouble.GAP,
        Trouble.BEFORE_SNAPSHOT,
        Trouble.BEFORE_SNAPSHOT,
    ]
    assert "restart" in found[1].detail


def test_the_same_snapshot_again_is_taken_as_level_one_does_when_idle():
    assert kinds(feed(snapshot(100), snapshot(100), delta(101))) == [BookSnapshot, BookSnapshot, BookDelta]


@pytest.mark.parametrize(
    "sides",
    [
        {"bids": [(10, 0)], "asks": []},
        {"bids": [(8, 1)], "asks": []},
        {"bids": [], "asks": [(13, 4)]},
        {"bids": [(10, 0), (9, 0)], "asks": [(11, 0), (12, 0)]},
    ],
)
def test_another_number_of_levels_breaks_the_book(sides):
    found = feed(snapshot(100), delta(101, **sides), delta(102), snapshot(103), delta(104))

    assert kinds(found) == [BookSnapshot, Trouble.DEPTH, Trouble.BEFORE_SNAPSHOT, BookSnapshot, BookDelta]


@pytest.mark.parametrize("tick", [11, 12, 13])
def test_a_crossed_or_locked_book_breaks(tick):
    found = feed(snapshot(100), delta(101, bids=[(9, 0), (tick, 1)]), delta(102))

    assert kinds(found) == [BookSnapshot, Trouble.CROSSED, Trouble.BEFORE_SNAPSHOT]
    assert found[1].detail == f"best bid was {tick} ticks, expected less than best ask 11"


def test_a_book_crossed_by_the_ask_side_breaks_too():
    found = feed(snapshot(100), delta(101, bids=[], asks=[(12, 0), (9, 1)]))

    assert kinds(found) == [BookSnapshot, Trouble.CROSSED]


def test_a_snapshot_may_not_be_thin_or_crossed_either():
    assert kinds(feed(snapshot(100, bids=[(10, 5)]), delta(101))) == [Trouble.DEPTH, Trouble.BEFORE_SNAPSHOT]
    assert kinds(feed(snapshot(100, bids=[(11, 5), (9, 5)]))) == [Trouble.CROSSED]


def test_a_level_that_moves_out_and_in_keeps_the_best_right():
    found = feed(
        snapshot(100),
        delta(101, bids=[(10, 0), (8, 1)]),
        delta(102, bids=[(8, 0), (10, 1)]),
        delta(103, bids=[], asks=[(11, 0), (13, 1)]),
        delta(104, bids=[(9, 0), (11, 1)], asks=[]),
    )

    assert kinds(found) == [BookSnapshot] + [BookDelta] * 4


def test_one_instrument_in_trouble_does_not_touch_another():
    found = feed(
        snapshot(100),
        snapshot(500, instrument=ETH),
        delta(105),
        delta(501, instrument=ETH),
        instruments=(BTC, ETH),
    )

    assert kinds(found) == [BookSnapshot, BookSnapshot, Trouble.GAP, BookDelta]
    assert [event.symbol for event in found] == [BTC.key, ETH.key, BTC.key, ETH.key]


def test_a_trade_carries_the_takers_side_and_the_matching_time():
    assert feed(trade()) == [Trade(BTC.key, EXCH, RECV, Side.SELL, 10, 3)]


def test_any_other_frame_confirms_every_instrument():
    ticker = b'{"topic":"tickers.BTCUSDT","type":"delta","data":{},"cs":1,"ts":1}'
    found = feed(PONG, ticker, instruments=(BTC, ETH))

    assert found == [Confirmed(BTC.key, RECV), Confirmed(ETH.key, RECV)] * 2


def test_what_the_client_sent_is_no_event():
    assert feed(b'{"_sent":{"op": "subscribe", "args": ["tickers.BTCUSDT"]}}') == []


@pytest.mark.parametrize("payload", [snapshot(100, instrument=ETH), trade(instrument=ETH)])
def test_an_instrument_that_was_not_asked_for_is_an_error(payload):
    with pytest.raises(RemoteProtocolError, match="symbol was 'ETHUSDT', expected one of BTCUSDT"):
        feed(payload)


def test_a_book_of_another_depth_is_an_error():
    with pytest.raises(RemoteProtocolError, match="book depth was 50, expected 2 for BTCUSDT"):
        feed(snapshot(100, depth=50))


def test_without_a_given_depth_the_first_frame_sets_it():
    session = BybitSession([BTC], None)

    assert kinds(session.receive(snapshot(100), RECV)) == [BookSnapshot]
    with pytest.raises(RemoteProtocolError, match="book depth was 3, expected 2"):
        session.receive(delta(101, depth=3), RECV)


def test_broken_json_is_an_error_and_leaves_the_chain_as_it_was():
    session = BybitSession([BTC], DEPTH)
    session.receive(snapshot(100), RECV)

    with pytest.raises(RemoteProtocolError, match="expected a Bybit v5 message"):
        session.receive(delta(101)[:-1], RECV)
    with pytest.raises(RemoteProtocolError, match="price was"):
        session.receive(delta(101).replace(b'"1.00"', b'"1.05"'), RECV)

    assert kinds(session.receive(delta(101), RECV)) == [BookDelta]


def test_a_connection_has_one_category_and_each_instrument_once():
    with pytest.raises(ConfigError, match=r"categories \['linear', 'spot'\]"):
        BybitSession([BTC, make("ETHUSDT", "bybit_spot")], DEPTH)
    with pytest.raises(ConfigError, match=r"categories \[\]"):
        BybitSession([], DEPTH)
    with pytest.raises(ConfigError, match="twice"):
        BybitSession([BTC, BTC], DEPTH)


def test_the_topics_are_book_and_trades_of_each():
    assert topics([BTC, make("ETHUSDT")], 50) == [
        *("orderbook.50.BTCUSDT", "publicTrade.BTCUSDT"),
        *("orderbook.50.ETHUSDT", "publicTrade.ETHUSDT"),
    ]


def test_a_lost_connection_ends_every_chain_until_the_next_snapshot():
    eth = make("ETHUSDT")
    session = BybitSession([BTC, eth], DEPTH)
    session.receive(snapshot(100), RECV)

    told = session.receive(b'{"mmbot":"lost","detail":"cut"}', RECV)

    assert told == [BookTrouble(instrument.key, RECV, RECV, Trouble.LOST, "cut") for instrument in (BTC, eth)]
    (late,) = session.receive(delta(101), RECV)
    assert isinstance(late, BookTrouble)
    assert late.trouble is Trouble.BEFORE_SNAPSHOT
    assert kinds(session.receive(snapshot(7), RECV)) == [BookSnapshot]


@pytest.mark.parametrize("kind", ["connected", "unreachable", "resubscribed"])
def test_other_notes_say_nothing_of_the_market(kind):
    session = BybitSession([BTC], DEPTH)
    session.receive(snapshot(100), RECV)

    assert session.receive(f'{{"mmbot":"{kind}"}}'.encode(), RECV) == []
    assert kinds(session.receive(delta(101), RECV)) == [BookDelta]


@pytest.mark.parametrize("note", [b'{"mmbot":"found"}', b'{"mmbot":"lost","at":1}', b'{"mmbot":"lo'])
def test_a_note_of_no_known_kind_is_refused(note):
    with pytest.raises(RemoteProtocolError, match="note was"):
        BybitSession([BTC], DEPTH).receive(note, RECV)


levels = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 3)), max_size=4)
steps = st.lists(st.tuples(st.sampled_from([0, 1, 1, 1, 1, 2]), levels, levels), max_size=12)


@given(steps)
def test_the_session_agrees_with_a_plain_book(changes):
    """The model: dicts, and every check done from nothing after every message."""
    session = BybitSession([BTC], DEPTH)
    session.receive(snapshot(100), RECV)
    book = {"b": {10: 5, 9: 5}, "a": {11: 5, 12: 5}}
    last: int | None = 100
    update_id = 100
    for step, bids, asks in changes:
        update_id += step
        found = kinds(session.receive(delta(update_id, bids=bids, asks=asks), RECV))
        assert found == [expected(last, update_id, book, bids, asks)]
        last = update_id if found == [BookDelta] else last if found == [Trouble.DUPLICATE] else None


def expected(
    last: int | None,
    update_id: int,
    book: dict[str, dict[int, int]],
    bids: list[tuple[int, int]],
    asks: list[tuple[int, int]],
) -> object:
    if last is None:
        return Trouble.BEFORE_SNAPSHOT
    if update_id <= last:
        return Trouble.DUPLICATE
    if update_id > last + 1:
        return Trouble.GAP
    for side, changed in (("b", bids), ("a", asks)):
        for tick, lots in changed:
            book[side][tick] = lots
        book[side] = {tick: lots for tick, lots in book[side].items() if lots}
    if not len(book["b"]) == len(book["a"]) == DEPTH:
        return Trouble.DEPTH
    return Trouble.CROSSED if max(book["b"]) >= min(book["a"]) else BookDelta
