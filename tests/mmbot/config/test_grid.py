"""What `--set` says is every combination of exact values, or one line."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import REPO

from mmbot.config.grid import MOST_POINTS, Axis, parse_axes, points
from mmbot.config.settings import load_config, settings_of
from mmbot.errors import ConfigError

DOCUMENT = load_config([REPO / "config.yaml"])
SETTINGS = settings_of(DOCUMENT)


def axes(*options: str) -> list[Axis]:
    return parse_axes(options, DOCUMENT, SETTINGS)


def test_a_range_has_both_ends_and_decimal_steps():
    (axis,) = axes("spread.base_bps=0.8:1.6:0.2")
    assert axis.values == (0.8, 1.0, 1.2, 1.4, 1.6)
    assert axis.is_scale


@given(first=st.decimals(0, 9, places=3), step=st.decimals("0.001", 2, places=3), count=st.integers(1, 40))
def test_every_value_of_a_range_is_the_decimal_itself(first: Decimal, step: Decimal, count: int):
    last = first + step * (count - 1)
    (axis,) = axes(f"spread.base_bps={first}:{last}:{step}")
    assert axis.values == tuple(float(first + step * number) for number in range(count))


def test_values_are_of_the_type_that_the_setting_has():
    lists = axes(
        "emit.levels=1,2", "guards.enabled=true,false", "spread.model=adaptive,glft", "spread.base_bps=3"
    )
    assert [axis.values for axis in lists] == [(1, 2), (True, False), ("adaptive", "glft"), (3.0,)]
    assert [type(axis.values[0]) for axis in lists] == [int, bool, str, float]
    assert [axis.is_scale for axis in lists] == [True, False, False, True]


def test_points_are_every_combination_and_have_the_last_word():
    found = points(axes("spread.base_bps=2,4", "emit.levels=1:3:1"))
    assert len(found) == 6
    assert found[1].label == "spread.base_bps=2.0 emit.levels=2"
    settings = settings_of(DOCUMENT.overlaid(found[1].overlay))
    assert (settings.spread.base_bps, settings.emit.levels) == (2.0, 2)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("spread.base_bps", "--set: was 'spread.base_bps', expected PATH=FROM:TO:STEP or PATH=a,b,c"),
        ("spread.base=1", "--set spread.base: no such setting; close to it: spread.base_bps"),
        ("sim.queue=1", "--set sim.queue: was a section, expected one of sim.queue.model, sim.queue.power"),
        ("spread.base_bps=1:2", "--set spread.base_bps: was '1:2', expected FROM:TO:STEP"),
        ("spread.base_bps=2:1:0.5", "--set spread.base_bps: was from 2 to 1, expected FROM at most TO"),
        ("spread.base_bps=1:2:0", "--set spread.base_bps: step was 0, expected more than 0"),
        ("spread.base_bps=1:2:0.3", "2 is no whole number of steps from 1, expected 1.9 or 2.2"),
        ("spread.base_bps=1,wide", "--set spread.base_bps: was 'wide', expected a number"),
        ("spread.base_bps=nan", "--set spread.base_bps: was nan, expected a finite number"),
        ("spread.base_bps=1e999", "--set spread.base_bps: was 1e999, expected 15 digits at most"),
        ("spread.base_bps=1,1.0", "--set spread.base_bps: 1.0 was written twice, expected once"),
        ("spread.base_bps=0:9:0.001", f"has 9001 values, expected {MOST_POINTS} at most"),
        ("emit.levels=1.5", "--set emit.levels: was 1.5, expected a whole number"),
        ("guards.enabled=yes", "--set guards.enabled: was 'yes', expected true or false"),
        ("spread.model=psychic", "--set spread.model=psychic: spread.model: Invalid enum value 'psychic'"),
        ("telemetry.sample_interval_s=1,2", "telemetry.sample_interval_s: changes no order, expected a"),
    ],
    ids=str,
)
def test_what_cannot_be_varied_is_one_line(option: str, told: str):
    with pytest.raises(ConfigError) as caught:
        axes(option)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_many_points_are_refused_with_their_number():
    with pytest.raises(ConfigError, match=r"makes 100 x 41 = 4100 points, expected 2000 at most"):
        axes("spread.base_bps=1:100:1", "inventory.max_skew_bps=0:4:0.1")


def test_a_setting_that_is_given_twice_is_refused():
    with pytest.raises(ConfigError, match=r"--set emit\.levels: was given twice"):
        axes("emit.levels=1", "emit.levels=2")
