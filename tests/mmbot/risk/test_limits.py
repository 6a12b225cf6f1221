"""Limits: the worst position counts, and a refusal names its limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import inverse, linear

from mmbot.model.instrument import Instrument, Side
from mmbot.risk.limits import Limits, LimitSettings

SETTINGS = LimitSettings(max_order_notional_quote=1_000, max_position_quote=6_000)
PRICE = 50.0
"""One lot is 0.50 in quote currency."""


def refusal(
    side: Side = Side.BUY, lots: int = 100, *, position_lots: int = 0, open_lots: int = 0
) -> str | None:
    limits = Limits(SETTINGS, linear())
    return limits.refusal(side, lots, PRICE, position_lots=position_lots, open_lots=open_lots)


def test_an_order_at_the_limit_passes_and_one_lot_more_is_refused_by_name():
    assert refusal(lots=2_000) is None
    assert refusal(lots=2_001) == "max_order_notional_quote: 1000.50 > 1000"


@pytest.mark.parametrize(
    ("side", "position_lots", "open_lots", "passes"),
    [
        (Side.BUY, 11_900, 0, True),
        (Side.BUY, 11_901, 0, False),
        (Side.BUY, 10_000, 1_900, True),
        (Side.BUY, 10_000, 1_901, False),
        (Side.SELL, -11_901, 0, False),
        (Side.SELL, 12_000, 0, True),
        (Side.SELL, 50_000, 0, True),
        (Side.SELL, -10_000, 1_901, False),
        (Side.BUY, -50_000, 0, True),
    ],
)
def test_the_position_that_counts_is_everything_on_this_side_filled(
    side: Side, position_lots: int, open_lots: int, *, passes: bool
):
    found = refusal(side, position_lots=position_lots, open_lots=open_lots)
    assert (found is None) == passes
    assert passes or (found or "").startswith("max_position_quote: 6000.50 > 6000")


@given(
    st.sampled_from([linear(), inverse()]),
    st.sampled_from(Side),
    st.integers(1, 5_000),
    st.floats(1, 5_000),
    st.integers(-20_000, 20_000),
    st.integers(0, 5_000),
)
def test_what_passes_keeps_both_limits_however_it_fills(
    instrument: Instrument, side: Side, lots: int, price: float, position_lots: int, open_lots: int
):
    limits = Limits(SETTINGS, instrument)
    found = limits.refusal(side, lots, price, position_lots=position_lots, open_lots=open_lots)
    after = position_lots + side * (open_lots + lots)
    grows = side * after > 0
    too_large = instrument.notional_quote(lots, price) > SETTINGS.max_order_notional_quote
    too_far = grows and instrument.notional_quote(after, price) > SETTINGS.max_position_quote
    assert (found is None) == (not too_large and not too_far)
