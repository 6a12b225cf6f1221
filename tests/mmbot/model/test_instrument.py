"""Grids are exact, our rounding is passive, and contract arithmetic is the venue's."""

from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from tests.mmbot.builders import inverse, linear

from mmbot.errors import ConfigError, RemoteProtocolError
from mmbot.model.instrument import (
    MOST_STEPS,
    Fees,
    Instrument,
    Side,
    floor_lots,
    order_lots,
    parser,
    rate_bps,
)

STEPS = [
    "1",
    "5",
    "10",
    "0.5",
    "0.1",
    "0.05",
    "0.01",
    "0.25",
    "0.025",
    "0.001",
    "0.00001",
    "0.00000001",
    "0.10",
]

steps = st.sampled_from(STEPS)
decimals = st.decimals(0, 10**7, allow_nan=False, allow_infinity=False, places=9)


@given(steps, st.integers(0, 2**31 - 1), st.integers(0, 4))
def test_a_multiple_of_the_step_parses_to_that_multiple(step: str, count: int, zeros: int):
    text = f"{Decimal(step) * count:f}"
    if "." in text:
        text += "0" * zeros
    assert parser(step, "price")(text) == count


@given(steps, decimals)
def test_parsing_agrees_with_exact_fractions_or_refuses(step: str, value: Decimal):
    text = f"{value:f}"
    exact = Fraction(text) / Fraction(step)
    if exact.denominator == 1 and exact <= MOST_STEPS:
        assert parser(step, "price")(text) == exact
    else:
        with pytest.raises(RemoteProtocolError, match="price was"):
            parser(step, "price")(text)


def test_the_example_of_the_docstring_holds():
    assert parser("0.05", "price")("1.20") == 24


@pytest.mark.parametrize("text", ["1.02", "0.01", "1.049", "0.000000001"])
def test_a_price_off_the_grid_is_refused_and_never_rounded(text: str):
    with pytest.raises(RemoteProtocolError, match=f"price was '{text}'"):
        parser("0.05", "price")(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", " 1", "1 ", "+1", "-1", "-0.05", "1e3", "1E3", "0x10", "1,5", "1.2.3", "1_000"),
        *("nan", "inf", "٣", "1.٣", "①", "½", "1\n", "\x00", "9" * 5_000),
    ],
)
def test_text_that_is_no_plain_decimal_is_a_protocol_error(text: str):
    with pytest.raises(RemoteProtocolError, match="size was"):
        parser("0.05", "size")(text)


@given(st.text(max_size=12))
@example("0.00")
def test_no_text_makes_anything_but_whole_steps_or_a_protocol_error(text: str):
    try:
        steps_found = parser("0.05", "price")(text)
    except RemoteProtocolError:
        return
    assert steps_found * Fraction("0.05") == Fraction(text if text[-1] != "." else text[:-1])


@given(st.lists(st.sampled_from(["1.20", "1.2", "1.02", "junk", "3"]), max_size=20))
def test_remembered_results_are_the_first_results(texts: list[str]):
    remembering = parser("0.05", "price")
    for text in texts:
        try:
            expected: int | None = parser("0.05", "price")(text)
        except RemoteProtocolError:
            expected = None
        try:
            found: int | None = remembering(text)
        except RemoteProtocolError:
            found = None
        assert found == expected


@pytest.mark.parametrize("step", ["0", "0.0", "", "abc", "-0.1", "1e-5", "nan", "٣"])
def test_a_step_that_is_no_positive_decimal_is_a_config_error(step: str):
    with pytest.raises(ConfigError, match="price step was"):
        parser(step, "price")


@given(st.integers(0, 10**9), steps)
def test_whole_lots_survive_float_division(lots: int, step: str):
    assert floor_lots(float(Decimal(step) * lots), float(step)) == lots


@given(st.floats(0, 1e9), steps)
def test_lots_never_exceed_the_quantity_by_more_than_float_noise(quantity: float, step: str):
    lots = floor_lots(quantity, float(step))
    exact = Fraction(quantity) / Fraction(float(step))
    assert lots <= exact * (1 + Fraction(1, 10**11))
    assert lots > exact - 1 - exact / 10**11


def test_three_tenths_are_three_lots_of_one_tenth():
    assert floor_lots(0.3, 0.1) == 3


@given(st.integers(0, 10**9), steps)
def test_price_and_quantity_are_the_floats_nearest_to_the_decimal(count: int, step: str):
    instrument = linear(tick_size=step, lot_size=step)
    exact = float(Decimal(step) * count)
    assert instrument.price(count) == exact
    assert instrument.quantity(count) == exact
    assert instrument.quantity(-count) == -exact


@given(st.integers(0, 10**9), steps)
def test_a_mid_on_half_ticks_is_exact_too(mid_x2: int, step: str):
    assert linear(tick_size=step).price(mid_x2 / 2) == float(Decimal(step) * mid_x2 / 2)


lots_of = st.integers(-(10**6), 10**6)
prices = st.floats(0.01, 1e6)


@given(lots_of, prices, prices)
def test_profit_of_a_linear_position_is_size_times_price_difference(lots: int, then: float, now: float):
    instrument = linear()
    profit = lots * (instrument.worth(now) - instrument.worth(then))
    scale = abs(lots) * 0.01 * max(now, then)
    assert profit == pytest.approx(lots * 0.01 * (now - then), abs=1e-9 * scale + 1e-12)


@given(lots_of, prices, prices)
def test_profit_of_an_inverse_position_is_paid_in_base_as_the_venue_states(
    lots: int, then: float, now: float
):
    instrument = inverse()
    profit = lots * (instrument.worth(now) - instrument.worth(then))
    scale = abs(lots) * 10.0 / min(now, then)
    assert profit == pytest.approx(lots * 10.0 * (1 / then - 1 / now), abs=1e-9 * scale + 1e-12)


@given(prices)
def test_the_price_of_a_worth_is_the_price_that_has_it(price: float):
    for instrument in (linear(), inverse()):
        assert instrument.price_of(instrument.worth(price)) == pytest.approx(price, rel=1e-12)


def test_profit_is_settled_in_quote_or_of_an_inverse_contract_in_base():
    assert (linear().settled_in, inverse().settled_in) == ("USDT", "ETH")


@given(st.integers(1, 10**6), prices)
def test_notional_is_positive_and_the_same_for_long_and_short(lots: int, price: float):
    for instrument in (linear(), inverse()):
        assert instrument.notional(lots, price) == instrument.notional(-lots, price) > 0
        assert instrument.notional_quote(lots, price) == instrument.notional_quote(-lots, price) > 0


def test_linear_sizes_are_stated_in_quote_currency_both_ways():
    assert linear().notional(250, 75.0) == pytest.approx(2.5 * 75)
    assert linear().notional_quote(250, 75.0) == pytest.approx(2.5 * 75)


def test_an_inverse_contract_is_ten_dollars_at_any_price_and_ten_over_price_in_ether():
    assert inverse().notional_quote(3, 2_500.0) == 30.0 == inverse().notional_quote(3, 4_000.0)
    assert inverse().notional(3, 2_500.0) == pytest.approx(30 / 2_500)


@given(st.integers(1, 10**6), prices, st.floats(-2, 10), st.floats(0, 10))
def test_a_fee_is_bps_of_notional_by_role_and_a_rebate_is_negative(
    lots: int, price: float, maker_bps: float, taker_bps: float
):
    assume(maker_bps == 0 or abs(maker_bps) > 1e-6)
    for build in (linear, inverse):
        instrument = build(fees=Fees("test", maker_bps, taker_bps))
        notional = instrument.notional(lots, price)
        assert instrument.fee(lots, price, maker=True) == pytest.approx(notional * maker_bps * 1e-4)
        assert instrument.fee(lots, price, maker=False) == pytest.approx(notional * taker_bps * 1e-4)


@pytest.mark.parametrize(
    ("rate", "bps"), [("0.00055", 5.5), ("0.001", 10.0), ("-0.00005", -0.5), ("0", 0.0), ("-0.000025", -0.25)]
)
def test_a_rate_is_a_share_of_notional_and_negative_for_a_rebate(rate: str, bps: float):
    assert rate_bps(rate) == bps


@pytest.mark.parametrize("rate", ["", "-", "--1", "+0.1", "1e-4", "nan", "0,1", " 0.1"])
def test_a_rate_that_is_no_plain_decimal_is_a_protocol_error(rate: str):
    with pytest.raises(RemoteProtocolError, match="rate was"):
        rate_bps(rate)


@given(decimals, st.none() | decimals, steps)
def test_bounds_of_an_order_are_the_whole_lots_inside_what_is_stated(
    least: Decimal, most: Decimal | None, step: str
):
    min_lots, max_lots = order_lots(f"{least:f}", None if most is None else f"{most:f}", step)
    lot = Fraction(step)
    assert min_lots == max(-(-Fraction(least) // lot), 1)
    if most is None or most < lot:
        assert max_lots is None
    else:
        assert max_lots == Fraction(most) // lot


@pytest.mark.parametrize("least", ["", "1e1", "-1", "many"])
def test_a_bound_that_is_no_plain_decimal_is_a_protocol_error(least: str):
    with pytest.raises(RemoteProtocolError, match=f"quantity was '{least}'"):
        order_lots(least, None, "0.1")
    with pytest.raises(RemoteProtocolError, match=f"quantity was '{least}'"):
        order_lots("1", least, "0.1")


@given(st.integers(0, 50), st.integers(1, 20), st.none() | st.integers(0, 20))
def test_an_allowed_size_is_the_most_of_what_was_asked_for(lots: int, least: int, more: int | None):
    instrument = linear(min_lots=least, max_lots=None if more is None else least + more)
    fitting = [
        size for size in range(least, lots + 1) if instrument.max_lots is None or size <= instrument.max_lots
    ]
    assert instrument.allowed_lots(lots) == max(fitting, default=0)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"min_lots": 0}, "min_lots was 0, expected at least 1"),
        ({"min_lots": 5, "max_lots": 4}, "max_lots was 4, expected at least min_lots 5"),
    ],
)
def test_bounds_that_allow_nothing_are_refused(bounds: dict[str, int], message: str):
    with pytest.raises(ValueError, match=message):
        linear(**bounds)


def test_an_instrument_written_before_sizes_had_bounds_is_read():
    written = msgspec.to_builtins(linear())
    del written["min_lots"], written["max_lots"]
    assert msgspec.convert(written, Instrument) == linear()


@pytest.mark.parametrize("name", ["tick_size", "lot_size"])
@pytest.mark.parametrize("step", ["0", "0.00", "-1", "1e-5", "", "nan"])
def test_a_grid_needs_a_positive_decimal(name: str, step: str):
    with pytest.raises(ValueError, match=f"{name} was '{step}', expected a positive decimal"):
        linear(**{name: step})


def test_a_key_names_venue_and_symbol():
    assert linear().key == "bybit_linear:SYNTHUSDT"


def test_sides_are_signs():
    assert (Side.BUY, Side.SELL) == (1, -1)
    assert (Side.BUY.word, Side.SELL.word) == ("buy", "sell")
    assert Side(-Side.BUY) is Side.SELL
