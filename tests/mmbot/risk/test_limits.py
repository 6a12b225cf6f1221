"""Limits: the worst position counts, our own orders never meet, and a refusal names its limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import START_NS, inverse, linear, ms, shipped_settings

from mmbot.execution.orders import Blotter
from mmbot.model.commands import SubmitOrder
from mmbot.model.instrument import Instrument, Side
from mmbot.risk.limits import Limits, Reference, Standing
from mmbot.units import Lots, Ticks

TICK = 5_000
"""A price of 50.00: one lot is 0.50 in quote currency."""
REFERENCE = Reference(float(TICK), START_NS)


def limits(instrument: Instrument | None = None, **changes: float) -> Limits:
    chosen = {"max_order_notional_quote": 1_000.0, "max_position_quote": 6_000.0, "max_gross_quote": 1e9}
    settings = shipped_settings(limits={**chosen, "collar_bps": 200.0, **changes}).limits
    return Limits(settings, instrument or linear())


def blotter(*orders: tuple[Side, int, int]) -> Blotter:
    """Working orders: side, tick, lots."""
    working = Blotter()
    for number, (side, tick, lots) in enumerate(orders):
        submit = SubmitOrder("x", f"o{number}", side, Ticks(tick), Lots(lots))
        working.submitted(submit, side * (number + 1))
    return working


def standing(*orders: tuple[Side, int, int], position_lots: int = 0, **changes: object) -> Standing:
    facts: dict[str, object] = {
        "position_lots": position_lots,
        "open_orders": blotter(*orders).slots.values(),
        "reference": REFERENCE,
        "elsewhere_quote": 0.0,
        "reduce_only": False,
    }
    return Standing(**facts | changes)  # type: ignore[arg-type]


def refusal(
    side: Side = Side.BUY,
    lots: int = 100,
    tick: int = TICK,
    against: Standing | None = None,
    *,
    now_ns: int = START_NS,
    **changes: float,
) -> str | None:
    return limits(**changes).refusal(now_ns, side, tick, lots, against or standing())


@pytest.mark.parametrize(
    ("lots", "refused"),
    [(4, "venue_min_lots: 4 < 5"), (5, None), (20, None), (21, "venue_max_lots: 21 > 20")],
)
def test_a_size_that_the_venue_would_reject_does_not_go_out(lots: int, refused: str | None):
    sized = limits(linear(min_lots=5, max_lots=20))
    assert sized.refusal(START_NS, Side.BUY, TICK, lots, standing()) == refused


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
    working = [(side, TICK - side, open_lots)] if open_lots else []
    found = refusal(side, against=standing(*working, position_lots=position_lots))
    assert (found is None) == passes
    assert passes or (found or "").startswith("max_position_quote: 6000.50 > 6000")


@pytest.mark.parametrize(("elsewhere", "passes"), [(950.0, True), (950.5, False)])
def test_the_gross_cap_counts_what_other_symbols_may_hold(elsewhere: float, *, passes: bool):
    found = refusal(against=standing(elsewhere_quote=elsewhere), max_gross_quote=1_000.0)
    assert found == (None if passes else "max_gross_quote: 1000.50 > 1000")


def test_the_gross_cap_never_keeps_a_position_from_shrinking():
    assert (
        refusal(Side.SELL, against=standing(position_lots=100, elsewhere_quote=1e6), max_gross_quote=1_000.0)
        is None
    )


@pytest.mark.parametrize(
    ("side", "lots", "open_lots", "passes"),
    [
        (Side.SELL, 100, 0, True),
        (Side.SELL, 101, 0, False),
        (Side.SELL, 50, 50, True),
        (Side.SELL, 51, 50, False),
        (Side.BUY, 1, 0, False),
    ],
)
def test_after_the_days_loss_only_what_reduces_the_position_may_go(
    side: Side, lots: int, open_lots: int, *, passes: bool
):
    working = [(side, TICK - side, open_lots)] if open_lots else []
    found = refusal(side, lots, against=standing(*working, position_lots=100, reduce_only=True))
    assert found == (None if passes else "max_daily_loss_quote: 500 lost, only what reduces may go")


class TestCollar:
    @pytest.mark.parametrize(
        ("tick", "passes"), [(4_900, True), (4_899, False), (5_100, True), (5_101, False)]
    )
    @pytest.mark.parametrize("side", Side)
    def test_a_price_may_be_so_far_from_the_reference_and_no_farther(
        self, side: Side, tick: int, *, passes: bool
    ):
        found = refusal(side, tick=tick)
        assert (found is None) == passes
        assert passes or (found or "").startswith("collar_bps: 202.0 from the reference > 200")

    @pytest.mark.parametrize(("age_ms", "passes"), [(3_000, True), (3_001, False)])
    def test_a_stale_reference_judges_nothing(self, age_ms: int, *, passes: bool):
        found = refusal(now_ns=ms(age_ms), collar_reference_max_age_ms=3_000)
        assert found == (None if passes else "collar_reference: 3001 ms old > 3000")

    def test_without_a_reference_nothing_goes_out(self):
        assert refusal(against=standing(reference=None)) == "collar_reference: none yet"


class TestOurOwn:
    @pytest.mark.parametrize("side", Side)
    @pytest.mark.parametrize(("gap", "passes"), [(1, True), (0, False), (-1, False)])
    def test_an_order_never_meets_one_of_ours(self, side: Side, gap: int, *, passes: bool):
        found = refusal(side, against=standing((Side(-side), TICK + side * gap, 10)))
        assert (found is None) == passes
        assert passes or (found or "").startswith(
            f"self_trade: {side.word} at tick {TICK} would meet our own"
        )

    @pytest.mark.parametrize("side", Side)
    def test_a_second_order_at_a_price_is_a_duplicate(self, side: Side):
        assert refusal(side, against=standing((side, TICK, 10))) == (
            f"duplicate: {side.word} at tick {TICK} works already"
        )
        assert refusal(side, against=standing((side, TICK - side, 10))) is None


wanted = st.tuples(st.sampled_from(Side), st.integers(TICK - 4, TICK + 4), st.integers(1, 300))


@given(st.lists(wanted, max_size=12), st.integers(-5_000, 5_000))
def test_whatever_is_asked_our_orders_never_cross_nor_share_a_price(
    asked: list[tuple[Side, int, int]], position_lots: int
):
    judge, working = limits(), Blotter()
    for number, (side, tick, lots) in enumerate(asked):
        against = standing(position_lots=position_lots)
        against.open_orders = working.slots.values()
        if judge.refusal(START_NS, side, tick, lots, against) is None:
            submit = SubmitOrder("x", f"o{number}", side, Ticks(tick), Lots(lots))
            working.submitted(submit, number + 1)
    bids = [order.tick for order in working.slots.values() if order.side is Side.BUY]
    asks = [order.tick for order in working.slots.values() if order.side is Side.SELL]
    assert max(bids, default=0) < min(asks, default=1 << 40)
    assert len({*bids, *asks}) == len(bids) + len(asks)


@given(
    st.sampled_from([linear(), inverse()]),
    st.sampled_from(Side),
    st.integers(1, 5_000),
    st.integers(100, 500_000),
    st.integers(-20_000, 20_000),
    st.integers(0, 5_000),
)
def test_what_passes_keeps_both_limits_however_it_fills(
    instrument: Instrument, side: Side, lots: int, tick: int, position_lots: int, open_lots: int
):
    working = [(side, tick - side, open_lots)] if open_lots else []
    against = standing(*working, position_lots=position_lots, reference=Reference(float(tick), START_NS))
    found = limits(instrument).refusal(START_NS, side, tick, lots, against)
    price = instrument.price(tick)
    after = position_lots + side * (open_lots + lots)
    grows = side * after > 0
    too_large = instrument.notional_quote(lots, price) > 1_000
    too_far = grows and instrument.notional_quote(after, price) > 6_000
    assert (found is None) == (not too_large and not too_far)
