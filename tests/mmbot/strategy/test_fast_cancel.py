"""fast_cancel: what is a spike, which side it empties, and for how long."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import ms

from mmbot.model.instrument import Side
from mmbot.strategy.fast_cancel import FastCancel, FastCancelSettings

SETTINGS = FastCancelSettings(move_bps=5.0, hold_ms=300)
MID_X2 = 20_000


@pytest.fixture
def spikes() -> FastCancel:
    started = FastCancel(SETTINGS)
    started(ms(0), MID_X2)
    return started


def test_the_first_mid_is_no_spike(spikes: FastCancel):
    assert spikes.held == ()
    assert spikes.spiked_ns == 0


@pytest.mark.parametrize(("moved", "held"), [(9, ()), (-9, ()), (10, (Side.SELL,)), (-10, (Side.BUY,))])
def test_a_move_of_the_threshold_empties_the_side_that_it_runs_into(
    spikes: FastCancel, moved: int, held: tuple[Side, ...]
):
    spikes(ms(100), MID_X2 + moved)
    assert spikes.held == held
    if held:
        assert (spikes.spiked_ns, spikes.spiked_bps) == (ms(100), moved / MID_X2 * 1e4)


def test_a_tick_without_a_book_is_no_spike_and_none_is_judged_from_it(spikes: FastCancel):
    spikes(ms(100), MID_X2 - 10)
    spikes(ms(200), 0)
    spikes(ms(300), MID_X2 + 10)
    assert spikes.held == (Side.BUY,)
    assert spikes.spiked_ns == ms(100)


def test_moves_are_from_tick_to_tick_and_do_not_add_up(spikes: FastCancel):
    for number in range(1, 20):
        spikes(ms(100 * number), MID_X2 - 9 * number)
        assert spikes.held == ()


def test_a_side_stays_empty_for_its_hold(spikes: FastCancel):
    spikes(ms(100), MID_X2 - 10)
    spikes(ms(399), MID_X2 - 10)
    assert spikes.held == (Side.BUY,)
    spikes(ms(400), MID_X2 - 10)
    assert spikes.held == ()
    assert spikes.spiked_ns == ms(100)


def test_a_spike_back_empties_the_other_side_too_and_each_holds_by_itself(spikes: FastCancel):
    spikes(ms(100), MID_X2 - 10)
    spikes(ms(200), MID_X2)
    assert set(spikes.held) == {Side.BUY, Side.SELL}
    spikes(ms(400), MID_X2)
    assert spikes.held == (Side.SELL,)


@given(st.integers(10, 10**9), st.floats(0.01, 20_000), st.data())
def test_no_move_within_its_calm_reach_is_a_spike(mid_x2: int, move_bps: float, data: st.DataObject):
    watched = FastCancel(FastCancelSettings(move_bps, 300))
    reach = int(watched.calm_reach_x2(mid_x2))
    path = data.draw(st.lists(st.integers(mid_x2 - reach, mid_x2 + reach), min_size=1, max_size=10))
    for at_ms, (_, now_x2) in enumerate(pairwise([mid_x2, mid_x2, *path])):
        watched(ms(at_ms), now_x2)
        assert watched.held == ()


def test_without_a_threshold_nothing_is_a_spike_and_the_reach_is_everything():
    watched = FastCancel(FastCancelSettings(float("inf"), 300))
    watched(ms(0), MID_X2)
    watched(ms(100), 10 * MID_X2)
    assert watched.held == ()
    assert watched.calm_reach_x2(MID_X2) == pytest.approx(0.999 * MID_X2)
