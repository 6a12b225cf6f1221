"""What every session measured, kept in order; and a slow creep over many passes, found at a known price."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mmgates.errors import OutputError
from pytest_mmgates.history import LEAST, MOST, Row, append, creep, lines_of, read, since_lock, ticks

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=LEAST, max_size=MOST)


def row(value, verdict="PASS", metric="regress(emit.p95)", scenario="demo"):
    return Row("s", "verdict", "ci", scenario, "ci", metric, f"{metric} <= 3%", verdict, value, "%", "<=")


LOCK = Row("s", "lock", "lock", "demo", lock_digest="d" * 64)


def test_rows_come_back_in_their_order_with_the_locks(tmp_path):
    path = tmp_path / "deep" / "history.sqlite"
    append(path, [row(1.0), row(2.0, metric="spread.p95"), LOCK])
    append(path, [row(3.0), row(None), row(4.0, scenario="other")])
    assert [one.value for one in read(path, "regress(emit.p95)", None)] == [1.0, None, 3.0, 4.0]
    assert read(path, "regress(emit.p95)", "demo") == [row(1.0), LOCK, row(3.0)]


def test_nothing_to_add_makes_no_file(tmp_path):
    append(tmp_path / "history.sqlite", [])
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_history_is_one_line(tmp_path):
    with pytest.raises(OutputError, match="found no history"):
        read(tmp_path / "history.sqlite", "x", None)
    (tmp_path / "history.sqlite").write_text("not a database, and longer than its header" * 10)
    with pytest.raises(OutputError, match="cannot be read"):
        read(tmp_path / "history.sqlite", "x", None)
    with pytest.raises(OutputError, match="cannot be written"):
        append(tmp_path / "history.sqlite", [row(1.0)])


def test_only_passes_since_the_last_lock_count():
    rows = [row(9.0), LOCK, row(1.0), row(5.0, "FAIL"), row(2.0)]
    assert [one.value for one in since_lock(rows)] == [1.0, 2.0]
    assert [(label, len(stretch)) for label, stretch in lines_of(rows)] == [
        ("from the beginning", 1),
        ("from lock dddddddddddd", 3),
    ]


@given(VALUES, st.booleans())
def test_slope_and_side_are_those_of_all_pairs(values, above):
    """The same by matrices: the median of all slopes, and on which side of a half p lies."""
    found = creep(values, worse_above=above)
    column = np.array(values)
    first, second = np.triu_indices(len(values), 1)
    steps = column[second] - column[first]
    assert found.slope == pytest.approx(np.median(steps / (second - first)), rel=1e-9, abs=1e-9)
    score = int(np.sign(steps).sum()) * (1 if above else -1)
    if abs(score) > 1:  # by the correction for continuity, a score of 1 is none
        assert (found.p < 0.5) == (score > 0)
    else:
        assert found.p == pytest.approx(0.5)


def test_the_p_of_a_worked_case():
    """12 values in order: score 66, its variance 12 x 11 x 29 / 18, z = 65 / sqrt(212.67) = 4.457."""
    found = creep(range(12), worse_above=True)
    assert found.p == pytest.approx(4.15e-6, rel=0.01)
    assert (found.slope, found.total, found.alarm) == (1, 11, True)
    assert creep(range(12), worse_above=False).p == pytest.approx(1 - found.p)


def test_ties_take_their_part_of_the_variance():
    """Two runs of six equal values: score 36, variance (12 x 11 x 29 - 2 x 6 x 5 x 17) / 18 = 156."""
    assert creep([0] * 6 + [1] * 6, worse_above=True).p == pytest.approx(0.002546, rel=0.01)


@pytest.mark.parametrize("count", [0, LEAST - 1])
def test_too_few_values_are_no_answer(count):
    assert creep(list(range(count)), worse_above=True) is None


def test_heights_span_what_is_drawn():
    assert ticks([0, 7, 3.5]) == "▁█▅"
    assert ticks([2, 2]) == "▁▁"


def looks(values):
    """The pass at which an alarm is first seen, or None."""
    for end in range(LEAST, len(values) + 1):
        if creep(values[max(0, end - MOST) : end], worse_above=True).alarm:
            return end
    return None


@pytest.mark.stats
def test_the_rate_of_false_alarms_and_the_time_to_a_true_one():
    """At 1.1 %, more than 6 of 200 are seen in 1 of 100 trials."""
    rng = np.random.default_rng(11)
    still = [looks(rng.normal(size=100).tolist()) for _ in range(200)]
    assert sum(found is not None for found in still) <= 6
    for drift, expected in ((0.05, 40), (0.2, 19)):
        found = [looks((rng.normal(size=100) + drift * np.arange(100)).tolist()) for _ in range(60)]
        assert None not in found
        assert np.median(found) == pytest.approx(expected, abs=4)
