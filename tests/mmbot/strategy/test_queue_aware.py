"""The nudge: when an order would rather stand one tick better, and when never."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, delta, market_of, snapshot, trade

from mmbot.model.instrument import Side
from mmbot.strategy.queue_aware import QueueAware, QueueAwareSettings
from mmbot.units import SECOND

SETTINGS = QueueAwareSettings(max_eta_s=20, max_reprice_bps=1.5, min_edge_bps=2.5, rate_halflife_s=60)
BID, ASK = 9_990, 10_010
FAIR = 10_000.0


class Desk:
    """An order of ours at each touch, 500 lots in front of each, in a market that trades at a known rate."""

    def __init__(
        self, settings: QueueAwareSettings = SETTINGS, *, bid: int = BID, ask: int = ASK, trades_lots: int = 0
    ) -> None:
        self.market = market_of(queue_aware={"rate_halflife_s": settings.rate_halflife_s})
        self.market.apply(snapshot([(bid, 500)], [(ask, 500)]))
        if trades_lots:
            self.market.apply(trade(Side.SELL, bid - 50, trades_lots))
            self.market.apply(trade(Side.BUY, ask + 50, trades_lots))
        self.stage = QueueAware(settings, self.market)
        self.at = {Side.BUY: bid, Side.SELL: ask}
        for side in Side:
            self.market.rest(side.word, side, self.at[side])

    def prefer(self, fair_ticks: float = FAIR, at_s: float = 0.0) -> tuple[int | None, int | None]:
        now_ns = START_NS + round(at_s * SECOND)
        self.market.apply(delta([], [], ns=now_ns))
        self.market.observe(now_ns)
        assert self.market.view is not None
        working = (("buy", self.at[Side.BUY]), ("sell", self.at[Side.SELL]))
        return self.stage(now_ns, self.market.view, fair_ticks, working)


def test_an_order_that_waits_too_long_would_stand_one_tick_better_on_either_side():
    assert Desk().prefer() == (BID + 1, ASK - 1)


def test_the_eta_is_the_size_ahead_over_the_rate():
    desk = Desk(trades_lots=600)
    rate = desk.market.trade_rate(START_NS, Side.BUY)
    assert desk.stage.eta_s(START_NS, Side.BUY, 500) == pytest.approx(500 / rate)
    assert Desk().stage.eta_s(START_NS, Side.BUY, 1) == float("inf")


def test_a_queue_that_moves_fast_enough_is_kept():
    enough = round(500 / 20 * 60 / 0.6931) + 60
    assert Desk(trades_lots=enough).prefer() == (None, None)
    assert Desk(trades_lots=enough - 200).prefer() == (BID + 1, ASK - 1)


def test_an_order_away_from_the_touch_is_not_nudged():
    desk = Desk()
    desk.market.apply(delta([(BID + 1, 5)], [(ASK - 1, 5)]))
    assert desk.prefer() == (None, None)


def test_an_order_without_a_known_place_is_not_nudged():
    desk = Desk()
    desk.market.gone("buy")
    assert desk.prefer() == (None, ASK - 1)


def test_a_spread_without_room_is_not_entered():
    desk = Desk(bid=9_999, ask=10_000)
    assert desk.prefer(fair_ticks=10_000.0) == (None, None)
    assert desk.prefer(fair_ticks=9_999.0) == (None, None)


def test_a_tick_that_costs_more_than_max_reprice_bps_is_not_paid():
    dear = QueueAwareSettings(max_eta_s=20, max_reprice_bps=0.99, min_edge_bps=2.5, rate_halflife_s=60)
    assert Desk(dear).prefer() == (None, None)


def test_the_edge_that_is_left_must_clear_its_floor():
    # 2.5 bps of 10 000 ticks are 2.5 ticks
    assert Desk().prefer(fair_ticks=BID + 3.6)[0] == BID + 1
    assert Desk().prefer(fair_ticks=BID + 3.4)[0] is None
    assert Desk().prefer(fair_ticks=ASK - 3.6)[1] == ASK - 1
    assert Desk().prefer(fair_ticks=ASK - 3.4)[1] is None


def test_a_nudged_order_keeps_its_price_though_nobody_is_ahead_any_more():
    desk = Desk()
    desk.prefer()
    desk.at = {Side.BUY: BID + 1, Side.SELL: ASK - 1}
    desk.market.apply(delta([(BID + 1, 0)], [(ASK - 1, 0)]))
    for second in range(1, 5):
        assert desk.prefer(at_s=second) == (BID + 1, ASK - 1)


def test_a_wish_lasts_while_no_order_works():
    desk = Desk()
    desk.prefer()
    assert desk.market.view is not None
    assert desk.stage(START_NS, desk.market.view, FAIR, (None, None)) == (BID + 1, ASK - 1)


def test_a_nudged_order_lets_go_when_its_edge_is_gone_and_does_not_come_back_by_itself():
    nudged = Desk()
    nudged.prefer()
    nudged.at[Side.BUY] = BID + 1
    assert nudged.prefer(fair_ticks=BID + 2.0)[0] is None
    assert nudged.prefer(fair_ticks=FAIR)[0] is None


@given(
    st.integers(1, 30),
    st.floats(-40, 40),
    st.integers(-3, 3),
    st.integers(-3, 3),
    st.floats(-5, 5),
    st.floats(0.1, 3),
)
def test_a_wish_is_never_aggressive_never_dear_and_never_below_its_edge(
    spread: int, fair_off: float, bid_off: int, ask_off: int, min_edge_bps: float, max_reprice_bps: float
):
    settings = QueueAwareSettings(20, max_reprice_bps, min_edge_bps, 60)
    desk = Desk(settings, bid=10_000, ask=10_000 + spread)
    fair = 10_000 + spread / 2 + fair_off
    desk.prefer(fair)
    desk.at = {Side.BUY: 10_000 + bid_off, Side.SELL: 10_000 + spread + ask_off}
    for side, wish in zip((Side.BUY, Side.SELL), desk.prefer(fair), strict=True):
        if wish is not None:
            assert wish > 10_000 if side is Side.SELL else wish < 10_000 + spread
            assert side * (fair - wish) / fair * 1e4 >= min_edge_bps
            assert 1e4 / fair <= max_reprice_bps
