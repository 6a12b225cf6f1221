"""Axes: round ticks inside the range, in the order of the values, with texts that tell them apart."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mmgates.report.axes import Axis, durations, elapsed, linear, shares_of, shown_ns

VALUES = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=5)
TIMES_NS = st.lists(st.integers(0, 10**15), min_size=1, max_size=5)


def check(axis: Axis, values: list[float]) -> None:
    assert axis.low < axis.high
    ticks = [value for value, _ in axis.ticks]
    assert ticks == sorted(set(ticks))
    assert all(axis.low <= value <= axis.high for value in ticks)
    assert len({text for _, text in axis.ticks}) == len(ticks)
    assert len(ticks) <= 9
    assert all(0 <= share <= 1 for share in axis.shares(values).tolist())


@given(VALUES)
def test_linear(values):
    check(linear("bps", values), values)


@given(TIMES_NS)
def test_durations(values):
    check(durations("time", values), values)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_shares(values):
    axis = shares_of("ratio", values)
    check(axis, values)
    assert all(text.endswith("%") for _, text in axis.ticks)


@given(st.integers(0, 10**17))
def test_elapsed(end_ns):
    axis = elapsed("since", end_ns)
    check(axis, [0.0, float(end_ns)])
    assert axis.ticks[0] == (0, "0")


def test_a_limit_far_above_the_values_makes_the_axis_logarithmic():
    near, far = durations("time", [100_000, 150_000]), durations("time", [20_000, 150_000_000])
    assert (near.log, far.log) == (False, True)
    assert [text for _, text in far.ticks] == ["100 us", "1 ms", "10 ms", "100 ms"]
    assert far.share(20_000) > 0.01
    assert durations("time", [0.0, 5e6]).low == 0


@pytest.mark.parametrize(
    ("minutes", "ticks"),
    [
        (60, ["0", "15 min", "30 min", "45 min", "60 min"]),
        (72 * 60, ["0", "24 h", "48 h", "72 h"]),
        (0.5, ["0", "10 s", "20 s", "30 s"]),
    ],
)
def test_times_are_round(minutes, ticks):
    assert [text for _, text in elapsed("since", minutes * 60e9).ticks] == ticks


def test_nothing_has_an_axis_too():
    check(linear("x", [math.nan]), [])
    check(durations("x", []), [])


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "0"), (7, "7 ns"), (1_500, "1.5 us"), (150e6, "150 ms"), (90e9, "1.5 min"), (7.2e12, "2 h")],
)
def test_a_time_in_the_unit_in_which_it_reads_best(ns, text):
    assert shown_ns(ns) == text
