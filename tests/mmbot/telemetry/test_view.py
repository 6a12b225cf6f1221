"""The state that people look at: figures that can be checked by hand, and None for what was not measured."""

from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import KEY, START_NS, fill_row, inverse, linear, tick_row

from mmbot.model.instrument import Instrument
from mmbot.model.records import EventRow, Row
from mmbot.telemetry.view import RECENT_FILLS, RunFacts, RunState, View
from mmbot.units import SECOND


def facts_of(*instruments: Instrument, **changes: Any) -> RunFacts:
    facts: dict[str, Any] = {
        "run_id": "run-demo-1",
        "step": "run",
        "scenario": "demo",
        "part": None,
        "mode": "replay",
        "clock": "virtual",
        "data_kind": "synthetic",
        "instruments": list(instruments) or [linear()],
        "planned_ns": 3600 * SECOND,
    }
    return RunFacts(**facts | changes)


def state_of(*rows: Row, instruments: tuple[Instrument, ...] = ()) -> RunState:
    view = View(facts_of(*instruments))
    view.rows(rows)
    return view.state()


def event(kind: str, **detail: Any) -> EventRow:
    return EventRow(START_NS, None, kind, detail)


def quoting(**changes: Any) -> Any:
    return tick_row(**{"bid": 99.9, "ask": 100.1} | changes)


def test_before_the_first_row_nothing_is_known():
    state = state_of()
    assert (state.state, state.started_ns, state.now_ns, state.ticks) == ("starting", None, None, 0)
    assert (state.hit_ratio, state.deadline_misses, state.latencies, state.rules) == (None, None, [], None)
    (symbol,) = state.symbols
    assert (symbol.last, symbol.state) == (None, "starting")
    assert (symbol.result.pnl, symbol.result.net_bps, symbol.result.taker_share) == (None, None, None)


@pytest.mark.parametrize(
    ("rows", "standing"),
    [
        ([quoting()], ("quoting", None)),
        ([tick_row()], ("pulled", None)),
        ([tick_row(cache="miss", mid=None)], ("syncing", None)),
        ([quoting(), tick_row(cache="miss")], ("syncing", None)),
        ([quoting(), event("stand_aside", reason="stale account")], ("standing aside", "stale account")),
        ([event("stand_aside", reason="stale"), event("quoting", reason=None), quoting()], ("quoting", None)),
        ([quoting(), event("halt", reason="red button"), quoting()], ("halted", "red button")),
    ],
)
def test_what_it_does_is_what_its_rows_say(rows: list[Row], standing: tuple[str, str | None]):
    state = state_of(*rows)
    assert (state.state, state.reason) == standing


def test_one_symbol_that_quotes_is_enough_to_be_quoting():
    other = linear(symbol="OTHERUSDT")
    rows = [quoting(), tick_row(symbol=other.key, cache="miss")]
    state = state_of(*rows, instruments=(linear(), other))
    assert state.state == "quoting"
    assert [symbol.state for symbol in state.symbols] == ["quoting", "syncing"]


def test_shares_and_latencies_are_of_all_ticks():
    rows = [quoting(tick_total_ns=number * 1000, deadline_miss=number > 98) for number in range(1, 101)]
    rows[0].cache = rows[1].cache = "stale"
    state = state_of(*rows)
    assert (state.hit_ratio, state.deadline_misses, state.ticks) == (0.98, 2, 100)
    by_stage = {latency.stage: (latency.p50_us, latency.p95_us) for latency in state.latencies}
    assert by_stage["tick_total"] == (50.0, 95.0)
    assert by_stage["fetch_md"] == (0.005, 0.005)
    assert by_stage["wait"] == (0.0, 0.0)


def test_guards_and_why_they_pulled_quotes():
    rows = [tick_row(guard="HARD", reasons=("volatility", "pnl"))] * 2 + [
        tick_row(guard="HARD", reasons=("pnl",)),
        tick_row(guard="SOFT", reasons=("latency",)),
    ]
    state = state_of(*rows)
    assert state.guards == {"HARD": 3, "SOFT": 1}
    assert [(one.reason, one.ticks) for one in state.blocked] == [("pnl", 3), ("volatility", 2)]
    last = state.symbols[0].last
    assert last is not None
    assert (last.guard, last.reasons) == ("SOFT", ("latency",))


def test_profit_edge_and_takers_of_two_fills():
    """Bought 1 at 99.90 and 1 at 100.10 taking, fees 0.02 each; the mid goes from 100.00 to 100.05."""
    mids = [(second, 100.0 if second < 60 else 100.05) for second in range(62)]
    fills = [fill_row(), fill_row(fill_id=2, price=100.1, liquidity="taker")]
    state = state_of(*fills, *(quoting(ts_ns=START_NS + at * SECOND, mid=mid) for at, mid in mids))
    (result,) = state.results
    assert (result.currency, result.fills, result.net_fills) == ("USDT", 2, 2)
    assert result.notional == pytest.approx(200.0)
    assert result.taker_share == pytest.approx(100.1 / 200)
    assert result.pnl == pytest.approx(0.15 - 0.05 - 0.04)
    assert result.net_bps == pytest.approx(1e4 * (0.15 - 0.05 - 0.04) / 200)
    assert state.symbols[0].result == result


def test_funding_is_taken_from_the_profit_and_shown():
    paid = EventRow(START_NS, KEY, "funding", {"rate": 0.0001, "payment": 0.25})
    (result,) = state_of(quoting(), paid).results
    assert (result.pnl, result.funding, result.fundings) == (-0.25, 0.25, 1)


def test_currencies_are_not_added_up():
    coin = inverse()
    fills = [fill_row(), fill_row(symbol=coin.key, price=2000.0, mid=2000.0, qty=10.0, fee=0.0)]
    rows = [quoting(), quoting(symbol=coin.key, mid=2000.0)]
    results = state_of(*fills, *rows, instruments=(linear(), coin)).results
    assert [(result.currency, result.fills) for result in results] == [("ETH", 1), ("USDT", 1)]
    assert results[0].notional == pytest.approx(10 * 10 / 2000)


def test_a_fill_before_any_mid_has_no_profit_yet():
    (result,) = state_of(fill_row(), tick_row(mid=None)).results
    assert (result.fills, result.pnl, result.net_bps) == (1, None, None)


def test_breakers_and_dropped_ticks_are_told():
    state = state_of(
        event("breaker", venue="bybit_linear", state="open"),
        event("breaker", venue="bybit_linear", state="half_open"),
        event("ticks_dropped", ticks=3),
    )
    assert (state.breakers, state.dropped_ticks) == ({"bybit_linear": "half_open"}, 3)


def test_the_latest_fills_come_first_and_only_some_are_kept():
    fills = [fill_row(fill_id=number, ts_ns=START_NS + number) for number in range(RECENT_FILLS + 5)]
    shown = state_of(*fills).fills
    assert [one.ts_ns - START_NS for one in shown] == list(range(RECENT_FILLS + 4, 4, -1))


def test_the_state_survives_json():
    state = state_of(quoting(), fill_row())
    assert msgspec.json.decode(msgspec.json.encode(state), type=RunState) == state


def test_an_outage_is_no_part_of_what_was_played_and_whoever_goes_on_quotes():
    halted = [quoting(), event("breaker", venue="v", state="open"), event("halt", reason="SIGTERM")]
    assert state_of(*halted).state == "halted"
    at_ns = START_NS + 60 * SECOND
    gap = EventRow(at_ns, None, "gap", {"reason": "outage", "from_ns": START_NS + 10 * SECOND})
    state = state_of(*halted, gap, quoting(ts_ns=at_ns))
    assert (state.state, state.outage_ns, state.breakers) == ("quoting", 50 * SECOND, {})
    of_a_book = EventRow(at_ns, KEY, "gap", {"detail": "expected 8, found 9"})
    assert state_of(*halted, of_a_book).outage_ns == 0
    assert state_of(gap, quoting(ts_ns=at_ns)).outage_ns == 0
