"""Inventory skew: odd, zero in the dead band, monotone, capped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.strategy.inventory import InventorySettings, skew_bps

SETTINGS = InventorySettings(max_position_quote=5_000, dead_band_ratio=0.1, max_skew_bps=3.0)

ratios = st.floats(-3, 3)
settings_of = st.builds(InventorySettings, st.just(1_000.0), st.floats(0, 0.99), st.floats(0, 50))


@given(ratios, settings_of)
def test_the_skew_is_an_odd_function_of_the_position(ratio: float, settings: InventorySettings):
    assert skew_bps(-ratio, settings) == -skew_bps(ratio, settings)


@given(ratios, settings_of)
def test_the_skew_works_against_the_position_and_never_beyond_its_cap(
    ratio: float, settings: InventorySettings
):
    skew = skew_bps(ratio, settings)
    assert skew * ratio <= 0
    assert abs(skew) <= settings.max_skew_bps


@given(settings_of, st.floats(-1, 1))
def test_inside_the_dead_band_there_is_none(settings: InventorySettings, share: float):
    assert skew_bps(share * settings.dead_band_ratio, settings) == 0.0


@given(ratios, ratios, settings_of)
def test_a_larger_position_never_skews_less(one: float, other: float, settings: InventorySettings):
    assert skew_bps(max(one, other), settings) <= skew_bps(min(one, other), settings)


@pytest.mark.parametrize(
    ("ratio", "skew"), [(0.0, 0.0), (0.1, 0.0), (0.55, -1.5), (1.0, -3.0), (1.7, -3.0), (-0.55, 1.5)]
)
def test_between_dead_band_and_cap_it_is_linear(ratio: float, skew: float):
    assert skew_bps(ratio, SETTINGS) == pytest.approx(skew)
