"""Bybit private messages: the meaning of every row, recorded ones included, and nothing odd passes."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, linear

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
from mmbot.model.events import Funding
from mmbot.model.instrument import Contract, Side
from mmbot.units import MS, Lots, Ns, Ticks
from mmbot.venues.bybit.private import Ack, Pong, Reports, decode
from mmbot.venues.bybit.rows import RowReader

RECV = Ns(START_NS)
AT_MS = 1_746_270_400_353
BTC = linear(symbol="BTCUSDT", base="BTC", tick_size="0.10", lot_size="0.001")
SPOT = linear(venue="bybit_spot", symbol="BTCUSDT", base="BTC", tick_size="0.1", lot_size="0.0001")
COIN = linear(
    venue="bybit_inverse",
    symbol="BTCUSD",
    base="BTC",
    quote="USD",
    tick_size="0.50",
    lot_size="1",
    contract=Contract.INVERSE,
)

ORDER = {
    "category": "linear",
    "symbol": "BTCUSDT",
    "orderId": "o1",
    "orderLinkId": "mmA-1",
    "side": "Buy",
    "price": "69000",
    "qty": "0.010",
    "cumExecQty": "0",
    "orderStatus": "New",
    "cancelType": "UNKNOWN",
    "rejectReason": "EC_NoError",
    "updatedTime": str(AT_MS),
}
EXECUTION = {
    "category": "linear",
    "symbol": "BTCUSDT",
    "orderId": "o1",
    "orderLinkId": "mmA-1",
    "side": "Sell",
    "execId": "e1",
    "execPrice": "95900.1",
    "execQty": "0.5",
    "execType": "Trade",
    "execFee": "26.3725275",
    "feeRate": "0.00055",
    "isMaker": False,
    "execTime": str(AT_MS),
}
POSITION = {
    "category": "linear",
    "symbol": "BTCUSDT",
    "side": "Sell",
    "size": "0.015",
    "entryPrice": "60123.45",
    "positionIdx": 0,
}


def message(topic: str, *rows: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"topic": topic, "id": "1", "creationTime": AT_MS + 4, "data": rows})


def told(payload: bytes, *instruments: Any) -> list[Any]:
    found = decode(payload, RowReader(instruments or (BTC, SPOT, COIN)), RECV)
    assert isinstance(found, Reports)
    return found.reports


def order(**changes: Any) -> OrderReport:
    (report,) = told(message("order", ORDER | changes))
    return report


def execution(**changes: Any) -> Any:
    (report,) = told(message("execution", EXECUTION | changes))
    return report


def test_an_order():
    assert order() == OrderReport(
        symbol="bybit_linear:BTCUSDT",
        client_id="mmA-1",
        order_id="o1",
        side=Side.BUY,
        tick=Ticks(690_000),
        lots=Lots(10),
        executed_lots=Lots(0),
        status=VenueStatus.WORKING,
        reason="",
        venue_ns=Ns(AT_MS * MS),
        recv_ns=RECV,
    )


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("New", VenueStatus.WORKING),
        ("PartiallyFilled", VenueStatus.WORKING),
        ("Untriggered", VenueStatus.WORKING),
        ("Triggered", VenueStatus.WORKING),
        ("Filled", VenueStatus.FILLED),
        ("Cancelled", VenueStatus.CANCELLED),
        ("PartiallyFilledCanceled", VenueStatus.CANCELLED),
        ("Deactivated", VenueStatus.CANCELLED),
        ("Rejected", VenueStatus.REJECTED),
    ],
)
def test_every_status_of_an_order(word, status):
    assert order(orderStatus=word).status is status


def test_a_derivatives_order_cancelled_after_executions_says_how_much_was_executed():
    cancelled = order(orderStatus="Cancelled", cumExecQty="0.004", cancelType="CancelByUser")
    assert (cancelled.status, cancelled.executed_lots) == (VenueStatus.CANCELLED, 4)
    assert cancelled.reason == "CancelByUser"


def test_a_cancel_that_lost_its_race_fills_twice():
    filled: dict[str, Any] = {"orderStatus": "Filled", "cumExecQty": "0.01"}
    lost = filled | {"rejectReason": "EC_OrigClOrdIDDoesNotExist", "cancelType": "CancelByUser"}
    first, second = told(message("order", ORDER | filled, ORDER | lost))
    assert first.status is second.status is VenueStatus.FILLED
    assert [first.reason, second.reason] == ["", "EC_OrigClOrdIDDoesNotExist"]


def test_a_post_only_order_that_would_take_says_so():
    gone = order(orderStatus="Cancelled", rejectReason="EC_PostOnlyWillTakeLiquidity")
    assert (gone.status, gone.reason) == (VenueStatus.CANCELLED, "EC_PostOnlyWillTakeLiquidity")


def test_an_order_without_its_own_time_has_that_of_the_message():
    assert order(updatedTime="").venue_ns == (AT_MS + 4) * MS


def test_an_execution():
    assert execution() == Execution(
        symbol="bybit_linear:BTCUSDT",
        client_id="mmA-1",
        order_id="o1",
        exec_id="e1",
        side=Side.SELL,
        tick=Ticks(959_001),
        lots=Lots(500),
        maker=False,
        fee=26.3725275,
        venue_ns=Ns(AT_MS * MS),
        recv_ns=RECV,
    )


def test_a_rebate_is_a_negative_fee():
    assert execution(execFee="-0.0012", isMaker=True).fee == -0.0012


@pytest.mark.parametrize(
    ("changes", "fee"),
    [
        ({"category": "spot", "feeCurrency": "BTC", "execFee": "0.000001"}, 0.0959001),
        ({"category": "spot", "feeCurrency": "USDT", "execFee": "0.09"}, 0.09),
        ({"category": "spot", "feeCurrency": "", "execFee": "0.09"}, None),
        ({"category": "spot", "feeCurrency": "MNT", "execFee": "0.09"}, None),
        ({"feeCurrency": "USDT"}, 26.3725275),
        ({"feeCurrency": "BTC"}, None),
        ({"execFee": ""}, None),
    ],
)
def test_a_fee_is_in_settlement_currency_or_not_said(changes, fee):
    assert execution(**changes).fee == (None if fee is None else pytest.approx(fee))


def test_a_fast_execution_has_no_fee_and_names_our_id_only_as_taker():
    fast = {key: EXECUTION[key] for key in ("category", "symbol", "orderId", "side", "execId", "execPrice")}
    fast |= {key: EXECUTION[key] for key in ("execQty", "execTime")} | {"seq": 34_771_365_464}
    maker, taker, said = told(
        message(
            "execution.fast",
            fast | {"orderLinkId": ""},
            fast | {"orderLinkId": "mmA-1"},
            fast | {"orderLinkId": "mmA-1", "isMaker": True},
        )
    )
    assert [one.maker for one in (maker, taker, said)] == [True, False, True]
    assert maker.client_id == ""
    assert maker.order_id == "o1"
    assert maker.fee is None


def test_funding_is_cash():
    paid = execution(execType="Funding", execFee="-0.5", feeRate="-0.0001", execPrice="95901.4871")
    assert paid == Funding("bybit_linear:BTCUSDT", Ns(AT_MS * MS), RECV, -0.0001, -0.5)


@pytest.mark.parametrize(
    "kind", ["AdlTrade", "BustTrade", "Delivery", "Settle", "BlockTrade", "MovePosition"]
)
def test_what_moves_the_position_from_outside(kind):
    moved = execution(execType=kind, execPrice="95901.4871", orderLinkId="")
    assert moved == OffOrderExecution(
        "bybit_linear:BTCUSDT", "e1", kind, Side.SELL, 95901.4871, Lots(500), 26.3725275, Ns(AT_MS * MS), RECV
    )


@pytest.mark.parametrize(
    ("changes", "lots", "price"),
    [
        ({}, -15, 60123.45),
        ({"side": "Buy"}, 15, 60123.45),
        ({"side": "", "size": "0", "entryPrice": "0"}, 0, None),
        ({"side": "Buy", "size": "0", "entryPrice": ""}, 0, None),
        ({"entryPrice": "", "avgPrice": "60001.5"}, -15, 60001.5),
    ],
)
def test_a_position(changes, lots, price):
    (report,) = told(message("position", POSITION | changes))
    assert report == PositionReport("bybit_linear:BTCUSDT", Lots(lots), price, RECV)


def test_a_wallet():
    coin = {"coin": "USDT", "walletBalance": "9922.8", "equity": "9923.1", "locked": "60"}
    row = {"accountType": "UNIFIED", "totalEquity": "100000.5", "totalAvailableBalance": "", "coin": [coin]}
    (report,) = told(message("wallet", row))
    assert report == WalletReport((CoinBalance("USDT", 9922.8, 9923.1),), 100_000.5, None, RECV)


def test_rows_of_other_instruments_are_counted_and_left_alone():
    rows = RowReader([BTC])
    found = decode(
        message("order", ORDER | {"symbol": "ETHUSDT", "price": "odd"}, ORDER, ORDER | {"category": "spot"}),
        rows,
        RECV,
    )
    assert isinstance(found, Reports)
    assert [report.symbol for report in found.reports] == ["bybit_linear:BTCUSDT"]
    assert rows.foreign == {"linear:ETHUSDT": 1, "spot:BTCUSDT": 1}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"success":true,"ret_msg":"","op":"auth","conn_id":"c"}', Ack("auth", accepted=True, reason="")),
        (
            b'{"success":false,"ret_msg":"Params Error","op":"auth","conn_id":"c"}',
            Ack("auth", accepted=False, reason="Params Error"),
        ),
        (
            b'{"req_id":"1","success":true,"ret_msg":"","op":"subscribe","conn_id":"c"}',
            Ack("subscribe", accepted=True, reason=""),
        ),
        (b'{"req_id":"1","op":"pong","args":["1675418560633"],"conn_id":"c"}', Pong()),
        (b'{"success":true,"ret_msg":"pong","conn_id":"c","req_id":"p1","op":"ping"}', Pong()),
    ],
)
def test_answers(payload, expected):
    assert decode(payload, RowReader([BTC]), RECV) == expected


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (
            message("order", ORDER | {"price": "69000.05"}),
            "price was '69000.05', expected a multiple of 0.10",
        ),
        (message("order", ORDER | {"price": "-1"}), "expected a plain decimal"),
        (message("order", ORDER | {"qty": "0.0105"}), "size was '0.0105', expected a plain decimal"),
        (message("order", ORDER | {"cumExecQty": "0.011"}), "executed was 0.011, expected at most 0.010"),
        (message("order", ORDER | {"orderStatus": "Paused"}), "status was 'Paused'"),
        (message("order", ORDER | {"orderId": ""}), "orderId was empty"),
        (message("order", ORDER | {"side": "buy"}), "Invalid enum value 'buy'"),
        (message("order", ORDER | {"price": 69000}), "Expected `str`, got `int`"),
        (message("order", ORDER | {"updatedTime": "1.7e12"}), "13 digits of milliseconds"),
        (message("execution", EXECUTION | {"execPrice": "95900.13"}), "expected a"),
        (message("execution", EXECUTION | {"execQty": "0"}), "expected more than zero of both"),
        (message("execution", EXECUTION | {"execId": ""}), "execId was empty"),
        (message("execution", EXECUTION | {"execFee": "1_0"}), "number was '1_0'"),
        (message("execution", EXECUTION | {"execFee": "1e999"}), "expected a finite decimal"),
        (message("execution", EXECUTION | {"execType": "Funding", "feeRate": ""}), "number was ''"),
        (message("position", POSITION | {"positionIdx": 1}), "the account is in hedge mode"),
        (message("position", POSITION | {"side": ""}), "had side ''"),
        (message("position", POSITION | {"entryPrice": ""}), "entry price: number was ''"),
        (message("greeks", {}), "topic was 'greeks'"),
        (b'{"op":"order.create"}', "expected a topic, a pong, or an answer"),
        (b'{"op":"auth"}', "expected a topic, a pong, or an answer"),
        (b"{", "expected a Bybit v5 private message"),
        (b"\xff", "expected a Bybit v5 private message"),
        (b'{"topic":"wallet"}', "expected a Bybit v5 private message"),
        (b'{"topic":"order","data":[]}', "creationTime was 0"),
    ],
)
def test_odd_messages_are_refused_with_what_was_found(payload, complaint):
    with pytest.raises(RemoteProtocolError, match=complaint):
        told(payload)


def test_an_instrument_given_twice():
    with pytest.raises(ConfigError, match="twice"):
        RowReader([BTC, BTC])


GOOD = [
    message("order", ORDER),
    message("execution", EXECUTION),
    message("position", POSITION),
    message("wallet", {"accountType": "UNIFIED", "coin": [{"coin": "USDT", "walletBalance": "1"}]}),
]


@given(st.sampled_from(GOOD), st.data())
def test_a_damaged_message_is_refused_or_reads_as_reports(payload, data):
    at = data.draw(st.integers(0, len(payload) - 1))
    cut = data.draw(st.integers(0, 6))
    damaged = payload[:at] + data.draw(st.binary(max_size=6)) + payload[at + cut :]
    try:
        found = decode(damaged, RowReader([BTC]), RECV)
    except RemoteProtocolError:
        return
    assert isinstance(found, Reports | Ack | Pong)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(["order", "execution", "position"]), st.data())
def test_one_wrong_value_in_a_row_is_refused(topic, data):
    row = {"order": ORDER, "execution": EXECUTION, "position": POSITION}[topic]
    required = {"order": "qty", "execution": "execPrice", "position": "size"}[topic]
    wrong = data.draw(json_values.filter(lambda value: not _plain(value)))
    with pytest.raises(RemoteProtocolError):
        told(message(topic, row | {required: wrong}))


IMPOSSIBLE = [
    "NaN", "Infinity", "-Infinity", "inf", "1e308", "1E5", "-1", "-0.1", "+1", "0x1", "", " 1", "9" * 40
]  # fmt: skip
NUMBERS = [
    ("order", ORDER, ("price", "qty", "cumExecQty")),
    ("execution", EXECUTION, ("execPrice", "execQty")),
    ("position", POSITION, ("size",)),
]


@pytest.mark.parametrize("wrong", IMPOSSIBLE)
@pytest.mark.parametrize(("topic", "row", "name"), [(*of[:2], name) for of in NUMBERS for name in of[2]])
def test_a_number_that_is_none_or_no_size_is_refused(topic: str, row: dict[str, Any], name: str, wrong: str):
    """Nothing stands in for it: the message is an error, and the account is read anew."""
    with pytest.raises(RemoteProtocolError):
        told(message(topic, row | {name: wrong}))


@pytest.mark.parametrize("name", ["execPrice", "execQty"])
def test_nothing_is_executed_of_size_or_price_zero(name: str):
    with pytest.raises(RemoteProtocolError, match="expected more than zero of both"):
        told(message("execution", EXECUTION | {name: "0"}))


@pytest.mark.parametrize("wrong", ["NaN", "inf", "1e308", "-1e308", "47950.06", "0x1"])
def test_a_fee_that_is_no_number_or_more_than_what_was_traded_is_refused(wrong: str):
    with pytest.raises(RemoteProtocolError):
        told(message("execution", EXECUTION | {"execFee": wrong}))
    assert execution(execFee="47950.05").fee == 47_950.05


def _plain(value: Any) -> bool:
    return isinstance(value, str) and value.replace(".", "", 1).isdecimal()


def fixtures(data_dir: Path, pattern: str) -> list[bytes]:
    found = sorted((data_dir / "wire_fixtures").glob(pattern))
    assert found
    return [line for path in found for line in _messages(path)]


def _messages(path: Path) -> list[bytes]:
    text = path.read_bytes()
    return text.splitlines() if path.suffix == ".jsonl" else [text]


def test_a_recorded_session_of_orders(data_dir):
    rows = RowReader([BTC])
    found = [decode(line, rows, RECV) for line in fixtures(data_dir, "nexustrader/bybit_private_order.jsonl")]
    assert found[:2] == [Ack("auth", accepted=True, reason=""), Ack("subscribe", accepted=True, reason="")]
    reports = [report for one in found[2:] if isinstance(one, Reports) for report in one.reports]
    statuses = [report.status for report in reports if isinstance(report, OrderReport)]
    assert (len(statuses), not rows.foreign) == (26, True)
    assert [statuses.count(one) for one in (VenueStatus.FILLED, VenueStatus.WORKING)] == [10, 8]
    cancelled = [one for one in reports if getattr(one, "status", None) is VenueStatus.CANCELLED]
    assert [(one.reason, one.tick, one.lots, one.executed_lots) for one in cancelled] == [
        ("EC_PerCancelRequest", 690_000, 10, 0)
    ] * 8


def test_a_recorded_session_of_positions(data_dir):
    lots = [
        report.lots
        for line in fixtures(data_dir, "nexustrader/bybit_private_position.jsonl")
        for report in told(line)
    ]
    assert set(lots) == {-6, 0, 2, 3, 4, 5, 6}


def test_examples_of_the_documentation(data_dir):
    names = [
        "linear_private_*.json",
        "private_order_*.json",
        "private_execution.json",
        "private_wallet*.json",
    ]
    reports = [
        report
        for name in names
        for line in fixtures(data_dir, f"bybit/{name}")
        for report in told(line, BTC, linear(venue="bybit_spot", symbol="BTCUSDT", base="BTC", **SPOT_GRID))
    ]
    kinds = [type(report).__name__ for report in reports]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "Execution": 4,
        "OrderReport": 3,
        "PositionReport": 1,
        "WalletReport": 3,
    }
    assert decode(fixtures(data_dir, "bybit/private_auth_ok.json")[0], RowReader([BTC]), RECV) == Ack(
        "auth", accepted=True, reason=""
    )


SPOT_GRID = {"tick_size": "0.1", "lot_size": "0.000001"}
