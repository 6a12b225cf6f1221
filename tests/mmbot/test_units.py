"""Durations: what they read, and what they refuse."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.units import MS, SECOND, parse_duration

UNITS = {"ms": MS, "s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND, "d": 86_400 * SECOND}


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("60m", 3_600 * SECOND),
        ("24h", 86_400 * SECOND),
        ("1.5h", 5_400 * SECOND),
        ("250ms", 250 * MS),
        ("0.5ms", 500_000),
        ("3d", 3 * 86_400 * SECOND),
    ],
)
def test_a_duration_reads_as_written(text: str, ns: int):
    assert parse_duration(text) == ns


@given(st.integers(1, 10**6), st.integers(0, 3), st.sampled_from(sorted(UNITS)))
def test_a_decimal_count_of_any_unit_is_that_many_nanoseconds(count: int, places: int, unit: str):
    written = f"{count // 10**places}.{count % 10**places:0{places}d}" if places else str(count)
    expected = Fraction(count, 10**places) * UNITS[unit]
    assert abs(parse_duration(written + unit) - expected) <= Fraction(1, 2) + expected * Fraction(1, 2**50)


@pytest.mark.parametrize(
    "text",
    [
        *("", "5", "s", ".s", "5 s", " 5s", "5S", "5sec", "5w", "1e5s", "1_0s", "1.2.3s", "+5s", "5s "),
        *("nans", "infs", "0s", "0.0h", "-5s", "0.0000001ms", "²s", "٣s", "9" * 400 + "h"),
    ],
)
def test_anything_else_is_a_value_error_that_shows_the_text(text: str):
    with pytest.raises(ValueError, match="duration was") as caught:
        parse_duration(text)
    assert repr(text) in str(caught.value)


@given(st.text(max_size=8))
def test_no_text_makes_anything_but_a_duration_or_a_value_error(text: str):
    try:
        ns = parse_duration(text)
    except ValueError:
        return
    assert ns > 0
