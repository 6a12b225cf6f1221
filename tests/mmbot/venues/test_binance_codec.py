"""The Binance codec: every kind of line by its kind, and only protocol errors for the rest."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import wire_depth, wire_snapshot, wire_stream, wire_trade

from mmbot.errors import RemoteProtocolError
from mmbot.venues.binance.codec import BookTicker, DepthUpdate, Snapshot, Symbol, TradeMessage, decode

DOCSTRING_FRAME = (
    b'{"stream":"nexousdt@depth@100ms","data":{"e":"depthUpdate","E":1721749183710,"s":"NEXOUSDT",'
    b'"U":134180600,"u":134180600,"b":[["1.18800000","169.66000000"]],"a":[]}}'
)


def test_the_frame_of_the_docstring_is_a_depth_update():
    assert decode(DOCSTRING_FRAME) == (
        "depth",
        DepthUpdate(
            E=1721749183710,
            s="NEXOUSDT",
            U=134180600,
            u=134180600,
            b=[("1.18800000", "169.66000000")],
            a=[],
        ),
    )


def test_futures_depth_carries_its_link_and_the_engines_time():
    _, message = decode(wire_depth(5, 9, [], [], pu=4, T=17))
    assert isinstance(message, DepthUpdate)
    assert (message.pu, message.T) == (4, 17)


@pytest.mark.parametrize("kind", ["trade", "aggTrade"])
def test_both_trade_streams_are_trades(kind: str):
    found, message = decode(wire_trade("1.2", "3", sold=True, kind=kind))
    assert found == kind
    assert isinstance(message, TradeMessage)
    assert (message.p, message.q, message.m, message.X) == ("1.2", "3", True, "MARKET")


def test_a_book_ticker_is_one():
    kind, message = decode(wire_stream("x@bookTicker", u=7, s="X", b="1", B="2", a="3", A="4"))
    assert (kind, message) == ("bookTicker", BookTicker(u=7, s="X", b="1", B="2", a="3", A="4"))


@pytest.mark.parametrize("stream", ["x@kline_1m", "x@markPrice@1s", "!forceOrder"])
def test_another_stream_is_a_bare_symbol(stream: str):
    assert decode(wire_stream(stream, s="X"))[1] == Symbol(s="X")


def test_a_bare_rest_reply_is_a_snapshot_of_no_named_symbol():
    kind, message = decode(wire_snapshot(10, [["1", "2"]], [], T=5))
    assert (kind, message) == ("snapshot:", Snapshot(lastUpdateId=10, bids=[("1", "2")], asks=[], T=5))


def test_a_wrapped_rest_reply_names_its_symbol():
    body = {"lastUpdateId": 10, "bids": [], "asks": []}
    line = {"_rest": "https://fapi.binance.com/fapi/v1/depth?limit=1000&symbol=SUSHIUSDT", "body": body}
    assert decode(msgspec.json.encode(line))[0] == "snapshot:SUSHIUSDT"
    line["_rest"] = "https://fapi.binance.com/fapi/v1/depth?limit=1000"
    assert decode(msgspec.json.encode(line))[0] == "snapshot:"


@pytest.mark.parametrize(
    "line", [{"_rest": "https://x/exchangeInfo", "body": {}}, {"_sent": {"op": "subscribe"}}]
)
def test_another_reply_and_what_we_sent_are_notes(line: dict):
    assert decode(msgspec.json.encode(line)) == ("note", Symbol())


def test_keys_of_later_years_are_ignored():
    _, message = decode(wire_depth(5, 9, [], [], ps="X", st=1))
    assert isinstance(message, DepthUpdate)


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"{", b"[]", b"null", b"7", b"{}", b'{"data":{}}', b"\xff", b'{"stream":"x@trade"}'),
        b'{"stream":"x@depth","data":{"s":"X"}}',
        b'{"stream":"x@depth","data":{"E":1,"s":"X","U":1,"u":1,"b":[["1"]],"a":[]}}',
        b'{"stream":"x@depth","data":{"E":1,"s":"X","U":1,"u":1,"b":[[1,2]],"a":[]}}',
        b'{"lastUpdateId":1}',
        b'{"lastUpdateId":"1","bids":[],"asks":[]}',
        b'{"stream":"x@kline","data":{"s":"\xff\xfe"}}',
        b'{"x":' + b"[" * 100_000,
        DOCSTRING_FRAME[:-1],
    ],
    ids=lambda payload: repr(payload[:40]),
)
def test_anything_else_is_a_protocol_error_in_one_line(payload: bytes):
    with pytest.raises(RemoteProtocolError, match="frame was ") as caught:
        decode(payload)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=80))
def test_no_bytes_make_any_other_error(payload: bytes):
    with pytest.raises(RemoteProtocolError):
        decode(payload)


@given(st.integers(0, len(DOCSTRING_FRAME) - 1), st.integers(0, 255))
def test_a_damaged_byte_makes_a_frame_or_a_protocol_error(position: int, value: int):
    damaged = bytearray(DOCSTRING_FRAME)
    damaged[position] = value
    try:
        kind, _ = decode(bytes(damaged))
    except RemoteProtocolError:
        return
    assert isinstance(kind, str)
