"""Aligner: the fewest commands, queue places kept, orders in flight left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import KEY

from mmbot.execution.aligner import AlignerSettings, align
from mmbot.execution.orders import Blotter
from mmbot.model.commands import AmendOrder, SubmitOrder
from mmbot.model.instrument import Side
from mmbot.model.orders import OrderStatus
from mmbot.model.quotes import Quote
from mmbot.units import Lots, Ticks

SETTINGS = AlignerSettings(hold_bps=0.3, lead_bps=0.1, hold_size_ratio=0.1, post_only=True)
BID = 100_000
"""0.3 bps of it are 3 ticks."""


def quote(tick: int = BID, lots: int = 100, side: Side = Side.BUY, level: int = 0) -> Quote:
    return Quote(side, level, Ticks(tick), Lots(lots))


def working(*quotes: Quote, status: OrderStatus = OrderStatus.LIVE) -> Blotter:
    """A blotter whose orders serve these quotes, all in one status."""
    blotter = Blotter()
    for number, wanted in enumerate(quotes):
        client_id = f"o{number}"
        submit = SubmitOrder(KEY, client_id, wanted.side, wanted.tick, wanted.lots)
        blotter.submitted(submit, wanted.side * (wanted.level + 1))
        if status is not OrderStatus.PENDING_NEW:
            order = blotter.acked(client_id)
            if status is OrderStatus.PENDING_CANCEL:
                blotter.cancelling(order)
    return blotter


def test_what_is_wanted_and_not_working_is_submitted():
    pair = [quote(), quote(BID + 10, side=Side.SELL)]
    assert align(pair, Blotter(), SETTINGS, amend=False) == ([], [], pair)


def test_what_works_and_is_wanted_costs_no_command():
    pair = [quote(), quote(BID + 10, side=Side.SELL)]
    assert align(pair, working(*pair), SETTINGS, amend=False) == ([], [], [])


def test_what_works_and_is_not_wanted_is_cancelled():
    blotter = working(quote())
    assert align([], blotter, SETTINGS, amend=False) == ([blotter.slots[1]], [], [])


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(
    ("behind", "kept"), [(-2, False), (-1, True), (0, True), (1, True), (3, True), (4, False)]
)
def test_an_order_keeps_its_queue_place_from_lead_bps_in_front_to_hold_bps_behind(
    side: Side, behind: int, *, kept: bool
):
    blotter = working(quote(BID - behind * side, side=side))
    cancels, _, submits = align([quote(side=side)], blotter, SETTINGS, amend=False)
    assert (cancels == []) == kept
    assert submits == []


@pytest.mark.parametrize(("leaves", "kept"), [(1, True), (99, True), (100, True), (110, True), (111, False)])
def test_a_part_filled_order_stays_and_one_that_is_too_large_goes(leaves: int, *, kept: bool):
    cancels, _, submits = align([quote(lots=100)], working(quote(lots=leaves)), SETTINGS, amend=False)
    assert (cancels == []) == kept
    assert submits == []


@pytest.mark.parametrize("status", [OrderStatus.PENDING_NEW, OrderStatus.PENDING_CANCEL])
@pytest.mark.parametrize("wanted", [[], [quote()], [quote(BID + 500)]], ids=["none", "same", "other"])
def test_an_order_in_flight_is_left_alone_and_blocks_its_slot(status: OrderStatus, wanted: list[Quote]):
    assert align(wanted, working(quote(), status=status), SETTINGS, amend=False) == ([], [], [])


@pytest.mark.parametrize(("tick", "lots"), [(BID + 4, 100), (BID - 2, 60), (BID + 500, 100)])
def test_an_order_that_has_to_move_is_amended_into_what_is_wanted(tick: int, lots: int):
    blotter, wanted = working(quote()), quote(tick, lots)
    assert align([wanted], blotter, SETTINGS, amend=True) == ([], [(blotter.slots[1], wanted)], [])


def test_one_that_is_only_too_large_is_made_smaller_where_it_stands():
    blotter = working(quote())
    _, amends, _ = align([quote(BID + 1, 50)], blotter, SETTINGS, amend=True)
    assert amends == [(blotter.slots[1], quote(BID, 50))]


def test_what_is_not_wanted_any_more_is_cancelled_and_not_amended():
    blotter = working(quote(), quote(BID + 10, side=Side.SELL))
    cancels, amends, creates = align([quote(BID + 500)], blotter, SETTINGS, amend=True)
    assert (cancels, creates) == ([blotter.slots[-1]], [])
    assert [order for order, _ in amends] == [blotter.slots[1]]


def test_an_order_whose_amend_is_not_answered_is_left_alone():
    blotter = working(quote())
    blotter.amending(blotter.slots[1], AmendOrder(KEY, "o0", Ticks(BID + 5), Lots(100)))
    for wanted in ([], [quote()], [quote(BID + 500)]):
        assert align(wanted, blotter, SETTINGS, amend=True) == ([], [], [])


quotes = st.builds(
    quote,
    st.integers(BID - 6, BID + 6),
    st.integers(1, 200),
    st.sampled_from(Side),
    st.integers(0, 2),
)
ladders = st.lists(quotes, max_size=6, unique_by=lambda wanted: wanted.slot)


@given(
    ladders, ladders, st.sampled_from([OrderStatus.PENDING_NEW, OrderStatus.LIVE, OrderStatus.PENDING_CANCEL])
)
def test_each_slot_gets_at_most_one_command_and_only_where_the_two_disagree(
    wanted: list[Quote], held: list[Quote], status: OrderStatus
):
    blotter = working(*held, status=status)
    cancels, _, submits = align(wanted, blotter, SETTINGS, amend=False)
    wanted_at = {found.slot: found for found in wanted}
    assert {found.slot for found in submits} == set(wanted_at) - set(blotter.slots)
    assert len({order.slot for order in cancels}) == len(cancels)
    if status is not OrderStatus.LIVE:
        assert cancels == []
    for slot, order in blotter.slots.items():
        exact = slot in wanted_at and (wanted_at[slot].tick, wanted_at[slot].lots) == (
            order.tick,
            order.leaves_lots,
        )
        if exact:
            assert order not in cancels
        if slot not in wanted_at and status is OrderStatus.LIVE:
            assert order in cancels


@given(ladders, ladders)
def test_orders_are_amended_exactly_where_they_would_be_cancelled_for_another(
    wanted: list[Quote], held: list[Quote]
):
    blotter = working(*held)
    without = align(wanted, blotter, SETTINGS, amend=False)
    cancels, amends, creates = align(wanted, blotter, SETTINGS, amend=True)
    wanted_at = {found.slot: found for found in wanted}
    assert creates == without.creates
    assert [order for order, _ in amends] == [order for order in without.cancels if order.slot in wanted_at]
    assert cancels == [order for order in without.cancels if order.slot not in wanted_at]
    for order, found in amends:
        assert (found.slot, found.lots) == (order.slot, wanted_at[order.slot].lots)
        blotter.amending(order, AmendOrder(KEY, order.client_id, found.tick, found.lots))
        blotter.amended(order.client_id)
    assert align(wanted, blotter, SETTINGS, amend=True).amends == []


@given(ladders, ladders)
def test_cancels_confirmed_and_successors_sent_reach_what_is_wanted_and_then_rest(
    wanted: list[Quote], held: list[Quote]
):
    blotter = working(*held)
    cancels, _, submits = align(wanted, blotter, SETTINGS, amend=False)
    for order in cancels:
        blotter.cancelling(order)
        blotter.cancelled(order.client_id)
    again, _, later = align(wanted, blotter, SETTINGS, amend=False)
    assert again == []
    assert later[: len(submits)] == submits or all(sent in later for sent in submits)
    for number, sent in enumerate(later):
        blotter.submitted(SubmitOrder(KEY, f"n{number}", sent.side, sent.tick, sent.lots), sent.slot)
        blotter.acked(f"n{number}")
    assert align(wanted, blotter, SETTINGS, amend=False) == ([], [], [])
    assert set(blotter.slots) == {found.slot for found in wanted}
