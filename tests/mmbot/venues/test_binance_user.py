"""The Binance user stream: every event's meaning, recorded ones included; and the life of a listen key."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, USDM, linear

from mmbot.errors import ConfigError, RemoteProtocolError
from mmbot.model.account import (
    CoinBalance,
    Execution,
    OffOrderExecution,
    OrderReport,
    PositionReport,
    VenueStatus,
    WalletReport,
)
from mmbot.model.instrument import Side
from mmbot.units import MS, SECOND, Lots, Ns, Ticks
from mmbot.venues.binance.listen_key import KeyRequest, ListenKey
from mmbot.venues.binance.user import ListenKeyExpired, UserReader

RECV = Ns(START_NS)
AT_MS = 1_727_321_324_094
ROW: dict[str, Any] = {
    "s": "BTCUSDT",
    "c": "mmA-1",
    "S": "SELL",
    "o": "LIMIT",
    "f": "GTX",
    "q": "0.010",
    "p": "50000.10",
    "x": "NEW",
    "X": "NEW",
    "i": 77,
    "l": "0",
    "z": "0",
    "L": "0",
    "n": "0",
    "N": "USDT",
    "T": AT_MS,
    "t": 0,
    "m": False,
    "ps": "BOTH",
    "er": "0",
}
TRADE = {
    "x": "TRADE",
    "X": "PARTIALLY_FILLED",
    "l": "0.004",
    "z": "0.004",
    "L": "50000.1",
    "n": "-0.02",
    "t": 9,
    "m": True,
}


def order_update(**changes: Any) -> bytes:
    return msgspec.json.encode({"e": "ORDER_TRADE_UPDATE", "E": AT_MS, "T": AT_MS, "o": ROW | changes})


def account_update(positions: list[dict[str, Any]], balances: list[dict[str, Any]]) -> bytes:
    facts = {"m": "ORDER", "B": balances, "P": positions}
    return msgspec.json.encode({"e": "ACCOUNT_UPDATE", "E": AT_MS, "a": facts})


def told(payload: bytes) -> list[Any]:
    found = UserReader([USDM]).receive(payload, RECV)
    assert isinstance(found, list)
    return found


def test_a_new_order():
    assert told(order_update()) == [
        OrderReport(
            symbol=USDM.key,
            client_id="mmA-1",
            order_id="77",
            side=Side.SELL,
            tick=Ticks(500_001),
            lots=Lots(10),
            executed_lots=Lots(0),
            status=VenueStatus.WORKING,
            reason="",
            venue_ns=Ns(AT_MS * MS),
            recv_ns=RECV,
        )
    ]


def test_a_fill_is_an_execution_and_then_the_state_of_its_order():
    execution, order = told(order_update(**TRADE))
    assert execution == Execution(
        symbol=USDM.key,
        client_id="mmA-1",
        order_id="77",
        exec_id="BTCUSDT-9",
        side=Side.SELL,
        tick=Ticks(500_001),
        lots=Lots(4),
        maker=True,
        fee=-0.02,
        venue_ns=Ns(AT_MS * MS),
        recv_ns=RECV,
    )
    assert (order.status, order.executed_lots) == (VenueStatus.WORKING, 4)


def test_a_fee_in_another_coin_is_not_said():
    execution, _ = told(order_update(**TRADE | {"N": "BNB"}))
    assert execution.fee is None


@pytest.mark.parametrize(
    ("word", "status", "reason"),
    [
        ("FILLED", VenueStatus.FILLED, ""),
        ("CANCELED", VenueStatus.CANCELLED, "CANCELED"),
        ("EXPIRED", VenueStatus.CANCELLED, "EXPIRED"),
        ("EXPIRED_IN_MATCH", VenueStatus.CANCELLED, "EXPIRED_IN_MATCH"),
        ("REJECTED", VenueStatus.REJECTED, "REJECTED"),
    ],
)
def test_every_final_status(word, status, reason):
    (order,) = told(order_update(x="CANCELED", X=word))
    assert (order.status, order.reason) == (status, reason)


def test_an_expiry_names_its_reason():
    (order,) = told(order_update(x="EXPIRED", X="EXPIRED", er="8"))
    assert order.reason == "EXPIRED (reason 8)"


@pytest.mark.parametrize("own", ["autoclose-1", "adl_autoclose", "settlement_autoclose-9"])
def test_the_venues_own_orders_move_the_position_from_outside(own):
    assert told(order_update(c=own)) == []
    assert told(order_update(**TRADE | {"c": own, "L": "50000.123", "x": "CALCULATED"})) == [
        OffOrderExecution(
            USDM.key, "BTCUSDT-9", own, Side.SELL, 50000.123, Lots(4), -0.02, Ns(AT_MS * MS), RECV
        )
    ]


def test_positions_and_balances():
    flat = {"s": "BTCUSDT", "pa": "0", "ep": "0.0", "ps": "BOTH"}
    payload = account_update([flat | {"pa": "-0.004", "ep": "50000.15"}], [{"a": "USDT", "wb": "-4.5"}])
    assert told(payload) == [
        PositionReport(USDM.key, Lots(-4), 50000.15, RECV),
        WalletReport((CoinBalance("USDT", -4.5, None),), None, None, RECV),
    ]
    assert told(account_update([flat], [])) == [PositionReport(USDM.key, Lots(0), None, RECV)]


def test_the_end_of_a_key_and_events_of_other_kinds():
    reader = UserReader([USDM])
    assert reader.receive(b'{"e":"listenKeyExpired","E":1,"listenKey":"k"}', RECV) == ListenKeyExpired()
    assert reader.receive(b'{"e":"TRADE_LITE","E":1}', RECV) == []
    assert reader.receive(order_update(s="ETHUSDT", q="odd", ps="LONG"), RECV) == []
    portfolio = msgspec.json.decode(order_update()) | {"fs": "CM"}
    assert reader.receive(msgspec.json.encode(portfolio), RECV) == []
    assert reader.foreign == {"TRADE_LITE": 1, "ETHUSDT": 1, "BTCUSDT": 1}


def test_a_combined_stream_envelope():
    wrapped = b'{"stream":"key","data":' + order_update() + b"}"
    assert told(wrapped) == told(order_update())


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (order_update(p="50000.15"), "expected a plain decimal"),
        (order_update(q="0.0005"), "expected a plain decimal"),
        (order_update(z="0.011"), "executed was 0.011, expected at most 0.010"),
        (order_update(X="PAUSED"), "status was 'PAUSED'"),
        (order_update(T=12), "time was 12"),
        (order_update(ps="LONG"), "hedge mode"),
        (order_update(i="77"), "Expected `int`, got `str`"),
        (order_update(**TRADE | {"t": 0}), "expected an id"),
        (order_update(**TRADE | {"l": "0"}), "expected an id and a quantity above 0"),
        (order_update(**TRADE | {"L": "0"}), "at price 0"),
        (order_update(**TRADE | {"n": "1e5"}), "number was '1e5'"),
        (account_update([{"s": "BTCUSDT", "pa": "--1", "ep": "1", "ps": "BOTH"}], []), "size was '-1'"),
        (account_update([{"s": "BTCUSDT", "pa": "1", "ep": "", "ps": "BOTH"}], []), "number was ''"),
        (account_update([{"s": "BTCUSDT", "pa": "1", "ep": "1", "ps": "SHORT"}], []), "hedge mode"),
        (b'{"e":"ORDER_TRADE_UPDATE"}', "expected one of the user stream"),
        (b'{"stream":"x"}', "expected one of the user stream"),
        (b"[]", "expected one of the user stream"),
        (b"\xff", "expected one of the user stream"),
    ],
)
def test_odd_messages_are_refused_with_what_was_found(payload, complaint):
    with pytest.raises(RemoteProtocolError, match=complaint):
        told(payload)


def test_odd_instruments():
    for wrong in ([linear()], [USDM, USDM]):
        with pytest.raises(ConfigError, match="expected each once, of binance_usdm"):
            UserReader(wrong)


GOOD = [order_update(**TRADE), account_update([{"s": "BTCUSDT", "pa": "-1", "ep": "2", "ps": "BOTH"}], [])]


@given(st.sampled_from(GOOD), st.data())
def test_a_damaged_message_is_refused_or_reads(payload, data):
    at = data.draw(st.integers(0, len(payload) - 1))
    damaged = payload[:at] + data.draw(st.binary(max_size=6)) + payload[at + data.draw(st.integers(0, 6)) :]
    try:
        found = UserReader([USDM]).receive(damaged, RECV)
    except RemoteProtocolError:
        return
    assert isinstance(found, list | ListenKeyExpired)


def test_a_recorded_session(data_dir):
    lines = (data_dir / "wire_fixtures/nexustrader/binance_um_order_trade_update.jsonl").read_bytes()
    rows = [msgspec.json.decode(line)["o"] for line in lines.splitlines()]
    places = {row["s"]: len(row["p"].partition(".")[2]) for row in rows if row["p"] != "0"}
    instruments = [
        linear(venue="binance_usdm", symbol=symbol, tick_size=f"0.{'1'.zfill(digits)}", lot_size="0.01")
        for symbol, digits in places.items()
    ]
    reader = UserReader(instruments)
    reports: list[Any] = []
    for line in lines.splitlines():
        found = reader.receive(line, RECV)
        assert isinstance(found, list)
        reports += found
    orders = [one for one in reports if isinstance(one, OrderReport)]
    fills = [one for one in reports if isinstance(one, Execution)]
    assert (len(orders), not reader.foreign) == (64, True)
    assert len(fills) == sum(row["x"] == "TRADE" for row in rows)
    assert len({one.exec_id for one in fills}) == len(fills)
    executed = {one.order_id: one.executed_lots for one in orders}
    summed: dict[str, int] = {}
    for fill in fills:
        summed[fill.order_id] = summed.get(fill.order_id, 0) + fill.lots
    complete = {row["i"] for row in rows if row["x"] == "NEW"}
    assert {one: lots for one, lots in executed.items() if lots and int(one) in complete} == {
        one: lots for one, lots in summed.items() if int(one) in complete
    }


def test_examples_of_the_documentation(data_dir):
    folder = data_dir / "wire_fixtures/binance_usdm"
    fine = linear(venue="binance_usdm", symbol="BTCUSDT", tick_size="0.1", lot_size="0.0001")
    reader = UserReader(
        [fine, linear(venue="binance_usdm", symbol="LTCUSDT", tick_size="0.01", lot_size="1")]
    )
    names = ["order_update_new", "order_update_trade", "order_update_canceled", "account_update"]
    reports: list[Any] = []
    for name in names:
        found = reader.receive((folder / f"{name}.json").read_bytes(), RECV)
        assert isinstance(found, list)
        reports += found
    assert [type(one).__name__ for one in reports] == [
        "OrderReport",
        "Execution",
        "OrderReport",
        "OrderReport",
        "PositionReport",
        "PositionReport",
        "WalletReport",
    ]
    assert reader.foreign == {"ETHUSDT": 1}
    with pytest.raises(RemoteProtocolError, match="hedge mode"):
        reader.receive((folder / "account_update_docs.json").read_bytes(), RECV)


MINUTE = 60 * SECOND


def made(key: ListenKey, at_ns: int = 0, name: str = "abc") -> ListenKey:
    assert key.due(at_ns) is KeyRequest.CREATE
    key.answered(200, msgspec.json.encode({"listenKey": name}), at_ns + SECOND)
    assert key.key == name
    return key


def test_a_key_is_created_and_renewed_every_half_hour():
    key = made(ListenKey())
    assert [key.due(at) for at in (SECOND, 30 * MINUTE - 1)] == [None, None]
    assert key.due(30 * MINUTE) is KeyRequest.RENEW
    assert key.due(30 * MINUTE + 1) is None
    key.answered(200, b"{}", 30 * MINUTE + SECOND)
    assert [key.due(60 * MINUTE - 1), key.due(60 * MINUTE)] == [None, KeyRequest.RENEW]
    assert (KeyRequest.CREATE.method, KeyRequest.RENEW.method) == ("POST", "PUT")


def test_a_renewal_that_fails_is_tried_again_each_minute_until_the_key_is_dead():
    key = made(ListenKey())
    asked = []
    for minute in range(30, 61):
        request = key.due(minute * MINUTE)
        asked.append(request)
        if request is KeyRequest.RENEW:
            key.failed(minute * MINUTE)
    assert asked == [KeyRequest.RENEW] * 30 + [KeyRequest.CREATE]
    assert key.key is None


def test_a_key_that_the_venue_does_not_know_is_made_anew():
    key = made(ListenKey())
    assert key.due(30 * MINUTE) is KeyRequest.RENEW
    key.answered(400, b'{"code":-1125,"msg":"This listenKey does not exist."}', 30 * MINUTE + SECOND)
    made(key, 30 * MINUTE + SECOND, "def")


def test_a_key_that_the_venue_ended_is_made_anew_whatever_was_asked():
    key = made(ListenKey())
    assert key.due(30 * MINUTE) is KeyRequest.RENEW
    key.expired(30 * MINUTE + 1)
    assert key.key is None
    assert key.due(30 * MINUTE + 2) is KeyRequest.CREATE


def test_an_answer_after_the_end_of_its_key_says_nothing():
    key = made(ListenKey())
    key.due(30 * MINUTE)
    key.expired(30 * MINUTE + 1)
    key.answered(200, b"{}", 30 * MINUTE + 2)
    assert key.key is None
    made(key, 30 * MINUTE + 3, "def")


@pytest.mark.parametrize(("status", "body"), [(500, b"{}"), (400, b'{"code":-2015,"msg":"no"}')])
def test_a_refused_creation_is_tried_again_after_a_minute(status, body):
    key = ListenKey()
    key.due(0)
    key.answered(status, body, SECOND)
    assert key.key is None
    assert [key.due(MINUTE), key.due(MINUTE + SECOND)] == [None, KeyRequest.CREATE]


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"listenKey":"a/../b"}', b'{"listenKey":7}'])
def test_an_odd_key_is_no_key(body):
    key = ListenKey()
    key.due(0)
    with pytest.raises(RemoteProtocolError, match="listen key was"):
        key.answered(200, body, SECOND)
    assert key.key is None
    assert key.due(SECOND + MINUTE) is KeyRequest.CREATE
