"""What Bybit will still take, in virtual time."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import linear, ms

from mmbot.errors import RemoteProtocolError
from mmbot.model.commands import CancelOrder, OrderBatch
from mmbot.units import SECOND, Ns
from mmbot.venues.bybit.budget import Budget, BudgetSettings, LimitState, limit_state, retry_after_ns
from mmbot.venues.bybit.orders import Operation, OrderRequest, OrderWriter

BTC = linear(symbol="BTCUSDT")
SPOT = linear(venue="bybit_spot", symbol="BTCUSDT")
WRITER = OrderWriter([BTC, SPOT])
CREATE, CANCEL = Operation.CREATE, Operation.CANCEL


def at(moment_ms: float) -> Ns:
    return Ns(ms(moment_ms))


def budget() -> Budget:
    return Budget(BudgetSettings())


def cancels(count: int, symbol: str = BTC.key) -> OrderRequest:
    orders = tuple(CancelOrder(symbol, f"mmA-{number}") for number in range(count))
    return WRITER.request(OrderBatch(symbol, orders))


def room(of: Budget, moment_ms: float, operation: Operation = CANCEL, **where: Any) -> int:
    facts: dict[str, Any] = {"category": "linear", "http": False} | where
    return of.order_room(facts["category"], operation, at(moment_ms), http=facts["http"])


def spend(of: Budget, moment_ms: float, operation: Operation, count: int = 1, *, http: bool = False) -> None:
    request = OrderRequest(operation, "linear", BTC.key, tuple(map(str, range(count))), "{}")
    of.spend(request, at(moment_ms), http=http)


def test_a_batch_costs_one_per_order_and_has_its_own_window():
    of = budget()
    of.spend(cancels(7), at(0), http=False)
    assert room(of, 999, Operation.CANCEL_BATCH) == 3
    assert room(of, 999, CANCEL) == 10
    assert room(of, 1000, Operation.CANCEL_BATCH) == 10


def test_spot_and_futures_are_counted_apart():
    of = budget()
    of.spend(cancels(10, SPOT.key), at(0), http=False)
    assert room(of, 1, Operation.CANCEL_BATCH, category="spot") == 10
    assert room(of, 1, Operation.CANCEL_BATCH, category="inverse") == 10


def test_the_venue_states_the_limit_and_what_others_spent():
    of = budget()
    spend(of, 0, CREATE, 3)
    of.stated("linear", CREATE, LimitState(20, 12, 0), at(10))
    assert room(of, 20, CREATE) == 12
    assert room(of, 1000, CREATE) == 15
    assert room(of, 1010, CREATE) == 20


def test_what_is_on_its_way_is_not_given_back_by_an_older_answer():
    of = budget()
    spend(of, 0, CREATE, 8)
    of.stated("linear", CREATE, LimitState(10, 9, 0), at(10))
    assert room(of, 20, CREATE) == 2


def test_over_the_limit_nothing_of_that_kind_until_the_reset():
    of = budget()
    of.limited("linear", CREATE, at(700))
    of.limited("linear", CREATE, at(500))
    assert [room(of, moment, CREATE) for moment in (0, 699, 700)] == [0, 0, 10]
    assert room(of, 0, CANCEL) == 10


def test_a_share_of_the_address_is_kept_for_cancels():
    of = budget()
    of.stated("linear", CREATE, LimitState(1000, 1000, 0), at(0))
    of.stated("linear", CANCEL, LimitState(1000, 1000, 0), at(0))
    spend(of, 0, CREATE, http=True)
    for _ in range(419):
        of.spend_query(at(0))
    assert room(of, 1, CREATE, http=True) == 0
    assert of.query_room(at(1)) == 0
    assert room(of, 1, CREATE, http=False) == 999
    assert room(of, 1, CANCEL, http=True) == 1000
    for _ in range(180):
        spend(of, 1, CANCEL, http=True)
    assert room(of, 2, CANCEL, http=True) == 0
    assert of.query_room(at(5000)) == 240


def test_a_banned_address_is_silent_for_ten_minutes():
    of = budget()
    until = of.banned(at(0))
    assert until == of.stopped_until_ns == at(600_000)
    for http in (True, False):
        assert room(of, 599_999, CANCEL, http=http) == 0
        assert room(of, 600_000, CANCEL, http=http) == 10
    assert of.query_room(at(599_999)) == 0


def test_headers_of_either_spelling():
    ws = {"X-Bapi-Limit": "20", "X-Bapi-Limit-Status": "19", "X-Bapi-Limit-Reset-Timestamp": "1789299700208"}
    assert limit_state(ws) == limit_state({name.upper(): value for name, value in ws.items()})
    assert limit_state(ws) == LimitState(20, 19, 1_789_299_700_208)
    assert limit_state({"Timenow": "1"}) is None


@pytest.mark.parametrize("text", ["", "-1", "1.5", "9" * 17, "²"])
def test_odd_headers(text):
    with pytest.raises(RemoteProtocolError, match="x-bapi-limit-status was"):
        limit_state({"X-Bapi-Limit": "20", "X-Bapi-Limit-Status": text})


@given(st.lists(st.tuples(st.integers(0, 700), st.integers(1, 10)), max_size=40))
def test_no_second_holds_more_than_the_limit(steps):
    of, now, sent = budget(), 0, []
    for wait_ms, wanted in steps:
        now += wait_ms
        count = min(wanted, room(of, now, Operation.CANCEL_BATCH))
        if count:
            of.spend(cancels(count), at(now), http=False)
            sent.append((now, count))
    for first, _ in sent:
        assert sum(count for when, count in sent if first <= when < first + 1000) <= 10


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1),
        ("0", 0),
        ("601", 600),
        ("9" * 17, 0),
        ("-1", 0),
        ("1.5", 0),
        ("²", 0),
        ("Mon, 1 Jan", 0),
    ],
)
def test_an_answer_may_ask_for_patience(text, seconds):
    assert retry_after_ns({"retry-AFTER": text}) == seconds * SECOND
    assert retry_after_ns({}) == 0


def test_patience_keeps_questions_and_not_orders():
    asked = budget()
    asked.pause_queries(at(2_000))
    asked.pause_queries(at(1_000))
    assert (asked.query_room(at(1_999)), asked.query_room(at(2_000))) == (0, 420)
    assert room(asked, 0, http=True) == 10
