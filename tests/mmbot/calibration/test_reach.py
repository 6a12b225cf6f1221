"""Reach: which virtual quotes the market would have come to, window by window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import KEY, START_NS, confirmed, delta, ms, snapshot, trade

from mmbot.calibration.reach import Reach
from mmbot.model.events import BookTrouble, MarketEvent, Trouble
from mmbot.model.instrument import Side
from mmbot.units import SECOND, Ns

BOOK = snapshot([(9_990, 5)], [(10_010, 5)])
"""A mid of 10 000: a tick is a bps."""


def reached(*events: MarketEvent, until_ms: float = 5_000) -> Reach:
    """The book at the start, these events, and silence until then, in windows of a second."""
    reach = Reach(SECOND)
    reach.take([BOOK, *events, confirmed(ms(until_ms))])
    return reach


def test_the_window_in_which_the_book_arrives_is_left_out_and_silence_reaches_nothing():
    reach = reached()
    assert reach.left_out == 1
    assert reach.bps.tolist() == [[0, 0]] * 4
    assert reach.tick_bps == 1.0


def test_the_farthest_trade_of_a_side_counts_from_the_mid_at_the_windows_start():
    reach = reached(
        trade(Side.BUY, 10_010, 1, ns=ms(1_100)),
        trade(Side.BUY, 10_030, 1, ns=ms(1_200)),
        trade(Side.BUY, 10_020, 1, ns=ms(1_300)),
        trade(Side.SELL, 9_993, 1, ns=ms(1_400)),
        delta([(9_990, 0), (10_000, 5)], [], ns=ms(1_500)),
        trade(Side.SELL, 9_994, 1, ns=ms(1_600)),
        trade(Side.SELL, 10_000, 1, ns=ms(2_100)),
        until_ms=3_000,
    )
    assert reach.bps[0].tolist() == [30, 7]
    assert reach.bps[1].tolist() == pytest.approx([0, 5 / 10_005 * 1e4])


def test_a_trade_on_its_own_side_of_the_mid_reaches_nothing():
    reach = reached(trade(Side.BUY, 9_995, 1, ns=ms(1_100)), trade(Side.SELL, 10_000, 1, ns=ms(1_200)))
    assert not reach.bps.any()


@pytest.mark.parametrize(
    "lost",
    [
        BookTrouble(KEY, Ns(ms(1_500)), Ns(ms(1_500)), Trouble.GAP, "planted"),
        delta([(10_010, 3)], [], ns=ms(1_500)),
        delta([(9_990, 0)], [], ns=ms(1_500)),
    ],
    ids=["gap", "crossed", "one-sided"],
)
def test_windows_without_a_book_to_believe_are_left_out(lost: MarketEvent):
    back = snapshot([(9_990, 5)], [(10_010, 5)], ns=ms(3_500))
    reach = reached(trade(Side.BUY, 10_010, 1, ns=ms(1_100)), lost, back, until_ms=6_000)
    one_sided = not isinstance(lost, BookTrouble) and not lost.bids[0][1]
    assert len(reach.bps) == (3 if one_sided else 2)
    assert reach.left_out == 6 - len(reach.bps)


def test_a_repeated_frame_is_no_reason_to_leave_a_window_out():
    duplicate = BookTrouble(KEY, Ns(ms(1_500)), Ns(ms(1_500)), Trouble.DUPLICATE, "planted")
    assert len(reached(duplicate).bps) == 4


@given(
    st.lists(st.tuples(st.integers(1, 3_000), st.sampled_from(Side), st.integers(9_900, 10_100)), max_size=30)
)
def test_windows_are_those_of_counting_by_hand(prints: list[tuple[int, Side, int]]):
    at, events = 0, []
    for wait_ms, side, tick in prints:
        at += wait_ms
        events.append((at, side, tick))
    seconds = at // 1_000 + 1
    reach = reached(
        *(trade(side, tick, 1, ns=ms(when)) for when, side, tick in events), until_ms=seconds * 1_000
    )
    by_hand = np.zeros((seconds, 2))
    for when, side, tick in events:
        column = 0 if side is Side.BUY else 1
        by_hand[when // 1_000, column] = max(by_hand[when // 1_000, column], (tick - 10_000) * side)
    assert reach.bps == pytest.approx(by_hand[1:])


def test_no_events_are_no_windows():
    reach = Reach(SECOND)
    reach.take([])
    assert reach.bps.shape == (0, 2)
    assert START_NS % SECOND == 0
