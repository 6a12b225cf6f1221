"""Which intervals a dataset leaves out: each reason by itself, and nothing that an arm did."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS

from mmbot.calibration import dataset_filters
from mmbot.calibration.dataset_columns import TARGETS
from mmbot.calibration.dataset_filters import (
    REASONS,
    SPIKE_COLUMNS,
    Bounds,
    FilterSettings,
    reasons_of,
    robust_z,
    spikes_of,
)
from mmbot.units import MS, SECOND

TICK_NS, LENGTH_NS = 100 * MS, 300 * SECOND
SETTINGS = FilterSettings()
BOUNDS = Bounds(START_NS, START_NS + 10 * LENGTH_NS, START_NS + LENGTH_NS)


def interval(number: int = 2, **changes: Any) -> dict[str, Any]:
    facts = {
        "start_ns": START_NS + number * LENGTH_NS,
        "coverage_ratio": 1.0,
        "hit_ratio": 1.0,
        "not_finite": 0,
    }
    return facts | changes


def reasons(one: dict[str, Any]) -> list[str]:
    return list(reasons_of(one, BOUNDS, LENGTH_NS, TICK_NS, SETTINGS))


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (interval(), []),
        (interval(coverage_ratio=0.9), []),
        (interval(coverage_ratio=0.899), ["gap"]),
        (interval(10, coverage_ratio=0.899), ["run_edge"]),
        (interval(-1, coverage_ratio=0.5), ["run_edge", "warm_up"]),
        (interval(0), ["warm_up"]),
        (interval(1), []),
        (interval(hit_ratio=0.5), []),
        (interval(hit_ratio=0.499), ["low_hit_ratio"]),
        (interval(not_finite=1), ["not_finite"]),
        (interval(touch_bps=math.nan), ["not_finite"]),
        (interval(mid=math.inf), ["not_finite"]),
        (interval(coverage_ratio=0.1, hit_ratio=0.1), ["gap", "low_hit_ratio"]),
    ],
)
def test_each_reason_drops_what_it_names(one: dict[str, Any], expected: list[str]):
    assert reasons(one) == expected


@given(st.dictionaries(st.sampled_from([column.name for column in TARGETS]), st.floats(-1e9, 1e9)))
def test_what_an_arm_did_drops_nothing(outcome: dict[str, float]):
    assert reasons(interval(**outcome)) == []


def test_a_spike_stands_out_on_the_log_scale_and_upwards_only():
    values = [1.0, 1.1, 0.9, 1.05, 0.95, 1.02, 0.98, 1.01, 0.99, 1.03, 0.97, 100.0, 0.001]
    found = spikes_of([dict.fromkeys(SPIKE_COLUMNS, value) for value in values], SETTINGS)
    assert [bool(spikes) for spikes in found] == [False] * 11 + [True, False]
    assert set(found[11]) == set(SPIKE_COLUMNS)


@pytest.mark.parametrize(("jump_bps", "is_spike"), [(16.0, False), (8.0 * 25, False), (8.0 * 26, True)])
def test_on_a_coarse_grid_a_jump_of_two_ticks_is_no_spike(jump_bps: float, is_spike: bool):  # noqa: FBT001
    intervals = [dict.fromkeys(SPIKE_COLUMNS, value) for value in [8.0] * 30 + [jump_bps]]
    assert bool(spikes_of(intervals, SETTINGS)[-1]) is is_spike


def test_robust_z_by_hand():
    logs = [-2.0, -1.0, 0.0, 1.0, 2.0]
    z = robust_z([math.exp(value) for value in logs], FilterSettings(min_intervals=5))
    assert z == pytest.approx({at: value / 1.4826 for at, value in enumerate(logs)})


@pytest.mark.parametrize("values", [[1.0, 2.0], [1.0] * 11, [None] * 20, [0.0] * 20])
def test_nothing_is_a_spike_where_nothing_can_be_told(values: list[float | None]):
    assert robust_z(values, SETTINGS) == {}


def test_every_reason_has_its_line_in_the_module_docstring():
    assert all(f"    {reason} " in (dataset_filters.__doc__ or "") for reason in REASONS)
