"""Orders to Bybit: the exact bytes, what came of each, and what every code proves."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, linear

from mmbot.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from mmbot.model.account import Asked, Outcome, RequestAnswer
from mmbot.model.commands import AmendOrder, CancelOrder, OrderBatch, SubmitOrder
from mmbot.model.instrument import Side, parser
from mmbot.units import Lots, Ns, Ticks
from mmbot.venues.bybit.orders import (
    Operation,
    OrderWriter,
    answers,
    outcome,
    rest_answers,
    rest_reply,
)

RECV = Ns(START_NS)
BTC = linear(symbol="BTCUSDT", base="BTC", tick_size="0.10", lot_size="0.001")
SPOT = linear(venue="bybit_spot", symbol="BTCUSDT", base="BTC", tick_size="0.01", lot_size="0.000001")
WRITER = OrderWriter([BTC, SPOT])


def submit(number: int = 1, **changes: Any) -> SubmitOrder:
    facts: dict[str, Any] = {
        "symbol": BTC.key,
        "client_id": f"mmA-{number}",
        "side": Side.BUY,
        "tick": Ticks(500_000),
        "lots": Lots(1),
    }
    return SubmitOrder(**facts | changes)


def cancel(number: int = 1, **changes: Any) -> CancelOrder:
    return CancelOrder(**{"symbol": BTC.key, "client_id": f"mmA-{number}"} | changes)


def batch(*orders: SubmitOrder | CancelOrder) -> OrderBatch:
    return OrderBatch(BTC.key, orders)


def test_a_create():
    request = WRITER.request(submit())
    assert request.body == (
        '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","timeInForce":"PostOnly",'
        '"qty":"0.001","price":"50000","orderLinkId":"mmA-1"}'
    )
    assert (request.operation.path, request.client_ids) == ("/v5/order/create", ("mmA-1",))


def test_a_cancel():
    request = WRITER.request(cancel())
    assert request.body == '{"category":"linear","symbol":"BTCUSDT","orderLinkId":"mmA-1"}'
    assert request.operation.path == "/v5/order/cancel"


def test_an_amend():
    request = WRITER.request(_amend(1))
    assert request.body == (
        '{"category":"linear","symbol":"BTCUSDT","orderLinkId":"mmA-1","qty":"0.002","price":"50001"}'
    )
    assert request.operation.path == "/v5/order/amend"
    (answered,) = request.answered(Outcome.UNKNOWN, 0, "", RECV)
    assert answered.asked is Asked.AMEND
    two = WRITER.request(OrderBatch(BTC.key, tuple(_amend(number) for number in (1, 2))))
    assert (two.operation.path, two.client_ids) == ("/v5/order/amend-batch", ("mmA-1", "mmA-2"))


def _amend(number: int) -> AmendOrder:
    return AmendOrder(BTC.key, f"mmA-{number}", Ticks(500_010), Lots(2))


def test_batches():
    creates = WRITER.request(batch(submit(1), submit(2, side=Side.SELL, post_only=False)))
    assert creates.operation.path == "/v5/order/create-batch"
    assert creates.body == (
        '{"category":"linear","request":['
        '{"symbol":"BTCUSDT","side":"Buy","orderType":"Limit","timeInForce":"PostOnly","qty":"0.001",'
        '"price":"50000","orderLinkId":"mmA-1"},'
        '{"symbol":"BTCUSDT","side":"Sell","orderType":"Limit","timeInForce":"GTC","qty":"0.001",'
        '"price":"50000","orderLinkId":"mmA-2"}]}'
    )
    cancels = WRITER.request(batch(cancel(1), cancel(2)))
    assert cancels.operation.path == "/v5/order/cancel-batch"
    assert cancels.client_ids == ("mmA-1", "mmA-2")


def test_a_websocket_message():
    request = WRITER.request(batch(cancel(1), cancel(2)))
    assert msgspec.json.decode(request.ws_message("7", 1_711_001_595_207, 5000)) == {
        "reqId": "7",
        "header": {"X-BAPI-TIMESTAMP": "1711001595207", "X-BAPI-RECV-WINDOW": "5000"},
        "op": "order.cancel-batch",
        "args": [msgspec.json.decode(request.body)],
    }


instruments = st.builds(
    linear,
    venue=st.sampled_from(["bybit_linear", "bybit_spot", "bybit_inverse"]),
    tick_size=st.sampled_from(["0.10", "0.010", "0.0001", "1", "5", "0.5", "0.000001"]),
    lot_size=st.sampled_from(["0.001", "1", "0.000001", "10"]),
)


@given(
    instruments,
    st.sampled_from(Side),
    st.integers(1, 2**31 - 1),
    st.integers(1, 2**31 - 1),
    st.booleans(),
    st.from_regex(r"[A-Za-z0-9_-]{1,36}", fullmatch=True),
)
def test_what_is_written_reads_back_exactly(instrument, side, tick, lots, post_only, client_id):
    order = SubmitOrder(instrument.key, client_id, side, Ticks(tick), Lots(lots), post_only)
    read = msgspec.json.decode(OrderWriter([instrument]).request(order).body)
    assert parser(instrument.tick_size, "price")(read["price"]) == tick
    assert parser(instrument.lot_size, "size")(read["qty"]) == lots
    assert f"bybit_{read['category']}" == instrument.venue
    assert (read["symbol"], read["orderLinkId"]) == (instrument.symbol, client_id)
    assert read["side"] == {Side.BUY: "Buy", Side.SELL: "Sell"}[side]
    assert read["timeInForce"] == ("PostOnly" if post_only else "GTC")


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (submit(client_id='x"}'), "client id was 'x\"}'"),
        (submit(client_id="x" * 37), "expected 1 to 36"),
        (cancel(client_id=""), "client id was ''"),
        (submit(client_id="mmA-1\n"), "client id was"),
        (submit(tick=Ticks(0)), "1 lots at tick 0"),
        (submit(lots=Lots(0)), "0 lots at tick"),
        (submit(symbol="bybit_linear:ETHUSDT"), "command was for bybit_linear:ETHUSDT"),
        (batch(), "batch was 0 orders"),
        (batch(submit(), cancel()), "of 2 kinds"),
        (batch(*(cancel(number) for number in range(11))), "batch was 11 orders"),
        (batch(submit(), submit(2, symbol=SPOT.key)), "all of bybit_linear:BTCUSDT"),
    ],
)
def test_commands_that_break_the_venues_rules(message, complaint):
    with pytest.raises(LocalProtocolError, match=complaint):
        WRITER.request(message)


def test_an_instrument_given_twice():
    with pytest.raises(ConfigError, match="twice"):
        OrderWriter([BTC, BTC])


ACCEPTED, REFUSED, UNKNOWN = Outcome.ACCEPTED, Outcome.REFUSED, Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("codes", "proves"),
    [
        ([0], ACCEPTED),
        ([10001, 10002, 10003, 10004, 10005, 10006, 10010, 10018, 10403], REFUSED),
        ([110001, 110003, 110004, 110007, 110008, 110010, 110017, 110020, 110079, 110094], REFUSED),
        ([170131, 170140, 170213, 170210, 170218], REFUSED),
        ([10000, 10016, 170001, 170007, 170146, 170147], UNKNOWN),
        ([10014, 20006, 110030, 110072, 170141], UNKNOWN),
        ([-1, 1, 99_999, 200_000, 34_040], UNKNOWN),
    ],
)
def test_what_a_code_proves(codes, proves):
    assert {code: outcome(code) for code in codes} == dict.fromkeys(codes, proves)


def body(code: int, result: Any, extra: Any = None, reason: str = "OK") -> bytes:
    facts = {"retCode": code, "retMsg": reason, "result": result, "retExtInfo": extra or {}, "time": 1}
    return msgspec.json.encode(facts)


def told(message: Any, reply: bytes) -> list[tuple[str, Asked, Outcome, int, str]]:
    found = answers(WRITER.request(message), rest_reply(reply), RECV)
    assert {(one.symbol, one.recv_ns) for one in found} == {(message.symbol, RECV)}
    return [(one.client_id, one.asked, one.outcome, one.code, one.reason) for one in found]


def test_answers_about_one_order():
    ok = body(0, {"orderId": "9", "orderLinkId": "mmA-1"})
    assert told(submit(), ok) == [("mmA-1", Asked.CREATE, ACCEPTED, 0, "OK")]
    assert told(cancel(), ok) == [("mmA-1", Asked.CANCEL, ACCEPTED, 0, "OK")]
    gone = body(110001, {}, reason="order not exists or too late to cancel")
    assert told(cancel(), gone) == [
        ("mmA-1", Asked.CANCEL, REFUSED, 110001, "order not exists or too late to cancel")
    ]


def test_each_order_of_a_batch_has_its_own_answer():
    named = {
        "list": [{"orderLinkId": "mmA-1", "orderId": "9"}, {"orderLinkId": ""}, {"orderLinkId": "mmA-3"}]
    }
    codes = [{"code": 0, "msg": "OK"}, {"code": 110007, "msg": "balance"}, {"code": 10016, "msg": "error"}]
    assert told(batch(submit(1), submit(2), submit(3)), body(0, named, {"list": codes})) == [
        ("mmA-1", Asked.CREATE, ACCEPTED, 0, "OK"),
        ("mmA-2", Asked.CREATE, REFUSED, 110007, "balance"),
        ("mmA-3", Asked.CREATE, UNKNOWN, 10016, "error"),
    ]


def test_a_batch_refused_as_a_whole():
    assert told(batch(cancel(1), cancel(2)), body(10006, {}, reason="Too many visits")) == [
        ("mmA-1", Asked.CANCEL, REFUSED, 10006, "Too many visits"),
        ("mmA-2", Asked.CANCEL, REFUSED, 10006, "Too many visits"),
    ]


@pytest.mark.parametrize(
    ("message", "reply", "complaint"),
    [
        (submit(), body(0, {"orderLinkId": "mmA-2"}), "answer was about order 'mmA-2'"),
        (submit(), body(0, []), r"answer to create was b'\[\]'"),
        (
            batch(cancel(1), cancel(2)),
            body(0, {"list": []}, {"list": []}),
            "0 orders and 0 codes, expected 2",
        ),
        (
            batch(cancel(1), cancel(2)),
            body(
                0,
                {"list": [{"orderLinkId": "mmA-2"}, {"orderLinkId": "mmA-1"}]},
                {"list": [{"code": 0}, {"code": 0}]},
            ),
            "about order 'mmA-2', expected 'mmA-1'",
        ),
        (submit(), b'{"retCode":"0","retMsg":"OK"}', "expected a Bybit v5 one"),
        (submit(), b"<html>", "expected a Bybit v5 one"),
    ],
)
def test_answers_that_do_not_fit_the_request(message, reply, complaint):
    with pytest.raises(RemoteProtocolError, match=complaint):
        told(message, reply)


@pytest.mark.parametrize(
    ("status", "proves"),
    [
        (400, REFUSED),
        (403, REFUSED),
        (404, REFUSED),
        (429, REFUSED),
        (408, UNKNOWN),
        (500, UNKNOWN),
        (504, UNKNOWN),
    ],
)
def test_http_answers_without_a_reply(status, proves):
    request = WRITER.request(batch(cancel(1), cancel(2)))
    assert rest_answers(request, status, b"<html>", RECV) == [
        RequestAnswer(BTC.key, client_id, Asked.CANCEL, proves, 0, f"HTTP {status}", RECV)
        for client_id in ("mmA-1", "mmA-2")
    ]


def test_an_http_answer_with_a_reply():
    (answer,) = rest_answers(WRITER.request(submit()), 200, body(0, {"orderLinkId": "mmA-1"}), RECV)
    assert answer.outcome is ACCEPTED


def test_operations():
    assert [one for one in Operation if one.cancels] == [Operation.CANCEL, Operation.CANCEL_BATCH]
    assert [one for one in Operation if one.batch] == [
        Operation.CREATE_BATCH,
        Operation.AMEND_BATCH,
        Operation.CANCEL_BATCH,
    ]


GOOD = body(0, {"list": [{"orderLinkId": "mmA-1"}, {}]}, {"list": [{"code": 0}, {"code": 110001}]})


@given(st.data())
def test_a_damaged_reply_is_refused_or_answers_every_order(data):
    at = data.draw(st.integers(0, len(GOOD) - 1))
    damaged = GOOD[:at] + data.draw(st.binary(max_size=6)) + GOOD[at + data.draw(st.integers(0, 6)) :]
    try:
        found = told(batch(cancel(1), cancel(2)), damaged)
    except RemoteProtocolError:
        return
    assert [one[0] for one in found] == ["mmA-1", "mmA-2"]
