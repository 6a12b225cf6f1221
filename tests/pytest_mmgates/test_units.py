"""Numbers that wear their unit."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mmgates.units import Quantity, parse_duration, show


@pytest.mark.parametrize(
    ("value", "near", "text"),
    [
        (35.0, None, "35"),
        (35.00001, 35.0, "35.00001"),
        (35.0000000001, 35.0, "35.0000000001"),
        (123456.04, 123456.0, "123456.04"),
        (0.97312, 0.7, "0.9731"),
        (123456.78, None, "123456.8"),
        (0.0, None, "0"),
        (-2.5, None, "-2.5"),
        (1e-7, None, "1e-07"),
    ],
)
def test_numbers_are_short_unless_that_would_hide_the_limit(value, near, text):
    assert show(value, near=near) == text


@given(st.decimals(-(10**9), 10**9, places=2), st.floats(-1, 1))
def test_a_shown_value_never_equals_a_limit_that_it_is_not(limit, distance):
    value = float(limit) + distance
    assert value == float(limit) or float(show(value, near=float(limit))) != float(limit)


@pytest.mark.parametrize("text", ["60m", "24h", "1.5h", "90s", "500ms"])
def test_durations_print_as_read(text):
    assert str(parse_duration(text)) == text


@pytest.mark.parametrize("text", ["", "60", "m", "-5m", "0m", "0.0s", "1d", "60 minutes", "1e3s", "infs"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_a_quantity_prints_without_trailing_zeros_or_exponent():
    assert str(Quantity(Decimal("0.70"), "")) == "0.7"
    assert str(Quantity(Decimal(100), "MB")) == "100MB"
