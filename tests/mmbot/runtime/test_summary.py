"""The closing lines of a run: figures that can be checked by hand, and NO_DATA where there is none."""

import pytest
from tests.mmbot.builders import (
    START_NS,
    engine_of,
    fill,
    fill_row,
    inverse,
    linear,
    shipped_settings,
    tick_row,
)

from mmbot.model.instrument import Instrument, Side
from mmbot.runtime.summary import Summary
from mmbot.units import MS, SECOND


def summary_of(*rows: object, instrument: Instrument | None = None) -> Summary:
    summary = Summary([instrument or linear()])
    summary.rows(list(rows))
    return summary


def trading(
    summary: Summary, *fills: tuple[Side, int, int], instrument: Instrument | None = None
) -> dict[str, str]:
    traded = instrument or linear()
    bot = engine_of(shipped_settings(), traded).bots[traded.key]
    for side, tick, lots in fills:
        bot.position.book(fill(side, tick, lots))
    return dict(summary.trading(bot))


def test_nothing_ticked_is_nothing_said():
    assert list(summary_of().market()) == []


def test_shares_of_reads_and_guards():
    rows = [tick_row(cache="hit")] * 3 + [tick_row(cache="miss", guard="HARD")]
    lines = dict(summary_of(*rows).market())
    assert lines["md_cache reads"] == "hit 75.0%, miss 25.0%"
    assert lines["guards"] == "HARD 25.0%, NONE 75.0%"


def test_the_p95_is_a_value_that_occurred_and_is_split_into_measured_and_modelled():
    rows = [tick_row(tick_total_ns=number * MS) for number in range(1, 101)]
    assert (
        dict(summary_of(*rows).market())["tick_total p95"]
        == "95.000 ms (measured 95.000, modelled wait 0.000)"
    )
    rows = [tick_row(tick_total_ns=MS)] * 90 + [tick_row(tick_total_ns=MS, wait_ns=60 * MS)] * 10
    assert (
        dict(summary_of(*rows).market())["tick_total p95"]
        == "61.000 ms (measured 1.000, modelled wait 60.000)"
    )


def test_deadline_misses_are_counted():
    rows = [tick_row(deadline_miss=number < 3) for number in range(200)]
    assert dict(summary_of(*rows).market())["deadline misses"] == "3 of 200 (1.500%)"


def test_without_fills_there_is_one_line():
    assert trading(summary_of()) == {"fills": "0"}


def test_fills_edge_and_profit_are_in_settlement_currency():
    rows = [
        tick_row(ts_ns=START_NS + second * SECOND, mid=100.0 if second < 60 else 100.05)
        for second in range(62)
    ]
    summary = summary_of(*rows, fill_row(qty=1.0, price=99.9, mid=100.0, fee=0.02))
    lines = trading(summary, (Side.BUY, 9_990, 100))
    assert lines["fills"] == "1, notional 99.90 USDT"
    assert lines["maker share"] == "100.0% of notional"
    assert lines["net edge"] == "+13.00 bps (gross +10.00, fees -2.00, adverse 60 s +5.00)"
    assert lines["fills with a mid 60 s later"] == "1, 0 without"
    assert lines["profit after fees"] == "+0.1300 USDT, position 1"


def test_edge_without_a_later_mid_is_no_data():
    summary = summary_of(tick_row(), fill_row())
    assert trading(summary, (Side.BUY, 9_990, 100))["net edge"] == "NO_DATA: no fill has a mid 60 s later"


@pytest.mark.parametrize(("instrument", "currency"), [(linear(), "USDT"), (inverse(), "ETH")])
def test_the_currency_is_the_contracts(instrument: Instrument, currency: str):
    summary = summary_of(tick_row(symbol=instrument.key), instrument=instrument)
    lines = trading(summary, (Side.SELL, 10_000, 3), instrument=instrument)
    assert lines["fills"].endswith(f" {currency}")
    assert f" {currency}, position -" in lines["profit after fees"]
