"""Histograms: counts are exact, quantiles within the stated error and never too low, merges by any route."""

import math
from functools import reduce

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pytest_mmgates.tally import RELATIVE_ERROR, Histogram

DURATIONS_NS = st.one_of(st.integers(0, 5000), st.integers(0, 10**6), st.integers(0, 2**53))
POSITIONS = st.floats(0, 1e300, allow_subnormal=False)
VALUES = st.one_of(
    st.lists(DURATIONS_NS, min_size=1, max_size=60), st.lists(POSITIONS, min_size=1, max_size=60)
)


def histogram(values):
    return Histogram.of(np.array(values))


def content(found):
    return found.tops.tolist(), found.counts.tolist()


def exact_quantile(values, percent):
    return sorted(values)[math.ceil(percent * len(values) / 100) - 1]


@given(VALUES, st.integers(1, 100))
def test_a_quantile_is_observed_and_at_most_the_error_above_the_exact_one(values, percent):
    found, exact = histogram(values).quantile(percent), exact_quantile(values, percent)
    assert found in values
    assert exact <= found <= exact * (1 + RELATIVE_ERROR)


@given(VALUES)
def test_number_and_maximum_are_exact(values):
    assert len(histogram(values)) == len(values)
    assert histogram(values).max == max(values)
    assert histogram(values).quantile(100) == max(values)


@given(st.lists(st.integers(0, 4095), min_size=1, max_size=60), st.integers(1, 100))
def test_whole_numbers_below_4096_are_exact(values, percent):
    assert histogram(values).quantile(percent) == exact_quantile(values, percent)


@given(st.lists(VALUES, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_any_order_and_grouping_of_merges_gives_the_histogram_of_all_values(blocks, random):
    whole = content(histogram([value for block in blocks for value in block]))
    assert content(reduce(Histogram.merged, map(histogram, blocks), Histogram())) == whole
    grouped = [histogram(block) for block in random.sample(blocks, len(blocks))]
    while len(grouped) > 1:
        one = grouped.pop(random.randrange(len(grouped)))
        other = grouped.pop(random.randrange(len(grouped)))
        grouped.append(one.merged(other))
    assert content(grouped[0]) == whole


def test_size_is_bounded_by_the_range_of_values_not_by_their_number():
    rng = np.random.default_rng(3)
    few, many = (rng.lognormal(10, 1, size) for size in (50_000, 500_000))
    assert len(histogram(many).tops) < 1.5 * len(histogram(few).tops)
    assert len(histogram(many).tops) < 2048 * np.log2(many.max() / many.min())
