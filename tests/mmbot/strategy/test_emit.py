"""Emit: what every set of quotes keeps, whatever book, spread, skew, position and wish come in."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mmbot.builders import inverse, linear, view

from mmbot.book.measures import PricedView
from mmbot.model.instrument import Instrument, Side
from mmbot.model.quotes import Quote
from mmbot.strategy.emit import Emit, EmitSettings
from mmbot.strategy.inventory import tick_shifts

NEXO = linear(venue="binance_spot", symbol="NEXOUSDT", tick_size="0.001")
INSTRUMENTS = [
    linear(),
    NEXO,
    inverse(),
    linear(tick_size="0.5", lot_size="1"),
    linear(min_lots=40, max_lots=300),
    inverse(min_lots=3, max_lots=20),
]


class Case(msgspec.Struct):
    """One call of the stage."""

    instrument: Instrument
    settings: EmitSettings
    view: PricedView
    fair_ticks: float
    half_spread_bps: float
    skew_bps: float
    size_ratio: float
    inventory_ratio: float
    preferred: tuple[int | None, int | None]

    def quotes(self) -> list[Quote]:
        return Emit(self.settings, self.instrument)(
            self.view,
            self.fair_ticks,
            self.half_spread_bps,
            self.skew_bps,
            self.size_ratio,
            self.inventory_ratio,
            self.preferred,
        )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    bid = draw(st.one_of(st.integers(1, 30), st.integers(1, 10**6)))
    ask = bid + draw(st.one_of(st.integers(1, 4), st.integers(1, 500)))
    fair = draw(st.floats(bid - 2, ask + 2).filter(lambda ticks: ticks >= 1))
    return Case(
        draw(st.sampled_from(INSTRUMENTS)),
        EmitSettings(draw(st.floats(1, 5_000)), draw(st.integers(1, 4)), draw(st.floats(0, 20))),
        view(bid, ask),
        fair,
        draw(st.floats(0, 100)),
        draw(st.floats(-50, 50)),
        draw(st.sampled_from([1.0, 0.5])),
        draw(st.floats(-1.5, 1.5)),
        (
            draw(st.none() | st.integers(max(bid - 20, 1), ask + 20)),
            draw(st.none() | st.integers(max(bid - 20, 1), ask + 20)),
        ),
    )


def of(quotes: list[Quote], side: Side) -> list[Quote]:
    return [quote for quote in quotes if quote.side is side]


@given(cases())
@settings(max_examples=150)
def test_no_quote_would_take_whatever_is_preferred(case: Case):
    quotes = case.quotes()
    assert all(quote.tick < case.view.ask_tick for quote in of(quotes, Side.BUY))
    assert all(quote.tick > case.view.bid_tick for quote in of(quotes, Side.SELL))


@given(cases())
@settings(max_examples=150)
def test_no_quote_lies_beyond_fair_value_whatever_the_skew(case: Case):
    assert all((case.fair_ticks - quote.tick) * quote.side >= 0 for quote in case.quotes())


@given(cases())
@settings(max_examples=80)
def test_levels_of_a_side_are_distinct_and_step_away_from_the_touch(case: Case):
    for side in Side:
        found = of(case.quotes(), side)
        assert [quote.level for quote in found] == list(range(len(found)))
        for near, far in pairwise(found):
            assert (near.tick - far.tick) * side >= 1


@given(cases())
@settings(max_examples=150)
def test_every_quote_has_a_price_and_clears_the_venues_minimum_at_that_price(case: Case):
    instrument = case.instrument
    for quote in case.quotes():
        assert quote.tick >= 1
        assert quote.lots == instrument.allowed_lots(quote.lots) >= instrument.min_lots
        notional = instrument.notional_quote(quote.lots, instrument.price(quote.tick))
        assert notional >= instrument.min_notional * (1 - 1e-12)


@given(cases())
def test_no_quote_is_larger_than_asked_for_by_more_than_its_distance_from_fair_value(case: Case):
    instrument, asked = case.instrument, case.settings.order_notional_quote * case.size_ratio
    for quote in case.quotes():
        assert instrument.notional_quote(quote.lots, instrument.price(case.fair_ticks)) <= asked * (1 + 1e-9)


@given(cases())
def test_a_position_at_its_cap_is_not_grown(case: Case):
    quotes = case.quotes()
    if case.inventory_ratio >= 1:
        assert not of(quotes, Side.BUY)
    if case.inventory_ratio <= -1:
        assert not of(quotes, Side.SELL)


@given(cases())
@settings(max_examples=80)
def test_rounding_is_passive_and_no_further_than_a_tick(case: Case):
    case.preferred = (None, None)
    case.settings = msgspec.structs.replace(case.settings, levels=1)
    shifts = dict(zip(Side, tick_shifts(case.skew_bps, case.fair_ticks), strict=True))
    for quote in case.quotes():
        exact = case.fair_ticks * (1 - quote.side * case.half_spread_bps / 1e4) + shifts[quote.side]
        if quote.side is Side.BUY:
            exact = min(exact, case.fair_ticks, case.view.ask_tick - 1)
        else:
            exact = max(exact, case.fair_ticks, case.view.bid_tick + 1)
        assert -1e-9 * case.fair_ticks <= (exact - quote.tick) * quote.side < 1 + 1e-9 * case.fair_ticks


@given(cases())
def test_a_wish_moves_the_first_level_by_one_tick_or_not_at_all(case: Case):
    wished = {quote.slot: quote.tick for quote in case.quotes()}
    case.preferred = (None, None)
    plain = {quote.slot: quote.tick for quote in case.quotes()}
    for side in Side:
        if int(side) in plain and int(side) in wished:
            assert (wished[int(side)] - plain[int(side)]) * side in (0, 1)


def quote_pair(**changes: float | tuple[int | None, int | None]) -> list[Quote]:
    """Fair value 75.00 in a book of 74.90 to 75.10, half spread 4 bps = 3 ticks, 500 in quote currency."""
    asked = {"skew_bps": 0.0, "size_ratio": 1.0, "inventory_ratio": 0.0, "preferred": (None, None)} | changes
    return Emit(EmitSettings(500.0, 1, 0.0), linear())(view(7_490, 7_510), 7_500.0, 4.0, **asked)


def test_a_plain_pair_stands_a_half_spread_on_each_side():
    assert quote_pair() == [Quote(Side.BUY, 0, 7_497, 666), Quote(Side.SELL, 0, 7_503, 666)]


def test_positive_skew_moves_both_quotes_up():
    assert [quote.tick for quote in quote_pair(skew_bps=2.0)] == [7_498, 7_505]


def test_an_exactly_better_wish_is_taken_and_any_other_is_not():
    assert [quote.tick for quote in quote_pair(preferred=(7_498, 7_502))] == [7_498, 7_502]
    for other in (7_496, 7_497, 7_499):
        assert quote_pair(preferred=(other, None))[0].tick == 7_497


@pytest.mark.parametrize(
    ("inventory_ratio", "sides"),
    [
        (0.999, [Side.BUY, Side.SELL]),
        (1.0, [Side.SELL]),
        (1.2, [Side.SELL]),
        (-0.999, [Side.BUY, Side.SELL]),
        (-1.0, [Side.BUY]),
    ],
)
def test_at_its_cap_a_position_has_only_the_side_that_shrinks_it(inventory_ratio: float, sides: list[Side]):
    assert [quote.side for quote in quote_pair(inventory_ratio=inventory_ratio)] == sides


def test_half_the_size_is_half_the_lots():
    assert [quote.lots for quote in quote_pair(size_ratio=0.5)] == [333, 333]


def test_too_small_for_the_venue_is_no_quote():
    assert quote_pair(size_ratio=0.009) == []


@pytest.mark.parametrize(
    ("bounds", "lots"), [({"min_lots": 667}, 0), ({"min_lots": 666}, 666), ({"max_lots": 50}, 50)]
)
def test_an_order_is_of_a_size_that_the_venue_takes(bounds: dict[str, int], lots: int):
    assert Emit(EmitSettings(500.0, 1, 0.0), linear(**bounds)).lots(7_500.0, 1.0) == lots


@pytest.mark.parametrize("fair_ticks", [100_000.0, 400_000.0])
def test_an_inverse_order_is_whole_contracts_of_ten_dollars_at_any_price(fair_ticks: float):
    assert Emit(EmitSettings(505.0, 1, 0.0), inverse()).lots(fair_ticks, 1.0) == 50


@given(st.floats(1, 10**6), st.floats(10, 10**5))
def test_lots_are_the_most_that_the_asked_notional_buys(fair_ticks: float, notional: float):
    lots = Emit(EmitSettings(notional, 1, 0.0), linear()).lots(fair_ticks, 1.0)
    per_lot = fair_ticks * 0.01 * 0.01
    enough = notional >= 5 + per_lot
    assert lots * per_lot <= notional * (1 + 1e-9)
    assert (lots + 1) * per_lot > notional * (1 - 1e-9) or not enough
