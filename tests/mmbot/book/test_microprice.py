"""Microprice: nothing before the first fit, then the drift of the known process, mirrored on both sides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import view

from mmbot.book.measures import PricedView
from mmbot.book.microprice import Microprice, Transitions

HEAVY, THIN = 900, 100


class Estimator:
    """Transitions and the microprice over them, one view a tick."""

    def __init__(self, refit_every: int) -> None:
        self._transitions = Transitions()
        self._microprice = Microprice(refit_every)

    def update(self, seen: PricedView) -> float:
        self._transitions.observe(seen)
        return self._microprice(self._transitions, seen.mid)


def trained(path: list[PricedView]) -> Estimator:
    """An estimator that was fitted once, at the end of this path."""
    estimator = Estimator(len(path))
    for seen in path:
        estimator.update(seen)
    return estimator


def trending(steps: int) -> list[PricedView]:
    """A book that is heavy on one side for three ticks, then moves a tick that way; sides alternate."""
    path: list[PricedView] = []
    bid = 10_000
    for step in range(steps):
        up = step % 2 == 0
        path += [view(bid, bid + 1, *((HEAVY, THIN) if up else (THIN, HEAVY)))] * 3
        bid += 1 if up else -1
    return path


def adjustment(estimator: Estimator, seen: PricedView) -> float:
    return estimator.update(seen) - seen.mid


@given(st.lists(st.builds(view, st.integers(50, 60), st.integers(61, 64)), max_size=20))
def test_before_the_first_fit_it_is_the_mid(path: list[PricedView]):
    estimator = Estimator(len(path) + 1)
    assert [estimator.update(seen) for seen in path] == [seen.mid for seen in path]


def test_a_fit_without_any_mid_move_is_no_fit():
    still = [view(100, 101, HEAVY, THIN), view(100, 101, THIN, HEAVY)] * 20
    assert adjustment(trained(still), view(100, 101, HEAVY, THIN)) == 0.0


def test_a_heavy_bid_that_precedes_rises_lifts_the_estimate_and_a_heavy_ask_lowers_it():
    estimator = trained(trending(200))
    assert adjustment(estimator, view(500, 501, HEAVY, THIN)) > 0.5
    assert adjustment(estimator, view(500, 501, THIN, HEAVY)) < -0.5


def test_a_market_that_reverts_after_pressure_is_learned_as_it_is():
    path: list[PricedView] = []
    for _ in range(100):
        path += [view(1_000, 1_001, HEAVY, THIN)] * 2 + [view(999, 1_000, THIN, HEAVY)] * 2
    assert adjustment(trained(path), view(500, 501, HEAVY, THIN)) < -0.5


def test_a_rise_after_which_nothing_presses_is_worth_exactly_itself():
    """Heavy bid, then two ticks up into a balanced book that presses nowhere: G1 = 2, B G1 = 0."""
    path: list[PricedView] = []
    for step in range(100):
        up = step % 2 == 0
        path.append(view(1_000, 1_003, *((HEAVY, THIN) if up else (THIN, HEAVY))))
        path.append(view(*((1_002, 1_005) if up else (998, 1_001)), 55, 45))
        path.append(view(*((1_002, 1_005) if up else (998, 1_001)), 45, 55))
    estimator = trained(path)
    assert adjustment(estimator, view(1_000, 1_003, HEAVY, THIN)) == pytest.approx(2.0, abs=0.1)


def test_a_balanced_book_is_not_moved_by_what_heavy_books_do():
    path = trending(200)
    path += [view(10_000, 10_001), view(10_001, 10_002), view(10_000, 10_001)] * 20
    assert adjustment(trained(path), view(500, 501)) == pytest.approx(0.0, abs=0.05)


def test_a_state_that_no_move_ever_followed_is_expected_to_stay_and_pulls_no_other():
    """Heavy bid: half of the time up a tick into a book that stays, half of the time into a milder book that
    stays: worth half a tick. The milder one, whose mid never moved, is worth nothing.
    """
    heavy, mild, after = view(1_000, 1_001, 95, 5), view(1_000, 1_001, 85, 15), view(1_001, 1_002, 65, 35)
    transitions = Transitions()
    for follower in (mild, after) * 50:
        for seen in (heavy, follower):
            transitions.observe(seen)
        transitions.state = -1  # what follows next is another day
    found = []
    for seen in (heavy, mild, after):
        transitions.state = -1
        transitions.observe(seen)
        found.append(Microprice(1)(transitions, seen.mid) - seen.mid)
    assert found == pytest.approx([0.5, 0.0, 0.0])


sizes = st.integers(1, 9)
views = st.builds(
    lambda bid, spread, bid_lots, ask_lots: view(bid, bid + spread, bid_lots, ask_lots),
    st.integers(100, 104),
    st.integers(1, 4),
    sizes,
    sizes,
)


def off_border(seen: PricedView) -> bool:
    """Imbalance strictly inside a tenth: on a border, a book and its mirror image differ."""
    return 10 * seen.bid_lots % (seen.bid_lots + seen.ask_lots) != 0


def mirrored(seen: PricedView) -> PricedView:
    """The same book with buyers and sellers swapped, reflected at 1000."""
    return view(1_000 - seen.ask_tick, 1_000 - seen.bid_tick, seen.ask_lots, seen.bid_lots)


@given(st.lists(views.filter(off_border), min_size=2, max_size=40), views.filter(off_border))
def test_the_mirrored_market_has_the_mirrored_microprice(path: list[PricedView], last: PricedView):
    found = adjustment(trained(path), last)
    reflected = adjustment(trained([mirrored(seen) for seen in path]), mirrored(last))
    assert reflected == pytest.approx(-found, abs=1e-6)


@given(st.lists(views, min_size=2, max_size=60))
def test_the_estimate_is_a_function_of_the_data_alone(path: list[PricedView]):
    first, second = Estimator(7), Estimator(7)
    assert [first.update(seen) for seen in path] == [second.update(seen) for seen in path]
