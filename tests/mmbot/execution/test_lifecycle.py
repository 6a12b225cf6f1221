"""The order lifecycle, rule by rule, on one order; and every order in which six messages can come."""

from collections.abc import Sequence
from itertools import permutations, product

import msgspec
import pytest
from tests.mmbot.builders import KEY, START_NS, engine_of, linear, shipped_settings, snapshot

from mmbot.errors import LocalProtocolError, RemoteProtocolError
from mmbot.execution.lifecycle import Lifecycle, LifecycleSettings
from mmbot.execution.order_records import LifecycleState
from mmbot.execution.tracked import MOVES, News, Phase, Told
from mmbot.model.account import (
    Asked,
    Execution,
    LookUpOrder,
    OrderAbsent,
    OrderReport,
    Outcome,
    PositionReport,
    RequestAnswer,
    VenueStatus,
)
from mmbot.model.commands import AmendOrder, CancelOrder, OrderBatch, SubmitOrder, unpacked
from mmbot.model.events import (
    AmendReject,
    CancelReject,
    Fill,
    Funding,
    OrderAck,
    OrderAmended,
    OrderCancelled,
    OrderReject,
    Tick,
)
from mmbot.model.instrument import Side
from mmbot.units import DAY, MS, SECOND, Lots, Ns, Ticks

ID = "mmA-SYNTHUSDT-1"


def at(seconds: float) -> Ns:
    return Ns(START_NS + round(seconds * SECOND))


def submit(number: int = 1, lots: int = 10) -> SubmitOrder:
    return SubmitOrder(KEY, f"mmA-SYNTHUSDT-{number}", Side.BUY, Ticks(7_490), Lots(lots))


def report(
    status: VenueStatus = VenueStatus.WORKING, executed: int = 0, *, s: float = 0.1, client_id: str = ID
) -> OrderReport:
    return OrderReport(
        KEY, client_id, "v1", Side.BUY, Ticks(7_490), Lots(10), Lots(executed), status, "", at(s), at(s)
    )


def execution(
    exec_id: str = "x1",
    lots: int = 4,
    *,
    s: float = 0.2,
    client_id: str = ID,
    order_id: str = "v1",
    side: Side = Side.BUY,
) -> Execution:
    return Execution(
        KEY,
        client_id,
        order_id,
        exec_id,
        side,
        Ticks(7_490),
        Lots(lots),
        maker=True,
        fee=0.5,
        venue_ns=at(s),
        recv_ns=at(s),
    )


def answer(asked: Asked, outcome: Outcome, *, s: float = 0.1, reason: str = "") -> RequestAnswer:
    return RequestAnswer(KEY, ID, asked, outcome, 0, reason, at(s))


def absent(s: float) -> OrderAbsent:
    return OrderAbsent(KEY, ID, at(s))


@pytest.fixture
def empty() -> Lifecycle:
    """Books begun flat, no order."""
    lifecycle = Lifecycle([linear()], "mmA-")
    lifecycle.opened(at(0), KEY, Lots(0), None, Ns(0))
    return lifecycle


@pytest.fixture
def sent(empty: Lifecycle) -> Lifecycle:
    """One bid of 10 lots, sent at 0 s."""
    empty.commands(at(0), [submit()])
    return empty


@pytest.fixture
def live(sent: Lifecycle) -> Lifecycle:
    sent.heard(report())
    return sent


@pytest.fixture
def cancelling(live: Lifecycle) -> Lifecycle:
    """Its cancel was sent at 1 s."""
    live.commands(at(1), [CancelOrder(KEY, ID)])
    return live


def phase(lifecycle: Lifecycle) -> Phase:
    order = lifecycle.order(ID)
    assert order is not None
    return order.phase


def kinds(events: Sequence[object]) -> list[type]:
    return [type(event) for event in events]


def look_ups(lifecycle: Lifecycle, until_s: float, step_s: float = 0.1) -> list[float]:
    """When it asks for the order, in seconds."""
    times = [round(step * step_s, 3) for step in range(round(until_s / step_s) + 1)]
    return [s for s in times if LookUpOrder(KEY, ID) in lifecycle.due(at(s))]


def give_up(lifecycle: Lifecycle) -> list[object]:
    """Absent in every look-up after an unknown create, until it is lost."""
    lifecycle.heard(answer(Asked.CREATE, Outcome.UNKNOWN, s=0))
    events: list[object] = []
    for s in range(1, 20):
        if lifecycle.due(at(s)):
            events += lifecycle.heard(absent(s + 0.05))
    return events


class TestTheTable:
    @pytest.mark.parametrize("phase", list(Phase))
    def test_every_phase_but_the_first_can_be_reached_and_every_one_left(self, phase: Phase):
        assert any(before is phase for before, _ in MOVES)
        assert phase is Phase.PENDING_NEW or phase in MOVES.values()

    def test_only_proof_closes_an_order_that_may_be_there(self):
        closing = {news for (before, news), after in MOVES.items() if after is Phase.CLOSED is not before}
        assert closing == {News.REFUSED, News.ENDED, News.LOST}
        assert (Phase.PENDING_NEW, News.LOST) not in MOVES
        assert (Phase.SETTLING, News.LOST) not in MOVES
        assert {before for before, news in MOVES if news is News.REFUSED} == {
            Phase.PENDING_NEW,
            Phase.UNKNOWN,
        }

    def test_a_tombstone_rises_only_by_a_contradiction(self):
        rises = {news for (before, news) in MOVES if before is Phase.CLOSED}
        assert rises == {News.ENDED_SHORT, News.REVIVED}


class TestACreate:
    def test_is_acknowledged_by_a_report_not_by_the_answer(self, sent: Lifecycle):
        assert sent.heard(answer(Asked.CREATE, Outcome.ACCEPTED)) == []
        assert sent.heard(report()) == [OrderAck(KEY, ID, at(0.1))]
        assert phase(sent) is Phase.LIVE
        assert sent.heard(report()) == []

    def test_is_rejected_on_the_venues_word(self, sent: Lifecycle):
        refused = answer(Asked.CREATE, Outcome.REFUSED, reason="min notional")
        assert sent.heard(refused) == [OrderReject(KEY, ID, at(0.1), "min notional")]
        assert sent.open == []
        assert sent.heard(refused) == []

    def test_that_rested_nowhere_is_a_reject(self, sent: Lifecycle):
        gone = msgspec.structs.replace(report(VenueStatus.CANCELLED), reason="EC_PostOnlyWillTakeLiquidity")
        assert sent.heard(gone) == [OrderReject(KEY, ID, at(0.1), "EC_PostOnlyWillTakeLiquidity")]

    def test_whose_outcome_is_unknown_is_looked_up_and_never_resent(self, sent: Lifecycle):
        sent.heard(answer(Asked.CREATE, Outcome.UNKNOWN, s=0))
        assert phase(sent) is Phase.UNKNOWN
        assert look_ups(sent, 20) == [0.5, 1, 2, 4, 8, 12, 16, 20]

    def test_that_nobody_answers_is_unknown_after_the_timeout(self, sent: Lifecycle):
        assert look_ups(sent, 11) == [2.5, 3, 4, 6, 10]
        assert phase(sent) is Phase.UNKNOWN

    def test_found_by_a_look_up_is_looked_up_no_more(self, sent: Lifecycle):
        """The late acknowledgement drops what was scheduled."""
        sent.heard(answer(Asked.CREATE, Outcome.UNKNOWN, s=0))
        assert look_ups(sent, 1) == [0.5, 1]
        assert sent.heard(report(s=1.1)) == [OrderAck(KEY, ID, at(1.1))]
        assert sent.next_ns is None
        assert look_ups(sent, 30) == []

    def test_is_lost_after_three_absences_over_ten_seconds(self, sent: Lifecycle):
        (lost,) = give_up(sent)
        assert lost == OrderReject(KEY, ID, at(13.05), "lost")
        assert sent.open == []

    def test_is_not_lost_before_ten_seconds_nor_by_two_absences(self, sent: Lifecycle):
        sent.heard(answer(Asked.CREATE, Outcome.UNKNOWN, s=0))
        sent.due(at(0.5))
        assert [sent.heard(absent(s)) for s in (0.6, 1.1, 2.1, 10.5)] == [[]] * 4
        assert kinds(sent.heard(absent(10.6))) == [OrderReject]

    def test_is_not_lost_by_two_absences_however_far_apart(self, sent: Lifecycle):
        sent.heard(answer(Asked.CREATE, Outcome.UNKNOWN, s=0))
        sent.due(at(0.5))
        assert sent.heard(absent(1)) == sent.heard(absent(60)) == []

    @pytest.mark.parametrize("sign", [report(s=15), execution(s=15)], ids=["report", "execution"])
    def test_absences_count_from_the_last_sign_of_life(self, live: Lifecycle, sign: OrderReport | Execution):
        live.doubt(at(1), ID)
        live.due(at(1))
        assert live.heard(absent(2)) == live.heard(absent(3)) == []
        live.heard(sign)
        live.doubt(at(16), ID)
        live.due(at(16))
        assert live.heard(absent(17)) == live.heard(absent(26)) == live.heard(absent(26.5)) == []
        assert kinds(live.heard(absent(27))) == [OrderCancelled]

    def test_an_absence_before_anything_was_asked_counts_for_nothing(self, sent: Lifecycle):
        for s in (0.1, 5, 20):
            assert sent.heard(absent(s)) == []
        assert phase(sent) is Phase.PENDING_NEW

    def test_that_was_filled_is_never_lost(self, sent: Lifecycle):
        sent.heard(answer(Asked.CREATE, Outcome.UNKNOWN, s=0))
        sent.due(at(0.5))
        sent.heard(absent(0.6))
        assert kinds(sent.heard(execution(s=0.7))) == [OrderAck, Fill]
        assert [sent.heard(absent(s)) for s in (1, 11, 21)] == [[]] * 3
        assert phase(sent) is Phase.LIVE

    @pytest.mark.parametrize(
        ("order", "fault"),
        [
            (msgspec.structs.replace(submit(), client_id="mmB-SYNTHUSDT-2"), "expected an id of mmA-"),
            (submit(1), "expected a number above 1"),
        ],
    )
    def test_with_an_id_that_is_not_new_and_ours_does_not_leave(
        self, sent: Lifecycle, order: SubmitOrder, fault: str
    ):
        with pytest.raises(LocalProtocolError, match=fault):
            sent.commands(at(1), [order])
        assert [order.client_id for order in sent.open] == [ID]

    def test_before_the_books_have_begun_does_not_leave(self):
        with pytest.raises(LocalProtocolError, match="have not begun"):
            Lifecycle([linear()], "mmA-").commands(at(0), [submit()])

    def test_each_of_a_batch_is_an_order(self, empty: Lifecycle):
        batch = OrderBatch(KEY, (submit(1), submit(2)))
        assert empty.commands(at(0), [batch]) == [batch]
        assert [order.client_id for order in empty.open] == ["mmA-SYNTHUSDT-1", "mmA-SYNTHUSDT-2"]


class TestACancel:
    def test_ends_by_the_report(self, cancelling: Lifecycle):
        assert cancelling.heard(answer(Asked.CANCEL, Outcome.ACCEPTED, s=1.1)) == []
        ended = cancelling.heard(report(VenueStatus.CANCELLED, s=1.2))
        assert ended == [OrderCancelled(KEY, ID, at(1.2), Lots(10))]
        assert cancelling.open == []

    @pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.ACCEPTED, None])
    def test_without_an_end_is_repeated_and_never_taken_for_done(
        self, cancelling: Lifecycle, outcome: Outcome | None
    ):
        if outcome is not None:
            cancelling.heard(answer(Asked.CANCEL, outcome, s=1.1))
        repeats = [s for s in range(2, 60) if CancelOrder(KEY, ID) in cancelling.due(at(s))]
        assert len(repeats) > 10
        assert phase(cancelling) is Phase.PENDING_CANCEL

    def test_whose_end_comes_after_its_repeat_was_scheduled_is_not_repeated(self, cancelling: Lifecycle):
        cancelling.heard(answer(Asked.CANCEL, Outcome.UNKNOWN, s=1.1))
        assert cancelling.next_ns == at(1.6)
        cancelling.heard(report(VenueStatus.CANCELLED, s=1.5))
        assert [s for s in range(2, 60) if cancelling.due(at(s))] == []
        assert cancelling.next_ns is None

    def test_refused_proves_nothing(self, cancelling: Lifecycle):
        refused = answer(Asked.CANCEL, Outcome.REFUSED, s=1.1, reason="too many requests")
        assert cancelling.heard(refused) == [CancelReject(KEY, ID, at(1.1), "too many requests")]
        assert cancelling.due(at(1.6)) == [LookUpOrder(KEY, ID), CancelOrder(KEY, ID)]

    def test_that_lost_its_race_is_told_by_two_filled_messages(self, cancelling: Lifecycle):
        assert cancelling.heard(report(VenueStatus.FILLED, 10, s=1.1)) == []
        assert kinds(cancelling.heard(execution(lots=10, s=1.2))) == [Fill]
        assert cancelling.heard(report(VenueStatus.FILLED, 10, s=1.3)) == []
        assert cancelling.open == []

    def test_of_an_order_nobody_saw_does_not_leave(self, sent: Lifecycle):
        with pytest.raises(LocalProtocolError, match="pending_new, expected live"):
            sent.commands(at(1), [CancelOrder(KEY, ID)])
        with pytest.raises(LocalProtocolError, match="no such order"):
            sent.commands(at(1), [CancelOrder(KEY, "mmA-SYNTHUSDT-9")])

    def test_by_the_venue_unasked(self, live: Lifecycle):
        assert kinds(live.heard(report(VenueStatus.CANCELLED, s=3))) == [OrderCancelled]


AMEND = AmendOrder(KEY, ID, Ticks(7_495), Lots(15))


def amended(status: VenueStatus = VenueStatus.WORKING, executed: int = 0, *, s: float = 1.1) -> OrderReport:
    """A report of the order as it was to be."""
    return msgspec.structs.replace(report(status, executed, s=s), tick=AMEND.tick, lots=AMEND.lots)


class TestAnAmend:
    @pytest.fixture
    def amending(self, live: Lifecycle) -> Lifecycle:
        """Sent at 1 s: another price, and 15 lots for 10."""
        live.commands(at(1), [AMEND])
        return live

    def test_is_done_by_a_report_not_by_the_answer(self, amending: Lifecycle):
        assert amending.heard(answer(Asked.AMEND, Outcome.ACCEPTED, s=1.05)) == []
        assert phase(amending) is Phase.PENDING_AMEND
        assert amending.heard(amended()) == [OrderAmended(KEY, ID, at(1.1))]
        (order,) = amending.open
        assert (order.phase, order.tick, order.lots, order.amend) == (Phase.LIVE, 7_495, 15, None)
        assert amending.next_ns is None

    def test_is_not_done_by_an_older_report(self, amending: Lifecycle):
        """One from before the last change may look like what is asked for now."""
        assert amending.heard(amended(s=0.1)) == []
        assert phase(amending) is Phase.PENDING_AMEND

    def test_refused_leaves_the_order_which_is_looked_up(self, amending: Lifecycle):
        events = amending.heard(answer(Asked.AMEND, Outcome.REFUSED, s=1.1, reason="no"))
        assert events == [AmendReject(KEY, ID, at(1.1), "no")]
        assert [(order.phase, order.lots) for order in amending.open] == [(Phase.LIVE, 10)]
        assert look_ups(amending, 1.7) == [1.6]

    @pytest.mark.parametrize("why", ["unknown", "silence"])
    def test_of_unknown_outcome_is_looked_up_once_and_then_the_order_is_cancelled(
        self, amending: Lifecycle, why: str
    ):
        doubt_s = 3.0
        if why == "unknown":
            amending.heard(answer(Asked.AMEND, Outcome.UNKNOWN, s=1.1))
            doubt_s = 1.6
        assert amending.due(at(doubt_s)) == [LookUpOrder(KEY, ID)]
        amending.heard(report(s=doubt_s))
        assert phase(amending) is Phase.PENDING_AMEND, "it may come yet"
        assert amending.due(at(doubt_s + 0.5)) == [LookUpOrder(KEY, ID), CancelOrder(KEY, ID)]
        assert phase(amending) is Phase.PENDING_CANCEL
        assert amending.heard(answer(Asked.CANCEL, Outcome.REFUSED, s=5)) == [], "the engine asked for none"
        (event,) = amending.heard(report(VenueStatus.CANCELLED, s=5.1))
        assert isinstance(event, OrderCancelled)

    def test_found_done_by_the_look_up_lets_it_live(self, amending: Lifecycle):
        amending.due(at(3))
        assert kinds(amending.heard(amended(s=3.1))) == [OrderAmended]
        assert amending.due(at(10)) == []

    def test_lets_fill_the_larger_of_both_sizes_and_no_more(self, amending: Lifecycle):
        assert kinds(amending.heard(execution(lots=12, s=1.1))) == [Fill]
        with pytest.raises(RemoteProtocolError, match=r"of 4 lots .*: 3 lots open"):
            amending.heard(execution("x2", lots=4, s=1.2))

    def test_whose_old_size_filled_ends_with_the_venues_word(self, amending: Lifecycle):
        amending.heard(execution(lots=10, s=1.1))
        assert phase(amending) is Phase.PENDING_AMEND, "there may be 5 more"
        (event,) = amending.heard(report(VenueStatus.FILLED, 10, s=1.1))
        assert isinstance(event, OrderCancelled)
        assert list(amending.open) == []

    def test_refused_after_the_last_fill_ends_it(self, amending: Lifecycle):
        amending.heard(execution(lots=10, s=1.1))
        assert kinds(amending.heard(answer(Asked.AMEND, Outcome.REFUSED, s=1.2))) == [AmendReject]
        assert list(amending.open) == []

    def test_that_the_venue_cancels_instead(self, amending: Lifecycle):
        assert kinds(amending.heard(report(VenueStatus.CANCELLED, s=1.1))) == [OrderCancelled]

    @pytest.mark.parametrize("first", ["fill", "report"])
    def test_that_filled_at_once_is_told_in_either_order(self, amending: Lifecycle, first: str):
        news = [execution(lots=15, s=1.1), amended(VenueStatus.FILLED, 15)]
        told = [event for one in (news if first == "fill" else news[::-1]) for event in amending.heard(one)]
        assert set(kinds(told)) <= {OrderAmended, Fill}
        assert list(amending.open) == []

    def test_of_an_order_nobody_saw_or_to_what_has_filled_does_not_leave(self, live: Lifecycle):
        live.heard(execution(lots=4))
        with pytest.raises(LocalProtocolError, match="to 4 lots: 4 have filled"):
            live.commands(at(1), [AmendOrder(KEY, ID, Ticks(1), Lots(4))])
        live.commands(at(1), [submit(2)])
        with pytest.raises(LocalProtocolError, match="was pending_new, expected live"):
            live.commands(at(1), [AmendOrder(KEY, "mmA-SYNTHUSDT-2", Ticks(1), Lots(4))])

    def test_in_flight_at_a_restart_makes_an_orphan(self, amending: Lifecycle):
        amending.restarted(at(2))
        assert amending.due(at(2)) == [CancelOrder(KEY, ID)]
        (fill,) = amending.heard(execution(lots=15, s=2.1))
        assert isinstance(fill, Fill)
        assert fill.late_tick == 7_490


class TestAnExecution:
    def test_is_booked_once(self, live: Lifecycle):
        (filled,) = live.heard(execution())
        assert isinstance(filled, Fill)
        assert (filled.fill_id, filled.lots, filled.fee, filled.late_tick) == (1, 4, 0.5, None)
        assert live.heard(execution(s=0.3)) == []
        assert live.positions[KEY].lots == 4
        assert live.positions[KEY].fees == 0.5

    def test_before_the_acknowledgement_is_one(self, sent: Lifecycle):
        assert kinds(sent.heard(execution())) == [OrderAck, Fill]
        assert sent.heard(report(executed=4)) == []

    def test_that_a_report_counts_is_waited_for_and_then_looked_up(self, live: Lifecycle):
        live.heard(report(executed=4, s=1))
        assert look_ups(live, 8) == [6.0, 6.5, 7.5]
        assert kinds(live.heard(execution(s=8.1))) == [Fill]
        assert live.next_ns is None

    def test_that_an_end_counts_keeps_the_order_open(self, live: Lifecycle):
        assert live.heard(report(VenueStatus.CANCELLED, 4, s=1)) == []
        assert phase(live) is Phase.SETTLING
        assert kinds(live.heard(execution(s=1.1))) == [Fill, OrderCancelled]
        assert live.open == []

    def test_an_order_that_owes_executions_is_never_lost(self, live: Lifecycle):
        live.heard(report(VenueStatus.CANCELLED, 4, s=1))
        for s in range(2, 60):
            live.due(at(s))
            assert live.heard(absent(s + 0.5)) == []
        assert phase(live) is Phase.SETTLING

    def test_after_the_cancel_is_late(self, cancelling: Lifecycle):
        cancelling.heard(report(VenueStatus.CANCELLED, s=1.1))
        (late,) = cancelling.heard(execution(s=1.2))
        assert isinstance(late, Fill)
        assert late.late_tick == 7_490
        assert cancelling.heard(execution(s=1.3)) == []
        assert cancelling.open == []

    @pytest.mark.parametrize("proof", [execution(s=20), report(s=20)], ids=["execution", "report"])
    def test_or_report_after_lost_brings_the_order_back_to_be_cancelled(
        self, sent: Lifecycle, proof: Execution | OrderReport
    ):
        give_up(sent)
        assert kinds(sent.heard(proof)) == ([Fill] if isinstance(proof, Execution) else [])
        assert [order.client_id for order in sent.orphans] == [ID]
        assert sent.due(at(20.1)) == [CancelOrder(KEY, ID)]
        sent.heard(report(VenueStatus.CANCELLED, 4 if isinstance(proof, Execution) else 0, s=20.2))
        assert sent.orphans == []

    def test_without_a_client_id_is_known_by_the_order_id(self, live: Lifecycle):
        assert kinds(live.heard(execution(client_id=""))) == [Fill]

    def test_without_a_client_id_waits_for_the_report_that_names_it(self, sent: Lifecycle):
        assert sent.heard(execution(client_id="")) == []
        assert kinds(sent.heard(report())) == [OrderAck, Fill]
        assert sent.unmatched == []

    def test_without_a_client_id_of_somebody_else_is_let_go(self, live: Lifecycle):
        live.heard(execution(client_id="", order_id="other", s=1))
        assert [waiting.order_id for waiting in live.unmatched] == ["other"]
        assert live.due(at(6)) == []
        assert live.unmatched == []
        assert live.positions[KEY].lots == 0

    def test_of_ours_that_no_log_knows_is_looked_up_until_it_is_explained(self, empty: Lifecycle):
        old = "mmA-SYNTHUSDT-7"
        assert empty.heard(execution(client_id=old, s=1)) == []
        with pytest.raises(LocalProtocolError, match="above 7"):
            empty.commands(at(2), [submit(7)])
        assert empty.due(at(6)) == [LookUpOrder(KEY, old)]
        (late,) = empty.heard(report(VenueStatus.CANCELLED, 4, client_id=old, s=6.1))
        assert isinstance(late, Fill)
        assert late.late_tick == 7_490

    def test_of_an_own_order_that_no_log_knows_uses_up_its_number(self, empty: Lifecycle):
        empty.heard(report(VenueStatus.CANCELLED, client_id="mmA-SYNTHUSDT-7"))
        with pytest.raises(LocalProtocolError, match="above 7"):
            empty.commands(at(7), [submit(7)])

    def test_without_a_client_id_is_known_after_a_checkpoint_too(self, live: Lifecycle):
        state = msgspec.json.decode(msgspec.json.encode(live.checkpoint()), type=LifecycleState)
        restored = Lifecycle([linear()], "mmA-", state=state)
        assert kinds(restored.heard(execution(client_id=""))) == [Fill]

    @pytest.mark.parametrize(
        ("wrong", "fault"),
        [
            (execution(lots=11), "11 lots for mmA-SYNTHUSDT-1: 10 lots open"),
            (execution(lots=0), "0 lots for"),
            (execution(side=Side.SELL), "was a sell of .*, the order a buy"),
            (msgspec.structs.replace(execution(), fee=float("nan")), "its fee was nan"),
        ],
    )
    def test_that_contradicts_its_order_is_an_error_and_changes_nothing(
        self, live: Lifecycle, wrong: Execution, fault: str
    ):
        before = msgspec.json.encode(live.checkpoint())
        live.records.clear()
        with pytest.raises(RemoteProtocolError, match=fault):
            live.heard(wrong)
        assert msgspec.json.encode(live.checkpoint()) == before
        assert live.records == []

    def test_of_others_is_not_ours_to_book(self, live: Lifecycle):
        live.records.clear()
        for foreign in (execution(client_id="mmB-SYNTHUSDT-1"), execution(client_id="web_1")):
            assert live.heard(foreign) == []
        assert live.records == []

    def test_from_before_the_books_began_is_in_them(self):
        lifecycle = Lifecycle([linear()], "mmA-")
        assert lifecycle.heard(execution()) == []
        lifecycle.opened(at(1), KEY, Lots(4), 74.9, at(0.5))
        assert lifecycle.heard(execution()) == []
        assert lifecycle.positions[KEY].lots == 4
        assert lifecycle.positions[KEY].average_price == pytest.approx(74.9)


def test_positions_are_not_the_lifecycles_business(live: Lifecycle):
    live.records.clear()
    assert live.heard(PositionReport(KEY, Lots(99), 1.0, at(1))) == []
    assert live.records == []


def test_funding_is_booked_once_for_its_time(live: Lifecycle):
    funding = Funding(KEY, at(5), at(5.1), 1e-4, 0.02)
    assert live.heard(funding) == [funding]
    assert live.heard(funding) == []
    assert live.positions[KEY].funding == 0.02


def test_tombstones_and_executions_are_kept_a_day_and_never_more_than_so_many():
    settings = LifecycleSettings(most_tombstones=50, most_executions=40)
    lifecycle = Lifecycle([linear()], "mmA-", settings)
    lifecycle.opened(at(0), KEY, Lots(0), None, Ns(0))
    for number in range(1, 201):
        lifecycle.commands(at(number), [submit(number)])
        order = submit(number).client_id
        lifecycle.heard(execution(f"x{number}", 10, s=number, client_id=order, order_id=f"v{number}"))
        assert all(size <= most for size, most in lifecycle.sizes().values())
    assert lifecycle.order(submit(120).client_id) is None
    assert lifecycle.order(submit(190).client_id) is not None
    assert lifecycle.positions[KEY].lots == 2_000


def test_an_execution_too_old_to_be_told_from_a_booked_one_is_not_booked(empty: Lifecycle):
    lifecycle = Lifecycle([linear()], "mmA-", LifecycleSettings(most_executions=40))
    lifecycle.opened(at(0), KEY, Lots(0), None, Ns(0))
    for held in (lifecycle, empty):
        held.commands(at(0), [submit(lots=200)])
        for number in range(1, 101):
            held.heard(execution(f"x{number}", 1, s=number))
    again = execution("x1", 1, s=1)
    assert lifecycle.heard(again) == empty.heard(again) == []
    assert lifecycle.positions[KEY].lots == empty.positions[KEY].lots == 100
    assert (lifecycle.is_booked("x1"), empty.is_booked("x1")) == (False, True)


def test_a_tombstone_goes_after_a_day(live: Lifecycle):
    live.heard(execution(lots=10))
    a_day_later = DAY / SECOND + 1
    live.commands(at(a_day_later), [submit(2)])
    assert live.order(ID) is not None
    live.heard(
        msgspec.structs.replace(
            execution("x2", 10, s=a_day_later + 1), client_id=submit(2).client_id, order_id="v2"
        )
    )
    assert live.order(ID) is None


def test_a_restart_makes_orphans_of_what_is_open(live: Lifecycle):
    live.commands(at(1), [submit(2)])
    live.restarted(at(2))
    assert [(order.told, order.phase) for order in live.orphans] == [
        (Told.DONE, Phase.LIVE),
        (Told.DONE, Phase.UNKNOWN),
    ]
    second = submit(2).client_id
    assert live.due(at(2)) == [CancelOrder(KEY, ID), LookUpOrder(KEY, second)]
    (late,) = live.heard(execution(s=2.1))
    assert isinstance(late, Fill)
    assert late.late_tick == 7_490
    assert live.heard(report(VenueStatus.CANCELLED, 4, s=2.2)) == []


ENDED = [VenueStatus.CANCELLED, VenueStatus.FILLED]


def six(end: VenueStatus) -> list[OrderReport | Execution | RequestAnswer]:
    """What a venue says about one order, its cancel sent: with two executions, and the last of them twice."""
    second = 6 if end is VenueStatus.FILLED else 3
    last = execution("x2", second, s=0.5)
    return [
        answer(Asked.CREATE, Outcome.ACCEPTED),
        report(),
        execution("x1", 4),
        last,
        last,
        report(end, 4 + second, s=0.6),
    ]


@pytest.mark.parametrize("end", ENDED)
def test_all_orders_of_six_messages_end_the_same(end: VenueStatus):
    """For the lifecycle and for a real engine behind it."""
    messages = six(end)
    lots = 10 if end is VenueStatus.FILLED else 7
    for order in permutations(range(6)):
        lifecycle, engine = begun()
        for place, number in enumerate(order):
            at_s = 1 + place / 10
            for event in lifecycle.heard(msgspec.structs.replace(messages[number], recv_ns=at(at_s))):
                engine.step(event)
        tracked = lifecycle.order(ID)
        bot = engine.bots[KEY]
        assert tracked is not None
        assert (tracked.phase, tracked.booked_lots, tracked.told) == (Phase.CLOSED, lots, Told.DONE), order
        assert (lifecycle.next_ns, list(lifecycle.unmatched)) == (None, [])
        assert bot.position.lots == lifecycle.positions[KEY].lots == lots
        assert bot.position.fees == 1.0
        assert not bot.working


def begun():
    """A lifecycle and an engine that has one order on its way, as a tick of its own sent it."""
    settings = shipped_settings(
        guards={"soft_volatility_bps": 1e6, "hard_volatility_bps": 1e6}, emit={"order_notional_quote": 7.5}
    )
    engine = engine_of(settings, linear())
    engine.step(snapshot([(7_490, 500)], [(7_510, 500)]))
    lifecycle = Lifecycle([linear()], "mmA-")
    lifecycle.opened(at(0), KEY, Lots(0), None, Ns(0))
    messages = engine.step(Tick(Ns(START_NS)))
    bid, ask = unpacked(lifecycle.commands(at(0), messages))
    assert (bid.client_id, bid.lots, bid.side) == (ID, 10, Side.BUY)
    refused = RequestAnswer(KEY, ask.client_id, Asked.CREATE, Outcome.REFUSED, 0, "no", at(0))
    for event in lifecycle.heard(refused):
        engine.step(event)
    return lifecycle, engine


@pytest.mark.parametrize("missing", range(6))
@pytest.mark.parametrize("end", ENDED)
def test_any_one_message_may_be_lost_for_good_and_a_look_up_finds_it(end: VenueStatus, missing: int):
    messages = six(end)
    lifecycle, engine = begun()
    for number, message in enumerate(messages):
        if number != missing:
            for event in lifecycle.heard(message):
                engine.step(event)
    for tenth in range(100):
        if lifecycle.due(at(tenth / 10)):
            for message in (messages[2], messages[3], messages[5]):
                for event in lifecycle.heard(message):
                    engine.step(event)
    if missing == 5 and end is VenueStatus.CANCELLED:
        # nothing is owed: only a look at the open orders can tell that it is gone
        lifecycle.doubt(at(11), ID)
        assert lifecycle.due(at(11)) == [LookUpOrder(KEY, ID)]
        for event in lifecycle.heard(messages[5]):
            engine.step(event)
    assert lifecycle.open == []
    assert not engine.bots[KEY].working
    assert engine.bots[KEY].position.lots == (10 if end is VenueStatus.FILLED else 7)


@pytest.mark.parametrize(("before", "news"), list(product(Phase, News)))
def test_news_that_the_table_does_not_have_changes_nothing(before: Phase, news: News, live: Lifecycle):
    order = live.order(ID)
    assert order is not None
    order.phase = before
    order.hears(news)
    assert order.phase is MOVES.get((before, news), before)


def test_the_settings_look_up_at_the_stated_times():
    gaps = LifecycleSettings().look_up_gaps_ns
    assert [sum(gaps[: count + 1]) / MS for count in range(5)] == [500, 1_000, 2_000, 4_000, 8_000]
