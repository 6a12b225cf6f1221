"""Quantiles out of buckets: near, of what occurred, and in bounded memory."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmbot.telemetry.durations import Durations


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300), st.floats(0.01, 1.0))
def test_a_quantile_occurred_and_is_a_thousandth_off_at_most(times_ns: list[int], share: float):
    times = Durations()
    for time_ns in times_ns:
        times.add(time_ns)
    exact = int(np.quantile(times_ns, share, method="inverted_cdf"))
    found = times.quantile(share)
    assert found in times_ns
    assert exact <= found <= exact * (1 + 1 / 1024)


def test_a_long_run_has_no_more_buckets_than_a_short_one():
    times = Durations()
    for time_ns in range(2**20, 2**21, 7):
        times.add(time_ns)
    assert len(times._counts) == len(times._longest) == 1024
    assert sum(times._counts.values()) == len(range(2**20, 2**21, 7))
