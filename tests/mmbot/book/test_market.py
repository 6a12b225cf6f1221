"""The plain market: what it makes of each event, and what the stages read from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import KEY, START_NS, confirmed, delta, market_of, ms, snapshot, trade

from mmbot.book.cache import Read
from mmbot.book.market import PlainMarket
from mmbot.model.events import BookTrouble, Level, TopOfBook, Trouble
from mmbot.model.instrument import Side
from mmbot.units import MS, SECOND, Lots, Ns, Ticks

BIDS: list[Level] = [(100, 40), (99, 10)]
ASKS: list[Level] = [(102, 20), (104, 5)]


@pytest.fixture
def market() -> PlainMarket:
    """In sync since START_NS."""
    opened = market_of()
    assert opened.apply(snapshot(BIDS, ASKS)) is None
    return opened


def trouble(kind: Trouble, ns: int = START_NS) -> BookTrouble:
    return BookTrouble(KEY, Ns(ns), Ns(ns), kind, "expected 8, found 9")


def test_before_a_snapshot_there_is_no_book_and_deltas_are_only_signs_of_life():
    market = market_of()
    market.apply(delta(BIDS, ASKS))
    assert (market.synced, market.updates, market.mid_x2) == (False, 0, None)
    assert market.observe(START_NS) is Read.MISS
    assert market.view is None


def test_a_snapshot_and_its_deltas_are_priced_at_the_next_observation(market: PlainMarket):
    market.apply(delta([(101, 7)], []))
    assert market.observe(START_NS) is Read.HIT
    assert market.view is not None
    assert (market.view.bid_tick, market.view.bid_lots, market.view.ask_tick) == (101, 7, 102)
    assert (market.updates, market.mid_x2) == (2, 203)


def test_an_unchanged_book_is_the_same_view(market: PlainMarket):
    market.observe(START_NS)
    first = market.view
    market.apply(confirmed(ms(100)))
    market.observe(ms(100))
    assert market.view is first


@pytest.mark.parametrize("kind", [Trouble.GAP, Trouble.CROSSED, Trouble.DEPTH])
def test_trouble_that_breaks_the_book_ends_trust_until_the_next_snapshot(market: PlainMarket, kind: Trouble):
    assert market.apply(trouble(kind)) == (kind, "expected 8, found 9")
    market.apply(delta([(101, 7)], [], ns=ms(10)))
    assert market.observe(ms(10)) is Read.MISS
    assert market.updates == 1
    market.apply(snapshot(BIDS, ASKS, ns=ms(20)))
    assert market.observe(ms(20)) is Read.HIT


@pytest.mark.parametrize("kind", [Trouble.DUPLICATE, Trouble.BEFORE_SNAPSHOT])
def test_trouble_with_a_frame_that_was_not_used_leaves_the_book_as_it_is(market: PlainMarket, kind: Trouble):
    assert market.apply(trouble(kind)) == (kind, "expected 8, found 9")
    assert market.observe(START_NS) is Read.HIT


def test_a_book_that_crosses_is_trouble_found_here(market: PlainMarket):
    assert market.apply(delta([(102, 1)], [])) == (Trouble.CROSSED, "bid 102 ask 102")
    assert market.observe(START_NS) is Read.MISS
    assert market.apply(snapshot([(5, 1)], [(4, 1)])) == (Trouble.CROSSED, "bid 5 ask 4")
    assert market.observe(START_NS) is Read.MISS


@pytest.mark.parametrize(
    "event",
    [
        confirmed(ms(900)),
        delta([], [], ns=ms(900)),
        trade(Side.BUY, 102, 1, ns=ms(900)),
        TopOfBook(KEY, Ns(0), Ns(ms(900)), Ticks(1), Lots(1), Ticks(2), Lots(1), 9),
    ],
    ids=lambda event: type(event).__name__,
)
def test_any_frame_confirms_the_book(market: PlainMarket, event):
    market.apply(event)
    assert market.observe(ms(1_000)) is Read.HIT
    assert market.age_ns == 100 * MS


def test_a_delta_without_levels_is_no_update_of_the_book(market: PlainMarket):
    market.apply(delta([], []))
    assert market.updates == 1


def test_a_one_sided_book_is_a_hit_without_a_view(market: PlainMarket):
    market.apply(delta([(100, 0), (99, 0)], []))
    assert market.observe(START_NS) is Read.HIT
    assert (market.view, market.mid_x2) == (None, None)


def test_a_miss_takes_the_view_away_and_the_features_stay(market: PlainMarket):
    market.observe(START_NS)
    market.apply(delta([(101, 1)], [], ns=ms(100)))
    market.observe(ms(100))
    volatility = market.volatility_bps
    assert volatility is not None
    market.apply(trouble(Trouble.GAP, ms(150)))
    market.observe(ms(200))
    assert (market.view, market.age_ns, market.volatility_bps) == (None, None, volatility)


def test_an_order_rests_behind_what_is_displayed_and_unknown_orders_have_no_place(market: PlainMarket):
    market.rest("a", Side.BUY, 100)
    market.rest("b", Side.SELL, 103)
    assert (market.ahead_lots("a"), market.ahead_lots("b"), market.ahead_lots("c")) == (40, 0, None)
    market.apply(trade(Side.SELL, 100, 15))
    market.apply(delta([(100, 5)], []))
    assert market.ahead_lots("a") == 5
    market.gone("a")
    assert market.ahead_lots("a") is None


def test_the_trade_rate_of_a_side_counts_what_trades_against_it(market: PlainMarket):
    market.apply(trade(Side.SELL, 100, 60))
    assert market.trade_rate(START_NS, Side.BUY) == pytest.approx(60 * 0.6931471805599453 / 60)
    assert market.trade_rate(START_NS, Side.SELL) == 0.0
    assert market.trade_rate(START_NS + 60 * SECOND, Side.BUY) == pytest.approx(60 * 0.6931471805599453 / 120)


levels = st.lists(st.tuples(st.integers(95, 108), st.integers(0, 9)), max_size=3)


@given(
    st.lists(st.one_of(st.builds(delta, levels, levels), st.builds(snapshot, levels, levels)), max_size=20)
)
def test_a_view_is_only_ever_of_a_synced_two_sided_uncrossed_book(events):
    market = market_of()
    for event in events:
        found = market.apply(event)
        read = market.observe(START_NS)
        assert (read is Read.MISS) == (not market.synced)
        assert found is None or (found[0] is Trouble.CROSSED and not market.synced)
        if market.view is not None:
            assert read is Read.HIT
            assert market.view.bid_tick < market.view.ask_tick
            assert market.view.mid_x2 == market.mid_x2
