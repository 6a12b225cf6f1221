"""Private and trade sockets, signatures, limits, the dead man's switch."""

import pytest
from tests.mmbot.builders import START_NS
from tests.mmbot.venues.paper.floor import LINEAR, Floor, body, heard, rows, signed

from mmbot.errors import ConfigError
from mmbot.units import MS, SECOND
from mmbot.venues.paper import signing
from mmbot.venues.paper.faults import FaultSettings
from mmbot.venues.paper.rest import Request

BODY = (
    '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.001","price":"50000",'
    '"timeInForce":"PostOnly"}'
)
ORDER = {**LINEAR, "side": "Buy", "orderType": "Limit", "qty": "1", "price": "99.99"}


@pytest.mark.parametrize(
    ("signed_text", "expected"),
    [
        (
            "1700000000000testkey5000category=linear&symbol=BTCUSDT",
            "f2f79889fd1201752936b389c890e9d393e01e0311a6d8785fb80753aa26c69b",
        ),
        (
            "1700000000000testkey5000" + BODY,
            "bc5641641f11745bbc83c9cd7507676147f57d2b171069a1e0f095c16f385cf4",
        ),
        ("GET/realtime1700000010000", "6a806639d27b1c24c3808a191e9d0274d0c9d3a04a160233856d65840dfda2c8"),
    ],
)
def test_signatures(signed_text, expected):
    assert signing.signature("testsecret", signed_text.encode()) == expected


def test_auth_on_both_kinds_of_socket():
    floor = Floor()
    private, trading = floor.open("/v5/private"), floor.open("/v5/trade")
    assert floor.say(private, floor.auth("alice")) == [
        {"success": True, "ret_msg": "", "op": "auth", "conn_id": "paper-1"}
    ]
    assert floor.say(trading, floor.auth("alice")) == [
        {"retCode": 0, "retMsg": "OK", "op": "auth", "connId": "paper-2"}
    ]
    assert floor.say(trading, floor.auth("alice"))[0]["retCode"] == 20001


def test_auth_that_is_none():
    floor = Floor()
    for message, code in (
        (floor.auth("nobody"), 10003),
        (floor.auth("alice", signed_by="wrong"), 10004),
        (floor.auth("alice", expires_ms=START_NS // MS), 10004),
        ({"op": "auth", "args": ["alice"]}, 10001),
        ({"op": "auth"}, 10001),
    ):
        assert floor.say(floor.open("/v5/trade"), message)[0]["retCode"] == code
        assert floor.say(floor.open("/v5/private"), message)[0]["success"] is False


def test_nothing_is_heard_before_auth_and_no_topic_twice_over():
    floor = Floor()
    socket = floor.open("/v5/private")
    assert floor.say(socket, {"op": "subscribe", "args": ["order"]})[0]["ret_msg"] == "Request not authorized"
    floor.say(socket, floor.auth("alice"))
    for topics in (["order", "order.linear"], ["orders"], ["order.option"], []):
        assert floor.say(socket, {"op": "subscribe", "args": topics})[0]["success"] is False
    assert floor.say(socket, {"op": "dance"})[0]["ret_msg"] == "error:invalid op"
    assert floor.say(socket, "no json")[0]["success"] is False


def test_pongs():
    floor = Floor()
    private, trading = floor.open("/v5/private"), floor.open("/v5/trade")
    now_ms = str(START_NS // MS)
    assert floor.say(private, {"req_id": "7", "op": "ping"}) == [
        {"req_id": "7", "op": "pong", "args": [now_ms], "conn_id": "paper-1"}
    ]
    assert floor.say(trading, {"op": "ping"})[0]["op"] == "pong"


def test_topics_by_category_and_fast_executions():
    floor = Floor()
    socket = floor.account("alice", "order.linear", "order.spot", "execution.fast")
    floor.create(timeInForce="GTC", price="100.03", orderLinkId="a-1")
    waiting = heard(socket)
    assert [message["topic"] for message in waiting] == ["order.linear", "execution.fast", "order.linear"]
    fast = waiting[1]["data"][0]
    assert (fast["orderLinkId"], fast["isMaker"], "execFee" in fast) == ("a-1", False, False)


def test_unsubscribing_a_private_topic():
    floor = Floor()
    socket = floor.account("alice", "order")
    floor.say(socket, {"op": "unsubscribe", "args": ["order"]})
    floor.create()
    assert heard(socket) == []


def entered(floor, socket, op, args, request_id="r-1", **header):
    header = {"X-BAPI-TIMESTAMP": str(floor.wall_ns // MS), **header}
    return floor.say(socket, {"reqId": request_id, "header": header, "op": op, "args": args})[0]


def test_orders_by_socket_from_create_to_cancel():
    floor = Floor()
    trading, stream = floor.account("alice", path="/v5/trade"), floor.account("alice", "order")
    made = entered(floor, trading, "order.create", [ORDER], "r-1")
    assert (made["reqId"], made["retCode"], made["op"]) == ("r-1", 0, "order.create")
    assert made["header"]["X-Bapi-Limit-Status"] == "9"
    place = {**LINEAR, "orderId": made["data"]["orderId"]}
    assert entered(floor, trading, "order.amend", [{**place, "qty": "2"}], "r-2")["retCode"] == 0
    assert entered(floor, trading, "order.cancel", [place], "r-3")["retCode"] == 0
    assert [row["orderStatus"] for row in rows(stream, "order")] == ["New", "New", "Cancelled"]
    batch = {"category": "linear", "request": [ORDER, {**ORDER, "qty": "0.001"}]}
    answer = entered(floor, trading, "order.create-batch", [batch], "r-4")
    assert [one["code"] for one in answer["retExtInfo"]["list"]] == [0, 10001]


def test_what_order_entry_by_socket_refuses():
    floor = Floor()
    trading = floor.account("alice", path="/v5/trade")
    assert entered(floor, floor.open("/v5/trade"), "order.create", [ORDER])["retCode"] == 10003
    assert entered(floor, trading, "order.dance", [ORDER])["retCode"] == 10404
    assert entered(floor, trading, "order.create", [ORDER, ORDER])["retCode"] == 10001
    stale = str(START_NS // MS - 5_001)
    assert (
        entered(floor, trading, "order.create", [ORDER], "r-2", **{"X-BAPI-TIMESTAMP": stale})["retCode"]
        == 10002
    )
    assert entered(floor, trading, "order.create", [ORDER], "r-2")["retCode"] == 20006


def test_rest_and_socket_share_a_rate_limit_that_rolls_over_a_second():
    floor = Floor()
    trading = floor.account("alice", path="/v5/trade")
    for number in range(5):
        assert floor.create()["retCode"] == 0
        assert entered(floor, trading, "order.create", [ORDER], f"r-{number}")["retCode"] == 0
    reply = floor.posted("alice", "/v5/order/create", ORDER)
    assert body(reply)["retCode"] == 10006
    assert reply.headers["X-Bapi-Limit"] == "10"
    assert reply.headers["X-Bapi-Limit-Status"] == "0"
    assert reply.headers["X-Bapi-Limit-Reset-Timestamp"] == str(START_NS // MS + 1_000)
    assert floor.create("bob")["retCode"] == 0
    floor.wall_ns += SECOND
    assert floor.create()["retCode"] == 0


def test_an_address_that_asks_too_often_is_shut_out_for_ten_minutes():
    floor = Floor()
    asked = Request("GET", "/v5/market/time", "", {}, b"", "there")
    statuses = [floor.rest.handle(asked, floor.wall_ns).status for _ in range(601)]
    assert statuses == [200] * 600 + [403]
    assert floor.rest.handle(asked, floor.wall_ns + 599 * SECOND).status == 403
    assert floor.rest.handle(asked, floor.wall_ns + 600 * SECOND).status == 200
    assert floor.get("/v5/market/time")["retCode"] == 0, "another address"


@pytest.mark.parametrize(("ahead_ms", "code"), [(-5_000, 0), (-5_001, 10002), (999, 0), (1_000, 10002)])
def test_the_window_of_timestamps(ahead_ms, code):
    floor = Floor()
    headers = floor.headers("alice", "accountType=UNIFIED")
    asked = Request("GET", "/v5/account/wallet-balance", "accountType=UNIFIED", headers, b"", "here")
    reply = body(floor.rest.handle(asked, floor.wall_ns - ahead_ms * MS))
    assert reply["retCode"] == code
    assert reply["time"] == START_NS // MS - ahead_ms


def test_a_signature_holds_for_the_very_bytes():
    floor = Floor()
    headers = floor.headers("alice", '{"category": "linear"}')
    asked = Request("POST", "/v5/order/cancel-all", "", headers, b'{"category":"linear"}', "here")
    assert body(floor.rest.handle(asked, floor.wall_ns))["retCode"] == 10004
    assert floor.get("/v5/order/realtime", "nobody", **LINEAR)["retCode"] == 10003
    assert floor.posted("alice", "/v5/order/create", ORDER, **{"x-bapi-sign": "0"}).status == 200
    assert signed("a", "b") != signed("b", "a")


def test_a_body_that_is_no_object_and_a_path_that_is_none():
    floor = Floor()
    for payload in ("", "[1]", "{"):
        headers = floor.headers("alice", payload)
        asked = Request("POST", "/v5/order/create", "", headers, payload.encode(), "here")
        assert body(floor.rest.handle(asked, floor.wall_ns))["retCode"] == 10001
    assert floor.rest.handle(Request("GET", "/v5/nothing", "", {}, b"", "here"), floor.wall_ns).status == 404
    assert (
        floor.rest.handle(Request("GET", "/v5/order/create", "", {}, b"", "here"), floor.wall_ns).status
        == 404
    )


def test_faults_of_rest_refuse_before_or_break_after():
    floor = Floor(faults=FaultSettings(http_429=1, http_502=1))
    assert floor.posted("alice", "/v5/order/create", {**ORDER, "orderLinkId": "a-1"}).status == 429
    assert floor.posted("alice", "/v5/order/create", {**ORDER, "orderLinkId": "a-2"}).status == 502
    (order,) = floor.get("/v5/order/realtime", "alice", **LINEAR)["result"]["list"]
    assert order["orderLinkId"] == "a-2", "answered 502, and there"
    assert floor.create()["retCode"] == 0


def test_a_skewed_clock_is_told_and_held_against_clients():
    floor = Floor(faults=FaultSettings(clock_skew_ms=6_000))
    assert floor.get("/v5/market/time")["time"] == START_NS // MS + 6_000
    assert floor.create()["retCode"] == 10002


def test_private_frames_can_get_lost_and_the_account_still_knows():
    floor = Floor(faults=FaultSettings(private_drop_ratio=1.0))
    socket = floor.account("alice", "order", "execution")
    floor.create(timeInForce="GTC", price="100.03")
    assert heard(socket) == []
    assert len(floor.get("/v5/execution/list", "alice", **LINEAR)["result"]["list"]) == 1


@pytest.mark.parametrize(
    "switches", [{"drop_ratio": 2}, {"gap_frames": -1}, {"nonsense": 1}, {"close": "door"}, {"silent": "yes"}]
)
def test_fault_switches_that_cannot_be_leave_those_that_are(switches):
    floor = Floor()
    with pytest.raises(ConfigError, match="fault switches"):
        floor.exchange.faults.set({"drop_ratio": 0.5, **switches})
    assert floor.exchange.faults.now == FaultSettings()


def window(floor, seconds, product="DERIVATIVES"):
    args = {"product": product, "timeWindow": seconds}
    return floor.post("alice", "/v5/order/disconnected-cancel-all", args)["retCode"]


def test_the_dead_mans_switch_cancels_when_the_last_socket_is_gone_for_its_window():
    floor = Floor()
    assert window(floor, 10) == 0
    first, second = floor.account("alice", "dcp.future"), floor.account("alice", "dcp.future")
    floor.create(orderLinkId="a-1")
    floor.exchange.close(first)
    floor.step(20 * SECOND)
    assert len(floor.get("/v5/order/realtime", "alice", **LINEAR)["result"]["list"]) == 1
    floor.exchange.close(second)
    floor.step(29 * SECOND)
    assert len(floor.get("/v5/order/realtime", "alice", **LINEAR)["result"]["list"]) == 1
    floor.step(30 * SECOND)
    assert floor.get("/v5/order/realtime", "alice", **LINEAR)["result"]["list"] == []


def test_who_comes_back_in_time_keeps_his_orders_and_who_asked_for_nothing_too():
    floor = Floor()
    window(floor, 10)
    floor.create()
    floor.create("bob")
    floor.exchange.close(floor.account("alice", "dcp.future"))
    floor.exchange.close(floor.account("bob", "dcp.future"))
    floor.step(9 * SECOND)
    floor.account("alice", "dcp.future")
    floor.step(60 * SECOND)
    for key in ("alice", "bob"):
        assert len(floor.get("/v5/order/realtime", key, **LINEAR)["result"]["list"]) == 1
    assert [window(floor, 2), window(floor, 301), window(floor, 5, "OPTIONS")] == [10001] * 3


def test_the_account_endpoints_that_clients_ask_first():
    floor = Floor()
    assert floor.get("/v5/account/info", "alice")["result"]["dcpStatus"] == "OFF"
    assert floor.get("/v5/user/query-api", "alice")["result"]["uta"] == 1
    coins = floor.get("/v5/asset/coin/query-info", "alice")["result"]["rows"]
    assert [coin["coin"] for coin in coins] == ["SYNTH", "USDT"]
    (fee,) = floor.get("/v5/account/fee-rate", "alice", **LINEAR)["result"]["list"]
    assert (fee["makerFeeRate"], fee["takerFeeRate"]) == ("0.0002", "0.00055")
    mode = {**LINEAR, "mode": 0}
    assert floor.post("alice", "/v5/position/switch-mode", mode)["retCode"] == 110025
    assert floor.post("alice", "/v5/position/switch-mode", {**mode, "mode": 3})["retCode"] == 10001


def test_going_back_in_time_is_an_error():
    floor = Floor()
    with pytest.raises(ValueError, match="expected at least"):
        floor.step(-1)
