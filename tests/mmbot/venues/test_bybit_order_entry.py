"""The private and the trade connection of Bybit, sans-IO: login, pings, silence, and one answer an order."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import linear, ms

from mmbot.errors import LocalProtocolError, RemoteProtocolError, TransportError
from mmbot.model.account import (
    AccountFault,
    AccountStale,
    AccountTrouble,
    Asked,
    LookUpOrder,
    OrderAbsent,
    Outcome,
    PositionReport,
    RequestAnswer,
)
from mmbot.model.commands import CancelOrder, OrderBatch, SubmitOrder
from mmbot.model.instrument import Side
from mmbot.units import MS, SECOND, Lots, Ns, Ticks
from mmbot.venues.bybit.account import AccountSession, AccountSettings
from mmbot.venues.bybit.budget import Budget, BudgetSettings
from mmbot.venues.bybit.order_entry import OrderEntry
from mmbot.venues.bybit.orders import Operation, OrderWriter
from mmbot.venues.bybit.private_stream import ConnectionSettings, PrivateStream, login
from mmbot.venues.clock_offset import ClockOffset
from mmbot.venues.credentials import Credentials, Secret

BTC = linear(symbol="BTCUSDT", base="BTC", tick_size="0.1", lot_size="0.001")
SETTINGS = ConnectionSettings()
ACCEPTED, REFUSED, UNKNOWN = Outcome.ACCEPTED, Outcome.REFUSED, Outcome.UNKNOWN
AUTH_OK = b'{"retCode":0,"retMsg":"OK","op":"auth","connId":"c"}'
POSITION = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "size": "1", "entryPrice": "9"}


class Bench:
    """Both connections of one account, and virtual time; the steady clock runs with the wall."""

    def __init__(self, settings: ConnectionSettings = SETTINGS) -> None:
        self.now_ms = 0.0
        self.clock = ClockOffset()
        self.budget = Budget(BudgetSettings())
        self.account = AccountSession(
            [BTC], AccountSettings(), self.clock, self.budget, now_ns=self.now, since_ns=self.now
        )
        self.recorded: list[bytes] = []
        self.others: list[Any] = []
        hello = login(Credentials("testkey", Secret("testsecret")), self.clock)
        self.private = PrivateStream(
            self.account, hello, settings, lambda _, payload: self.recorded.append(payload)
        )
        self.entry = OrderEntry(
            OrderWriter([BTC]),
            self.account,
            hello,
            self.clock,
            self.budget,
            settings,
            lambda _, payload: self.recorded.append(payload),
            recv_window_ms=5000,
            req_id_prefix="r",
        )

    @property
    def now(self) -> Ns:
        return Ns(ms(self.now_ms))

    def logged_in(self) -> "Bench":
        self.entry.connected(self.now, self.now)
        assert [msgspec.json.decode(one)["op"] for one in self.entry.outgoing()] == ["auth"]
        self.says(AUTH_OK)
        return self

    def says(self, payload: bytes) -> None:
        self.entry.received(self.now, payload, self.now)

    def hears(self, payload: bytes) -> None:
        self.private.received(self.now, payload, self.now)

    def send(self, message: Any) -> Any:
        return self.entry.send(message, self.now, self.now)

    def sent(self) -> list[Any]:
        return [msgspec.json.decode(one) for one in self.entry.outgoing()]

    def answers(self) -> list[RequestAnswer]:
        """What was answered about orders since the last time; the rest waits in `others`."""
        said = self.account.drain()
        self.others += [one for one in said if not isinstance(one, RequestAnswer)]
        return [one for one in said if isinstance(one, RequestAnswer)]

    def told(self) -> list[tuple[str, Outcome, int, str]]:
        return [(one.client_id, one.outcome, one.code, one.reason) for one in self.answers()]

    def trouble(self) -> AccountTrouble:
        """The one trouble that was told."""
        self.others += self.account.drain()
        (found,) = self.others
        assert isinstance(found, AccountTrouble)
        return found


def submit(number: int = 1, **changes: Any) -> SubmitOrder:
    facts: dict[str, Any] = {
        "symbol": BTC.key,
        "client_id": f"mmA-{number}",
        "side": Side.BUY,
        "tick": Ticks(500_000),
        "lots": Lots(1),
    }
    return SubmitOrder(**facts | changes)


def cancels(count: int) -> OrderBatch:
    return OrderBatch(BTC.key, tuple(CancelOrder(BTC.key, f"mmA-{number}") for number in range(count)))


def answer(req_id: str, op: str = "order.create", code: int = 0, **more: Any) -> bytes:
    facts = {"reqId": req_id, "retCode": code, "retMsg": "said", "op": op, "data": {}, "connId": "c"}
    return msgspec.json.encode(facts | more)


def limits(limit: int, left: int, reset_ms: int) -> dict[str, str]:
    return {
        "X-Bapi-Limit": str(limit),
        "X-Bapi-Limit-Status": str(left),
        "X-Bapi-Limit-Reset-Timestamp": str(reset_ms),
        "Timenow": "1",
    }


def test_urls_ask_for_an_early_end_of_a_silent_connection():
    url = SETTINGS.url("wss://stream.bybit.com", "private")
    assert url == "wss://stream.bybit.com/v5/private?max_active_time=60s"


def test_the_private_connection_logs_in_subscribes_and_starts_the_seed():
    bench = Bench(ConnectionSettings(fast=True))
    bench.private.connected(bench.now, bench.now)
    (auth,) = bench.private.outgoing()
    expires = msgspec.json.decode(auth)["args"][1]
    assert expires == bench.now // MS + 10_000
    bench.hears(b'{"success":true,"ret_msg":"","op":"auth","conn_id":"c"}')
    (subscribe,) = bench.private.outgoing()
    topics = ["order", "execution", "position", "wallet", "execution.fast"]
    assert msgspec.json.decode(subscribe) == {"req_id": "topics", "op": "subscribe", "args": topics}
    assert not bench.account.current
    asked = len(bench.account.queries(bench.now))
    bench.hears(b'{"success":true,"ret_msg":"","op":"subscribe","conn_id":"c"}')
    assert len(bench.account.queries(bench.now)) == 4
    assert asked == 1
    assert len(bench.recorded) == 2


def test_what_the_private_stream_says_reaches_the_account():
    bench = Bench()
    row = POSITION | {"positionIdx": 0}
    bench.hears(msgspec.json.encode({"topic": "position", "creationTime": 1, "data": [row]}))
    assert bench.account.drain() == [PositionReport(BTC.key, Lots(1000), 9.0, bench.now)]


def test_a_refused_login_is_told_and_ends_the_connection():
    bench = Bench()
    bench.private.connected(bench.now, bench.now)
    with pytest.raises(TransportError, match="auth was refused: bad sign"):
        bench.hears(b'{"success":false,"ret_msg":"bad sign","op":"auth","conn_id":"c"}')
    trouble = bench.trouble()
    assert (trouble.fault, trouble.detail) == (AccountFault.CREDENTIALS, "auth: bad sign")


def test_a_refused_subscription_and_an_ack_out_of_turn_end_the_connection():
    bench = Bench()
    bench.private.connected(bench.now, bench.now)
    with pytest.raises(TransportError, match="ack was for subscribe, expected auth"):
        bench.hears(b'{"success":true,"ret_msg":"","op":"subscribe","conn_id":"c"}')
    bench.hears(b'{"success":true,"ret_msg":"","op":"auth","conn_id":"c"}')
    with pytest.raises(TransportError, match="subscribe was refused: no"):
        bench.hears(b'{"success":false,"ret_msg":"no","op":"subscribe","conn_id":"c"}')


def test_a_missing_ack_ends_the_connection():
    bench = Bench()
    bench.private.connected(bench.now, bench.now)
    bench.entry.connected(bench.now, bench.now)
    bench.now_ms = 4_999
    bench.private.due(bench.now, bench.now)
    bench.entry.due(bench.now, bench.now)
    bench.now_ms = 5_000
    with pytest.raises(TransportError, match="auth: no ack came in 5000 ms"):
        bench.private.due(bench.now, bench.now)
    with pytest.raises(TransportError, match="auth: no ack came"):
        bench.entry.due(bench.now, bench.now)


@pytest.mark.parametrize("which", ["private", "entry"])
def test_pings_every_20_s_and_silence_ends_it(which):
    bench = Bench()
    talk: Any = getattr(bench, which)
    talk.connected(bench.now, bench.now)
    acks = {"private": b'{"success":true,"ret_msg":"","op":"auth"}', "entry": AUTH_OK}
    talk.received(bench.now, acks[which], bench.now)
    if which == "private":
        talk.received(bench.now, b'{"success":true,"ret_msg":"","op":"subscribe"}', bench.now)
    talk.outgoing()
    pinged = []
    pongs = {"private": b'{"op":"pong","args":["1"]}', "entry": b'{"retCode":0,"retMsg":"OK","op":"pong"}'}
    for second in range(1, 50):
        bench.now_ms = second * 1000
        talk.due(bench.now, bench.now)
        if talk.outgoing():
            pinged.append(second)
            talk.received(bench.now, pongs[which], bench.now)
    assert pinged == [20, 40]
    bench.now_ms = 69_999
    talk.due(bench.now, bench.now)
    assert len(talk.outgoing()) == 1
    bench.now_ms = 70_000
    with pytest.raises(TransportError, match=r"nothing was received for 30\.0 s"):
        talk.due(bench.now, bench.now)


def test_a_machine_that_stood_still_pings_before_it_gives_up():
    bench = Bench().logged_in()
    bench.now_ms = 100_000
    bench.entry.due(bench.now, bench.now)
    assert bench.sent() == [{"op": "ping"}]
    bench.entry.alive(bench.now)
    bench.now_ms = 101_000
    bench.entry.due(bench.now, bench.now)


def test_the_end_of_the_private_connection_makes_the_account_stale():
    bench = Bench()
    bench.private.connected(bench.now, bench.now)
    bench.hears(b'{"success":true,"ret_msg":"","op":"auth","conn_id":"c"}')
    bench.hears(b'{"success":true,"ret_msg":"","op":"subscribe","conn_id":"c"}')
    bench.private.lost(bench.now, "cut")
    assert bench.account.drain() == [AccountStale("cut", bench.now)]
    assert bench.private.outgoing() == []
    bench.private.unreachable(bench.now, "no route")
    assert bench.account.drain() == []


def test_an_order_goes_by_the_connection_and_is_answered():
    bench = Bench().logged_in()
    bench.clock.sample(bench.now, Ns(bench.now + 300 * MS), bench.now)
    assert bench.send(submit()) is None
    (sent,) = bench.sent()
    assert (sent["reqId"], sent["op"]) == ("r-1", "order.create")
    assert sent["header"]["X-BAPI-TIMESTAMP"] == str(bench.now // MS + 300)
    bench.says(answer("r-1", data={"orderLinkId": "mmA-1"}, header=limits(20, 3, 0)))
    (said,) = bench.answers()
    assert (said.client_id, said.asked, said.outcome) == ("mmA-1", Asked.CREATE, ACCEPTED)
    assert bench.budget.order_room("linear", Operation.CREATE, bench.now, http=False) == 3


def test_a_batch_is_answered_order_by_order():
    bench = Bench().logged_in()
    bench.send(cancels(2))
    extra = {"list": [{"code": 0, "msg": "OK"}, {"code": 110001, "msg": "gone"}]}
    bench.says(answer("r-1", "order.cancel-batch", data={"list": [{}, {}]}, retExtInfo=extra))
    assert bench.told() == [("mmA-0", ACCEPTED, 0, "OK"), ("mmA-1", REFUSED, 110001, "gone")]


def test_a_lost_connection_leaves_its_orders_unknown():
    bench = Bench().logged_in()
    bench.send(submit(1))
    bench.send(cancels(1))
    bench.entry.lost(bench.now, "cut")
    assert bench.told() == [("mmA-1", UNKNOWN, 0, "cut"), ("mmA-0", UNKNOWN, 0, "cut")]
    assert not bench.entry.ready
    assert bench.sent() == []
    bench.entry.unreachable(bench.now, "no route")


def test_an_order_without_an_answer_in_time_is_unknown_and_its_late_answer_is_counted():
    bench = Bench().logged_in()
    bench.send(submit())
    bench.now_ms = 4_999
    bench.entry.due(bench.now, bench.now)
    assert bench.told() == []
    bench.now_ms = 5_000
    bench.entry.due(bench.now, bench.now)
    assert bench.told() == [("mmA-1", UNKNOWN, 0, "no answer in time")]
    bench.says(answer("r-1"))
    assert bench.told() == []
    assert bench.entry.late_answers == 1
    with pytest.raises(RemoteProtocolError, match="'r-1'"):
        bench.says(answer("r-1"))


def test_before_login_orders_go_by_rest():
    bench = Bench()
    request = bench.send(submit())
    assert request.operation.path == "/v5/order/create"
    assert bench.sent() == []
    body = {"retCode": 0, "retMsg": "OK", "result": {"orderLinkId": "mmA-1"}, "time": 1}
    bench.entry.rest_answered(request, 200, limits(10, 9, 0), msgspec.json.encode(body), bench.now)
    assert bench.told() == [("mmA-1", ACCEPTED, 0, "OK")]


@pytest.mark.parametrize(
    ("status", "body", "proves", "reason"),
    [
        (200, b"<html>", UNKNOWN, "expected a Bybit v5 one"),
        (200, b'{"retCode":0,"retMsg":"","result":{"orderLinkId":"other"}}', UNKNOWN, "'other'"),
        (502, b"", UNKNOWN, "HTTP 502"),
        (404, b"", REFUSED, "HTTP 404"),
    ],
)
def test_odd_rest_answers_prove_nothing(status, body, proves, reason):
    bench = Bench()
    bench.entry.rest_answered(bench.send(submit()), status, {}, body, bench.now)
    ((_, found, _, said),) = bench.told()
    assert found is proves
    assert reason in said


@pytest.mark.parametrize(("arrived", "proves"), [(True, UNKNOWN), (False, REFUSED)])
def test_a_rest_request_that_broke_off(arrived, proves):
    bench = Bench()
    bench.entry.rest_failed(bench.send(submit()), "no answer", bench.now, arrived=arrived)
    assert bench.told() == [("mmA-1", proves, 0, "no answer")]


def test_a_banned_address_is_told_and_nothing_goes_out():
    bench = Bench()
    bench.entry.rest_answered(bench.send(submit()), 403, {}, b"access too frequent", bench.now)
    assert bench.told() == [("mmA-1", REFUSED, 0, "HTTP 403")]
    trouble = bench.trouble()
    assert (trouble.fault, trouble.until_ns) == (AccountFault.BANNED, bench.now + 600 * SECOND)
    assert bench.send(cancels(1)) is None
    bench.logged_in()
    assert bench.send(cancels(1)) is None
    assert bench.sent() == []
    assert [one[1] for one in bench.told()] == [REFUSED] * 2


def test_the_venues_rate_limit_refuses_until_its_reset():
    bench = Bench().logged_in()
    bench.send(submit(1))
    reset_ms = bench.now // MS + 2_500
    bench.says(answer("r-1", code=10006, header=limits(10, 0, reset_ms)))
    assert bench.told() == [("mmA-1", REFUSED, 10006, "said")]
    trouble = bench.trouble()
    assert (trouble.fault, trouble.until_ns) == (AccountFault.RATE_LIMITED, reset_ms * MS)
    bench.now_ms = 2_499
    bench.send(submit(2))
    assert bench.told() == [("mmA-2", REFUSED, 0, "venue's rate limit: room for 0 of 1 create now")]
    bench.now_ms = 2_500
    bench.sent()
    bench.send(submit(3))
    assert len(bench.sent()) == 1


def test_http_429_refuses_for_a_second():
    bench = Bench()
    bench.entry.rest_answered(bench.send(submit(1)), 429, {}, b"", bench.now)
    assert bench.told() == [("mmA-1", REFUSED, 0, "HTTP 429")]
    trouble = bench.trouble()
    assert (trouble.fault, trouble.until_ns) == (AccountFault.RATE_LIMITED, bench.now + SECOND)
    bench.now_ms = 999
    assert bench.send(submit(2)) is None
    bench.now_ms = 1_000
    assert bench.send(submit(3)).client_ids == ("mmA-3",)


def test_retry_after_is_waited_for_by_that_kind_alone():
    bench = Bench()
    bench.entry.rest_answered(bench.send(submit(1)), 429, {"Retry-After": "7"}, b"", bench.now)
    assert bench.told() == [("mmA-1", REFUSED, 0, "HTTP 429")]
    assert bench.trouble().until_ns == bench.now + 7 * SECOND
    bench.now_ms = 6_999
    assert bench.send(submit(2)) is None
    assert bench.send(CancelOrder(BTC.key, "mmA-1")).client_ids == ("mmA-1",)
    bench.now_ms = 7_000
    assert bench.send(submit(3)).client_ids == ("mmA-3",)


def test_a_batch_larger_than_the_room_is_cut():
    bench = Bench().logged_in()
    bench.send(cancels(7))
    bench.send(cancels(5))
    first, second = bench.sent()
    assert [len(one["args"][0]["request"]) for one in (first, second)] == [7, 3]
    assert [one[:2] for one in bench.told()] == [("mmA-3", REFUSED), ("mmA-4", REFUSED)]


def test_a_refused_clock_is_asked_for_again():
    bench = Bench().logged_in()
    bench.account.queries(bench.now)
    bench.send(submit())
    bench.says(answer("r-1", code=10002))
    assert bench.told() == [("mmA-1", REFUSED, 10002, "said")]
    trouble = bench.trouble()
    assert trouble.fault is AccountFault.CLOCK
    assert len(bench.account.queries(bench.now)) == 1


def test_a_restarting_service_ends_the_connection_after_its_answer():
    bench = Bench().logged_in()
    bench.send(submit(1))
    bench.send(submit(2))
    with pytest.raises(TransportError, match="retCode 10019"):
        bench.says(answer("r-1", code=10019))
    bench.entry.lost(bench.now, "restart")
    assert bench.told() == [("mmA-1", REFUSED, 10019, "said"), ("mmA-2", UNKNOWN, 0, "restart")]


def test_a_refused_login_of_the_trade_connection():
    bench = Bench()
    bench.entry.connected(bench.now, bench.now)
    with pytest.raises(TransportError, match="auth was refused: retCode 10004 sign"):
        bench.says(b'{"retCode":10004,"retMsg":"sign","op":"auth","connId":"c"}')
    trouble = bench.trouble()
    assert trouble.fault is AccountFault.CREDENTIALS
    assert not bench.entry.ready


def test_who_is_logged_in_already_is_logged_in():
    bench = Bench()
    bench.entry.connected(bench.now, bench.now)
    bench.says(b'{"retCode":20001,"retMsg":"repeat","op":"auth","connId":"c"}')
    assert bench.entry.ready


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (answer("r-2"), "answer was to 'order.create' 'r-2'"),
        (answer(""), "expected one to a request of ours"),
        (answer("r-1", "order.cancel"), "answer was to 'order.cancel'"),
        (answer("r-1", data={"orderLinkId": "mmA-9"}), "about order 'mmA-9'"),
        (answer("r-1", header={"X-Bapi-Limit": "x"}), "x-bapi-limit was 'x'"),
        (b"{}", "expected one of order entry"),
        (b'{"op":"order.create","retCode":"0"}', "expected one of order entry"),
        (b"\xff", "expected one of order entry"),
    ],
)
def test_odd_messages_are_refused_and_the_order_stays_open(payload, complaint):
    bench = Bench().logged_in()
    bench.send(submit())
    with pytest.raises(RemoteProtocolError, match=complaint):
        bench.says(payload)
    assert bench.told() == []
    bench.entry.lost(bench.now, "odd")
    assert bench.told() == [("mmA-1", UNKNOWN, 0, "odd")]


@pytest.mark.parametrize(("message", "absent"), [(submit(), False), (CancelOrder(BTC.key, "mmA-1"), True)])
def test_only_a_create_may_still_be_on_its_way(message, absent):
    bench = Bench().logged_in()
    bench.now_ms = 100_000
    bench.send(message)
    bench.account.look_up(LookUpOrder(BTC.key, "mmA-1"), bench.now)
    nothing = b'{"retCode":0,"retMsg":"OK","result":{"list":[]}}'
    for _ in range(3):
        for query in bench.account.queries(bench.now):
            if query.client_id:
                bench.account.answered(query, 200, nothing, sent_ns=bench.now, now_ns=bench.now)
    assert (OrderAbsent in map(type, bench.account.drain())) is absent


def test_what_breaks_the_venues_rules_is_not_sent():
    bench = Bench().logged_in()
    with pytest.raises(LocalProtocolError, match="0 lots"):
        bench.send(submit(lots=Lots(0)))
    assert bench.sent() == []


GOOD = answer("r-1", data={"orderLinkId": "mmA-1"}, header=limits(10, 9, 1))


@given(st.data())
def test_every_order_gets_one_answer_whatever_the_venue_says(data):
    at = data.draw(st.integers(0, len(GOOD) - 1))
    damaged = GOOD[:at] + data.draw(st.binary(max_size=6)) + GOOD[at + data.draw(st.integers(0, 6)) :]
    bench = Bench().logged_in()
    bench.send(submit())
    try:
        bench.says(damaged)
    except (RemoteProtocolError, TransportError) as error:
        bench.entry.lost(bench.now, str(error))
    bench.now_ms = 5_000
    bench.entry.lost(bench.now, "cut")
    assert [one[0] for one in bench.told()] == ["mmA-1"]


def test_examples_of_the_documentation(data_dir):
    folder = data_dir / "wire_fixtures/bybit"
    spot = linear(venue="bybit_spot", symbol="BTCUSDT", base="BTC", tick_size="0.1", lot_size="0.001")
    bench = Bench()
    bench.entry = OrderEntry(
        OrderWriter([spot]),
        bench.account,
        lambda _: b"",
        bench.clock,
        bench.budget,
        SETTINGS,
        lambda _, payload: bench.recorded.append(payload),
        recv_window_ms=5000,
        req_id_prefix="nfm",
    )
    bench.entry.connected(bench.now, bench.now)
    bench.says((folder / "auth_ok.json").read_bytes())
    assert bench.entry.ready
    for number, name in ((1, "trade_create_ok"), (2, "trade_create_reject")):
        bench.send(submit(symbol=spot.key, client_id=f"fm00010000000{number}"))
        recorded = (folder / f"{name}.json").read_bytes()
        bench.says(recorded.replace(f"nfm00010000000{number}".encode(), f"nfm-{number}".encode()))
    reason = "The LIMIT-MAKER order is rejected due to invalid price."
    assert bench.told() == [
        ("fm000100000001", ACCEPTED, 0, "OK"),
        ("fm000100000002", REFUSED, 170218, reason),
    ]
