"""A survey: each kind of question complete before the next, whatever the pages and the order of answers."""

from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import linear, ms

from mmbot.model.account import AccountReport, Execution, OrderReport, PositionReport, VenueStatus
from mmbot.model.events import Funding
from mmbot.model.instrument import Side
from mmbot.units import MS, Lots, Ns, Ticks
from mmbot.venues.bybit.queries import Ask, Query
from mmbot.venues.bybit.survey import Survey

BTC, ETH = linear(symbol="BTCUSDT", base="BTC"), linear(symbol="ETHUSDT", base="ETH")
SPOT = linear(venue="bybit_spot", symbol="ETHUSDT", base="ETH")
ASKED, SINCE = Ns(ms(1_000)), Ns(ms(-500))
ORDER = OrderReport(
    BTC.key, "mmA-1", "o1", Side.BUY, Ticks(1), Lots(1), Lots(0), VenueStatus.WORKING, "", ASKED, ASKED
)
EXECUTION = Execution(
    BTC.key,
    "mmA-1",
    "o1",
    "e1",
    Side.BUY,
    Ticks(1),
    Lots(1),
    maker=True,
    fee=0.0,
    venue_ns=ASKED,
    recv_ns=ASKED,
)
POSITION = PositionReport(BTC.key, Lots(1), 1.0, ASKED)
FUNDING = Funding(BTC.key, ASKED, ASKED, 0.0001, 0.5)
OF: dict[Ask, list[AccountReport]] = {
    Ask.OPEN_ORDERS: [ORDER],
    Ask.EXECUTIONS: [EXECUTION, FUNDING],
    Ask.POSITIONS: [POSITION],
}


def test_kinds_come_one_after_the_other_and_spot_has_no_position():
    survey = Survey([BTC, SPOT], ASKED, SINCE)
    stages, waiting = [], survey.next_queries()
    while waiting:
        stages.append([(query.ask, query.category, query.symbol) for query in waiting])
        assert all(query.survey for query in waiting)
        waiting = [later for query in waiting for later in survey.took([], None)]
    assert stages == [
        [(Ask.OPEN_ORDERS, "linear", "BTCUSDT"), (Ask.OPEN_ORDERS, "spot", "ETHUSDT")],
        [(Ask.EXECUTIONS, "linear", "BTCUSDT"), (Ask.EXECUTIONS, "spot", "ETHUSDT")],
        [(Ask.POSITIONS, "linear", "BTCUSDT")],
    ]
    assert survey.over


def test_an_account_of_spot_alone_is_over_without_a_position():
    survey = Survey([SPOT], ASKED, SINCE)
    survey.next_queries()
    (executions,) = survey.took([], None)
    assert executions.ask is Ask.EXECUTIONS
    assert survey.took([], None) == []
    assert survey.over


def test_only_executions_have_a_beginning():
    survey = Survey([BTC], ASKED, SINCE)
    (orders,) = survey.next_queries()
    (executions,) = survey.took([], None)
    assert (orders.start_ms, executions.start_ms) == (0, SINCE // MS)


def test_what_is_none_of_an_order_stands_apart():
    survey = Survey([BTC], ASKED, SINCE)
    waiting = survey.next_queries()
    while waiting:
        (query,) = waiting
        waiting = survey.took(OF[query.ask], None)
    found = survey.result(Ns(ms(2_000)))
    assert (found.open_orders, found.executions, found.positions) == ([ORDER], [EXECUTION], [POSITION])
    assert (found.asked_ns, found.recv_ns) == (ASKED, ms(2_000))
    assert survey.others == [FUNDING]


@given(st.data())
def test_whatever_the_pages_and_whoever_answers_first_nothing_is_left_out(data: st.DataObject):
    survey = Survey([BTC, ETH], ASKED, SINCE)
    waiting: list[Query] = survey.next_queries()
    kinds: list[Ask] = []
    pages = 0
    while waiting:
        assert len({query.ask for query in waiting}) == 1, "two kinds were asked for at a time"
        assert not survey.over
        query = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
        kinds.append(query.ask)
        more = data.draw(st.booleans()) and pages < 20
        pages += 1
        waiting += survey.took(OF[query.ask], query if more else None)
    assert survey.over
    found = survey.result(ASKED)
    assert len(found.open_orders) == kinds.count(Ask.OPEN_ORDERS) >= 2
    assert len(found.executions) == len(survey.others) == kinds.count(Ask.EXECUTIONS) >= 2
    assert len(found.positions) == kinds.count(Ask.POSITIONS) >= 2
