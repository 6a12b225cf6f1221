"""May this delta follow? Truth table, and any stream against the rule in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.book.sequencer import Sequencer
from mmbot.model.events import Trouble


def after(*accepted: int) -> Sequencer:
    """A chain that opened with a snapshot at the first id and took the others."""
    chain = Sequencer()
    chain.snapshot(accepted[0])
    for update_id in accepted[1:]:
        assert chain.delta(update_id, links=True) is None
    return chain


@pytest.mark.parametrize("links", [True, False])
def test_nothing_is_applied_before_a_snapshot(*, links: bool):
    chain = Sequencer()
    assert chain.delta(7, links=links) is Trouble.BEFORE_SNAPSHOT
    assert chain.last is None


@pytest.mark.parametrize(
    ("accepted", "update_id", "links", "expected"),
    [
        ((10,), 11, True, None),
        ((10,), 10, True, None),  # the bridge of a venue whose snapshot id is the first delta's
        ((10,), 9, True, Trouble.DUPLICATE),
        ((10,), 12, False, Trouble.GAP),
        ((10,), 10, False, Trouble.GAP),
        ((10, 11), 12, True, None),
        ((10, 11), 11, True, Trouble.DUPLICATE),
        ((10, 11), 11, False, Trouble.DUPLICATE),
        ((10, 11), 5, False, Trouble.DUPLICATE),
        ((10, 11), 13, False, Trouble.GAP),
    ],
)
def test_the_table(accepted: tuple[int, ...], update_id: int, *, links: bool, expected: Trouble | None):
    assert after(*accepted).delta(update_id, links=links) is expected


def test_a_duplicate_leaves_the_chain_as_it_was():
    chain = after(10, 11)
    chain.delta(11, links=True)
    assert (chain.last, chain.fresh) == (11, False)
    assert chain.delta(12, links=True) is None


def test_a_gap_ends_the_chain_until_the_next_snapshot():
    chain = after(10, 11)
    assert chain.delta(13, links=False) is Trouble.GAP
    assert chain.delta(14, links=True) is Trouble.BEFORE_SNAPSHOT
    chain.snapshot(20)
    assert chain.fresh
    assert chain.delta(21, links=True) is None


@given(st.lists(st.integers(1, 12), max_size=30), st.integers(1, 4))
def test_accepted_ids_strictly_rise_and_each_links_to_the_one_before(ids: list[int], first: int):
    chain = Sequencer()
    chain.snapshot(first)
    last = first
    for update_id in ids:
        if chain.delta(update_id, links=update_id == last + 1) is None:
            assert update_id == last + 1
            last = update_id
        elif chain.last is not None:
            assert chain.last == last
