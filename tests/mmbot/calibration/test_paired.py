"""Old and new over the same blocks: differences by hand."""

import math

import numpy as np
import pytest
from scipy.stats import t as student

from mmbot.calibration.paired import compare, left_out
from mmbot.calibration.spread_need import Fills
from mmbot.units import SECOND

BLOCK_NS = 600 * SECOND


def fills(*rows: tuple[float, float, float]) -> Fills:
    """Block number (and share of it), weight, net bps."""
    at, weight, net_bps = (np.array(column) for column in zip(*rows, strict=True))
    zeros = np.zeros(len(rows))
    return Fills((at * BLOCK_NS).astype(np.int64), weight, net_bps, zeros, zeros, np.zeros((len(rows), 4)))


def test_of_blocks_of_one_weight_the_interval_is_that_of_their_mean():
    values = np.array([1.0, 4.0, -2.0, 3.0])
    found = left_out(4, lambda times: float(values @ times / times.sum()))
    reach = student.ppf(0.975, 3) * values.std(ddof=1) / 2.0
    assert found == pytest.approx((1.5, 1.5 - reach, 1.5 + reach))


def test_the_same_twice_differs_by_nothing():
    one = fills((0, 100.0, 5.0), (1.5, 50.0, -80.0), (2, 100.0, 30.0))
    found = compare(one, one, (0, 3 * BLOCK_NS), BLOCK_NS)
    assert found.net_bps == (0.0, 0.0, 0.0)
    assert found.earned_per_hour == (0.0, 0.0, 0.0)


def test_what_both_share_is_no_uncertainty():
    """Three bps better in each block, however much the blocks differ."""
    old = fills((0, 100.0, 5.0), (1, 100.0, -80.0), (2, 100.0, 30.0))
    new = fills((0, 100.0, 8.0), (1, 100.0, -77.0), (2, 100.0, 33.0))
    found = compare(old, new, (0, 3 * BLOCK_NS), BLOCK_NS)
    assert found.net_bps == pytest.approx((3.0, 3.0, 3.0))
    assert found.earned_per_hour.value == pytest.approx(100.0 * 3e-4 * 6)


def test_net_is_by_weight_and_earned_is_its_sum():
    old = fills((0, 300.0, 10.0), (0.5, 100.0, -10.0), (1, 100.0, 0.0))
    new = fills((0, 100.0, 20.0))
    found = compare(old, new, (0, 2 * BLOCK_NS), BLOCK_NS)
    first, second = found.blocks
    assert (first.old_fills, first.new_fills, second.old_fills, second.new_fills) == (2, 1, 1, 0)
    assert (first.old_net_bps, first.new_net_bps) == pytest.approx((5.0, 20.0))
    assert (second.old_net_bps, second.new_net_bps) == (0.0, None)
    assert (first.old_earned, first.new_earned, second.new_earned) == pytest.approx((0.2, 0.2, 0.0))
    assert (found.old_net_bps, found.new_net_bps) == pytest.approx((4.0, 20.0))
    assert found.earned_per_hour.value == pytest.approx(0.0)


def test_one_block_of_fills_has_no_interval():
    """Left out, there is nothing to compare."""
    one = fills((0, 100.0, 5.0))
    found = compare(one, one, (0, 2 * BLOCK_NS), BLOCK_NS).net_bps
    assert (found.value, found.low, found.high) == (0.0, -math.inf, math.inf)
    assert left_out(1, lambda times: 3.0 * times.sum()) == (3.0, -math.inf, math.inf)


def test_fills_of_another_time_do_not_count():
    old = fills((0, 100.0, 5.0), (1, 100.0, 5.0), (2, 100.0, 500.0), (3, 100.0, 500.0))
    found = compare(old, old, (BLOCK_NS, 2 * BLOCK_NS + BLOCK_NS // 2), BLOCK_NS)
    assert [(block.start_ns, block.old_net_bps) for block in found.blocks] == [(BLOCK_NS, 5.0)]
