"""The blotter: one order a slot, legal moves only, and nothing changes when a move is refused."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.mmbot.builders import KEY

from mmbot.errors import LocalProtocolError
from mmbot.execution.orders import Blotter, WorkingOrder
from mmbot.model.commands import AmendOrder, SubmitOrder
from mmbot.model.instrument import Side
from mmbot.model.orders import OrderStatus
from mmbot.model.quotes import Quote
from mmbot.units import Lots, Ticks

BID_SLOT, ASK_SLOT = 1, -1


def submit(client_id: str = "a", side: Side = Side.BUY, tick: int = 100, lots: int = 10) -> SubmitOrder:
    return SubmitOrder(KEY, client_id, side, Ticks(tick), Lots(lots))


@pytest.fixture
def blotter() -> Blotter:
    """One bid of 10 lots, sent and not answered."""
    held = Blotter()
    held.submitted(submit(), 1)
    return held


def state(order: WorkingOrder) -> tuple[OrderStatus, int]:
    return order.status, order.leaves_lots


def test_a_sent_order_is_pending_with_all_its_lots(blotter: Blotter):
    order = blotter.slots[1]
    assert (order.client_id, order.side, order.tick, order.slot) == ("a", Side.BUY, 100, 1)
    assert state(order) == (OrderStatus.PENDING_NEW, 10)


def test_the_life_of_an_order(blotter: Blotter):
    order = blotter.acked("a")
    assert order.status is OrderStatus.LIVE
    assert state(blotter.filled("a", 4)) == (OrderStatus.LIVE, 6)
    blotter.cancelling(order)
    assert state(blotter.filled("a", 1)) == (OrderStatus.PENDING_CANCEL, 5)
    assert blotter.cancelled("a").status is OrderStatus.CLOSED
    assert blotter.slots == {}


def test_the_last_fill_frees_the_slot(blotter: Blotter):
    blotter.acked("a")
    assert state(blotter.filled("a", 10)) == (OrderStatus.CLOSED, 0)
    blotter.submitted(submit("b"), 1)
    assert blotter.slots[1].client_id == "b"


def test_a_rejected_order_frees_its_slot(blotter: Blotter):
    blotter.rejected("a")
    assert blotter.slots == {}


def test_a_slot_holds_one_order(blotter: Blotter):
    with pytest.raises(LocalProtocolError, match="already works order a"):
        blotter.submitted(submit("b"), 1)
    assert [order.client_id for order in blotter.slots.values()] == ["a"]
    assert blotter.open_lots(Side.BUY) == 10


def test_a_cancel_that_lost_its_race_is_no_news_for_a_closed_order(blotter: Blotter):
    blotter.cancelling(blotter.acked("a"))
    blotter.filled("a", 10)
    blotter.cancel_rejected("a")
    assert blotter.slots == {}


def test_a_cancel_reject_before_the_fill_that_beat_it_keeps_the_order(blotter: Blotter):
    blotter.cancelling(blotter.acked("a"))
    blotter.cancel_rejected("a")
    assert state(blotter.filled("a", 10)) == (OrderStatus.CLOSED, 0)


@pytest.mark.parametrize("lots", [11, 10**9])
def test_a_fill_of_more_than_it_leaves_is_refused_and_changes_nothing(blotter: Blotter, lots: int):
    order = blotter.acked("a")
    with pytest.raises(LocalProtocolError, match=f"fill of {lots} lots for a: 10 lots open"):
        blotter.filled("a", lots)
    assert state(order) == (OrderStatus.LIVE, 10)


def test_a_fill_before_the_acknowledgement_is_refused_and_changes_nothing(blotter: Blotter):
    with pytest.raises(LocalProtocolError, match="PENDING_NEW"):
        blotter.filled("a", 3)
    assert state(blotter.slots[1]) == (OrderStatus.PENDING_NEW, 10)


@pytest.mark.parametrize("answer", ["acked", "rejected", "cancelled"])
def test_an_answer_for_an_order_that_is_not_ours_is_refused(blotter: Blotter, answer: str):
    with pytest.raises(LocalProtocolError, match="for b: no such order"):
        getattr(blotter, answer)("b")
    with pytest.raises(LocalProtocolError, match="no such order"):
        blotter.filled("b", 1)


def test_a_second_cancel_is_refused_and_changes_nothing(blotter: Blotter):
    order = blotter.acked("a")
    blotter.cancelling(order)
    with pytest.raises(LocalProtocolError, match="CANCEL_SENT"):
        blotter.cancelling(order)
    assert state(order) == (OrderStatus.PENDING_CANCEL, 10)


def amend(tick: int = 101, lots: int = 10) -> AmendOrder:
    return AmendOrder(KEY, "a", Ticks(tick), Lots(lots))


@pytest.fixture
def live(blotter: Blotter) -> WorkingOrder:
    return blotter.acked("a")


def test_an_amended_order_is_what_was_asked_for(blotter: Blotter, live: WorkingOrder):
    blotter.filled("a", 4)
    blotter.amending(live, amend(lots=12), 205)
    assert (live.tick, live.next_tick, live.lots, live.next_lots) == (100, 101, 10, 12)
    assert state(live) == (OrderStatus.PENDING_AMEND, 8)
    assert blotter.amended("a") == (live, False)
    assert (live.tick, live.lots, live.decision_mid_x2) == (101, 12, 205)
    assert state(live) == (OrderStatus.LIVE, 8)


@pytest.mark.parametrize(
    ("tick", "lots", "kept"), [(100, 9, True), (100, 10, True), (100, 11, False), (101, 9, False)]
)
def test_only_less_at_its_price_keeps_its_place(
    blotter: Blotter, live: WorkingOrder, tick: int, lots: int, *, kept: bool
):
    blotter.amending(live, amend(tick, lots))
    assert blotter.amended("a") == (live, kept)


@pytest.mark.parametrize(("lots", "most"), [(6, 10), (10, 10), (14, 14)])
def test_until_the_answer_it_counts_with_the_larger_of_both(
    blotter: Blotter, live: WorkingOrder, lots: int, most: int
):
    blotter.amending(live, amend(lots=lots))
    assert blotter.open_lots(Side.BUY) == most
    blotter.filled("a", 2)
    assert blotter.open_lots(Side.BUY) == most - 2
    with pytest.raises(LocalProtocolError, match="slot 1 already works"):
        blotter.submitted(submit("b"), 1)


def test_a_refused_amend_leaves_the_order_as_it_was(blotter: Blotter, live: WorkingOrder):
    blotter.amending(live, amend(lots=14))
    blotter.filled("a", 3)
    assert blotter.amend_failed("a")
    blotter.amend_rejected("a")
    assert (live.tick, live.next_tick, live.lots, live.next_lots) == (100, 100, 10, 10)
    assert state(live) == (OrderStatus.LIVE, 7)


def test_an_amend_to_more_that_came_after_the_last_fill_ends_with_its_refusal(
    blotter: Blotter, live: WorkingOrder
):
    """Whether there is more is known by the answer alone."""
    blotter.amending(live, amend(lots=14))
    assert state(blotter.filled("a", 10)) == (OrderStatus.PENDING_AMEND, 4)
    assert live.done
    assert not blotter.amend_failed("a"), "its last fill was faster"
    blotter.amend_rejected("a")
    assert live.status is OrderStatus.CLOSED
    assert blotter.slots == {}


def test_an_amend_to_less_that_came_after_the_last_fill_is_no_news(blotter: Blotter, live: WorkingOrder):
    blotter.amending(live, amend(lots=6))
    assert state(blotter.filled("a", 10)) == (OrderStatus.CLOSED, 0)
    blotter.amend_rejected("a")
    assert blotter.slots == {}


def test_a_venue_that_cancels_instead_frees_the_slot(blotter: Blotter, live: WorkingOrder):
    blotter.amending(live, amend())
    assert blotter.amend_failed("a")
    blotter.cancelled("a")
    assert blotter.slots == {}


def test_an_amend_below_what_has_filled_is_refused_and_changes_nothing(blotter: Blotter, live: WorkingOrder):
    blotter.filled("a", 4)
    with pytest.raises(LocalProtocolError, match="amend of a to 4 lots: 4 have filled"):
        blotter.amending(live, amend(lots=4))
    assert state(live) == (OrderStatus.LIVE, 6)


def test_an_order_in_flight_is_not_amended(blotter: Blotter):
    with pytest.raises(LocalProtocolError, match="PENDING_NEW, which does not allow AMEND_SENT"):
        blotter.amending(blotter.slots[1], amend(lots=14))
    assert (blotter.slots[1].next_tick, blotter.slots[1].leaves_lots) == (100, 10)


def quote(side: Side, level: int) -> Quote:
    return Quote(side, level, Ticks(100), Lots(1))


def test_every_side_and_level_has_a_slot_of_its_own():
    slots = {quote(side, level).slot for side in Side for level in range(5)}
    assert len(slots) == 10
    assert (quote(Side.BUY, 0).slot, quote(Side.SELL, 0).slot) == (BID_SLOT, ASK_SLOT)


class BlotterMachine(RuleBasedStateMachine):
    """Any moves on a few slots: legal ones are followed by a plain model, illegal ones raise and leave it."""

    def __init__(self) -> None:
        super().__init__()
        self.blotter = Blotter()
        self.model: dict[int, tuple[str, OrderStatus, int]] = {}
        self.count = 0

    @rule(side=st.sampled_from(Side), level=st.integers(0, 1), lots=st.integers(1, 5))
    def submitted(self, side: Side, level: int, lots: int) -> None:
        self.count += 1
        sent = submit(f"o{self.count}", side, 100, lots)
        slot = side * (level + 1)
        if slot in self.model:
            with pytest.raises(LocalProtocolError):
                self.blotter.submitted(sent, slot)
        else:
            self.blotter.submitted(sent, slot)
            self.model[slot] = (sent.client_id, OrderStatus.PENDING_NEW, lots)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), move=st.sampled_from(["acked", "rejected", "cancelled", "cancelling", "filled"]))
    def moved(self, data: st.DataObject, move: str) -> None:
        slot = data.draw(st.sampled_from(sorted(self.model)))
        client_id, status, leaves = self.model[slot]
        lots = data.draw(st.integers(1, 6))
        legal = {
            "acked": {OrderStatus.PENDING_NEW: OrderStatus.LIVE},
            "rejected": {OrderStatus.PENDING_NEW: OrderStatus.CLOSED},
            "cancelled": {
                OrderStatus.LIVE: OrderStatus.CLOSED,
                OrderStatus.PENDING_CANCEL: OrderStatus.CLOSED,
            },
            "cancelling": {OrderStatus.LIVE: OrderStatus.PENDING_CANCEL},
            "filled": {
                before: OrderStatus.CLOSED if lots == leaves else before
                for before in (OrderStatus.LIVE, OrderStatus.PENDING_CANCEL)
                if lots <= leaves
            },
        }[move]
        if status not in legal:
            with pytest.raises(LocalProtocolError):
                self._call(move, slot, client_id, lots)
            return
        self._call(move, slot, client_id, lots)
        after = legal[status]
        if after is OrderStatus.CLOSED:
            del self.model[slot]
        else:
            self.model[slot] = (client_id, after, leaves - lots if move == "filled" else leaves)

    def _call(self, move: str, slot: int, client_id: str, lots: int) -> None:
        if move == "cancelling":
            self.blotter.cancelling(self.blotter.slots[slot])
        elif move == "filled":
            self.blotter.filled(client_id, lots)
        else:
            getattr(self.blotter, move)(client_id)

    @invariant()
    def slots_are_the_models(self) -> None:
        found = {slot: (o.client_id, o.status, o.leaves_lots) for slot, o in self.blotter.slots.items()}
        assert found == self.model

    @invariant()
    def open_lots_are_what_could_still_fill(self) -> None:
        for side in Side:
            expected = sum(leaves for slot, (_, _, leaves) in self.model.items() if slot * side > 0)
            assert self.blotter.open_lots(side) == expected


TestBlotterAgainstModel = BlotterMachine.TestCase
TestBlotterAgainstModel.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
