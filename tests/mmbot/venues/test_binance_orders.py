"""Orders to Binance USD-M: exact parameters, answers, and what each proves."""

from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, USDM, linear

from mmbot.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from mmbot.model.account import AccountFault, AccountTrouble, Asked, Outcome
from mmbot.model.commands import CancelOrder, OrderBatch, SubmitOrder
from mmbot.model.instrument import Side, parser
from mmbot.units import SECOND, Lots, Ns, Ticks
from mmbot.venues.binance.orders import Operation, OrderWriter, Used, answers, outcome, trouble, used

RECV = Ns(START_NS)
WRITER = OrderWriter([USDM])
ACCEPTED, REFUSED, UNKNOWN = Outcome.ACCEPTED, Outcome.REFUSED, Outcome.UNKNOWN


def submit(number: int = 1, **changes: Any) -> SubmitOrder:
    facts: dict[str, Any] = {
        "symbol": USDM.key,
        "client_id": f"mmA-{number}",
        "side": Side.BUY,
        "tick": Ticks(500_000),
        "lots": Lots(1),
    }
    return SubmitOrder(**facts | changes)


def cancel(number: int = 1, **changes: Any) -> CancelOrder:
    return CancelOrder(**{"symbol": USDM.key, "client_id": f"mmA-{number}"} | changes)


def batch(*orders: SubmitOrder | CancelOrder) -> OrderBatch:
    return OrderBatch(USDM.key, orders)


def test_a_create():
    request = WRITER.request(submit())
    assert request.query == (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTX&quantity=0.001&price=50000&newClientOrderId=mmA-1"
    )
    assert (request.operation.method, request.operation.path) == ("POST", "/fapi/v1/order")


def test_a_cancel():
    request = WRITER.request(cancel())
    assert request.query == "symbol=BTCUSDT&origClientOrderId=mmA-1"
    assert (request.operation.method, request.operation.path) == ("DELETE", "/fapi/v1/order")


def test_batches_are_json_within_a_parameter():
    request = WRITER.request(batch(submit(1), submit(2, side=Side.SELL, post_only=False)))
    ((name, listed),) = parse_qsl(request.query)
    first, second = msgspec.json.decode(listed)
    assert (name, request.operation.path) == ("batchOrders", "/fapi/v1/batchOrders")
    assert (first["timeInForce"], second["timeInForce"], second["side"]) == ("GTX", "GTC", "SELL")
    cancels = WRITER.request(batch(cancel(1), cancel(2)))
    assert dict(parse_qsl(cancels.query)) == {
        "symbol": "BTCUSDT",
        "origClientOrderIdList": '["mmA-1","mmA-2"]',
    }
    assert '"' not in request.query + cancels.query


@given(
    st.sampled_from(["0.10", "0.01", "0.0000001", "1"]),
    st.sampled_from(["0.001", "1", "10"]),
    st.sampled_from(Side),
    st.integers(1, 2**31 - 1),
    st.integers(1, 2**31 - 1),
    st.from_regex(r"[A-Za-z0-9_-]{1,36}", fullmatch=True),
)
def test_what_is_written_reads_back_exactly(tick_size, lot_size, side, tick, lots, client_id):
    instrument = linear(venue="binance_usdm", tick_size=tick_size, lot_size=lot_size)
    order = SubmitOrder(instrument.key, client_id, side, Ticks(tick), Lots(lots))
    read = dict(parse_qsl(OrderWriter([instrument]).request(order).query))
    assert parser(tick_size, "price")(read["price"]) == tick
    assert parser(lot_size, "size")(read["quantity"]) == lots
    assert (read["side"], read["newClientOrderId"]) == (side.name, client_id)


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (submit(client_id="a b"), "client id was 'a b'"),
        (cancel(client_id="x" * 37), "expected 1 to 36"),
        (submit(tick=Ticks(0)), "1 lots at tick 0"),
        (submit(symbol="binance_usdm:ETHUSDT"), "command was for binance_usdm:ETHUSDT"),
        (batch(), "batch was 0 creates and 0 cancels"),
        (batch(submit(), cancel()), "batch was 1 creates and 1 cancels"),
        (batch(*(submit(number) for number in range(6))), "batch was 6 creates"),
        (batch(*(cancel(number) for number in range(11))), "batch was 0 creates and 11 cancels"),
    ],
)
def test_commands_that_break_the_venues_rules(message, complaint):
    with pytest.raises(LocalProtocolError, match=complaint):
        WRITER.request(message)


def test_instruments_of_another_venue_or_twice():
    with pytest.raises(ConfigError, match="expected binance_usdm"):
        OrderWriter([linear()])
    with pytest.raises(ConfigError, match="twice"):
        OrderWriter([USDM, USDM])


@pytest.mark.parametrize(
    ("codes", "proves"),
    [
        ([-1000, -1001, -1006, -1007, -4116], UNKNOWN),
        ([-1008, -1015, -1021, -1022, -2010, -2011, -2013, -2019, -4014, -5022], REFUSED),
        ([1, -1, -3000, -9000], UNKNOWN),
    ],
)
def test_what_a_code_proves(codes, proves):
    assert {code: outcome(code) for code in codes} == dict.fromkeys(codes, proves)


def told(message: Any, status: int, body: Any) -> list[tuple[str, Asked, Outcome, int, str]]:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    found = answers(WRITER.request(message), status, raw, RECV)
    return [(one.client_id, one.asked, one.outcome, one.code, one.reason) for one in found]


def test_answers_about_one_order():
    placed = {"clientOrderId": "mmA-1", "orderId": 1, "status": "NEW", "ps": "new"}
    assert told(submit(), 200, placed) == [("mmA-1", Asked.CREATE, ACCEPTED, 0, "")]
    unknown = {"code": -2011, "msg": "Unknown order sent."}
    assert told(cancel(), 400, unknown) == [("mmA-1", Asked.CANCEL, REFUSED, -2011, "Unknown order sent.")]
    late = {"code": -1007, "msg": "Timeout waiting for response"}
    assert told(submit(), 400, late)[0][2] is UNKNOWN


def test_a_batch_mixes_orders_and_errors():
    entries = [{"clientOrderId": "mmA-1", "orderId": 1}, {"code": -5022, "msg": "Post only"}]
    assert told(batch(submit(1), submit(2)), 200, entries) == [
        ("mmA-1", Asked.CREATE, ACCEPTED, 0, ""),
        ("mmA-2", Asked.CREATE, REFUSED, -5022, "Post only"),
    ]
    refused = told(batch(cancel(1), cancel(2)), 400, {"code": -1102, "msg": "no"})
    assert [one[2:] for one in refused] == [(REFUSED, -1102, "no")] * 2


@pytest.mark.parametrize(
    ("status", "proves"),
    [
        (408, UNKNOWN),
        (500, UNKNOWN),
        (503, UNKNOWN),
        (403, REFUSED),
        (418, REFUSED),
        (429, REFUSED),
        (302, UNKNOWN),
    ],
)
def test_http_answers_without_a_reply(status, proves):
    assert told(submit(), status, b"<html>") == [("mmA-1", Asked.CREATE, proves, 0, f"HTTP {status}")]


@pytest.mark.parametrize(
    ("message", "body", "complaint"),
    [
        (submit(), {"clientOrderId": "mmA-2"}, "about order 'mmA-2', expected 'mmA-1'"),
        (submit(), {}, "about order None"),
        (submit(), b"<html>", "expected an order"),
        (batch(submit(1), submit(2)), [{"clientOrderId": "mmA-1"}], "1 answers, expected 2"),
        (batch(submit(1), submit(2)), {"clientOrderId": "mmA-1"}, "expected an order"),
    ],
)
def test_answers_that_do_not_fit_the_request(message, body, complaint):
    with pytest.raises(RemoteProtocolError, match=complaint):
        told(message, 200, body)


def test_troubles_of_the_account():
    def found(status: int, body: Any = b"", **headers: str) -> AccountTrouble | None:
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return trouble(status, headers, raw, RECV)

    limited = found(429, **{"Retry-After": "7"})
    assert limited == AccountTrouble(AccountFault.RATE_LIMITED, "HTTP 429", Ns(RECV + 7 * SECOND), RECV)
    assert found(418) == AccountTrouble(AccountFault.BANNED, "HTTP 418", None, RECV)
    clock = found(400, {"code": -1021, "msg": "ahead"})
    assert clock == AccountTrouble(AccountFault.CLOCK, "code -1021: ahead", None, RECV)
    key = found(401, {"code": -2015, "msg": "Invalid API-key"})
    assert key is not None
    assert key.fault is AccountFault.CREDENTIALS
    assert found(400, {"code": -2011, "msg": "Unknown"}) is None
    assert found(400, b"<html>") is None
    assert found(200, {}) is None


def test_what_the_venue_counted():
    headers = {"X-MBX-USED-WEIGHT-1M": "17", "x-mbx-order-count-10s": "2"}
    assert used(headers) == Used(17, 2, None)
    with pytest.raises(RemoteProtocolError, match="x-mbx-used-weight-1m was 'many'"):
        used({"X-MBX-USED-WEIGHT-1M": "many"})


def test_operations():
    assert [one for one in Operation if one.batch] == [Operation.CREATE_BATCH, Operation.CANCEL_BATCH]


GOOD = msgspec.json.encode([{"clientOrderId": "mmA-1"}, {"code": -2011, "msg": "Unknown"}])


@given(st.data())
def test_a_damaged_answer_is_refused_or_answers_every_order(data):
    at = data.draw(st.integers(0, len(GOOD) - 1))
    damaged = GOOD[:at] + data.draw(st.binary(max_size=6)) + GOOD[at + data.draw(st.integers(0, 6)) :]
    try:
        found = told(batch(cancel(1), cancel(2)), 200, damaged)
    except RemoteProtocolError:
        return
    assert [one[0] for one in found] == ["mmA-1", "mmA-2"]
