"""The simulated venue: queues, fills, races, and the sums that always hold."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.mmbot.builders import KEY, START_NS, delta, linear, snapshot, trade

from mmbot.model.commands import AmendOrder, CancelOrder, SubmitOrder
from mmbot.model.events import (
    AmendReject,
    BookTrouble,
    CancelReject,
    Confirmed,
    Fill,
    OrderAck,
    OrderAmended,
    OrderCancelled,
    OrderEvent,
    OrderReject,
    Trouble,
)
from mmbot.model.instrument import Side
from mmbot.sim.queue import QueueSettings
from mmbot.sim.venue import SimVenue
from mmbot.units import Lots, Ns, Ticks

NOW = Ns(START_NS)
BIDS = [(100, 50), (99, 70)]
ASKS = [(103, 40), (104, 60), (106, 10)]


def opened(queue: QueueSettings | None = None) -> SimVenue:
    """100 x 50 bid, 103 x 40 offered, nothing of ours."""
    venue = SimVenue(linear(), queue or QueueSettings("risk_averse"))
    assert venue.on_market(NOW, snapshot(BIDS, ASKS)) == []
    return venue


def submit(
    venue: SimVenue, side: Side, tick: int, lots: int = 10, client_id: str = "a", *, post_only: bool = True
) -> list[OrderEvent]:
    return venue.on_order(NOW, SubmitOrder(KEY, client_id, side, Ticks(tick), Lots(lots), post_only))


def amend(venue: SimVenue, tick: int, lots: int = 10, client_id: str = "a") -> list[OrderEvent]:
    return venue.on_order(NOW, AmendOrder(KEY, client_id, Ticks(tick), Lots(lots)))


def cancel(venue: SimVenue, client_id: str = "a") -> OrderEvent:
    (answer,) = venue.on_order(NOW, CancelOrder(KEY, client_id))
    return answer


def fills(events: list[OrderEvent]) -> list[tuple[int, int, bool]]:
    """(tick, lots, maker) of each; nothing but fills may be there."""
    assert all(isinstance(event, Fill) for event in events)
    return [(event.tick, event.lots, event.maker) for event in events if isinstance(event, Fill)]


@pytest.mark.parametrize(("lots", "taken"), [(4, False), (5, True), (20, True), (21, False)])
def test_an_order_below_the_least_or_above_the_largest_size_is_rejected(lots: int, *, taken: bool):
    venue = SimVenue(linear(min_lots=5, max_lots=20), QueueSettings("risk_averse"))
    venue.on_market(NOW, snapshot(BIDS, ASKS))
    (answer,) = submit(venue, Side.BUY, 100, lots)
    if taken:
        assert isinstance(answer, OrderAck)
    else:
        assert isinstance(answer, OrderReject)
        assert answer.reason == "size is not one that the venue takes"
    assert venue.resting_count == taken


def test_a_passive_order_is_acknowledged_and_rests():
    venue = opened()
    assert submit(venue, Side.BUY, 100) == [OrderAck(KEY, "a", Ns(0))]
    assert venue.resting_count == 1


@pytest.mark.parametrize(
    ("side", "tick", "ahead"), [(Side.BUY, 100, 50), (Side.SELL, 103, 40), (Side.BUY, 101, 0)]
)
def test_an_order_waits_behind_the_size_displayed_at_its_price(side: Side, tick: int, ahead: int):
    venue = opened()
    submit(venue, side, tick)
    taker = Side(-side)
    assert fills(venue.on_market(NOW, trade(taker, tick, ahead))) == []
    assert fills(venue.on_market(NOW, trade(taker, tick, 4))) == [(tick, 4, True)]
    assert fills(venue.on_market(NOW, trade(taker, tick, 99))) == [(tick, 6, True)]
    assert venue.resting_count == 0


def test_one_trade_larger_than_the_queue_fills_us_with_the_rest_of_it():
    venue = opened()
    submit(venue, Side.BUY, 100)
    assert fills(venue.on_market(NOW, trade(Side.SELL, 100, 53))) == [(100, 3, True)]


def test_a_trade_through_our_price_fills_us_whole_at_our_price():
    venue = opened()
    submit(venue, Side.BUY, 100)
    assert fills(venue.on_market(NOW, trade(Side.SELL, 99, 1))) == [(100, 10, True)]


def test_a_trade_against_the_other_side_or_behind_us_is_none_of_ours():
    venue = opened()
    submit(venue, Side.BUY, 100)
    for event in (trade(Side.BUY, 100, 500), trade(Side.BUY, 99, 500), trade(Side.SELL, 101, 500)):
        assert venue.on_market(NOW, event) == []


@pytest.mark.parametrize("asks", [[(100, 5)], [(99, 5)]], ids=["reaches", "crosses"])
def test_a_display_that_comes_to_our_price_from_the_other_side_fills_us_whole(asks: list[tuple[int, int]]):
    venue = opened()
    submit(venue, Side.BUY, 100)
    assert fills(venue.on_market(NOW, delta([(100, 0), (99, 0)], asks))) == [(100, 10, True)]


def test_a_fill_carries_the_mid_of_just_before_it_and_the_venues_time():
    venue = opened()
    submit(venue, Side.BUY, 100)
    (event,) = venue.on_market(Ns(START_NS + 7), delta([(100, 0)], [(100, 5)]))
    assert isinstance(event, Fill)
    assert (event.mid_x2, event.venue_ns, event.recv_ns, event.side) == (203, START_NS + 7, 0, Side.BUY)


def test_a_fill_on_a_one_sided_book_has_no_mid():
    venue = opened()
    venue.on_market(NOW, snapshot([], ASKS))
    submit(venue, Side.BUY, 100)
    (event,) = venue.on_market(NOW, trade(Side.SELL, 100, 1))
    assert isinstance(event, Fill)
    assert event.mid_x2 is None


@pytest.mark.parametrize(
    ("side", "tick"), [(Side.BUY, 103), (Side.BUY, 110), (Side.SELL, 100), (Side.SELL, 1)]
)
def test_a_post_only_order_that_would_take_is_rejected_and_does_not_exist(side: Side, tick: int):
    venue = opened()
    assert submit(venue, side, tick) == [OrderReject(KEY, "a", Ns(0), "post-only would take")]
    assert venue.resting_count == 0
    assert isinstance(cancel(venue), CancelReject)


def test_a_marketable_order_walks_the_levels_at_their_prices():
    venue = opened()
    events = submit(venue, Side.BUY, 104, 75, post_only=False)
    assert isinstance(events[0], OrderAck)
    assert fills(events[1:]) == [(103, 40, False), (104, 35, False)]
    assert venue.resting_count == 0


def test_what_a_marketable_order_leaves_is_cancelled_and_not_filled_by_what_it_took():
    venue = opened()
    events = submit(venue, Side.SELL, 100, 80, post_only=False)
    assert fills(events[1:-1]) == [(100, 50, False)]
    assert events[-1] == OrderCancelled(KEY, "a", Ns(0), Lots(30))
    assert venue.on_market(NOW, delta([(90, 1)], [])) == []
    assert venue.resting_count == 0


def test_one_print_is_shared_by_our_orders_at_its_price():
    venue = opened()
    for client_id in ("a", "b"):
        venue.on_order(NOW, SubmitOrder(KEY, client_id, Side.BUY, Ticks(102), Lots(10)))
    assert fills(venue.on_market(NOW, trade(Side.SELL, 102, 15))) == [(102, 10, True), (102, 5, True)]


def test_a_cancel_in_time_returns_what_is_left():
    venue = opened()
    submit(venue, Side.BUY, 100)
    venue.on_market(NOW, trade(Side.SELL, 100, 54))
    assert cancel(venue) == OrderCancelled(KEY, "a", Ns(0), Lots(6))
    assert venue.on_market(NOW, trade(Side.SELL, 1, 1)) == []


@pytest.mark.parametrize("client_id", ["a", "never sent"])
def test_a_cancel_that_comes_after_the_last_fill_or_for_no_order_is_rejected(client_id: str):
    venue = opened()
    submit(venue, Side.BUY, 100)
    venue.on_market(NOW, trade(Side.SELL, 99, 1))
    assert cancel(venue, client_id) == CancelReject(
        KEY, client_id, Ns(0), "no such order: filled or never accepted"
    )


def test_before_a_book_orders_are_rejected():
    venue = SimVenue(linear(), QueueSettings("risk_averse"))
    (answer,) = submit(venue, Side.BUY, 100)
    assert answer == OrderReject(KEY, "a", Ns(0), "no book in the recording at this time")
    assert venue.snapshot(NOW) is None
    assert venue.on_market(NOW, delta(BIDS, ASKS)) == []
    assert venue.snapshot(NOW) is None


GAP = BookTrouble(KEY, NOW, NOW, Trouble.GAP, "expected 8, found 9")


def test_a_gap_freezes_resting_orders_until_the_next_snapshot():
    venue = opened()
    submit(venue, Side.BUY, 100)
    venue.on_market(NOW, GAP)
    for event in (trade(Side.SELL, 1, 10**6), delta([(100, 0)], [(50, 5)])):
        assert venue.on_market(NOW, event) == []
    assert isinstance(submit(venue, Side.BUY, 90, client_id="b")[0], OrderReject)
    assert venue.snapshot(NOW) is None
    assert venue.on_market(NOW, snapshot(BIDS, ASKS)) == []
    assert fills(venue.on_market(NOW, trade(Side.SELL, 100, 52))) == [(100, 2, True)]


def test_a_frozen_order_can_be_cancelled():
    venue = opened()
    submit(venue, Side.BUY, 100)
    venue.on_market(NOW, GAP)
    assert isinstance(cancel(venue), OrderCancelled)


def test_a_snapshot_after_a_gap_that_reached_our_price_fills_us():
    venue = opened()
    submit(venue, Side.BUY, 100)
    venue.on_market(NOW, GAP)
    assert fills(venue.on_market(NOW, snapshot([(90, 1)], [(95, 1)]))) == [(100, 10, True)]


def test_a_snapshot_without_our_level_leaves_nobody_in_front_of_us():
    venue = opened()
    submit(venue, Side.BUY, 100)
    assert venue.on_market(NOW, snapshot([(99, 70)], ASKS)) == []
    assert fills(venue.on_market(NOW, trade(Side.SELL, 100, 1))) == [(100, 1, True)]


def test_a_crossed_display_fills_nobody_and_freezes():
    venue = opened()
    submit(venue, Side.BUY, 100)
    assert venue.on_market(NOW, delta([(103, 5)], [])) == []
    assert venue.on_market(NOW, trade(Side.SELL, 1, 1)) == []


@pytest.mark.parametrize("kind", [Trouble.DUPLICATE, Trouble.BEFORE_SNAPSHOT])
def test_trouble_that_does_not_break_the_book_freezes_nothing(kind: Trouble):
    venue = opened()
    submit(venue, Side.BUY, 100)
    venue.on_market(NOW, BookTrouble(KEY, NOW, NOW, kind, ""))
    assert fills(venue.on_market(NOW, trade(Side.SELL, 99, 1))) == [(100, 10, True)]


def test_what_was_lost_on_its_way_to_us_alone_freezes_nothing_here():
    venue = opened()
    submit(venue, Side.BUY, 100)
    venue.on_market(NOW, BookTrouble(KEY, NOW, NOW, Trouble.GAP, "", ours_alone=True))
    assert venue.snapshot(NOW) is not None
    assert fills(venue.on_market(NOW, trade(Side.SELL, 99, 1))) == [(100, 10, True)]


def test_a_snapshot_answer_is_the_venues_own_book():
    venue = opened()
    venue.on_market(NOW, delta([(101, 3)], [(106, 0)]))
    answer = venue.snapshot(Ns(START_NS + 5))
    assert answer is not None
    assert (answer.bids, answer.asks) == ([(101, 3), (100, 50), (99, 70)], [(103, 40), (104, 60)])
    assert (answer.exch_ns, answer.recv_ns) == (START_NS + 5, 0)


def test_signs_of_life_are_not_market():
    venue = opened()
    submit(venue, Side.BUY, 100)
    assert venue.on_market(NOW, Confirmed(KEY, NOW)) == []


def test_a_display_that_shrinks_moves_the_queue_by_the_named_model():
    for queue, left in ((QueueSettings("risk_averse"), 50), (QueueSettings("power", 1.0), 50 - 15)):
        venue = opened(queue)
        submit(venue, Side.BUY, 100)
        venue.on_market(NOW, delta([(100, 100)], []))
        venue.on_market(NOW, delta([(100, 70)], []))
        assert fills(venue.on_market(NOW, trade(Side.SELL, 100, left))) == []
        assert fills(venue.on_market(NOW, trade(Side.SELL, 100, 1))) == [(100, 1, True)]


ticks = st.integers(95, 108)
levels = st.lists(st.tuples(ticks, st.integers(0, 30)), max_size=4)


class VenueMachine(RuleBasedStateMachine):
    """Any market, any orders: lots are conserved, and every fill is at a price that the order allows."""

    def __init__(self) -> None:
        super().__init__()
        self.venue = SimVenue(linear(), QueueSettings("power", 2.0))
        self.orders: dict[str, SubmitOrder] = {}
        self.filled: dict[str, int] = {}
        self.cancelled: dict[str, int] = {}
        self.fill_ids: list[int] = []

    @rule(bids=levels, asks=levels)
    def snapshot(self, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> None:
        self.take(self.venue.on_market(NOW, snapshot(bids, asks)))

    @rule(bids=levels, asks=levels)
    def delta(self, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> None:
        self.take(self.venue.on_market(NOW, delta(bids, asks)))

    @rule(taker=st.sampled_from(Side), tick=ticks, lots=st.integers(1, 60))
    def trade(self, taker: Side, tick: int, lots: int) -> None:
        self.take(self.venue.on_market(NOW, trade(taker, tick, lots)))

    @rule()
    def gap(self) -> None:
        self.take(self.venue.on_market(NOW, GAP))

    @rule(side=st.sampled_from(Side), tick=ticks, lots=st.integers(1, 40), post_only=st.booleans())
    def submit(self, side: Side, tick: int, lots: int, post_only: bool) -> None:  # noqa: FBT001
        client_id = f"o{len(self.orders)}"
        command = SubmitOrder(KEY, client_id, side, Ticks(tick), Lots(lots), post_only)
        first, *others = self.venue.on_order(NOW, command)
        if isinstance(first, OrderReject):
            assert others == []
            return
        assert isinstance(first, OrderAck)
        self.orders[client_id], self.filled[client_id] = command, 0
        assert not (post_only and others)
        self.take(others)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if not self.orders:
            return
        client_id = data.draw(st.sampled_from(sorted(self.orders)))
        (answer,) = self.venue.on_order(NOW, CancelOrder(KEY, client_id))
        closed = client_id in self.cancelled or self.filled[client_id] == self.orders[client_id].lots
        assert isinstance(answer, CancelReject if closed else OrderCancelled)
        if isinstance(answer, OrderCancelled):
            self.cancelled[client_id] = answer.leaves

    def take(self, events: list[OrderEvent]) -> None:
        for event in events:
            if isinstance(event, OrderCancelled):  # the rest of an order that took
                assert not self.orders[event.client_id].post_only
                self.cancelled[event.client_id] = event.leaves
                continue
            assert isinstance(event, Fill)
            order = self.orders[event.client_id]
            assert event.client_id not in self.cancelled
            assert event.side is order.side
            assert event.lots > 0
            assert (order.tick - event.tick) * order.side >= 0
            assert not event.maker or event.tick == order.tick
            self.filled[event.client_id] += event.lots
            self.fill_ids.append(event.fill_id)

    @invariant()
    def lots_are_conserved(self) -> None:
        resting = 0
        for client_id, order in self.orders.items():
            filled, cancelled = self.filled[client_id], self.cancelled.get(client_id)
            assert filled <= order.lots
            if cancelled is not None:
                assert filled + cancelled == order.lots
            elif filled < order.lots:
                resting += 1
        assert self.venue.resting_count == resting

    @invariant()
    def fill_ids_count_up(self) -> None:
        assert self.fill_ids == list(range(1, len(self.fill_ids) + 1))


TestVenueAgainstSums = VenueMachine.TestCase
TestVenueAgainstSums.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)


@given(st.lists(st.integers(1, 60), max_size=8), st.integers(1, 100))
def test_one_order_never_fills_for_more_than_traded_beyond_its_queue(prints: list[int], lots: int):
    venue = opened()
    submit(venue, Side.BUY, 100, lots)
    got = sum(
        filled
        for printed in prints
        for _, filled, _ in fills(venue.on_market(NOW, trade(Side.SELL, 100, printed)))
    )
    assert got == min(max(sum(prints) - 50, 0), lots)


def enter(venue: SimVenue, side: Side, tick: int, lots: int) -> list[OrderEvent]:
    command = SubmitOrder(KEY, "a", side, Ticks(tick), Lots(lots), post_only=False)
    return venue.enter(NOW, command, rests=True)


def test_a_rest_that_stays_is_filled_by_the_display_only_after_that_left_its_price():
    venue = opened()
    assert fills(enter(venue, Side.SELL, 100, 80)[1:]) == [(100, 50, False)]
    assert venue.on_market(NOW, delta([(90, 1)], [])) == [], "what it took is still displayed"
    assert venue.on_market(NOW, delta([(100, 0)], [])) == []
    assert fills(venue.on_market(NOW, delta([(100, 5)], []))) == [(100, 30, True)]


def test_a_rest_that_stays_is_filled_by_trades_at_once():
    venue = opened()
    enter(venue, Side.SELL, 100, 80)
    assert fills(venue.on_market(NOW, trade(Side.BUY, 100, 10))) == [(100, 10, True)]
    assert fills(venue.on_market(NOW, trade(Side.BUY, 103, 1))) == [(100, 20, True)]


@pytest.mark.parametrize(("leaves", "filled"), [(10, 10), (4, 4)])
def test_an_order_amended_to_no_more_at_its_price_keeps_its_place(leaves: int, filled: int):
    venue = opened()
    submit(venue, Side.BUY, 99)
    venue.on_market(NOW, delta([(99, 500)], []))
    assert amend(venue, 99, leaves) == [OrderAmended(KEY, "a", Ns(0))]
    assert fills(venue.on_market(NOW, trade(Side.SELL, 99, 80))) == [(99, filled, True)]


@pytest.mark.parametrize(("tick", "leaves"), [(99, 11), (100, 10)])
def test_an_order_amended_to_more_or_another_price_joins_behind_the_display(tick: int, leaves: int):
    venue = opened()
    submit(venue, Side.BUY, 99)
    venue.on_market(NOW, delta([(99, 500), (100, 500)], []))
    assert amend(venue, tick, leaves) == [OrderAmended(KEY, "a", Ns(0))]
    assert venue.on_market(NOW, trade(Side.SELL, tick, 500)) == []
    assert fills(venue.on_market(NOW, trade(Side.SELL, tick, 1))) == [(tick, 1, True)]


def test_an_order_amended_into_the_book_takes():
    venue = opened()
    submit(venue, Side.BUY, 99, post_only=False)
    assert fills(amend(venue, 103)[1:]) == [(103, 10, False)]
    assert venue.resting_count == 0


@pytest.mark.parametrize("rests", [False, True])
def test_what_an_amended_order_could_not_take_goes_or_stays_as_it_was_entered(rests: bool):  # noqa: FBT001
    venue = opened()
    submit(venue, Side.BUY, 99, 50, post_only=False)
    _, taken, *rest = venue.amend(NOW, AmendOrder(KEY, "a", Ticks(103), Lots(50)), rests=rests)
    assert fills([taken]) == [(103, 40, False)]
    assert rest == ([] if rests else [OrderCancelled(KEY, "a", Ns(0), Lots(10))])
    assert venue.resting_count == rests


def test_a_fill_before_the_amend_leaves_less_of_its_size():
    venue = opened()
    submit(venue, Side.BUY, 100)
    assert fills(venue.on_market(NOW, trade(Side.SELL, 100, 54))) == [(100, 4, True)]
    assert amend(venue, 101, 7) == [OrderAmended(KEY, "a", Ns(0))]
    assert cancel(venue) == OrderCancelled(KEY, "a", Ns(0), Lots(3))


@pytest.mark.parametrize("lots", [4, 0])
def test_an_amend_to_what_has_filled_is_rejected_and_changes_nothing(lots: int):
    venue = opened()
    submit(venue, Side.BUY, 100)
    venue.on_market(NOW, trade(Side.SELL, 100, 54))
    assert amend(venue, 99, lots) == [AmendReject(KEY, "a", Ns(0), "size is not one that the venue takes")]
    assert cancel(venue) == OrderCancelled(KEY, "a", Ns(0), Lots(6))


def test_a_post_only_order_amended_into_the_book_is_cancelled_with_what_was_open():
    venue = opened()
    submit(venue, Side.BUY, 99)
    assert amend(venue, 103, 12) == [OrderCancelled(KEY, "a", Ns(0), Lots(10))]
    assert venue.resting_count == 0


def test_an_amend_of_no_order_or_without_a_book_is_rejected_and_changes_nothing():
    venue = opened()
    submit(venue, Side.BUY, 99)
    unknown = amend(venue, 99, 1, "b")
    venue.on_market(NOW, BookTrouble(KEY, NOW, NOW, Trouble.GAP, "test"))
    blind = amend(venue, 98, 1)
    assert [type(event) for event in unknown + blind] == [AmendReject, AmendReject]
    assert cancel(venue) == OrderCancelled(KEY, "a", Ns(0), Lots(10))


def test_what_can_be_taken_is_what_is_displayed_up_to_a_price():
    venue = opened()
    assert venue.takeable(Side.BUY, 104) == [(103, 40), (104, 60)]
    assert venue.takeable(Side.BUY, 102) == []
    assert venue.takeable(Side.SELL, 100) == [(100, 50)]
