"""The account: the loss of a UTC day stops what grows until the day ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, inverse, linear, shipped_settings

from mmbot.model.instrument import Instrument, Side
from mmbot.model.quotes import Quote
from mmbot.risk.account import Account, reducing
from mmbot.units import DAY, SECOND, Lots, Ticks

LIMIT = 500.0


def account() -> Account:
    return Account(shipped_settings(limits={"max_daily_loss_quote": LIMIT}).limits)


@pytest.mark.parametrize(("profit", "reached"), [(-499.99, False), (-500.0, True), (500.0, False)])
def test_the_limit_is_reached_at_the_limit(profit: float, *, reached: bool):
    watched = account()
    assert not watched.assess(START_NS, 0.0)
    assert watched.assess(START_NS + SECOND, profit) is reached
    assert watched.reduce_only is reached
    assert watched.loss_quote == -profit


def test_a_mark_that_comes_back_gives_nothing_back_before_the_day_ends():
    watched = account()
    watched.assess(START_NS, 0.0)
    watched.assess(START_NS + SECOND, -600.0)
    assert not watched.assess(START_NS + 2 * SECOND, 100.0)
    assert watched.reduce_only
    assert watched.assess(START_NS + DAY, 100.0)
    assert not watched.reduce_only


def test_a_day_begins_with_what_was_earned_before():
    watched = account()
    watched.assess(START_NS, 0.0)
    watched.assess(START_NS + DAY, 2_000.0)
    watched.assess(START_NS + DAY + SECOND, 1_501.0)
    assert not watched.reduce_only
    watched.assess(START_NS + DAY + 2 * SECOND, 1_500.0)
    assert watched.reduce_only


def test_it_is_assessed_once_a_second():
    watched = account()
    assert watched.due_ns == 0
    watched.assess(START_NS, 0.0)
    assert watched.due_ns == START_NS + SECOND


@given(st.lists(st.tuples(st.integers(1, DAY), st.floats(-2_000, 2_000)), min_size=1, max_size=40))
def test_it_is_reduce_only_from_the_first_loss_of_its_size_to_the_end_of_that_day(
    steps: list[tuple[int, float]],
):
    watched, now_ns, day, opening, reached = account(), START_NS, -1, 0.0, False
    for step_ns, profit in steps:
        now_ns += step_ns
        if now_ns // DAY != day:
            day, opening, reached = now_ns // DAY, profit, False
        reached = reached or opening - profit >= LIMIT
        before = watched.reduce_only
        assert watched.assess(now_ns, profit) is (reached is not before)
        assert watched.reduce_only is reached


def test_elsewhere_is_every_other_symbol():
    watched = account()
    for symbol, worst_quote in (("a", 100.0), ("b", 20.0), ("c", 3.0), ("b", 10.0)):
        watched.exposed(symbol, worst_quote)
    assert [watched.elsewhere_quote(symbol) for symbol in "abcd"] == [13.0, 103.0, 110.0, 113.0]


ladders = st.lists(
    st.builds(
        Quote,
        st.sampled_from(Side),
        st.integers(0, 3),
        st.integers(4_000, 6_000).map(Ticks),
        st.integers(1, 100).map(Lots),
    ),
    max_size=8,
)


@given(
    st.sampled_from([linear(), inverse(), linear(min_lots=40, max_lots=60)]), ladders, st.integers(-300, 300)
)
def test_what_reduces_is_on_the_other_side_and_never_flips(
    instrument: Instrument, quotes: list[Quote], position_lots: int
):
    kept = reducing(quotes, position_lots, instrument)
    assert all(quote.side * position_lots < 0 for quote in kept)
    assert sum(quote.lots for quote in kept) <= abs(position_lots)
    wanted = {(quote.side, quote.level, quote.tick): quote.lots for quote in reversed(quotes)}
    assert all((quote.side, quote.level, quote.tick) in wanted for quote in kept)
    for quote in kept:
        assert instrument.notional_quote(quote.lots, instrument.price(quote.tick)) >= instrument.min_notional
        assert instrument.allowed_lots(quote.lots) == quote.lots


def test_a_reducing_quote_is_cut_to_what_is_left_of_the_position():
    asks = [Quote(Side.SELL, level, Ticks(5_000 + level), Lots(100)) for level in range(3)]
    bid = Quote(Side.BUY, 0, Ticks(4_990), Lots(100))
    kept = reducing([bid, *asks], 150, linear())
    assert [(quote.level, quote.lots) for quote in kept] == [(0, 100), (1, 50)]
    assert reducing([bid, *asks], 0, linear()) == []
