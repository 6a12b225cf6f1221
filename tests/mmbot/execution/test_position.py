"""Position and profit against sums done the long way."""

from collections.abc import Callable
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import fill, inverse, linear

from mmbot.execution.position import Position, PositionState
from mmbot.model.events import Funding
from mmbot.model.instrument import Contract, Fees, Instrument, Side
from mmbot.units import Ns

trades = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(1_000, 9_000), st.integers(1, 500), st.booleans()),
    max_size=25,
)


def booked(instrument: Instrument, path: list[tuple[Side, int, int, bool]]) -> Position:
    position = Position(instrument)
    for side, tick, lots, maker in path:
        position.book(fill(side, tick, lots, maker=maker))
    return position


def exact_worth(instrument: Instrument) -> Callable[[int], Fraction]:
    """Of one lot, by ticks."""
    tick, lot = Fraction(instrument.tick_size), Fraction(instrument.lot_size)
    value = Fraction(instrument.contract_value)
    if instrument.contract is Contract.INVERSE:
        return lambda ticks: -value * lot / (ticks * tick)
    return lambda ticks: value * lot * ticks * tick


def matched_lots(
    instrument: Instrument, path: list[tuple[Side, int, int, bool]]
) -> tuple[Fraction, list[Fraction]]:
    """Realised profit and the entries of what is open, lot by lot: a lot that closes leaves at the average of
    all that are open.
    """
    worth, realised, entries, held = exact_worth(instrument), Fraction(0), list[Fraction](), 0
    for side, ticks, lots, _maker in path:
        for _ in range(lots):
            if held * side >= 0:
                entries.append(worth(ticks))
            else:
                entry = sum(entries, Fraction(0)) / len(entries)
                realised -= side * (worth(ticks) - entry)
                entries = [entry] * (len(entries) - 1)
            held += side
    return realised, entries


def cash_account(
    instrument: Instrument, path: list[tuple[Side, int, int, bool]], mark: int
) -> tuple[Fraction, Fraction]:
    """Profit before fees and fees, in exact fractions, by cash paid and received and the rest marked."""
    worth = exact_worth(instrument)
    cash, held, fees = Fraction(0), 0, Fraction(0)
    for side, ticks, lots, maker in path:
        cash -= side * lots * worth(ticks)
        held += side * lots
        bps = Fraction(instrument.fees.maker_bps if maker else instrument.fees.taker_bps)
        fees += abs(lots * worth(ticks)) * bps / 10_000
    return cash + held * worth(mark), fees


@given(st.sampled_from([linear(), inverse()]), trades, st.integers(1_000, 9_000))
def test_profit_is_cash_in_less_cash_out_plus_the_marked_rest_less_fees(
    instrument: Instrument, path: list[tuple[Side, int, int, bool]], mark: int
):
    position = booked(instrument, path)
    profit, fees = cash_account(instrument, path, mark)
    scale = float(
        sum(abs(lots) for _, _, lots, _ in path)
        * instrument.notional(1, 10.0 if instrument.contract is Contract.INVERSE else 90.0)
    )
    assert position.pnl(instrument.price(mark)) == pytest.approx(
        float(profit - fees), abs=1e-12 * scale + 1e-12
    )
    assert position.fees == pytest.approx(float(fees))
    assert position.lots == sum(side * lots for side, _, lots, _ in path)
    assert position.fills == len(path)


@given(st.sampled_from([linear(), inverse()]), trades, st.integers(1_000, 9_000))
def test_a_closed_position_does_not_care_for_the_mark(
    instrument: Instrument, path: list[tuple[Side, int, int, bool]], mark: int
):
    position = booked(instrument, path)
    if position.lots:
        position.book(fill(Side(-1 if position.lots > 0 else 1), 5_000, abs(position.lots)))
    at_mark, elsewhere = position.pnl(instrument.price(mark)), position.pnl(instrument.price(2 * mark))
    assert position.lots == 0
    assert at_mark == elsewhere


def test_a_perfect_passive_round_trip_earns_its_spread_less_maker_fees():
    position = booked(linear(), [(Side.BUY, 7_499, 100, True), (Side.SELL, 7_501, 100, True)])
    fees = (74.99 + 75.01) * 2e-4
    assert position.lots == 0
    assert position.pnl(1.0) == pytest.approx(0.02 - fees)
    rebated = booked(
        linear(fees=Fees("test", -1.0, 5.0)), [(Side.BUY, 7_499, 100, True), (Side.SELL, 7_501, 100, True)]
    )
    assert rebated.pnl(1.0) == pytest.approx(0.02 + (74.99 + 75.01) * 1e-4)


@pytest.mark.parametrize("instrument", [linear(), inverse()], ids=lambda built: built.contract)
def test_a_taker_above_the_mid_loses_the_half_spread_and_the_taker_fee(instrument: Instrument):
    position = booked(instrument, [(Side.BUY, 7_501, 100, False)])
    mid = instrument.price(7_500)
    lost = 100 * (instrument.worth(mid) - instrument.worth(instrument.price(7_501)))
    assert lost < 0
    assert position.pnl(mid) == pytest.approx(
        lost - instrument.fee(100, instrument.price(7_501), maker=False)
    )


def test_a_flip_through_zero_changes_the_sign_and_keeps_the_profit():
    position = booked(
        linear(fees=Fees("none", 0.0, 0.0)), [(Side.BUY, 5_000, 100, True), (Side.SELL, 5_100, 300, True)]
    )
    assert position.base == -2.0
    assert position.quote_value(2 * 5_200) == -104.0
    assert position.pnl(51.0) == pytest.approx(1.0)
    assert position.pnl(52.0) == pytest.approx(1.0 - 2.0)


def test_an_inverse_long_gains_ether_when_the_price_rises():
    position = booked(inverse(fees=Fees("none", 0.0, 0.0)), [(Side.BUY, 250_000, 100, True)])
    assert position.quote_value(2 * 400_000) == 1_000.0
    assert position.pnl(4_000.0) == pytest.approx(1_000 * (1 / 2_500 - 1 / 4_000))


def test_the_maker_share_counts_notional():
    position = booked(linear(), [(Side.BUY, 5_000, 300, True), (Side.SELL, 5_000, 100, False)])
    assert position.maker_notional / position.notional == pytest.approx(0.75)


def test_booking_returns_the_fee_of_that_fill():
    position = Position(linear())
    assert position.book(fill(Side.BUY, 7_500, 200)) == pytest.approx(150 * 2e-4)
    assert position.book(fill(Side.BUY, 7_500, 200, maker=False)) == pytest.approx(150 * 5.5e-4)


def test_nothing_traded_is_nothing_earned():
    assert Position(linear()).pnl(75.0) == 0.0
    assert Position(linear()).quote_value(2 * 7_500) == 0.0


short_trades = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(1_000, 9_000), st.integers(1, 6), st.booleans()),
    max_size=10,
)


@given(st.sampled_from([linear(), inverse()]), short_trades)
def test_realised_profit_is_that_of_lots_closed_one_by_one_at_the_average(
    instrument: Instrument, path: list[tuple[Side, int, int, bool]]
):
    position = booked(instrument, path)
    realised, entries = matched_lots(instrument, path)
    scale = float(sum((abs(entry) for entry in entries), Fraction(1)))
    assert position.realised == pytest.approx(float(realised), rel=1e-9, abs=1e-12 * scale)
    assert abs(position.lots) == len(entries)
    if entries:
        average = instrument.price_of(float(sum(entries, Fraction(0)) / len(entries)))
        assert position.average_price == pytest.approx(average, rel=1e-12)
    else:
        assert position.average_price is None


@given(st.sampled_from([linear(), inverse()]), trades, st.integers(1_000, 9_000))
def test_realised_and_unrealised_less_fees_are_the_profit(
    instrument: Instrument, path: list[tuple[Side, int, int, bool]], mark: int
):
    position = booked(instrument, path)
    price = instrument.price(mark)
    assert position.pnl(price) == position.realised + position.unrealised(price) - position.fees
    if not position.lots:
        assert position.unrealised(price) == 0.0


def test_a_partial_close_realises_its_share_and_keeps_the_entry():
    position = booked(linear(), [(Side.BUY, 5_000, 300, True), (Side.BUY, 5_300, 100, True)])
    assert position.average_price == pytest.approx(50.75)
    position.book(fill(Side.SELL, 5_175, 100))
    assert position.realised == pytest.approx(1.0)
    assert position.average_price == pytest.approx(50.75)
    assert position.unrealised(51.75) == pytest.approx(3.0)


def test_a_flip_through_zero_realises_the_old_side_and_enters_the_new_one_at_the_fill():
    position = booked(linear(), [(Side.BUY, 5_000, 100, True), (Side.SELL, 5_100, 300, True)])
    assert position.realised == pytest.approx(1.0)
    assert position.average_price == pytest.approx(51.0)
    assert position.unrealised(52.0) == pytest.approx(-2.0)


def test_the_average_of_an_inverse_position_is_the_harmonic_one():
    position = booked(inverse(), [(Side.SELL, 200_000, 100, True), (Side.SELL, 300_000, 100, True)])
    assert position.average_price == pytest.approx(2_400.0)
    position.book(fill(Side.BUY, 160_000, 200))
    assert position.realised == pytest.approx(2_000 * (1 / 1_600 - 1 / 2_400))


def test_funding_is_cash_on_a_line_of_its_own():
    position = booked(linear(fees=Fees("none", 0.0, 0.0)), [(Side.BUY, 5_000, 100, True)])
    for payment in (0.5, -0.125):
        position.fund(Funding(linear().key, Ns(1), Ns(2), rate=0.0001, payment=payment))
    assert (position.funding, position.fundings, position.realised) == (0.375, 2, 0.0)
    assert position.pnl(50.0) == pytest.approx(-0.375)


def test_what_the_venue_charged_goes_before_the_fee_tier():
    position = Position(linear())
    charged = msgspec.structs.replace(fill(Side.BUY, 7_500, 100), fee=-0.0123)
    assert position.book(charged) == position.fees == -0.0123
    assert position.book(fill(Side.BUY, 7_500, 100)) == pytest.approx(75.0 * 2e-4)


@given(st.sampled_from([linear(), inverse()]), trades, trades)
def test_a_restored_position_goes_on_as_the_one_it_stands_for(
    instrument: Instrument,
    before: list[tuple[Side, int, int, bool]],
    after: list[tuple[Side, int, int, bool]],
):
    whole = booked(instrument, before)
    restored = Position(instrument)
    restored.restore(msgspec.json.decode(msgspec.json.encode(whole.state()), type=PositionState))
    for position in (whole, restored):
        for side, tick, lots, maker in after:
            position.book(fill(side, tick, lots, maker=maker))
    assert restored.state() == whole.state()
    assert restored.base == whole.base


@pytest.mark.parametrize("instrument", [linear(), inverse()], ids=["linear", "inverse"])
def test_a_position_that_is_taken_over_profits_from_its_entry_price(instrument: Instrument):
    taken, traded = Position(instrument), Position(instrument)
    taken.open(-300, 75.0)
    traded.book(fill(Side.SELL, 7_500, 300))
    assert taken.average_price == pytest.approx(75.0)
    assert taken.pnl(70.0) == pytest.approx(traded.pnl(70.0) + traded.fees)
    assert (taken.lots, taken.base) == (traded.lots, traded.base)
