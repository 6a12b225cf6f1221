"""The arithmetic of what can be earned: exact sums, and each problem with the setting that causes it."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import inverse, linear, shipped_settings

from mmbot.config.economics import Economics, economics
from mmbot.model.instrument import Fees

bps = st.floats(0.5, 1_000.0)
fees = st.floats(-5.0, 50.0)


def of(price: float | None = 75.0, *, maker_bps: float = 2.0, **sections: Any) -> Economics:
    return economics(shipped_settings(**sections), linear(fees=Fees("tier", maker_bps, 5.5)), price)


def test_what_ships_is_sound_on_the_demos_kind_of_instrument():
    one = of()
    assert one.problems == one.remarks == ()
    assert one.widest.arithmetic == "spread.max_bps 30 - maker fee 2 = 28 bps"
    assert one.tick_bps == pytest.approx(0.01 / 75 * 1e4)
    assert one.order == "500 USDT = 666 lots of 0.01, 499.5 USDT"


@given(bps, fees)
def test_the_widest_half_spread_minus_the_fee_is_what_is_earned_and_nothing_is_a_problem(
    widest: float, fee: float
):
    one = of(maker_bps=fee, spread={"max_bps": widest})
    assert one.widest.net_bps == pytest.approx(widest - fee, abs=1e-9)
    assert any("earns nothing" in text for text in one.problems) == (one.widest.net_bps <= 0)


def test_the_usual_half_spread_is_that_of_the_model_within_the_bounds():
    def usual(**spread: float) -> str:
        section = {"model": "glft", "min_bps": 0.1, **spread}
        settled = {"risk_aversion_per_quote": 1e-9, "decay_per_bps": 0.8}
        return of(spread=section, glft=settled).narrower[0].arithmetic

    assert usual() == "spread.model glft 3.25 - maker fee 2 = 1.25 bps"
    assert usual(min_bps=5.0) == "spread.model glft 5 - maker fee 2 = 3 bps"
    assert usual(max_bps=3.0) == "spread.model glft 3 - maker fee 2 = 1 bps"


def test_a_rebate_is_added():
    one = of(maker_bps=-1.0)
    assert one.widest.net_bps == 31
    assert one.widest.arithmetic == "spread.max_bps 30 + maker fee 1 = 31 bps"


@pytest.mark.parametrize(
    ("sections", "name"),
    [
        ({"spread": {"base_bps": 1.9}}, "usual"),
        ({"spread": {"min_bps": 1.9}}, "narrowest"),
        ({"queue_aware": {"min_edge_bps": 1.9}}, "nudged"),
    ],
)
def test_a_narrower_quote_that_loses_is_a_remark(sections: dict[str, Any], name: str):
    one = of(**sections)
    assert one.problems == ()
    assert one.remarks == (f"{name} loses 0.1 bps",)


def test_an_order_above_what_the_venue_takes_is_cut_and_said_to_be():
    one = economics(shipped_settings(), linear(max_lots=100), 75.0)
    assert one.problems == ()
    assert one.remarks == ("emit.order_notional_quote 500 is cut: the venue takes 100 lots an order",)
    assert one.order == "500 USDT = 100 lots of 0.01, 75 USDT"


def test_an_order_below_the_venues_least_size_is_a_problem():
    (problem,) = economics(shipped_settings(), linear(min_lots=1_000), 75.0).problems
    assert problem.endswith("the venue asks for 5 USDT and at least 1000 lots of 0.01")


def test_an_order_below_the_venues_minimum_is_a_problem():
    (problem,) = of(emit={"order_notional_quote": 4.0}).problems
    assert problem.startswith("emit.order_notional_quote 4 makes no order at 75: the venue asks for 5 USDT")


def test_an_order_above_our_own_limit_is_a_problem():
    (problem,) = of(emit={"order_notional_quote": 2_000.0}, limits={"max_position_quote": 9_000.0}).problems
    assert problem == "limits.max_order_notional_quote 1000 refuses every order of 1999.5"


def test_soft_orders_below_the_minimum_and_a_limit_that_binds_first_are_remarks():
    one = of(emit={"order_notional_quote": 6.0}, limits={"max_position_quote": 5_000.0})
    assert one.problems == ()
    assert [text.partition(":")[0] for text in one.remarks] == [
        "SOFT quotes nothing",
        "limits.max_position_quote 5000 binds before the position reaches its cap",
    ]


def test_without_a_price_the_size_and_the_tick_are_no_data():
    one = of(None)
    assert (one.order, one.tick_bps) == (None, None)
    assert sum("NO_DATA: no price" in line for line in one.lines) == 2


def test_an_inverse_contract_counts_whole_contracts():
    one = economics(shipped_settings(), inverse(), 2_500.0)
    assert one.order == "500 USD = 50 lots of 1, 500 USD"


@given(st.floats(0.01, 1e6), fees)
def test_what_is_printed_says_every_problem(price: float, fee: float):
    one = of(price, maker_bps=fee)
    assert [line for line in one.lines if "PROBLEM" in line] == [
        f"  PROBLEM: {text}" for text in one.problems
    ]
    assert one.tick_bps is not None
    assert math.isclose(one.tick_bps * price, 0.01 * 1e4)
