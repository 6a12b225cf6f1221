"""Bybit codec: what was encoded decodes to the same, and nothing odd passes in silence."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.errors import ConfigError, MmbotError, RemoteProtocolError
from mmbot.model.events import BookDelta, BookSnapshot, Confirmed, Trade
from mmbot.model.instrument import MOST_STEPS, Contract, Fees, Instrument, Side, formatter, parser
from mmbot.units import MS, Lots, Ns, Ticks
from mmbot.venues.bybit.codec import (
    AliveFrame,
    BookFrame,
    Codec,
    Frame,
    NoteFrame,
    Print,
    TradesFrame,
    category,
    decode,
)
from mmbot.venues.bybit.feed import BybitFeed

RECV = Ns(1_786_310_819_720_003_100)

STEPS = ["0.10", "0.010", "0.0001", "1", "5", "0.5", "0.000001", "0.025"]


def make(
    venue: str = "bybit_linear", tick_size: str = "0.10", lot_size: str = "0.001", symbol: str = "BTCUSDT"
) -> Instrument:
    return Instrument(
        venue=venue,
        symbol=symbol,
        base="BTC",
        quote="USD" if venue == "bybit_inverse" else "USDT",
        tick_size=tick_size,
        lot_size=lot_size,
        min_notional=5.0,
        fees=Fees(tier="vip0", maker_bps=2.0, taker_bps=5.5),
        contract=Contract.INVERSE if venue == "bybit_inverse" else Contract.LINEAR,
    )


instruments = st.builds(
    make,
    venue=st.sampled_from(["bybit_linear", "bybit_spot", "bybit_inverse"]),
    tick_size=st.sampled_from(STEPS),
    lot_size=st.sampled_from(STEPS),
    symbol=st.sampled_from(["BTCUSDT", "1000PEPEUSDT", "BTC-29DEC28"]),
)
counts = st.integers(1, 10**15)
millis = st.integers(1, 4_000_000_000_000)


@st.composite
def book_events(draw: st.DrawFn, key: str) -> BookSnapshot | BookDelta:
    kind = draw(st.sampled_from([BookSnapshot, BookDelta]))
    lots = st.integers(1 if kind is BookSnapshot else 0, MOST_STEPS)
    levels = st.lists(st.tuples(st.integers(1, MOST_STEPS), lots), max_size=8)
    exch_ns = Ns(draw(millis) * MS)
    return kind(key, exch_ns, RECV, draw(levels), draw(levels), draw(counts))


@st.composite
def prints(draw: st.DrawFn, key: str) -> Print:
    trade = Trade(
        key,
        Ns(draw(millis) * MS),
        RECV,
        draw(st.sampled_from(Side)),
        Ticks(draw(st.integers(1, MOST_STEPS))),
        Lots(draw(st.integers(1, MOST_STEPS))),
    )
    words = ["PlusTick", "ZeroPlusTick", "MinusTick", "ZeroMinusTick"]
    return Print(trade, draw(st.text(max_size=12)), draw(counts), draw(st.sampled_from(words)))


@given(data=st.data(), instrument=instruments, depth=st.sampled_from([1, 50, 200, 500]), seq=counts)
def test_a_book_event_survives_the_wire(data, instrument, depth, seq):
    codec = Codec(instrument)
    event = data.draw(book_events(instrument.key))

    payload = codec.encode_book(event, depth=depth, seq=seq, ts_ms=data.draw(millis))

    frame = decode(payload)
    assert isinstance(frame, BookFrame)
    assert (frame.symbol, frame.depth, frame.seq) == (instrument.symbol, depth, seq)
    assert Codec(instrument).book(frame, RECV) == event


@given(data=st.data(), instrument=instruments)
def test_trades_survive_the_wire(data, instrument):
    codec = Codec(instrument)
    some = data.draw(st.lists(prints(instrument.key), min_size=1, max_size=5))

    frame = decode(codec.encode_trades(some, ts_ms=data.draw(millis)))

    assert isinstance(frame, TradesFrame)
    assert Codec(instrument).trades(frame, RECV) == [one.trade for one in some]


@given(step=st.sampled_from(STEPS), stripped=st.booleans(), steps=st.integers(0, MOST_STEPS))
def test_formatting_is_the_inverse_of_parsing(step, stripped, steps):
    assert parser(step, "price")(formatter(step, stripped=stripped)(steps)) == steps


def test_numbers_are_written_as_the_venue_writes_them():
    assert formatter("0.10", stripped=False)(651_142) == "65114.20"
    assert formatter("0.1", stripped=True)(762_000) == "76200"
    assert formatter("0.000001", stripped=True)(99_480) == "0.09948"
    assert formatter("0.001", stripped=False)(1) == "0.001"
    assert formatter("1", stripped=False)(6_200) == "6200"


# Hypothesis draws on the constants of the source too, our ping among them, which is no noise
@given(st.binary(max_size=200).filter(lambda payload: b'"op"' not in payload))
def test_noise_is_a_protocol_error_never_a_crash(payload):
    with pytest.raises(RemoteProtocolError, match="frame was"):
        decode(payload)


BOOK = (
    b'{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1789299658933,"data":{"s":"BTCUSDT",'
    b'"b":[["77140.30","0"]],"a":[["77141.20","0.041"]],"u":3734359,"seq":2189232166},"cts":1789299658878}'
)
TRADE = (
    b'{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1786310819681,"data":[{"T":1786310819680,'
    b'"s":"BTCUSDT","S":"Sell","v":"0.004","p":"65114.20","L":"MinusTick",'
    b'"i":"a9188a0a-82bc-50de-be60-03eedbe3cdd7","BT":false,"RPI":false,"seq":753843954913}]}'
)


@given(st.integers(0, len(BOOK) - 1), st.sampled_from([BOOK, TRADE]))
def test_every_truncation_is_a_protocol_error(length, payload):
    with pytest.raises(RemoteProtocolError):
        decode(payload[:length])


def test_key_order_and_unknown_keys_do_not_matter():
    wire = msgspec.json.decode(BOOK)
    backwards = dict(reversed(list(wire.items()))) | {"new": {"deep": [1, 2]}}

    assert decode(msgspec.json.encode(backwards)) == decode(BOOK)


def test_a_book_is_stamped_by_the_matching_engine_else_by_the_push():
    assert decode(BOOK).venue_ms == 1_789_299_658_878
    assert decode(BOOK.replace(b',"cts":1789299658878', b"")).venue_ms == 1_789_299_658_933


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b'"type":"delta"', b'"type":"patch"'),
        (b'"s":"BTCUSDT"', b'"s":"ETHUSDT"'),
        (b'["77140.30","0"]', b'["77140.30"]'),
        (b'["77140.30","0"]', b'["77140.30",0]'),
        (b'["77140.30","0"]', b'["77140.30","0","0"]'),
        (b'"u":3734359', b'"u":"3734359"'),
        (b'"u":3734359', b'"u":0'),
        (b'"u":3734359,', b""),
        (b'"cts":1789299658878', b'"cts":0'),
        (b'"ts":1789299658933', b'"ts":"1789299658933"'),
        (b'"topic":"orderbook.50.BTCUSDT",', b""),
        (b'"77140.30"', b'"' + b"7" * 40 + b'"'),
    ],
)
def test_a_book_frame_out_of_shape_is_refused(was, becomes):
    assert was in BOOK
    with pytest.raises(RemoteProtocolError):
        decode(BOOK.replace(was, becomes))


def test_a_frame_without_any_time_is_refused():
    bare = BOOK.replace(b',"cts":1789299658878', b"").replace(b'"ts":1789299658933,', b"")
    with pytest.raises(RemoteProtocolError, match="expected cts or ts"):
        decode(bare)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b'"S":"Sell"', b'"S":"sell"'),
        (b'"s":"BTCUSDT"', b'"s":"ETHUSDT"'),
        (b'"type":"snapshot"', b'"type":"delta"'),
        (b'"T":1786310819680', b'"T":0'),
        (b'"BT":false,', b""),
        (b'"v":"0.004"', b'"v":0.004'),
    ],
)
def test_a_trade_frame_out_of_shape_is_refused(was, becomes):
    assert was in TRADE
    with pytest.raises(RemoteProtocolError):
        decode(TRADE.replace(was, becomes))


def test_a_trade_frame_without_trades_is_refused():
    with pytest.raises(RemoteProtocolError):
        decode(b'{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1786310819681,"data":[]}')


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b'{"success":true,"ret_msg":"","conn_id":"d8","req_id":"","op":"subscribe"}', AliveFrame),
        (b'{"success":true,"ret_msg":"subscribe","conn_id":"d9","op":"subscribe"}', AliveFrame),
        (b'{"success":true,"ret_msg":"pong","conn_id":"d9","req_id":"p1","op":"ping"}', AliveFrame),
        (b'{"op":"pong","args":["1675418560633"],"req_id":"1","conn_id":"c"}', AliveFrame),
        (b'{"topic":"tickers.BTCUSDT","type":"delta","data":{"bid1Price":"1"},"cs":1,"ts":1}', AliveFrame),
        (b'{"type":"snapshot","topic":"kline.1.BTCUSDT","data":[{"start":1}],"ts":1}', AliveFrame),
        (b'{"topic":"orderbook.rpi.BTCUSDT","type":"delta","ts":1,"data":{"b":[["1","2","3"]]}}', AliveFrame),
        (b'{"topic":"orderbook.full.BTCUSDT","type":"delta","ts":1,"data":{"b":[]}}', AliveFrame),
        (b'{"_sent":{"op": "subscribe", "args": ["tickers.BTCUSDT"]}}', NoteFrame),
        (b'{"_rest":"https://api.bybit.com/v5/market/time","body":{}}', NoteFrame),
        (BOOK, BookFrame),
        (TRADE, TradesFrame),
    ],
)
def test_kinds_of_frame_are_told_apart(payload: bytes, kind: type[Frame]):
    assert type(decode(payload)) is kind


@pytest.mark.parametrize("payload", [b"{}", b"[]", b"null", b'{"op":"order.create"}', b'{"hello":1}'])
def test_a_frame_of_no_known_kind_is_refused(payload):
    with pytest.raises(RemoteProtocolError, match="expected"):
        decode(payload)


def test_a_refused_subscription_says_what_the_venue_said():
    payload = b'{"success":false,"ret_msg":"Invalid symbol :[orderbook.50.NOSUCHSYM]","op":"subscribe"}'
    with pytest.raises(RemoteProtocolError, match=r"subscribe was refused by the venue: .*NOSUCHSYM"):
        decode(payload)


def test_prices_and_sizes_off_the_grid_are_refused():
    codec = Codec(make())
    with pytest.raises(RemoteProtocolError, match=r"BTCUSDT price was '77140\.35'"):
        codec.book(decode(BOOK.replace(b"77140.30", b"77140.35")), RECV)
    with pytest.raises(RemoteProtocolError, match=r"BTCUSDT size was '0\.0415'"):
        codec.book(decode(BOOK.replace(b"0.041", b"0.0415")), RECV)


def test_nothings_on_the_wire_are_refused():
    codec = Codec(make())
    with pytest.raises(RemoteProtocolError, match="level at price 0"):
        codec.book(decode(BOOK.replace(b"77140.30", b"0.00")), RECV)
    with pytest.raises(RemoteProtocolError, match="snapshot 3734359 had a level of size 0"):
        codec.book(decode(BOOK.replace(b"delta", b"snapshot")), RECV)
    with pytest.raises(RemoteProtocolError, match="expected more than zero"):
        codec.trades(decode(TRADE.replace(b'"0.004"', b'"0.000"')), RECV)


@pytest.mark.parametrize("mark", [b'"BT":true,"RPI":false', b'"BT":false,"RPI":true'])
def test_prints_off_the_book_are_confirmations_whatever_their_price(mark):
    codec = Codec(make())
    payload = TRADE.replace(b'"BT":false,"RPI":false', mark).replace(b"65114.20", b"65114.2345")

    assert codec.trades(decode(payload), RECV) == [Confirmed("bybit_linear:BTCUSDT", RECV)]


def test_a_trade_of_the_time_before_rpi_is_a_trade():
    codec = Codec(make())
    old = TRADE.replace(b',"RPI":false', b"")

    assert codec.trades(decode(old), RECV) == codec.trades(decode(TRADE), RECV)


def test_an_instrument_of_another_venue_has_no_codec():
    with pytest.raises(ConfigError, match="venue was 'binance_spot'"):
        category(make(venue="binance_spot"))


def test_a_time_finer_than_the_wire_cannot_be_encoded():
    event = BookDelta("bybit_linear:BTCUSDT", Ns(1_500_001), RECV, [], [], 7)
    with pytest.raises(ValueError, match="whole milliseconds"):
        Codec(make()).encode_book(event, depth=50, seq=1, ts_ms=2)


def test_the_feed_counts_for_the_venue():
    feed = BybitFeed(make(), 50)
    key = "bybit_linear:BTCUSDT"
    ticks = [10, 10, 12, 12, 11, 11]
    trades = [Trade(key, Ns(MS), RECV, Side.BUY, Ticks(tick), Lots(1)) for tick in ticks]

    wire = msgspec.json.decode(feed.trades(trades))
    book = msgspec.json.decode(feed.frame(BookDelta(key, Ns(MS), RECV, [(5, 0)], [], 9)))

    directions = [one["L"] for one in wire["data"]]
    assert directions == [
        "PlusTick",
        "ZeroPlusTick",
        "PlusTick",
        "ZeroPlusTick",
        "MinusTick",
        "ZeroMinusTick",
    ]
    assert len({one["i"] for one in wire["data"]}) == len(ticks)
    assert book["data"]["seq"] > wire["data"][-1]["seq"]
    assert (book["ts"], book["cts"], book["data"]["u"]) == (1, 1, 9)


def test_the_feed_of_spot_has_numbers_for_ids_and_no_direction():
    feed = BybitFeed(make(venue="bybit_spot"), 50)
    trade = Trade("bybit_spot:BTCUSDT", Ns(MS), RECV, Side.SELL, Ticks(7), Lots(2))

    first, second = (msgspec.json.decode(feed.frame(trade))["data"][0] for _ in range(2))

    assert list(first) == ["i", "T", "p", "v", "S", "seq", "s", "BT", "RPI"]
    assert int(second["i"]) == int(first["i"]) + 1


def test_the_feed_refuses_trades_out_of_time_order():
    late, early = (
        Trade("bybit_linear:BTCUSDT", Ns(ms * MS), RECV, Side.BUY, Ticks(1), Lots(1)) for ms in (2, 1)
    )
    with pytest.raises(ValueError, match="out of time order"):
        BybitFeed(make(), 50).trades([late, early])


def test_protocol_errors_are_reports_not_tracebacks():
    with pytest.raises(MmbotError) as caught:
        decode(b"\xff" * 500)
    assert caught.value.user_error
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1_000
