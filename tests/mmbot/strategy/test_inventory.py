"""Inventory skew: odd, zero in the dead band, monotone, capped; on the grid, the growing side first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.strategy.inventory import InventorySettings, skew_bps, tick_shifts

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


skews = st.floats(-50, 50)
fair_values = st.one_of(st.floats(1, 100), st.floats(1, 10**6))


@given(skews, fair_values)
def test_the_centre_of_the_shifts_is_within_a_quarter_of_a_tick_of_the_wish(skew: float, fair_ticks: float):
    bid, ask = tick_shifts(skew, fair_ticks)
    assert abs((bid + ask) / 2 - skew / 1e4 * fair_ticks) <= 0.25 * (1 + 1e-9)


@given(skews, fair_values)
def test_the_quote_that_grows_the_position_moves_first_and_by_at_most_a_tick_more(
    skew: float, fair_ticks: float
):
    bid, ask = tick_shifts(skew, fair_ticks)
    growing, other = (abs(bid), abs(ask)) if skew < 0 else (abs(ask), abs(bid))
    assert growing - other in (0, 1)
    assert bid * skew >= 0
    assert ask * skew >= 0


@given(skews, fair_values)
def test_bid_and_ask_are_mirror_images(skew: float, fair_ticks: float):
    bid, ask = tick_shifts(skew, fair_ticks)
    assert tick_shifts(-skew, fair_ticks) == (-ask, -bid)


@given(skews, skews, fair_values)
def test_a_larger_skew_never_moves_a_quote_less(one: float, other: float, fair_ticks: float):
    low, high = (tick_shifts(skew, fair_ticks) for skew in sorted((one, other)))
    assert low[0] <= high[0]
    assert low[1] <= high[1]


@pytest.mark.parametrize(
    ("ticks", "shifts"),
    [
        (0.2, (0, 0)),
        (-0.2, (0, 0)),
        (-0.3, (-1, 0)),
        (-0.7, (-1, 0)),
        (-0.8, (-1, -1)),
        (-1.3, (-2, -1)),
        (0.3, (0, 1)),
        (1.0, (1, 1)),
    ],
)
def test_half_ticks_of_a_coarse_grid(ticks: float, shifts: tuple[int, int]):
    """A tick of 10 bps, as of a coin near one cent with a tick of a thousandth of one."""
    assert tick_shifts(10 * ticks, 1_000.0) == shifts
