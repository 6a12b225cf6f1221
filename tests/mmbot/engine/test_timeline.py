"""The tie rule: by time, then by rank, then first come, first served."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS

from mmbot.engine.timeline import NEVER, Rank, Timeline


def drained(timeline: Timeline[str]) -> list[tuple[int, str]]:
    found = []
    while timeline.next_ns != NEVER:
        found.append(timeline.pop())
    return found


def test_at_one_nanosecond_the_venue_acts_before_us_and_we_tick_last():
    timeline: Timeline[str] = Timeline()
    for rank in reversed(Rank):
        timeline.push(START_NS, rank, rank.name)
    assert [item for _, item in drained(timeline)] == [
        "VENUE_MARKET",
        "VENUE_ORDER",
        "LOCAL_MARKET",
        "LOCAL_ANSWER",
        "TICK",
    ]


def test_an_earlier_tick_goes_before_a_later_market():
    timeline: Timeline[str] = Timeline()
    timeline.push(START_NS + 1, Rank.VENUE_MARKET, "later")
    timeline.push(START_NS, Rank.TICK, "earlier")
    assert drained(timeline) == [(START_NS, "earlier"), (START_NS + 1, "later")]


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(Rank)), max_size=40))
def test_what_comes_out_is_what_went_in_stably_sorted_by_time_and_rank(pushes: list[tuple[int, Rank]]):
    timeline: Timeline[int] = Timeline()
    for number, (due_ns, rank) in enumerate(pushes):
        timeline.push(due_ns, rank, number)
    expected = sorted(range(len(pushes)), key=lambda number: pushes[number])
    assert [timeline.pop() for _ in pushes] == [(pushes[number][0], number) for number in expected]


@given(st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 9), st.sampled_from(Rank))), max_size=40))
def test_pushes_between_pops_keep_the_rule(steps: list[tuple[int, Rank] | None]):
    timeline: Timeline[int] = Timeline()
    waiting: list[tuple[int, Rank, int]] = []
    for number, step in enumerate(steps):
        if step is not None:
            timeline.push(*step, number)
            waiting.append((*step, number))
        elif waiting:
            due_ns, _, first = min(waiting)
            waiting.remove(min(waiting))
            assert timeline.pop() == (due_ns, first)
        assert timeline.next_ns == min(waiting, default=(NEVER,))[0]


def test_items_are_never_compared():
    timeline: Timeline[object] = Timeline()
    first, second = object(), object()
    timeline.push(START_NS, Rank.TICK, first)
    timeline.push(START_NS, Rank.TICK, second)
    assert [timeline.pop()[1], timeline.pop()[1]] == [first, second]


def test_nothing_due_is_an_index_error():
    with pytest.raises(IndexError):
        Timeline[str]().pop()
