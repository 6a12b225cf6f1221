"""A series in the width of a picture: what was lowest and highest is there, whatever the blocks."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pytest_mmgates.outages import Outage
from pytest_mmgates.report.columns import COLUMNS, Columns, kept

FLOATS = st.floats(-1e12, 1e12)


def of(times, values, blocks=(), **settings):
    columns = Columns(0, 1_000_000, **settings)
    edges = [0, *sorted(blocks), len(times)]
    for first, last in pairwise(edges):
        columns.add(
            np.array(times[first:last], dtype=np.int64), np.array(values[first:last], dtype=np.float64)
        )
    return columns


@given(
    st.lists(st.tuples(st.integers(0, 1_000_000), FLOATS), min_size=1, max_size=60),
    st.lists(st.integers(0, 60), max_size=3),
)
def test_no_extreme_is_lost_and_blocks_change_nothing(rows, cuts):
    rows.sort(key=lambda row: row[0])
    times, values = zip(*rows, strict=True)
    cut = [min(at, len(rows)) for at in cuts]
    whole, pieces = of(times, values), of(times, values, cut)
    assert (whole.least, whole.most, whole.last) == (min(values), max(values), values[-1])
    assert np.array_equal(whole.lows, pieces.lows)
    assert np.array_equal(whole.highs, pieces.highs)
    assert whole.count == len(rows)


def test_a_million_points_take_the_room_of_a_picture_and_one_spike_is_seen():
    values = np.zeros(1_000_000)
    values[123_456] = 7.0
    columns = Columns(0, 1_000_000)
    columns.add(np.arange(1_000_000), values)
    xs, ys = columns.line()
    assert len(xs) == len(ys) == 2 * COLUMNS
    assert ys.max() == 7
    assert abs(xs[ys.argmax()] - 123_456) <= 1_000_000 / COLUMNS


def test_no_line_crosses_an_outage_but_one_crosses_slow_ticks():
    times = [*range(0, 300_000, 50_000), *range(700_000, 1_000_000, 50_000)]
    values = [1.0] * len(times)
    assert not np.isnan(of(times, values).lows).any()
    broken = of(times, values, outages=(Outage(250_000, 700_000),))
    inside = (broken.middles_ns > 252_000) & (broken.middles_ns < 698_000)
    assert inside.any()
    assert np.isnan(broken.lows[inside]).all()


def test_nothing_is_nothing():
    columns = of([5], [np.nan])
    assert columns.count == 0
    assert np.isnan(columns.last)
    assert len(columns.line()[0]) == 0


@given(arrays.arrays(np.float64, st.integers(1, 4_000), elements=FLOATS))
def test_points_of_a_line_are_kept_with_their_extremes(values):
    at = kept(values.tolist())
    assert list(at) == sorted(set(at.tolist()))
    assert {at[0], at[-1]} == {0, len(values) - 1}
    assert len(at) <= 2 * COLUMNS + 2
    assert values[at].min() == values.min()
    assert values[at].max() == values.max()
