"""Depth-limited books: whoever applies the deltas holds the best N levels, always."""

from hypothesis import given
from hypothesis import strategies as st

from mmbot.book.l2 import L2Book
from mmbot.venues.paper.depth import DepthView

_LEVELS = st.dictionaries(st.integers(1, 30), st.integers(0, 3), max_size=8)


@given(st.integers(1, 6), st.lists(st.tuples(_LEVELS, _LEVELS), max_size=12))
def test_deltas_keep_a_clients_book_at_the_best_levels_and_u_rises_by_one_with_each(depth, changes):
    book, view, client = L2Book(), DepthView(depth), L2Book()
    for bids, asks in changes:
        before = view.update_id
        book.apply(bids.items(), [(100 + tick, lots) for tick, lots in asks.items()])
        delta = view.follow(book)
        client.apply(*delta)
        held, whole = client.levels(), book.levels()
        assert held == (whole[0][:depth], whole[1][:depth]) == view.levels()
        assert view.update_id == before + bool(delta[0] or delta[1])


def test_a_level_that_is_pushed_out_is_deleted_and_comes_back_when_there_is_room():
    book, view = L2Book(), DepthView(1)
    book.replace([(10, 1)], [(12, 1)])
    view.follow(book)
    book.apply([(11, 2)], [])
    assert view.follow(book) == ([(11, 2), (10, 0)], [])
    book.apply([(11, 0)], [])
    assert view.follow(book) == ([(11, 0), (10, 1)], [])


def test_an_unseen_change_is_no_update():
    book, view = L2Book(), DepthView(1)
    book.replace([(10, 1)], [(12, 1)])
    view.follow(book)
    book.apply([(9, 5)], [(13, 5)])
    assert view.follow(book) == ([], [])
