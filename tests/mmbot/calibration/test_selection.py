"""The best of many is held against luck: by hand, by symmetry, by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.bench.sweep_selection import Case, drawn

from mmbot.calibration.paired import left_out
from mmbot.calibration.selection import LEAST_UNITS, Selected, Surface, confirm, select, split, tellable
from mmbot.units import DAY, HOUR


def surface(points: int = 12, blocks: int = 16, seed: int = 1, better_bps: float = 0.0) -> Surface:
    """Points around the market of each block; the last is better by so much in every one."""
    rng = np.random.default_rng(seed)
    weight = rng.uniform(50.0, 150.0, (points, blocks))
    net = rng.normal(0.0, 5.0, blocks) + rng.normal(0.0, 1.0, (points, blocks))
    net[-1] += better_bps
    return Surface(net * weight, weight)


def test_of_equal_weights_an_improvement_is_the_mean_of_the_differences():
    one = Surface(np.array([[1.0, 4.0, -2.0, 3.0] * 2, [2.0, 4.0, 0.0, 4.0] * 2]), np.ones((2, 8)))
    found = select(one, 0)
    assert found.values == pytest.approx([1.5, 2.5])
    assert found.improvements[1].value == pytest.approx(1.0)
    assert found.improvements[0] == (0.0, 0.0, 0.0)


def test_of_one_point_the_interval_is_as_wide_as_that_of_the_jackknife():
    """The same error; another critical value, which is had from signs instead of Student's t."""
    one = surface(points=2, blocks=40)
    found = select(one, 0)

    def difference(times: np.ndarray) -> float:
        values = (one.above @ times) / (one.below @ times)
        return float(values[1] - values[0])

    jackknife = left_out(40, difference)
    assert found.units == 40
    assert found.improvements[1].value == pytest.approx(jackknife.value)
    widths = [interval.high - interval.low for interval in (found.improvements[1], jackknife)]
    assert widths[0] == pytest.approx(widths[1], rel=0.35)
    assert confirm(one, 1, 0) == jackknife


def test_a_point_that_is_better_in_every_block_is_told_apart_and_proposed():
    found = select(surface(better_bps=3.0), 0)
    assert found.best == found.proposed == 11
    assert found.improvements[11].low > 0
    assert found.p_value <= 0.025
    assert found.region == (11,)


def test_the_best_of_equal_points_is_not_told_apart_and_is_no_better_than_luck():
    found = select(surface(), 0)
    assert found.proposed is None
    assert found.p_value > 0.025
    assert 0 in found.region
    assert found.improvements[found.best].value < 2 * found.luck


@given(seed=st.integers(0, 10_000), better_bps=st.sampled_from([0.0, 1.0, 2.0]))
def test_the_region_holds_the_best_and_the_point_in_force_unless_something_is_better(
    seed: int, better_bps: float
):
    found = select(surface(points=6, seed=seed, better_bps=better_bps), 0)
    assert (found.proposed is None) == (0 in found.region)
    assert found.region
    if found.proposed is not None:
        assert found.improvements[found.proposed].low > 0


@given(seed=st.integers(0, 10_000), order=st.permutations(range(6)))
def test_the_order_of_the_points_changes_nothing(seed: int, order: list[int]):
    one = surface(points=6, seed=seed, better_bps=1.5)
    found, turned = select(one, 0), select(one.of(order), order.index(0))
    assert turned.values == pytest.approx(found.values[order])
    assert {order[at] for at in turned.region} == set(found.region)
    assert turned.luck == pytest.approx(found.luck)


def test_a_copy_of_the_point_in_force_differs_by_nothing_and_is_no_trial():
    one = surface(points=5)
    twice = one.of([0, 1, 2, 3, 4, 0])
    alone, found = select(one, 0), select(twice, 0)
    assert found.improvements[5] == (0.0, 0.0, 0.0)
    assert np.array(found.improvements[:5]) == pytest.approx(np.array(alone.improvements))
    assert found.p_value == alone.p_value


def test_more_points_need_more():
    """The same improvement among more trials has a wider interval."""
    few, many = surface(points=3, better_bps=1.0), surface(points=60, better_bps=1.0)
    among = Surface(np.vstack([few.above, many.above]), np.vstack([few.below, many.below]))

    def reach(found: Selected) -> float:
        return found.improvements[2].value - found.improvements[2].low

    assert reach(select(among, 0)) > 1.2 * reach(select(few, 0))


def test_blocks_that_hang_together_are_merged():
    rng = np.random.default_rng(5)
    slow = np.repeat(rng.normal(0.0, 3.0, (4, 16)), 4, axis=1)
    found = select(Surface(slow, np.ones_like(slow)), 0)
    assert (found.units, found.blocks_a_unit) == (16, 4)
    assert select(surface(blocks=64), 0).blocks_a_unit == 1


def test_a_point_whose_fills_are_all_in_one_block_cannot_be_told():
    one = surface(points=3)
    one.below[1, 1:] = 0.0
    one.above[1, 1:] = 0.0
    assert tellable(one).tolist() == [True, False, True]


def test_a_point_that_merged_blocks_leave_nothing_to_compare_cannot_be_told():
    one = surface(points=3)
    one.below[2, 2:] = 0.0
    one.above[2, 2:] = 0.0
    assert tellable(one).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("days", "seen_hours", "held_hours"), [(1, 24, 0), (2, 48, 0), (3, 47, 24), (7, 119, 48)]
)
def test_the_last_third_of_the_days_is_held_back(days: int, seen_hours: int, held_hours: int):
    starts_ns = [20_000 * DAY + hour * HOUR for hour in range(24 * days)]
    seen, held = split(starts_ns)
    assert (len(seen), len(held)) == (seen_hours, held_hours)
    if held_hours:
        assert held[0] - seen[-1] == 2  # a block between them, for the markouts
        assert starts_ns[held[0]] % DAY == 0


def test_days_of_too_few_blocks_are_not_held_back():
    starts_ns = [day * DAY + quarter * 6 * HOUR for day in range(4) for quarter in range(4)]
    seen, held = split(starts_ns)
    assert (len(seen), len(held)) == (16, 0)
    assert LEAST_UNITS > 4


def told_and_covered(case: Case, draws: int) -> tuple[float, float]:
    """Shares of draws in which a point was proposed, and in which the best one was in the region."""
    rng = np.random.default_rng(3)
    found = [select(drawn(case, rng), 0) for _ in range(draws)]
    best = int(case.means.argmax())
    told = sum(one.proposed is not None for one in found)
    return told / draws, sum(best in one.region for one in found) / draws


def test_of_equal_points_few_sweeps_propose_one():
    """With 5 % a sweep, 7 of 40 come once in 300 times."""
    told, covered = told_and_covered(Case(20, 12, 10), 40)
    assert told <= 6 / 40
    assert covered >= 34 / 40


def test_a_planted_improvement_is_found():
    told, covered = told_and_covered(Case(12, 36, 20, shape="one", bps=20.0), 20)
    assert told >= 0.8
    assert covered >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize("case", [Case(20, 12, 10), Case(100, 12, 10), Case(50, 96, 5, 0.3)], ids=str)
def test_of_equal_points_at_most_one_sweep_in_twenty_proposes_one(case: Case):
    """A share of 5 % in 400 draws is above 7.5 % once in 80 times."""
    told, covered = told_and_covered(case, 400)
    assert told <= 0.075
    assert covered >= 0.925


def test_drawn_surfaces_are_what_they_say():
    case = Case(40, 400, 50, shape="one", bps=30.0)
    one = drawn(case, np.random.default_rng(2))
    values = one.values
    assert values[20] - np.delete(values, 20).mean() == pytest.approx(30.0, abs=3.0)
