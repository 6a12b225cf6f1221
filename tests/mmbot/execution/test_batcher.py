"""Batcher: nothing is lost, nothing exceeds a batch, cancels first, and those that waited before all."""

from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import KEY

from mmbot.execution.batcher import Batcher, BatchSettings
from mmbot.execution.orders import WorkingOrder
from mmbot.model.commands import (
    AmendOrder,
    CancelOrder,
    OrderBatch,
    OrderCommand,
    Room,
    SubmitOrder,
    unpacked,
)
from mmbot.model.instrument import Side
from mmbot.model.quotes import Quote
from mmbot.units import Lots, Ticks


def cancel(number: int) -> CancelOrder:
    return CancelOrder(KEY, f"c{number}")


def create(number: int) -> SubmitOrder:
    return SubmitOrder(KEY, f"n{number}", Side.BUY, Ticks(100), Lots(1))


def quote(slot: int) -> Quote:
    return Quote(Side.BUY, slot - 1, Ticks(100 - slot), Lots(1))


def working(slot: int) -> WorkingOrder:
    return WorkingOrder(create(slot), slot, None)


def test_orders_of_a_kind_share_messages_and_one_alone_stays_itself():
    batcher = Batcher(BatchSettings(2, 9, amend=True))
    orders = [create(1), cancel(1), create(2), cancel(2), create(3)]
    assert batcher.packed(KEY, orders) == [
        OrderBatch(KEY, (cancel(1), cancel(2))),
        OrderBatch(KEY, (create(1), create(2))),
        create(3),
    ]


def test_with_one_order_a_batch_every_order_is_a_message_of_its_own():
    batcher = Batcher(BatchSettings(1, 9, amend=True))
    assert batcher.packed(KEY, [cancel(1), create(1), create(2)]) == [cancel(1), create(1), create(2)]


def test_creates_get_the_batches_that_cancels_leave():
    batcher = Batcher(BatchSettings(3, 4, amend=True))
    assert [batcher.room(cancels) for cancels in (0, 1, 3, 4, 12, 13)] == [
        Room(0, 12),
        Room(1, 9),
        Room(3, 9),
        Room(4, 6),
        Room(12, 0),
        Room(12, 0),
    ]


def test_who_waited_longest_stands_first():
    batcher = Batcher(BatchSettings(1, 1, amend=True))
    batcher.wait([3, 2])
    batcher.wait([4, 2])
    assert batcher.waiting == [2, 4]
    cancels, creates = batcher.in_line([working(1), working(4)], [quote(3), quote(5), quote(2)])
    assert [order.slot for order in cancels] == [4, 1]
    assert [wanted.slot for wanted in creates] == [2, 3, 5]


def test_amends_share_messages_between_cancels_and_creates():
    batcher = Batcher(BatchSettings(2, 9, amend=True))
    amends = [AmendOrder(KEY, f"a{number}", Ticks(100), Lots(1)) for number in (1, 2, 3)]
    assert batcher.packed(KEY, [create(1), *amends, cancel(1)]) == [
        cancel(1),
        OrderBatch(KEY, (amends[0], amends[1])),
        amends[2],
        create(1),
    ]


def test_amends_that_do_not_fit_leave_less_than_no_create():
    batcher = Batcher(BatchSettings(3, 2, amend=True))
    assert [batcher.room(3, amends) for amends in (0, 1, 3, 4)] == [
        Room(3, 3),
        Room(3, 0),
        Room(3, 0),
        Room(3, -3),
    ]


kinds = st.lists(st.booleans(), max_size=60)


@given(kinds, st.integers(1, 12), st.integers(1, 5))
def test_what_is_in_the_room_is_packed_whole_within_both_limits(
    is_cancel: list[bool], max_orders: int, max_batches_per_tick: int
):
    batcher = Batcher(BatchSettings(max_orders, max_batches_per_tick, amend=True))
    room = batcher.room(sum(is_cancel))
    cancels = [cancel(number) for number in range(sum(is_cancel))][: room.cancels]
    creates = [create(number) for number in range(len(is_cancel) - sum(is_cancel))][: room.creates]
    orders: list[OrderCommand] = [*cancels, *creates]
    messages = batcher.packed(KEY, orders)
    assert list(unpacked(messages)) == orders
    assert len(messages) <= max_batches_per_tick
    for message in messages:
        if isinstance(message, OrderBatch):
            assert 2 <= len(message.orders) <= max_orders
            assert len({type(order) for order in message.orders}) == 1


@given(st.lists(st.sets(st.integers(1, 30), min_size=1), min_size=1, max_size=40), st.integers(1, 3))
def test_whoever_keeps_asking_is_served_before_those_that_came_later(asked: list[set[int]], most: int):
    """Slots ask for creates; `most` go a tick. While a slot waits, at most those in front of it go first."""
    batcher, since = Batcher(BatchSettings(most, 1, amend=True)), dict[int, int]()
    for number, slots in enumerate(asked):
        since = {slot: since.get(slot, number) for slot in slots}
        _, line = batcher.in_line([], [quote(slot) for slot in sorted(slots)])
        served = [wanted.slot for wanted in line[:most]]
        waiting = [wanted.slot for wanted in line[most:]]
        assert max((since[slot] for slot in served), default=0) <= min(
            (since[slot] for slot in waiting), default=number
        )
        batcher.wait(waiting)
        for slot in served:
            del since[slot]
