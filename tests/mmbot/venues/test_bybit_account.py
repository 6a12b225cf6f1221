"""The account session: seed, stream, look-ups, the venue's time, and what happens when questions fail."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import linear, ms

from mmbot.errors import LocalProtocolError, RemoteProtocolError
from mmbot.model.account import (
    AccountCurrent,
    AccountFault,
    AccountStale,
    AccountTrouble,
    Execution,
    LookUpOrder,
    OrderAbsent,
    OrderReport,
    PositionReport,
    VenueStatus,
    WalletReport,
)
from mmbot.model.events import Funding
from mmbot.model.instrument import Side
from mmbot.units import DAY, MS, Lots, Ns, Ticks
from mmbot.venues.bybit.account import AccountSession, AccountSettings
from mmbot.venues.bybit.budget import Budget, BudgetSettings
from mmbot.venues.bybit.queries import Ask, Query
from mmbot.venues.clock_offset import ClockOffset

BTC = linear(symbol="BTCUSDT", base="BTC", tick_size="0.1", lot_size="0.001")
SPOT = linear(venue="bybit_spot", symbol="ETHUSDT", base="ETH")
AT_MS = ms(0) // MS
ORDER = {
    "symbol": "BTCUSDT",
    "orderId": "o1",
    "orderLinkId": "mmA-1",
    "side": "Buy",
    "price": "69000",
    "qty": "0.010",
    "cumExecQty": "0",
    "orderStatus": "New",
    "updatedTime": str(AT_MS),
}
EXECUTION = {
    "symbol": "BTCUSDT",
    "orderId": "o1",
    "orderLinkId": "mmA-1",
    "side": "Buy",
    "execId": "e1",
    "execPrice": "69000",
    "execQty": "0.004",
    "execTime": str(AT_MS),
    "execFee": "0.1",
    "isMaker": True,
}
WALLET = {"accountType": "UNIFIED", "coin": [{"coin": "USDT", "walletBalance": "5"}]}
POSITION = {"symbol": "BTCUSDT", "side": "Buy", "size": "0.004", "avgPrice": "69000", "positionIdx": 0}

Rows = dict[Ask, list[dict[str, Any]]]


def reply(rows: list[dict[str, Any]], *, cursor: str = "", category: str = "") -> bytes:
    result = {"list": rows, "nextPageCursor": cursor} | ({"category": category} if category else {})
    return msgspec.json.encode({"retCode": 0, "retMsg": "OK", "result": result, "time": 1})


def refusal(code: int) -> bytes:
    return msgspec.json.encode({"retCode": code, "retMsg": "no", "result": {}, "time": 1})


def time_reply(at_ns: int) -> bytes:
    facts = {"timeSecond": str(at_ns // 10**9), "timeNano": str(at_ns)}
    return msgspec.json.encode({"retCode": 0, "retMsg": "OK", "result": facts, "time": 1})


class Bench:
    """A session, virtual time, and a venue that answers from rows; round trips of 20 ms."""

    def __init__(self, *instruments: Any, since_ms: float = 0) -> None:
        self.now_ms = 0.0
        self.clock = ClockOffset()
        self.budget = Budget(BudgetSettings())
        self.ahead_ms = 0.0
        self.rows: Rows = {Ask.WALLET: [WALLET]}
        self.asked: list[Query] = []
        self.session = AccountSession(
            instruments or (BTC,),
            AccountSettings(),
            self.clock,
            self.budget,
            now_ns=Ns(ms(0)),
            since_ns=Ns(ms(since_ms)),
        )
        self.answer: Callable[[Query], tuple[int, bytes]] = self.from_rows

    @property
    def now(self) -> Ns:
        return Ns(ms(self.now_ms))

    def from_rows(self, query: Query) -> tuple[int, bytes]:
        if query.ask is Ask.TIME:
            return 200, time_reply(self.now + int((self.ahead_ms + 10) * MS))
        return 200, reply(self.rows.get(query.ask, []))

    def turn(self) -> bool:
        """Ask what is due, and answer it 20 ms later."""
        queries = self.session.queries(self.now)
        self.asked += queries
        answers = [(query, self.now, *self.answer(query)) for query in queries]
        self.now_ms += 20
        for query, sent_ns, status, body in answers:
            self.session.answered(query, status, body, sent_ns=sent_ns, now_ns=self.now)
        return bool(queries)

    def settle(self) -> list[Any]:
        while self.turn():
            pass
        return self.session.drain()

    def until(self, at_ms: float) -> list[Any]:
        while self.now_ms < at_ms:
            self.turn()
        return self.session.drain()

    def asks(self) -> list[Ask]:
        asked, self.asked = self.asked, []
        return [query.ask for query in asked if query.ask is not Ask.TIME]


def kinds(said: list[Any]) -> list[type]:
    return [type(one) for one in said]


def test_after_a_connect_the_seed_is_told_before_the_stream():
    bench = Bench()
    bench.settle()
    bench.rows |= {
        Ask.OPEN_ORDERS: [ORDER | {"cumExecQty": "0.004", "orderStatus": "PartiallyFilled"}],
        Ask.EXECUTIONS: [EXECUTION],
        Ask.POSITIONS: [POSITION],
    }
    bench.session.subscribed(bench.now)
    assert not bench.session.current
    held = PositionReport(BTC.key, Lots(5), 69_000.0, bench.now)
    bench.session.reported([held])
    assert bench.session.drain() == []
    said = bench.settle()
    assert set(kinds(said[:3])) == {WalletReport, Execution, PositionReport}
    assert kinds(said[3:]) == [OrderReport, AccountCurrent, PositionReport]
    assert said[-1] is held
    assert bench.session.current
    after = PositionReport(BTC.key, Lots(6), 69_000.0, bench.now)
    bench.session.reported([after])
    assert bench.session.drain() == [after]


def test_the_seed_asks_for_every_instrument_and_spot_has_no_position():
    bench = Bench(BTC, SPOT)
    bench.session.subscribed(bench.now)
    bench.settle()
    asked = [(query.ask, query.category, query.symbol) for query in bench.asked if query.symbol]
    assert set(asked) == {
        (Ask.OPEN_ORDERS, "linear", "BTCUSDT"),
        (Ask.EXECUTIONS, "linear", "BTCUSDT"),
        (Ask.POSITIONS, "linear", "BTCUSDT"),
        (Ask.OPEN_ORDERS, "spot", "ETHUSDT"),
        (Ask.EXECUTIONS, "spot", "ETHUSDT"),
    }


def test_pages_are_followed_by_their_cursor():
    bench = Bench()

    def paged(query: Query) -> tuple[int, bytes]:
        if query.ask is not Ask.OPEN_ORDERS:
            return bench.from_rows(query)
        page = {"": ("a%3D1", "mmA-1"), "a%3D1": ("a%3D2", "mmA-2"), "a%3D2": ("", "mmA-3")}
        cursor, client_id = page[query.cursor]
        return 200, reply([ORDER | {"orderLinkId": client_id}], cursor=cursor, category="linear")

    bench.answer = paged
    bench.session.subscribed(bench.now)
    said = bench.settle()
    assert [one.client_id for one in said if isinstance(one, OrderReport)] == ["mmA-1", "mmA-2", "mmA-3"]
    (second,) = [query for query in bench.asked if query.cursor == "a%3D1"]
    assert second.parameters == "category=linear&symbol=BTCUSDT&limit=50&cursor=a%3D1"


def test_executions_are_asked_for_in_spans_of_seven_days_from_where_we_knew():
    bench = Bench(since_ms=-20 * DAY // MS)
    bench.session.subscribed(bench.now)
    bench.settle()
    starts = [query.start_ms - AT_MS for query in bench.asked if query.ask is Ask.EXECUTIONS]
    first = -20 * DAY // MS - 60_000
    assert starts == [first + days * DAY // MS for days in (0, 7, 14)]


def test_after_a_reconnect_executions_are_asked_for_since_the_stream_ended():
    bench = Bench()
    bench.session.subscribed(bench.now)
    bench.settle()
    bench.now_ms = 500_000
    bench.session.lost("cut", bench.now)
    assert bench.session.drain() == [AccountStale("cut", bench.now)]
    assert not bench.session.current
    bench.asked.clear()
    bench.session.subscribed(bench.now)
    bench.settle()
    assert [query.start_ms - AT_MS for query in bench.asked if query.ask is Ask.EXECUTIONS] == [440_000]


def test_a_connection_lost_while_seeding_tells_what_was_held_and_forgets_its_questions():
    bench = Bench()
    bench.settle()
    bench.session.subscribed(bench.now)
    questions = bench.session.queries(bench.now)
    held = PositionReport(BTC.key, Lots(5), 69_000.0, bench.now)
    bench.session.reported([held])
    bench.session.lost("cut", bench.now)
    assert bench.session.drain() == [held, AccountStale("cut", bench.now)]
    bench.session.subscribed(bench.now)
    for query in questions:  # answers to the old connection's questions
        bench.session.answered(query, 200, reply([]), sent_ns=bench.now, now_ns=bench.now)
    bench.session.failed(questions[0], bench.now)
    assert bench.session.drain() == []
    said = bench.settle()
    assert kinds(said).count(AccountCurrent) == 1


def test_a_lost_connection_that_never_was_says_nothing():
    bench = Bench()
    bench.session.lost("refused", bench.now)
    assert bench.session.drain() == []


def test_failed_questions_are_asked_again_later_and_later():
    bench = Bench()
    times: list[float] = []

    def down(query: Query) -> tuple[int, bytes]:
        if query.ask is Ask.WALLET:
            times.append(bench.now_ms)
            return 502, b"<html>"
        return bench.from_rows(query)

    bench.answer = down
    bench.session.subscribed(bench.now)
    assert AccountCurrent not in kinds(bench.until(100_000))
    waits = [round((later - first) / 1000) for first, later in pairwise(times)]
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    bench.answer = bench.from_rows
    assert AccountCurrent in kinds(bench.until(140_000))


def look_up(bench: Bench, client_id: str = "mmA-1") -> None:
    bench.session.look_up(LookUpOrder(BTC.key, client_id), bench.now)


def test_an_open_order_is_found_with_one_question():
    bench = Bench()
    bench.rows[Ask.ORDER] = [ORDER]
    look_up(bench)
    look_up(bench)
    (found,) = bench.settle()
    assert bench.asks() == [Ask.ORDER]
    assert (found.client_id, found.status) == ("mmA-1", VenueStatus.WORKING)


def test_an_old_order_is_found_in_history_and_its_executions_come_first():
    bench = Bench()
    bench.rows[Ask.ORDER_HISTORY] = [ORDER | {"cumExecQty": "0.004", "orderStatus": "Cancelled"}]
    bench.rows[Ask.ORDER_EXECUTIONS] = [EXECUTION]
    look_up(bench)
    said = bench.settle()
    assert bench.asks() == [Ask.ORDER, Ask.ORDER_HISTORY, Ask.ORDER_EXECUTIONS]
    assert kinds(said) == [Execution, OrderReport]


def test_executions_that_lag_behind_their_order_are_asked_for_again():
    bench = Bench()
    bench.rows[Ask.ORDER] = [ORDER | {"cumExecQty": "0.004", "orderStatus": "PartiallyFilled"}]
    look_up(bench)
    assert bench.until(900) == []
    bench.rows[Ask.ORDER_EXECUTIONS] = [EXECUTION]
    assert kinds(bench.until(2_000)) == [Execution, OrderReport]


def test_an_order_whose_executions_never_come_is_told_all_the_same():
    bench = Bench()
    bench.rows[Ask.ORDER] = [ORDER | {"cumExecQty": "0.004", "orderStatus": "PartiallyFilled"}]
    look_up(bench)
    assert bench.until(30_000) == []
    assert kinds(bench.until(33_000)) == [OrderReport]


def test_absence_is_believed_only_when_the_order_can_no_longer_arrive():
    bench = Bench()
    bench.now_ms = 100_000
    bench.session.creating(["mmA-1", "mmA-2"], bench.now)
    bench.now_ms = 101_000
    look_up(bench)
    assert bench.until(105_900) == []
    assert bench.asks() == [Ask.ORDER, Ask.ORDER_HISTORY, Ask.ORDER_EXECUTIONS]
    (absent,) = bench.until(107_000)
    assert absent == OrderAbsent(BTC.key, "mmA-1", absent.recv_ns)
    assert absent.recv_ns >= ms(106_000)
    assert bench.asks() == [Ask.ORDER, Ask.ORDER_HISTORY, Ask.ORDER_EXECUTIONS]


def test_an_order_that_arrives_between_the_questions_is_found_at_last():
    bench = Bench()
    bench.session.creating(["mmA-1"], bench.now)
    look_up(bench)
    assert bench.until(3_000) == []
    bench.rows[Ask.ORDER] = [ORDER]
    (found,) = bench.until(8_000)
    assert isinstance(found, OrderReport)


def test_an_order_of_long_ago_is_absent_at_once():
    bench = Bench()
    bench.now_ms = 60_000
    bench.session.creating(["mmA-7"], bench.now)
    look_up(bench)
    assert kinds(bench.settle()) == [OrderAbsent]


def test_absence_needs_all_three_answers():
    bench = Bench()
    bench.now_ms = 60_000
    broken = {Ask.ORDER_HISTORY}
    bench.answer = lambda query: (500, b"") if query.ask in broken else bench.from_rows(query)
    look_up(bench)
    assert bench.until(90_000) == []
    broken.clear()
    assert kinds(bench.until(130_000)) == [OrderAbsent]


def test_a_look_up_outlives_the_connection():
    bench = Bench()
    bench.now_ms = 60_000
    bench.session.subscribed(bench.now)
    look_up(bench)
    bench.session.lost("cut", bench.now)
    assert OrderAbsent in kinds(bench.settle())


def test_a_look_up_of_what_is_not_ours():
    with pytest.raises(LocalProtocolError, match="expected one of bybit_linear:BTCUSDT"):
        Bench().session.look_up(LookUpOrder(SPOT.key, "mmA-1"), Ns(0))


def test_an_answer_about_another_order_changes_nothing():
    bench = Bench()
    bench.rows[Ask.ORDER] = [ORDER | {"orderLinkId": "mmA-2"}]
    look_up(bench)
    with pytest.raises(RemoteProtocolError, match=r"was about \['mmA-2'\], expected 'mmA-1'"):
        bench.settle()
    bench.rows[Ask.ORDER] = [ORDER]
    bench.session.failed(bench.asked[-1], bench.now)
    assert [one.client_id for one in bench.until(2_000)] == ["mmA-1"]


def test_the_venues_time_is_asked_for_every_minute():
    bench = Bench()
    bench.ahead_ms = 120
    bench.until(185_000)
    assert [query.ask for query in bench.asked] == [Ask.TIME] * 4
    assert bench.clock.server_ms(bench.now) == (bench.now + 120 * MS) // MS


@pytest.mark.parametrize(
    ("ahead_ms", "fault", "halts"),
    [(-900, AccountFault.CLOCK_DRIFT, False), (2_500, AccountFault.CLOCK, True)],
)
def test_a_clock_that_is_wrong_is_told_once(ahead_ms, fault, halts):
    bench = Bench()
    bench.ahead_ms = ahead_ms
    (trouble,) = bench.until(300_000)
    assert (trouble.fault, trouble.fault.halts) == (fault, halts)
    assert f"venue is {ahead_ms:+d} ms from us" in trouble.detail


def test_a_refused_time_is_asked_for_at_once_and_older_samples_are_forgotten():
    bench = Bench()
    bench.settle()
    bench.ahead_ms = 1_900
    bench.session.code(10002, "invalid request", bench.now)
    drift = bench.settle()
    assert [one.fault for one in drift] == [AccountFault.CLOCK, AccountFault.CLOCK_DRIFT]
    assert [query.ask for query in bench.asked] == [Ask.TIME] * 2
    assert bench.clock.server_ms(bench.now) == (bench.now + 1_900 * MS) // MS


def test_a_ban_silences_everything_for_ten_minutes():
    bench = Bench()
    bench.settle()
    banned = [True]
    bench.answer = lambda query: (403, b"access too frequent") if banned else bench.from_rows(query)
    look_up(bench)
    bench.turn()
    (trouble,) = bench.session.drain()
    assert isinstance(trouble, AccountTrouble)
    assert (trouble.fault, trouble.until_ns) == (AccountFault.BANNED, ms(bench.now_ms + 600_000))
    banned.clear()
    bench.asked.clear()
    assert bench.until(bench.now_ms + 599_000) == []
    assert bench.asked == []
    assert kinds(bench.until(bench.now_ms + 10_000)) == [OrderAbsent]


def test_retry_after_is_waited_for_by_every_question():
    bench = Bench()
    bench.settle()
    (query, *_) = asked = [Query(Ask.ORDER, "linear", "BTCUSDT", "mmA-1")]
    bench.asked.clear()
    look_up(bench)
    assert bench.session.queries(bench.now) == asked
    sent_ns = bench.now
    bench.session.answered(query, 429, b"", sent_ns=sent_ns, now_ns=bench.now, retry_ns=7_000 * MS)
    look_up(bench, "mmA-2")
    began_ms = bench.now_ms
    assert bench.until(began_ms + 6_900) == []
    assert bench.asked == []
    assert kinds(bench.until(began_ms + 14_000)) == [OrderAbsent, OrderAbsent]


@pytest.mark.parametrize("code", [10003, 10004, 10005, 10010])
def test_a_refused_key_is_told(code):
    bench = Bench()
    bench.answer = lambda query: (200, refusal(code)) if query.ask is Ask.WALLET else bench.from_rows(query)
    bench.session.subscribed(bench.now)
    said = bench.until(1_000)
    faults = [one.fault for one in said if isinstance(one, AccountTrouble)]
    assert faults == [AccountFault.CREDENTIALS]
    assert faults[0].halts


def test_funding_is_told_once():
    bench = Bench()
    paid = Funding(BTC.key, Ns(ms(0)), Ns(ms(1)), 0.0001, 0.5)
    row = EXECUTION | {"execType": "Funding", "execFee": "0.5", "feeRate": "0.0001", "execId": "f1"}
    bench.session.reported([paid])
    bench.rows[Ask.EXECUTIONS] = [row]
    bench.session.subscribed(bench.now)
    fundings = [one for one in bench.settle() if isinstance(one, Funding)]
    assert fundings == [paid]


def test_the_budget_spreads_questions():
    bench = Bench()
    for _ in range(420):
        bench.budget.spend_query(bench.now)
    look_up(bench)
    assert bench.session.queries(bench.now) == []
    bench.now_ms = 5_000
    assert [query.ask for query in bench.session.queries(bench.now)] == [Ask.TIME, Ask.ORDER]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (reply([], category="spot"), "was of 'spot', expected 'linear'"),
        (reply([], cursor="a b"), "cursor was 'a b'"),
        (reply([{}]), "expected its rows"),
        (b'{"retCode":0,"retMsg":"","result":{}}', "expected its rows"),
        (reply([ORDER | {"price": "0.01"}]), "expected a plain decimal"),
    ],
)
def test_odd_pages(body, complaint):
    bench = Bench()
    bench.answer = lambda query: (200, body) if query.ask is Ask.ORDER else bench.from_rows(query)
    look_up(bench)
    with pytest.raises(RemoteProtocolError, match=complaint):
        bench.settle()


def test_a_cursor_that_does_not_move_is_no_page():
    bench = Bench()
    bench.answer = lambda query: (
        (200, reply([ORDER], cursor="same")) if query.symbol else bench.from_rows(query)
    )
    look_up(bench)
    with pytest.raises(RemoteProtocolError, match="'same' again"):
        bench.settle()


PAGE = reply([ORDER])


@given(st.data())
def test_a_damaged_page_is_refused_or_read(data):
    at = data.draw(st.integers(0, len(PAGE) - 1))
    damaged = PAGE[:at] + data.draw(st.binary(max_size=6)) + PAGE[at + data.draw(st.integers(0, 6)) :]
    bench = Bench()
    bench.answer = lambda query: (200, damaged) if query.ask is Ask.ORDER else bench.from_rows(query)
    look_up(bench)
    try:
        bench.until(1_500)
    except RemoteProtocolError:
        return
    assert Ask.ORDER in bench.asks()


def test_recorded_lists_decode(data_dir):
    folder = data_dir / "wire_fixtures" / "bybit"
    spot = linear(venue="bybit_spot", symbol="BTCUSDT", base="BTC", tick_size="0.1", lot_size="0.001")
    files = {
        Ask.OPEN_ORDERS: "rest_open_orders.json",
        Ask.POSITIONS: "linear_position_list.json",
        Ask.WALLET: "wallet_balance_unified.json",
        Ask.TIME: "server_time.json",
    }
    bench = Bench(spot, BTC)

    def recorded(query: Query) -> tuple[int, bytes]:
        fits = query.category == {Ask.OPEN_ORDERS: "spot"}.get(query.ask, "linear")
        if query.ask not in files or not fits:
            return bench.from_rows(query)
        return 200, (folder / files[query.ask]).read_bytes()

    bench.answer = recorded
    bench.session.subscribed(bench.now)
    said = bench.settle()
    orders = [one for one in said if isinstance(one, OrderReport)]
    assert [(one.client_id, one.side, one.tick, one.lots) for one in orders] == [
        ("fm000100000001", Side.BUY, Ticks(600_001), Lots(1))
    ]
    assert bench.session.rows.foreign == {"spot:ETHUSDT": 1}
    assert [one.lots for one in said if isinstance(one, PositionReport)] == [-15]
    (balances,) = [one for one in said if isinstance(one, WalletReport)]
    assert {one.coin for one in balances.coins} == {"BTC", "USDT", "ETH"}
    assert bench.clock.best is not None
