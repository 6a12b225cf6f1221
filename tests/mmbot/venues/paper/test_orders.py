"""Orders, from request to stream: what is refused, what rests, what fills, what is paid."""

import msgspec
import pytest
from tests.mmbot.builders import START_NS, delta, linear, snapshot, trade
from tests.mmbot.venues.paper.floor import ASKS, BIDS, LINEAR, SPOT, Floor, rows

from mmbot.model.instrument import Contract, Side
from mmbot.units import MS, SECOND
from mmbot.venues.paper.settings import PaperSettings

SPOT_BALANCES = {"USDT": 1_000.0, "SYNTH": 10.0}


def sold(ns, tick, lots):
    """A taker sells: bids are hit."""
    return trade(Side.SELL, tick, lots, ns=START_NS + ns)


def spot_floor(*events):
    instrument = linear(venue="bybit_spot")
    tape = [msgspec.structs.replace(event, symbol=instrument.key) for event in events]
    return Floor(*tape, instrument=instrument, balances=SPOT_BALANCES)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"category": "option"}, 10001),
        ({"symbol": "NOSUCH"}, 10001),
        ({"side": "buy"}, 10001),
        ({"orderType": "Stop"}, 10001),
        ({"timeInForce": "RPI"}, 10001),
        ({"qty": 1}, 10001),
        ({"qty": "0"}, 10001),
        ({"qty": "-1"}, 10001),
        ({"qty": "nan"}, 10001),
        ({"qty": "1.001"}, 10001),
        ({"price": "99.999"}, 10001),
        ({"price": None}, 10001),
        ({"orderLinkId": "white space"}, 10001),
        ({"orderLinkId": "x" * 37}, 10001),
        ({"triggerPrice": "90"}, 10001),
        ({"takeProfit": "120"}, 10001),
        ({"positionIdx": 1}, 10001),
        ({"qty": "0.04"}, 110094),
        ({"qty": "99999"}, 110007),
        ({"reduceOnly": True}, 110017),
    ],
)
def test_a_request_that_does_not_fit_is_refused_and_leaves_nothing(changes, code):
    floor = Floor()
    assert floor.create(**changes)["retCode"] == code
    assert floor.get("/v5/order/realtime", "alice", **LINEAR)["result"]["list"] == []


def test_sizes_are_bounded_by_the_instrument():
    floor = Floor(instrument=linear(min_lots=20, max_lots=100))
    assert [floor.create(qty=qty)["retCode"] for qty in ("0.19", "0.20", "1", "1.01")] == [10001, 0, 0, 10001]


def test_an_accepted_order_is_told_as_new_to_its_own_account_alone():
    floor = Floor()
    alice, bob = floor.account("alice", "order"), floor.account("bob", "order")
    result = floor.create(orderLinkId="a-1")["result"]
    (row,) = rows(alice, "order")
    assert row["orderId"] == result["orderId"]
    assert {
        key: row[key] for key in ("orderStatus", "price", "qty", "leavesQty", "avgPrice", "rejectReason")
    } == {
        "orderStatus": "New",
        "price": "99.99",
        "qty": "1",
        "leavesQty": "1",
        "avgPrice": "",
        "rejectReason": "EC_NoError",
    }
    assert rows(bob, "order") == []


def test_a_link_id_is_used_once_and_is_every_accounts_own():
    floor = Floor()
    assert floor.create(orderLinkId="a-1")["retCode"] == 0
    assert floor.create(orderLinkId="a-1")["retCode"] == 110072
    floor.cancel("a-1")
    assert floor.create(orderLinkId="a-1")["retCode"] == 110072
    assert floor.create("bob", orderLinkId="a-1")["retCode"] == 0


def test_a_resting_order_fills_after_the_queue_before_it_as_a_maker():
    floor = Floor(sold(MS, 9_999, 750))
    socket = floor.account("alice", "order", "execution", "position", "wallet")
    floor.create(orderLinkId="a-1")
    floor.step(MS)
    assert _topics(socket) == ["order", "execution", "order", "position", "wallet"]
    (part,) = floor.get("/v5/execution/list", "alice", **LINEAR)["result"]["list"]
    assert (part["execQty"], part["execPrice"], part["isMaker"], part["leavesQty"]) == (
        "0.5",
        "99.99",
        True,
        "0.5",
    )
    assert float(part["execFee"]) == pytest.approx(0.5 * 99.99 * 2e-4)
    (order,) = floor.get("/v5/order/realtime", "alice", **LINEAR)["result"]["list"]
    assert (order["orderStatus"], order["cumExecQty"], order["avgPrice"]) == (
        "PartiallyFilled",
        "0.5",
        "99.99",
    )


def _topics(socket):
    waiting, socket.outbox = socket.outbox, []
    return [msgspec.json.decode(frame)["topic"] for frame in waiting]


def test_two_accounts_share_the_market_without_touching_each_other():
    floor = Floor(sold(MS, 9_999, 800))
    for key in ("alice", "bob"):
        floor.create(key)
    floor.step(MS)
    for key in ("alice", "bob"):
        (row,) = floor.get("/v5/position/list", key, **LINEAR)["result"]["list"]
        assert (row["side"], row["size"]) == ("Buy", "1")


def test_less_quantity_keeps_the_place_in_the_queue_and_more_or_another_price_loses_it():
    for qty, filled in (("0.5", "0.5"), ("2", "0")):
        floor = Floor(delta([(9_999, 900)], [], ns=START_NS + MS), sold(2 * MS, 9_999, 760))
        floor.create(orderLinkId="a-1")
        floor.step(MS)
        assert floor.amend("a-1", qty=qty)["retCode"] == 0
        floor.step(2 * MS)
        (order,) = floor.get("/v5/order/realtime", "alice", orderLinkId="a-1", **LINEAR)["result"]["list"]
        assert (order["qty"], order["cumExecQty"]) == (qty, filled)


def test_an_amend_says_what_it_cannot_do():
    floor = Floor(sold(MS, 9_999, 750))
    floor.create(orderLinkId="a-1")
    assert floor.amend("a-1", qty="1", price="99.99")["retCode"] == 10001, "unchanged"
    assert floor.amend("a-1", price="99.991")["retCode"] == 10001
    assert floor.amend("never", qty="2")["retCode"] == 110001
    floor.step(MS)
    assert floor.amend("a-1", qty="0.5")["retCode"] == 10001, "not above what was executed"
    floor.cancel("a-1")
    assert floor.amend("a-1", qty="2")["retCode"] == 110001


def test_a_post_only_order_amended_into_the_book_is_cancelled():
    floor = Floor()
    socket = floor.account("alice", "order")
    floor.create(orderLinkId="a-1")
    assert floor.amend("a-1", price="100.03")["retCode"] == 0
    last = rows(socket, "order")[-1]
    assert (last["orderStatus"], last["rejectReason"]) == ("Cancelled", "EC_PostOnlyWillTakeLiquidity")


def test_a_post_only_order_that_would_take_is_cancelled_on_futures_and_rejected_on_spot():
    for floor, where, status in ((Floor(), {}, "Cancelled"), (spot_floor(), SPOT, "Rejected")):
        socket = floor.account("alice", "order")
        assert floor.create(price="100.03", **where)["retCode"] == 0
        (row,) = rows(socket, "order")
        assert (row["orderStatus"], row["rejectReason"]) == (status, "EC_PostOnlyWillTakeLiquidity")


def test_a_market_order_walks_the_book_and_its_rest_is_cancelled():
    floor = Floor()
    socket = floor.account("alice", "order", "execution")
    floor.create(orderType="Market", qty="12")
    fills = rows_of(socket)
    assert [(row["execPrice"], row["execQty"], row["isMaker"]) for row in fills["execution"]] == [
        ("100.03", "4", False),
        ("100.04", "6", False),
        ("100.06", "1", False),
    ]
    last = fills["order"][-1]
    assert (last["orderStatus"], last["cumExecQty"], last["leavesQty"]) == ("Cancelled", "11", "0")
    assert last["timeInForce"] == "IOC"
    expected = (4 * 100.03 + 6 * 100.04 + 100.06) / 11
    assert float(last["avgPrice"]) == pytest.approx(expected, abs=1e-8)


def rows_of(socket):
    found = {}
    waiting, socket.outbox = socket.outbox, []
    for frame in waiting:
        message = msgspec.json.decode(frame)
        found.setdefault(message["topic"], []).extend(message["data"])
    return found


def test_what_a_good_till_cancelled_order_leaves_rests_and_is_filled_by_trades_not_by_what_it_took():
    events = (
        delta([], [(10_010, 5)], ns=START_NS + MS),
        sold(2 * MS, 10_003, 50),
        delta([], [(10_003, 0), (10_004, 0), (10_006, 0)], ns=START_NS + 3 * MS),
        delta([], [(10_003, 7)], ns=START_NS + 4 * MS),
    )
    floor = Floor(*events)
    socket = floor.account("alice", "execution")
    floor.create(price="100.03", qty="6", timeInForce="GTC", orderLinkId="a-1")
    taken = [(row["execQty"], row["isMaker"]) for row in rows(socket, "execution")]
    assert taken == [("4", False)]
    floor.step(MS)
    assert rows(socket, "execution") == [], "the same display again is what was taken already"
    floor.step(2 * MS)
    assert [(row["execQty"], row["isMaker"]) for row in rows(socket, "execution")] == [("0.5", True)]
    floor.step(4 * MS)
    assert [(row["execQty"], row["isMaker"]) for row in rows(socket, "execution")] == [("1.5", True)]


@pytest.mark.parametrize(
    ("time_in_force", "price", "qty", "status", "reason", "executed"),
    [
        ("IOC", "100.02", "1", "Cancelled", "EC_NoImmediateQtyToFill", "0"),
        ("IOC", "100.03", "5", "Cancelled", "EC_NoImmediateQtyToFill", "4"),
        ("IOC", "100.03", "4", "Filled", "EC_NoError", "4"),
        ("FOK", "100.03", "5", "Cancelled", "EC_NoEnoughQtyToFill", "0"),
        ("FOK", "100.04", "5", "Filled", "EC_NoError", "5"),
    ],
)
def test_times_in_force(time_in_force, price, qty, status, reason, executed):
    floor = Floor()
    socket = floor.account("alice", "order")
    floor.create(timeInForce=time_in_force, price=price, qty=qty)
    last = rows(socket, "order")[-1]
    assert (last["orderStatus"], last["rejectReason"], last["cumExecQty"]) == (status, reason, executed)


def test_only_spot_has_partially_filled_cancelled():
    floor = spot_floor()
    socket = floor.account("alice", "order")
    floor.create(timeInForce="IOC", price="100.03", qty="5", **SPOT)
    assert rows(socket, "order")[-1]["orderStatus"] == "PartiallyFilledCanceled"


def test_a_cancel_that_loses_its_race_is_accepted_and_tells_filled_twice():
    floor = Floor(sold(MS, 9_998, 1))
    socket = floor.account("alice", "order")
    floor.create(orderLinkId="a-1")
    floor.step(2 * MS)
    assert floor.cancel("a-1")["retCode"] == 0
    first, second = rows(socket, "order")[1:]
    assert [row["orderStatus"] for row in (first, second)] == ["Filled", "Filled"]
    assert (first["rejectReason"], first["cancelType"]) == ("EC_NoError", "UNKNOWN")
    assert (second["rejectReason"], second["cancelType"]) == ("EC_OrigClOrdIDDoesNotExist", "CancelByUser")
    floor.step(SECOND)
    assert floor.cancel("a-1")["retCode"] == 110001


def test_orders_that_are_unknown_have_the_code_of_their_category():
    assert Floor().cancel("never")["retCode"] == 110001
    assert spot_floor().cancel("never", **SPOT)["retCode"] == 170213
    assert Floor().cancel("", orderId="")["retCode"] == 10001


def test_a_batch_answers_about_each_order():
    floor = Floor()
    order = {"symbol": "SYNTHUSDT", "side": "Buy", "orderType": "Limit", "price": "99.99", "qty": "1"}
    requests = [{**order, "orderLinkId": "a-1"}, {**order, "price": "1.001"}, {**order, "orderLinkId": "a-1"}]
    answer = floor.post("alice", "/v5/order/create-batch", {"category": "linear", "request": requests})
    assert answer["retCode"] == 0
    assert [one["code"] for one in answer["retExtInfo"]["list"]] == [0, 10001, 110072]
    assert [bool(one["orderId"]) for one in answer["result"]["list"]] == [True, False, False]
    cancels = [{"symbol": "SYNTHUSDT", "orderLinkId": name} for name in ("a-1", "a-2")]
    answer = floor.post("alice", "/v5/order/cancel-batch", {"category": "linear", "request": cancels})
    assert [one["code"] for one in answer["retExtInfo"]["list"]] == [0, 110001]
    for requests in ([], [order] * 21, "x", [1]):
        answer = floor.post("alice", "/v5/order/create-batch", {"category": "linear", "request": requests})
        assert answer["retCode"] == 10001


def test_a_batch_spends_one_per_order_and_what_is_over_the_limit_fails_alone():
    floor = Floor()
    order = {"symbol": "SYNTHUSDT", "side": "Buy", "orderType": "Limit", "price": "99.99", "qty": "1"}
    batch = {"category": "linear", "request": [order] * 12}
    answer = floor.post("alice", "/v5/order/create-batch", batch)
    assert [one["code"] for one in answer["retExtInfo"]["list"]] == [0] * 10 + [10006] * 2
    assert floor.post("alice", "/v5/order/create-batch", batch)["retCode"] == 10006
    assert floor.create()["retCode"] == 0, "single orders have a bucket of their own"
    floor.wall_ns += SECOND
    assert floor.post("alice", "/v5/order/create-batch", batch)["retCode"] == 0


def test_cancel_all_takes_what_was_asked_for():
    floor = Floor()
    for number in range(3):
        floor.create(orderLinkId=f"a-{number}")
    path = "/v5/order/cancel-all"
    assert floor.post("alice", path, {"category": "linear"})["retCode"] == 10001
    assert floor.post("alice", path, {"category": "linear", "settleCoin": "USDC"})["result"]["list"] == []
    assert len(floor.post("alice", path, {"category": "linear", "baseCoin": "SYNTH"})["result"]["list"]) == 3
    assert floor.get("/v5/order/realtime", "alice", **LINEAR)["result"]["list"] == []


def test_position_profit_fees_and_wallet_add_up():
    floor = Floor(snapshot([(10_100, 500)], [(10_103, 500)], ns=START_NS + MS))
    floor.create(orderType="Market", qty="4")
    floor.step(MS)
    (row,) = floor.get("/v5/position/list", "alice", **LINEAR)["result"]["list"]
    assert (row["avgPrice"], row["markPrice"]) == ("100.03", "101.015")
    assert float(row["unrealisedPnl"]) == pytest.approx(4 * (101.015 - 100.03))
    floor.create(orderType="Market", side="Sell", qty="4")
    fees = (4 * 100.03 + 4 * 101.00) * 5.5e-4
    profit = 4 * (101.00 - 100.03)
    (wallet,) = floor.get("/v5/account/wallet-balance", "alice", accountType="UNIFIED")["result"]["list"]
    usdt = next(coin for coin in wallet["coin"] if coin["coin"] == "USDT")
    assert float(usdt["walletBalance"]) == pytest.approx(100_000 + profit - fees, abs=1e-7)
    assert usdt["walletBalance"] == usdt["equity"]
    (row,) = floor.get("/v5/position/list", "alice", **LINEAR)["result"]["list"]
    assert (row["side"], row["size"], row["avgPrice"]) == ("", "0", "0")
    assert (
        floor.get("/v5/position/list", "alice", category="linear", settleCoin="USDT")["result"]["list"] == []
    )


def test_an_inverse_contract_settles_in_base_coin():
    instrument = linear(
        venue="bybit_inverse", symbol="SYNTHUSD", quote="USD", lot_size="1", contract=Contract.INVERSE
    )
    floor = Floor(instrument=instrument, balances={"SYNTH": 10.0})
    where = {"category": "inverse", "symbol": "SYNTHUSD"}
    floor.create(orderType="Market", qty="400", **where)
    (row,) = floor.get("/v5/execution/list", "alice", **where)["result"]["list"]
    assert float(row["execValue"]) == pytest.approx(400 / 100.03, abs=1e-8)
    (wallet,) = floor.get("/v5/account/wallet-balance", "alice", accountType="UNIFIED")["result"]["list"]
    coin = next(coin for coin in wallet["coin"] if coin["coin"] == "SYNTH")
    assert float(coin["walletBalance"]) == pytest.approx(10 - 400 / 100.03 * 5.5e-4, abs=1e-7)


def test_spot_coins_change_hands_and_the_buyer_pays_in_base_coin():
    floor = spot_floor()
    socket = floor.account("alice", "execution")
    floor.create(orderType="Market", qty="2", marketUnit="baseCoin", **SPOT)
    floor.create(orderType="Market", side="Sell", qty="1", **SPOT)
    bought, sold_row = rows(socket, "execution")
    assert (bought["feeCurrency"], sold_row["feeCurrency"]) == ("SYNTH", "USDT")
    (wallet,) = floor.get("/v5/account/wallet-balance", "alice", accountType="UNIFIED")["result"]["list"]
    coins = {coin["coin"]: float(coin["walletBalance"]) for coin in wallet["coin"]}
    assert coins["SYNTH"] == pytest.approx(10 + 2 - 2 * 5.5e-4 - 1)
    assert coins["USDT"] == pytest.approx(1_000 - 2 * 100.03 + 100.00 * (1 - 5.5e-4))


def test_spot_needs_the_coins_that_it_would_give_and_open_orders_hold_them():
    floor = spot_floor()
    assert floor.create(qty="6", orderLinkId="a-1", **SPOT)["retCode"] == 0
    assert floor.create(qty="6", **SPOT)["retCode"] == 170131
    floor.cancel("a-1", **SPOT)
    assert floor.create(qty="6", **SPOT)["retCode"] == 0
    assert floor.create(side="Sell", price="101", qty="11", **SPOT)["retCode"] == 170131


def test_margin_bounds_what_is_open_and_leverage_widens_it():
    floor = Floor(balances={"USDT": 100.0})
    assert floor.create(qty="11")["retCode"] == 110007
    assert floor.create(qty="9", orderLinkId="a-1")["retCode"] == 0
    assert floor.create(qty="2")["retCode"] == 110007
    leverage = {**LINEAR, "buyLeverage": "20", "sellLeverage": "20"}
    assert floor.post("alice", "/v5/position/set-leverage", leverage)["retCode"] == 0
    assert floor.create(qty="2")["retCode"] == 0
    assert floor.post("alice", "/v5/position/set-leverage", leverage)["retCode"] == 110043


def test_reduce_only_orders_shrink_with_the_position_and_end_with_it():
    floor = Floor()
    floor.create(orderType="Market", qty="4")
    reducing = {"side": "Sell", "price": "101", "reduceOnly": True}
    floor.create(qty="9", orderLinkId="r-1", **reducing)
    (order,) = floor.get("/v5/order/realtime", "alice", **LINEAR)["result"]["list"]
    assert order["qty"] == "4"
    floor.create(orderType="Market", side="Sell", qty="3")
    (order,) = floor.get("/v5/order/realtime", "alice", **LINEAR)["result"]["list"]
    assert order["qty"] == "1"
    floor.create(orderType="Market", side="Sell", qty="1")
    assert floor.get("/v5/order/realtime", "alice", **LINEAR)["result"]["list"] == []


def test_five_hundred_orders_may_be_open():
    floor = Floor(settings=PaperSettings(limit_factor=1_000))
    for _ in range(500):
        assert floor.create(qty="0.1")["retCode"] == 0
    assert floor.create(qty="0.1")["retCode"] == 110020


def test_at_the_end_of_the_tape_orders_are_rejected_and_can_still_be_cancelled():
    floor = Floor()
    socket = floor.account("alice", "order")
    floor.create(orderLinkId="a-1")
    floor.step(3_600 * SECOND)
    assert floor.exchange.ended
    rows(socket, "order")
    assert floor.create()["retCode"] == 0
    assert [(row["orderStatus"], row["rejectReason"]) for row in rows(socket, "order")] == [
        ("Rejected", "EC_Others")
    ]
    assert floor.amend("a-1", qty="2")["retCode"] == 110079
    assert floor.cancel("a-1")["retCode"] == 0


def test_closed_orders_are_found_by_id_in_history_and_page_by_page():
    floor = Floor(settings=PaperSettings(limit_factor=10))
    for number in range(25):
        floor.create(orderLinkId=f"a-{number}")
        floor.cancel(f"a-{number}")
    first = floor.get("/v5/order/history", "alice", **LINEAR)["result"]
    second = floor.get("/v5/order/history", "alice", cursor=first["nextPageCursor"], **LINEAR)["result"]
    names = [row["orderLinkId"] for row in first["list"] + second["list"]]
    assert names == [f"a-{number}" for number in reversed(range(25))]
    assert second["nextPageCursor"] == ""
    (found,) = floor.get("/v5/order/realtime", "alice", orderLinkId="a-3", **LINEAR)["result"]["list"]
    assert (found["orderLinkId"], found["orderStatus"]) == ("a-3", "Cancelled")
    assert len(floor.get("/v5/order/realtime", "alice", openOnly=1, **LINEAR)["result"]["list"]) == 20


def test_the_book_that_orders_meet_is_the_one_that_is_shown():
    floor = Floor()
    book = floor.get("/v5/market/orderbook", limit=50, **LINEAR)["result"]
    assert [price for price, _ in book["b"]] == [f"{tick / 100:.2f}" for tick, _ in BIDS]
    assert [size for _, size in book["a"]] == [f"{lots / 100:.2f}" for _, lots in ASKS]
