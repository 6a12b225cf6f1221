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

from mmbot.model.events import Funding
from mmbot.model.instrument import Instrument, Side
from mmbot.model.records import EventRow
from mmbot.runtime.summary import Summary
from mmbot.units import MS, SECOND, Ns


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
    summary = summary_of(fill_row(qty=1.0, price=99.9, mid=100.0, fee=0.02, decision_mid=100.0), *rows)
    lines = trading(summary, (Side.BUY, 9_990, 100))
    assert lines["fills"] == "1, notional 99.90 USDT"
    assert lines["maker share"] == "100.0% of notional"
    assert lines["net edge"] == "+13.00 bps (gross +10.00, fees -2.00, adverse 60 s +5.00)"
    assert lines["fills with a mid 60 s later"] == "1, 0 without"
    assert lines["adverse"] == "1 s +0.00, 5 s +0.00, 60 s +5.00 bps"
    assert (
        lines["markout before fees"] == "1 s +10.00, 5 s +10.00, 15 s +10.00, 60 s +15.00, 300 s NO_DATA bps"
    )
    assert lines["pnl"] == "+13.00 bps (net +13.00, inventory +0.00)"
    assert lines["slippage"] == "-10.00 bps, positive = worse than the mid when the order was decided"
    assert lines["fills that lost"] == "0 of 1"
    assert lines["profit after fees"] == "+0.1300 USDT, position 1"
    assert lines["of it"] == "realised +0.0000, unrealised +0.1500, fees -0.0200"
    assert lines["by fill"] == "net +0.1300, inventory +0.0000, fills without a net +0.0000"
    assert lines["funding"] == "NO_DATA: no payment was reported"
    assert "net by hour" not in lines


def test_a_fill_without_a_net_is_in_the_profit_by_fill():
    rows = [tick_row(ts_ns=START_NS + second * SECOND, mid=100.05) for second in (0, 30)]
    lines = trading(summary_of(fill_row(), *rows), (Side.BUY, 9_990, 100))
    assert lines["profit after fees"] == "+0.1300 USDT, position 1"
    assert lines["by fill"] == "net +0.0000, inventory +0.0000, fills without a net +0.1300"


def test_what_is_not_known_is_no_data_in_every_line():
    lines = trading(summary_of(tick_row(mid=None), fill_row()), (Side.BUY, 9_990, 100))
    assert lines["net edge"] == "NO_DATA: no fill has a mid 60 s later"
    assert lines["profit"] == "NO_DATA: no mid to mark it at"
    rows = [tick_row(ts_ns=START_NS + second * SECOND) for second in (0, 61)]
    assert trading(summary_of(fill_row(), *rows), (Side.BUY, 9_990, 100))["slippage"].startswith("NO_DATA: ")


def test_funding_has_its_own_line_and_counts_in_the_profit():
    instrument = linear()
    bot = engine_of(shipped_settings(), instrument).bots[instrument.key]
    bot.position.book(fill(Side.BUY, 10_000, 100))
    bot.position.fund(Funding(instrument.key, Ns(START_NS), Ns(START_NS), rate=0.0001, payment=0.01))
    lines = dict(summary_of(tick_row()).trading(bot))
    assert lines["funding"] == "-0.0100 USDT, 1 payments"
    assert lines["profit after fees"] == "-0.0300 USDT, position 1"


def test_the_worst_and_the_best_hour_and_what_drove_the_losses():
    rows: list[object] = []
    for hour, later in enumerate((99.8, 100.2)):
        start = START_NS + hour * 3_600 * SECOND
        rows += [fill_row(ts_ns=start), tick_row(ts_ns=start), tick_row(ts_ns=start + 60 * SECOND, mid=later)]
    lines = trading(summary_of(*rows), (Side.BUY, 9_990, 200))
    assert lines["net by hour"] == (
        "worst -12.00 bps in 2026-01-01T00Z (1 fills), best +28.00 bps in 2026-01-01T01Z (1 fills)"
    )
    assert lines["fills that lost"] == "1 of 2, by adverse_60s 1"


def test_what_blocked_quotes_and_orders_is_counted_by_reason():
    def refused(reason: str) -> EventRow:
        return EventRow(START_NS, linear().key, "order_refused", {"reason": reason, "side": "buy"})

    rows = [
        tick_row(guard="HARD", reasons=("stale", "volatility")),
        tick_row(guard="HARD", reasons=("stale",)),
    ]
    rows += [tick_row(guard="SOFT", reasons=("latency",))]
    events = [refused("position: was 900"), refused("position: was 901"), refused("order: was 5")]
    lines = trading(summary_of(*rows, *events))
    assert lines["ticks blocked by"] == "stale 2, volatility 1"
    assert lines["refused by"] == "position 2, order 1"


def test_edge_without_a_later_mid_is_no_data():
    summary = summary_of(tick_row(), fill_row())
    assert trading(summary, (Side.BUY, 9_990, 100))["net edge"] == "NO_DATA: no fill has a mid 60 s later"


@pytest.mark.parametrize(("instrument", "currency"), [(linear(), "USDT"), (inverse(), "ETH")])
def test_the_currency_is_the_contracts(instrument: Instrument, currency: str):
    summary = summary_of(tick_row(symbol=instrument.key), instrument=instrument)
    lines = trading(summary, (Side.SELL, 10_000, 3), instrument=instrument)
    assert lines["fills"].endswith(f" {currency}")
    profit, _, _ = lines["profit after fees"].partition(f" {currency}, position -")
    assert len(profit.partition(".")[2]) == (4 if currency == "USDT" else 8)
