"""Virtual time: order, ties, and what is planned for the past."""

from hypothesis import given
from hypothesis import strategies as st

from mmbot.sim.event_heap import EventHeap


@given(st.lists(st.integers(0, 20)))
def test_acts_happen_in_order_and_ties_as_they_were_planned(times: list[int]):
    heap, done = EventHeap(0), list[tuple[int, int]]()
    for number, ns in enumerate(times):
        heap.at(ns, lambda ns=ns, number=number: done.append((ns, number)))
    heap.run(20, lambda: None)
    assert done == sorted(zip(times, range(len(times)), strict=True))
    assert heap.now_ns == 20


def test_an_act_may_plan_others_and_the_past_is_now():
    heap, done = EventHeap(10), list[int]()
    heap.after(5, lambda: heap.at(3, lambda: done.append(heap.now_ns)))
    heap.after(6, lambda: done.append(heap.now_ns))
    heap.run(15, lambda: None)
    assert done == [15]
    heap.run(30, lambda: None)
    assert done == [15, 16]


def test_something_follows_every_act():
    heap, seen = EventHeap(0), list[int]()
    for ns in (1, 2, 3):
        heap.at(ns, lambda: None)
    heap.run(2, lambda: seen.append(heap.now_ns))
    assert (seen, heap.acts) == ([1, 2], 2)
