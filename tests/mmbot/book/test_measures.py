"""Measures: ranges that always hold, and closed forms on known paths."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, book, view

from mmbot.book.measures import DecayedRate, Liquidity, Volatility, priced
from mmbot.units import BPS, SECOND

sizes = st.integers(1, 10**7)


@st.composite
def two_sided(draw: st.DrawFn) -> tuple[dict[int, int], dict[int, int]]:
    bid = draw(st.integers(10, 10**6))
    ask = bid + draw(st.integers(1, 50))
    bids = {bid: draw(sizes)} | draw(st.dictionaries(st.integers(bid - 9, bid - 1), sizes, max_size=5))
    asks = {ask: draw(sizes)} | draw(st.dictionaries(st.integers(ask + 1, ask + 9), sizes, max_size=5))
    return bids, asks


@given(two_sided(), st.integers(1, 12))
def test_a_priced_view_is_the_touch_and_what_follows_from_it(
    sides: tuple[dict[int, int], dict[int, int]], depth_ticks: int
):
    bids, asks = sides
    found = priced(book(list(bids.items()), list(asks.items())), depth_ticks)
    assert found is not None
    bid, ask = max(bids), min(asks)
    assert (found.bid_tick, found.ask_tick, found.bid_lots, found.ask_lots) == (
        bid,
        ask,
        bids[bid],
        asks[ask],
    )
    assert found.mid_x2 == bid + ask
    assert found.mid == (bid + ask) / 2
    near = sum(lots for tick, lots in bids.items() if tick > bid - depth_ticks)
    assert found.depth_lots == near + sum(lots for tick, lots in asks.items() if tick < ask + depth_ticks)


@given(two_sided())
def test_imbalance_is_a_share_and_the_weighted_mid_lies_between_the_touch(
    sides: tuple[dict[int, int], dict[int, int]],
):
    found = priced(book(*(list(side.items()) for side in sides)), 1)
    assert found is not None
    assert 0 < found.imbalance < 1
    assert found.bid_tick <= found.weighted_mid <= found.ask_tick


def test_the_weighted_mid_leans_to_the_thin_side():
    assert view(100, 102, bid_lots=300, ask_lots=100).weighted_mid == 101.5
    assert view(100, 102, bid_lots=100, ask_lots=300).weighted_mid == 100.5
    assert view(100, 102).weighted_mid == 101.0 == view(100, 102).mid


@pytest.mark.parametrize(
    ("bids", "asks"),
    [([], []), ([(1, 1)], []), ([], [(1, 1)]), ([(5, 1)], [(5, 1)]), ([(6, 1)], [(5, 1)])],
    ids=["empty", "no asks", "no bids", "locked", "crossed"],
)
def test_a_book_without_a_mid_has_no_view(bids: list[tuple[int, int]], asks: list[tuple[int, int]]):
    assert priced(book(bids, asks), 5) is None


def walked(mids_x2: list[int], step_ns: int, halflife_s: float = 30.0) -> Volatility:
    volatility = Volatility(halflife_s)
    for index, mid_x2 in enumerate(mids_x2):
        volatility.update(START_NS + index * step_ns, mid_x2)
    return volatility


@pytest.mark.parametrize("halflife_s", [1.0, 30.0, 600.0])
@pytest.mark.parametrize("step_ns", [SECOND // 10, SECOND, 7 * SECOND])
def test_a_mid_that_zigzags_has_the_volatility_of_one_step(step_ns: int, halflife_s: float):
    volatility = walked([20_000, 20_002] * 20, step_ns, halflife_s)
    move_bps = math.log(20_002 / 20_000) * BPS
    assert volatility.bps == pytest.approx(move_bps / math.sqrt(step_ns / SECOND))


@given(st.integers(1, 200))
def test_volatility_decays_by_half_its_variance_each_half_life(steps: int):
    volatility = walked([20_000, 20_002], SECOND, halflife_s=10)
    start = volatility.bps
    assert start is not None
    for step in range(2, steps + 2):
        volatility.update(START_NS + step * SECOND, 20_002)
    assert volatility.bps == pytest.approx(start * 0.5 ** (steps / 10 / 2), rel=1e-9)


@given(st.lists(st.integers(10_000, 30_000), min_size=2, max_size=30), st.integers(1, 10 * SECOND))
def test_volatility_is_the_stated_recursion(mids_x2: list[int], step_ns: int):
    variance: float | None = None
    largest = 0.0
    for before, now in pairwise(mids_x2):
        rate = (math.log(now / before) * BPS) ** 2 / (step_ns / SECOND)
        weight = 1 - 2 ** (-step_ns / SECOND / 30)
        variance = rate if variance is None else variance + weight * (rate - variance)
        largest = max(largest, rate)
    assert variance is not None
    assert walked(mids_x2, step_ns).bps == pytest.approx(math.sqrt(variance), abs=1e-6 * math.sqrt(largest))


def test_volatility_is_unknown_until_two_mids_were_seen():
    assert Volatility(30).bps is None
    assert walked([20_000], SECOND).bps is None
    assert walked([20_000, 20_000], SECOND).bps == 0.0


def test_a_second_mid_of_the_same_moment_is_no_return():
    volatility = Volatility(30)
    volatility.update(START_NS, 20_000)
    volatility.update(START_NS, 20_100)
    assert volatility.bps is None


@given(st.floats(0.1, 1e6), st.floats(0.5, 600))
def test_the_whole_decay_of_an_impulse_integrates_to_its_amount(amount: float, halflife_s: float):
    rate = DecayedRate(halflife_s)
    rate.add(START_NS, amount)
    step_ns = round(halflife_s * SECOND / 64)
    middle = [rate.at(START_NS + step_ns * step + step_ns // 2) for step in range(64 * 40)]
    assert math.fsum(middle) * step_ns / SECOND == pytest.approx(amount, rel=1e-4)


@given(st.lists(st.tuples(st.integers(0, 20 * SECOND), st.floats(0.1, 1e4)), min_size=1, max_size=12))
def test_rates_of_impulses_add_up(impulses: list[tuple[int, float]]):
    impulses.sort()
    rate = DecayedRate(15)
    for after_ns, amount in impulses:
        rate.add(START_NS + after_ns, amount)
    now_ns = 21 * SECOND
    alone = [
        amount * math.log(2) / 15 * 2 ** (-(now_ns - after_ns) / SECOND / 15) for after_ns, amount in impulses
    ]
    assert rate.at(START_NS + now_ns) == pytest.approx(math.fsum(alone))


def test_a_rate_without_impulses_is_zero():
    assert DecayedRate(15).at(START_NS) == 0.0


def after_calm(depth_lots: int) -> float:
    """Score of a depth that follows a minute at 1000 lots, taken at once."""
    liquidity = Liquidity(0.01, 1e6)
    for second in range(60):
        liquidity.update(START_NS + second * SECOND, 1_000)
    liquidity.update(START_NS + 60 * SECOND, depth_lots)
    return liquidity.score


@pytest.mark.parametrize(("depth", "score"), [(0, 1), (250, 0.75), (500, 0.5), (1_000, 0), (5_000, 0)])
def test_the_liquidity_score_is_the_missing_share_of_the_usual_depth(depth: int, score: float):
    assert after_calm(depth) == pytest.approx(score, abs=1e-5)


def test_a_depth_that_is_gone_for_a_moment_hardly_counts():
    liquidity = Liquidity(5, 120)
    for tick in range(600):
        liquidity.update(START_NS + tick * SECOND // 10, 1_000)
    liquidity.update(START_NS + 60 * SECOND, 1)
    assert 0.01 < liquidity.score < 0.02  # a tenth of a second of five: 1 - 2^(-0.02)


@given(st.lists(st.tuples(st.integers(0, 60 * SECOND), st.integers(1, 10**9)), max_size=20))
def test_a_liquidity_score_is_always_a_share(path: list[tuple[int, int]]):
    liquidity, now_ns = Liquidity(5, 120), START_NS
    for elapsed_ns, depth_lots in path:
        now_ns += elapsed_ns
        liquidity.update(now_ns, depth_lots)
        assert 0 <= liquidity.score <= 1


def test_a_lasting_thin_book_becomes_the_usual_one():
    liquidity = Liquidity(5, 120)
    liquidity.update(START_NS, 1_000)
    scores = []
    for half_life in range(1, 14):
        liquidity.update(START_NS + half_life * 120 * SECOND, 100)
        scores.append(liquidity.score)
    assert scores[0] == pytest.approx(1 - 100 / 550)
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] < 0.01
