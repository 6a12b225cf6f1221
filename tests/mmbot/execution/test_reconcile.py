"""Reconcile: what is missing is booked, what is left over cancelled, what nobody can explain refused."""

from collections.abc import Sequence

import pytest
from tests.mmbot.builders import KEY, START_NS, linear

from mmbot.execution.lifecycle import Lifecycle
from mmbot.execution.reconcile import OVERLAP_NS, Reconciler
from mmbot.execution.tracked import Phase
from mmbot.model.account import Execution, LookUpOrder, OrderReport, PositionReport, VenueAccount, VenueStatus
from mmbot.model.commands import CancelOrder, SubmitOrder
from mmbot.model.events import Fill
from mmbot.model.instrument import Side
from mmbot.units import SECOND, Lots, Ns, Ticks

ID = "mmA-SYNTHUSDT-1"
ELSEWHERE = "bybit_linear:OTHER"


def at(seconds: float) -> Ns:
    return Ns(START_NS + round(seconds * SECOND))


def order(client_id: str = ID, executed: int = 0, symbol: str = KEY) -> OrderReport:
    status = VenueStatus.WORKING
    return OrderReport(
        symbol, client_id, "v1", Side.BUY, Ticks(7_490), Lots(10), Lots(executed), status, "", at(0), at(0)
    )


def trade(exec_id: str, lots: int, *, s: float = 1.0, client_id: str = ID) -> Execution:
    return Execution(
        KEY,
        client_id,
        "v1",
        exec_id,
        Side.BUY,
        Ticks(7_490),
        Lots(lots),
        maker=True,
        fee=None,
        venue_ns=at(s),
        recv_ns=at(s),
    )


def account(
    orders: Sequence[OrderReport] = (),
    executions: Sequence[Execution] = (),
    lots: int | None = None,
    *,
    s: float = 0.0,
) -> VenueAccount:
    held = [] if lots is None else [PositionReport(KEY, Lots(lots), 75.0 if lots else None, at(s))]
    return VenueAccount(at(s), orders, executions, held, at(s))


@pytest.fixture
def lifecycle() -> Lifecycle:
    return Lifecycle([linear()], "mmA-")


@pytest.fixture
def agreed(lifecycle: Lifecycle) -> Reconciler:
    """Books begun flat; one bid of 10 lots live since 0.5 s."""
    reconciler = Reconciler(lifecycle)
    assert reconciler.check(at(0), account()).differences == []
    lifecycle.commands(at(0.5), [SubmitOrder(KEY, ID, Side.BUY, Ticks(7_490), Lots(10))])
    lifecycle.heard(order())
    return reconciler


class TestTheFirstStart:
    def test_nothing_is_quoted_before_it(self, lifecycle: Lifecycle):
        assert Reconciler(lifecycle).refusal == "not reconciled with the venue yet"

    def test_a_flat_account_agrees(self, lifecycle: Lifecycle):
        reconciler = Reconciler(lifecycle)
        assert reconciler.check(at(0), account()).differences == []
        assert reconciler.refusal is None
        assert lifecycle.symbol_state(KEY).opened_ns == 0

    def test_a_position_is_refused_with_its_number_unless_it_is_adopted(self, lifecycle: Lifecycle):
        refusing = Reconciler(lifecycle)
        refusing.check(at(0), account(lots=-7))
        assert refusing.refusal == (
            f"{KEY}: position at the venue is -7 lots, the order log begins at 0: adopt it or flatten it"
        )
        adopting = Reconciler(lifecycle, frozenset([KEY]))
        adopting.check(at(1), account(lots=-7, s=1))
        assert adopting.refusal is None
        assert lifecycle.positions[KEY].lots == -7
        assert lifecycle.positions[KEY].average_price == pytest.approx(75.0)

    def test_executions_of_an_adopted_position_are_in_it(self, lifecycle: Lifecycle):
        before = [trade("x1", 3, s=-9), trade("x2", 4, s=-5)]
        done = Reconciler(lifecycle, frozenset([KEY])).check(at(0), account((), before, 7))
        assert (done.events, done.differences) == ([], [])
        assert lifecycle.positions[KEY].lots == 7

    def test_own_orders_of_a_log_that_was_lost_are_cancelled_first(self, lifecycle: Lifecycle):
        reconciler = Reconciler(lifecycle)
        done = reconciler.check(at(0), account([order(), order("web-1")]))
        assert done.cancels == [CancelOrder(KEY, ID)]
        assert reconciler.refusal == f"{KEY}: own order {ID} is open, of which no log knows"
        assert lifecycle.symbol_state(KEY).opened_ns is None
        assert reconciler.check(at(1), account(s=1)).differences == []

    def test_own_orders_where_this_run_does_not_trade_are_cancelled_too(self, lifecycle: Lifecycle):
        reconciler = Reconciler(lifecycle)
        stray = order("mmA-OTHER-4", symbol=ELSEWHERE)
        assert reconciler.check(at(0), account([stray])).cancels == [CancelOrder(ELSEWHERE, "mmA-OTHER-4")]
        assert reconciler.refusal == f"{ELSEWHERE}: own order mmA-OTHER-4 is open, of which no log knows"


class TestFromThenOn:
    def test_orders_of_others_are_listed_and_never_touched(self, agreed: Reconciler):
        others = [order("mmB-SYNTHUSDT-1"), order("web-7"), order("mmA-hedge"), order("")]
        done = agreed.check(at(1), account([order(), *others], lots=0, s=1))
        assert (done.foreign, done.cancels, done.differences) == (others, [], [])

    def test_a_fill_that_the_stream_lost_is_booked_by_its_id(self, agreed: Reconciler, lifecycle: Lifecycle):
        venue = account([order(executed=4)], [trade("x1", 4)], 4, s=2)
        (filled,) = agreed.check(at(2), venue).events
        assert isinstance(filled, Fill)
        assert (agreed.refusal, lifecycle.positions[KEY].lots) == (None, 4)
        assert agreed.check(at(3), venue).events == []

    def test_an_order_that_the_venue_does_not_list_is_looked_up(
        self, agreed: Reconciler, lifecycle: Lifecycle
    ):
        agreed.check(at(2), account(lots=0, s=2))
        assert lifecycle.due(at(2)) == [LookUpOrder(KEY, ID)]

    def test_an_order_sent_after_the_question_is_not_missed(self, agreed: Reconciler, lifecycle: Lifecycle):
        agreed.check(at(2), account(lots=0, s=0.4))
        assert lifecycle.due(at(2)) == []

    def test_a_position_may_differ_for_a_moment_and_not_twice(self, agreed: Reconciler):
        agreed.check(at(2), account([order()], lots=4, s=2))
        assert agreed.refusal is None
        agreed.check(at(3), account([order()], lots=4, s=3))
        assert agreed.refusal == f"{KEY}: position was 4 lots at the venue, 0 by the order log"
        agreed.check(at(4), account([order()], lots=0, s=4))
        assert agreed.refusal is None

    def test_a_fill_between_the_answers_is_no_difference(self, agreed: Reconciler, lifecycle: Lifecycle):
        agreed.check(at(2), account([order()], lots=4, s=2))
        lifecycle.heard(trade("x1", 4, s=2.1))
        agreed.check(at(3), account([order(executed=4)], [trade("x1", 4)], 8, s=3))
        assert agreed.refusal is None

    def test_an_orphan_stops_quoting_at_once(self, agreed: Reconciler, lifecycle: Lifecycle):
        lifecycle.restarted(at(2))
        assert agreed.refusal == f"order {ID} is live"

    def test_an_execution_that_fits_no_order_refuses(self, agreed: Reconciler):
        agreed.check(at(2), account([order()], [trade("x9", 4, client_id="mmA-SYNTHUSDT-9")], 0, s=2))
        assert agreed.refusal == f"{KEY}: execution x9 fits no order that we know"

    def test_executions_are_asked_for_from_before_the_last_agreement(
        self, agreed: Reconciler, lifecycle: Lifecycle
    ):
        agreed.check(at(2), account([order()], lots=0, s=1.5))
        assert agreed.since_ns == at(1.5) - OVERLAP_NS
        agreed.check(at(90), account([order("mmA-OTHER-4", symbol=ELSEWHERE)], lots=0, s=89))
        assert agreed.since_ns == at(1.5) - OVERLAP_NS
        assert Reconciler(Lifecycle([linear()], "mmA-", state=lifecycle.checkpoint())).since_ns > 0


@pytest.mark.usefixtures("agreed")
class TestARestart:
    def test_what_was_open_is_cancelled_before_anything_is_quoted(self, lifecycle: Lifecycle):
        lifecycle.restarted(at(5))
        reconciler = Reconciler(lifecycle)
        done = reconciler.check(at(5), account([order(executed=4)], [trade("x1", 4)], 4, s=5))
        assert [type(event) for event in done.events] == [Fill]
        assert reconciler.refusal == f"{KEY}: order {ID} of a run before is live for 4500 ms"
        assert lifecycle.due(at(5)) == [CancelOrder(KEY, ID)]
        assert lifecycle.open[0].phase is Phase.PENDING_CANCEL
        gone = OrderReport(
            KEY,
            ID,
            "v1",
            Side.BUY,
            Ticks(7_490),
            Lots(10),
            Lots(4),
            VenueStatus.CANCELLED,
            "",
            at(6),
            at(6),
        )
        lifecycle.heard(gone)
        reconciler.check(at(6), account([], [trade("x1", 4)], 4, s=6))
        assert reconciler.refusal is None

    def test_a_position_that_no_execution_explains_refuses_at_once_and_names_both_numbers(
        self, lifecycle: Lifecycle
    ):
        lifecycle.restarted(at(5))
        reconciler = Reconciler(lifecycle)
        venue = account([order()], [], 3, s=5)
        assert (
            f"{KEY}: position was 3 lots at the venue, 0 by the order log"
            in reconciler.check(at(5), venue).differences
        )
