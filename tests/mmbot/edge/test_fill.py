"""One fill, by hand: signs, sizes, and what the words mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import fill_row, inverse, linear

from mmbot.edge.fill import FillEdge, Traded
from mmbot.model.instrument import Instrument

BOTH = pytest.mark.parametrize("instrument", [linear(), inverse()], ids=lambda built: built.contract)
prices = st.floats(10.0, 1_000.0)


def edge(
    instrument: Instrument, *, mid: float = 100.0, later: float | None = None, **changes: object
) -> FillEdge:
    """Of a fill with one mid in its future: the one at the horizon of net."""
    traded = Traded.of(instrument, fill_row(mid=mid, **changes))
    assert traded is not None
    return FillEdge(traded, {60: traded.lots * (instrument.worth(later or mid) - traded.worth)})


def bps(found: FillEdge, settled: float) -> float:
    return 1e4 * settled / found.traded.weight


@BOTH
def test_a_perfect_passive_round_trip_earns_its_spread(instrument: Instrument):
    bought = edge(instrument, side="buy", price=99.9, fee=0.0)
    sold = edge(instrument, side="sell", price=100.1, fee=0.0)
    assert bps(bought, bought.net) == pytest.approx(10.0, rel=2e-3)
    assert bps(sold, sold.net) == pytest.approx(10.0, rel=2e-3)
    spread = bought.traded.lots * (instrument.worth(100.1) - instrument.worth(99.9))
    assert bought.net + sold.net == pytest.approx(spread, rel=1e-12)


@BOTH
def test_buying_as_a_taker_above_the_mid_loses_the_half_spread_and_the_fee(instrument: Instrument):
    fee = instrument.fee(100, 100.1, maker=False)
    taken = edge(instrument, side="buy", price=100.1, qty=instrument.quantity(100), fee=fee)
    assert bps(taken, taken.traded.gross) == pytest.approx(-10.0, rel=2e-3)
    assert bps(taken, taken.net) == pytest.approx(-10.0 - instrument.fees.taker_bps, rel=2e-3)
    assert taken.driver == "gross"


@BOTH
def test_a_rebate_is_earned_and_a_fee_is_paid(instrument: Instrument):
    rebated = edge(instrument, price=100.0, fee=-0.01)
    charged = edge(instrument, price=100.0, fee=0.01)
    assert rebated.net == rebated.traded.fees == 0.01
    assert charged.net == charged.traded.fees == -0.01
    assert (rebated.driver, charged.driver) == (None, "fees")


@BOTH
@pytest.mark.parametrize(("side", "sign"), [("buy", 1), ("sell", -1)])
def test_a_market_that_moves_against_us_is_negative(instrument: Instrument, side: str, sign: int):
    hurt = edge(instrument, side=side, price=100.0, fee=0.0, later=100.0 - 0.05 * sign)
    assert bps(hurt, hurt.adverse[60]) == pytest.approx(-5.0, rel=2e-3)
    assert hurt.driver == "adverse_60s"


@given(st.sampled_from([linear(), inverse()]), st.sampled_from(["buy", "sell"]), prices, prices, prices)
def test_components_sum_to_the_markout_net_of_fees(
    instrument: Instrument, side: str, price: float, mid: float, later: float
):
    """In the linear case the very formulas of the design; in both, what the lots were paid."""
    row = fill_row(side=side, price=price, fee=0.02)
    found = edge(instrument, side=side, price=price, mid=mid, later=later, fee=0.02)
    sign = 1 if side == "buy" else -1
    quantity = row.qty * instrument.contract_value
    paid = quantity * (1 / price - 1 / later) if instrument == inverse() else quantity * (later - price)
    scale = abs(paid) + found.traded.weight
    assert found.net == pytest.approx(sign * paid - 0.02, rel=1e-9, abs=1e-12 * scale)
    if instrument == linear():
        assert bps(found, found.traded.gross) == pytest.approx(
            1e4 * sign * (mid - price) / mid, rel=1e-9, abs=1e-9
        )
        assert bps(found, found.adverse[60]) == pytest.approx(
            1e4 * sign * (later - mid) / mid, rel=1e-9, abs=1e-9
        )
        assert bps(found, found.traded.fees) == pytest.approx(-1e4 * 0.02 / (row.qty * mid), rel=1e-9)


@BOTH
def test_an_inverse_leg_differs_from_the_linear_one_by_its_own_size(instrument: Instrument):
    """A move of 1 %: 100 bps on a linear contract, 99 on an inverse one."""
    found = edge(instrument, side="buy", price=100.0, later=101.0)
    assert bps(found, found.adverse[60]) == pytest.approx(100 if instrument == linear() else 100 / 1.01)


@pytest.mark.parametrize(
    ("side", "price", "slipped"), [("buy", 100.03, 3.0), ("buy", 99.98, -2.0), ("sell", 99.96, 4.0)]
)
def test_slippage_is_how_much_worse_than_the_mid_of_the_decision(side: str, price: float, slipped: float):
    found = edge(linear(), side=side, price=price, decision_mid=100.0)
    assert found.traded.slippage is not None
    assert bps(found, found.traded.slippage) == pytest.approx(slipped, rel=1e-9)
    assert edge(linear(), side=side, price=price).traded.slippage is None


def test_slippage_is_no_component_of_net():
    assert edge(linear(), decision_mid=90.0).net == edge(linear()).net


def test_a_fill_without_a_mid_has_no_edge():
    assert Traded.of(linear(), fill_row(mid=None)) is None


def test_the_driver_is_the_component_that_took_the_most():
    assert edge(linear(), price=99.9, fee=0.02, later=99.85).driver == "adverse_60s"
    assert edge(linear(), price=99.9, fee=0.3, later=99.85).driver == "fees"
    assert edge(linear(), price=99.9, fee=0.02, later=100.0).driver is None
