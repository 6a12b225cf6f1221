"""Limits that bind hold in whole runs, alike in both engines and with the wake filter; batches change nothing
until theirs binds.
"""

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.system.test_engines_agree import KEY, START, configured, feed, instrument, play, streams
from tests.system.test_wake_filter import CALM, assert_nothing_else_is_missing, with_and_without

from mmbot.config.settings import Settings
from mmbot.model.events import MarketEvent
from mmbot.model.instrument import Contract
from mmbot.model.records import EventRow, FillRow, Row
from mmbot.runtime.tape import Tape
from mmbot.sim.market import MarketSettings, SyntheticMarket
from mmbot.units import SECOND, Ns

TIGHT = st.fixed_dictionaries(
    {
        "limits": st.fixed_dictionaries(
            {
                "max_position_quote": st.sampled_from([60.0, 1e6]),
                "max_gross_quote": st.sampled_from([110.0, 1e6]),
                "max_daily_loss_quote": st.sampled_from([0.05, 1.0]),
                "collar_bps": st.sampled_from([60.0, 500.0]),
                "collar_reference_max_age_ms": st.sampled_from([500, 5000]),
            }
        ),
        "throttle": st.sampled_from(
            [
                {"messages_per_s": 3, "reserved_for_cancels": 1},
                {"messages_per_s": 40, "reserved_for_cancels": 20},
            ]
        ),
        "breaker": st.fixed_dictionaries(
            {
                "window_s": st.just(5.0),
                "min_samples": st.sampled_from([2, 20]),
                "max_failure_ratio": st.sampled_from([0.0, 0.5]),
                "open_s": st.just(1.0),
                "answer_timeout_ms": st.sampled_from([5, 2000]),
            }
        ),
        "taker_cap": st.fixed_dictionaries({"min_fills": st.sampled_from([1, 20])}),
        "async_batch": st.sampled_from(
            [{"max_orders": 1, "max_batches_per_tick": 1}, {"max_orders": 10, "max_batches_per_tick": 4}]
        ),
        "aligner": st.fixed_dictionaries({"post_only": st.booleans()}),
    }
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(streams(), streams("bybit_linear:YUSDT"), TIGHT, st.integers(1, 3))
def test_limits_that_bind_bind_alike_in_both_engines(
    one: list[MarketEvent], two: list[MarketEvent], tight: dict[str, dict[str, object]], levels: int
) -> None:
    """Two symbols of one venue, which share its breaker, its throttle and the account."""
    chosen = configured(**tight, emit={"order_notional_quote": 50.0, "levels": levels})
    inverse = instrument("YUSDT", Contract.INVERSE)
    feeds = [feed(one, instrument(), exchange_clock=True), feed(two, inverse, exchange_clock=False)]

    plain, compiled = (play(Tape("synthetic", feeds), chosen, compiled=kind) for kind in (False, True))

    assert compiled == plain


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(streams(), streams("bybit_linear:YUSDT"), TIGHT)
def test_limits_that_bind_bind_alike_with_the_wake_filter(
    one: list[MarketEvent], two: list[MarketEvent], tight: dict[str, dict[str, object]]
) -> None:
    tight = {**tight, "aligner": {**tight["aligner"], "hold_bps": 60.0, "lead_bps": 25.0}}
    chosen = configured(**tight, spread={"base_bps": 15.0, "max_bps": 200.0}, md_cache=CALM)
    inverse = instrument("YUSDT", Contract.INVERSE)
    feeds = [feed(one, instrument(), exchange_clock=True), feed(two, inverse, exchange_clock=False)]

    assert_nothing_else_is_missing(*with_and_without(Tape("synthetic", feeds), chosen))


def lively(seed: int) -> Tape:
    market = MarketSettings(
        symbol=KEY, duration_s=60.0, depth_levels=10, trades_per_s=20.0, trade_lots_log_mean=3.0
    )
    events = list(SyntheticMarket(market, seed, Ns(START)).events())
    return Tape("synthetic", [feed(events, instrument(), exchange_clock=True)])


def trading(**changes: dict[str, object]) -> Settings:
    """Ladders that trade at the touch of a busy market."""
    busy: dict[str, dict[str, object]] = {
        "spread": {
            "base_bps": 0.5,
            "min_bps": 0.1,
            "slew_bps_per_s": 100.0,
            "volatility_reference_bps": 50.0,
            "latency_weight_bps": 0.0,
        },
        "emit": {"order_notional_quote": 100.0, "levels": 3},
        "throttle": {"messages_per_s": 1000, "reserved_for_cancels": 10},
    }
    return configured(**{**busy, **changes})


@pytest.mark.parametrize("seed", range(3))
def test_batches_change_no_digest_until_their_limit_binds(seed: int) -> None:
    wide, narrow, one = (
        play(lively(seed), trading(async_batch=batch), compiled=True)
        for batch in (
            {"max_orders": 10, "max_batches_per_tick": 4},
            {"max_orders": 2, "max_batches_per_tick": 1},
            {"max_orders": 1, "max_batches_per_tick": 1 << 30},
        )
    )
    assert wide.digest == one.digest != narrow.digest
    assert sum(isinstance(row, FillRow) for row in wide.rows) > 20


def blocks(rows: list[Row]) -> Iterator[EventRow]:
    return (row for row in rows if isinstance(row, EventRow) and row.kind == "block_ended")


def test_a_run_counts_every_reason_that_held_orders_back() -> None:
    chosen = trading(
        throttle={"messages_per_s": 12, "reserved_for_cancels": 6},
        async_batch={"max_orders": 2, "max_batches_per_tick": 1},
        limits={"max_position_quote": 250.0},
    )
    counted = Counter[str]()
    for row in blocks(play(lively(1), chosen, compiled=True).rows):
        counted[str(row.detail["limit"])] += int(row.detail["times"] or 0)
    assert {"message_throttle", "async_batch", "max_position_quote", "duplicate"} <= counted.keys()


def test_the_taker_cap_stops_orders_that_could_take_and_counts_them() -> None:
    """Orders arrive 300 ms late and may take."""
    late: dict[str, dict[str, object]] = {
        "aligner": {"post_only": False},
        "sim": {"entry": {"model": "constant", "median_ms": 300}},
        "guards": {"soft_taker_ratio": 1e6, "hard_taker_ratio": 1e6, "soft_latency_ms": 1e6},
    }

    def takers(max_taker_share_pct: float) -> tuple[int, set[object]]:
        cap = {"min_fills": 10, "max_taker_share_pct": max_taker_share_pct}
        rows = play(lively(2), trading(**late, taker_cap=cap), compiled=True).rows
        taken = [row for row in rows if isinstance(row, FillRow) and row.liquidity == "taker"]
        return len(taken), {row.detail["limit"] for row in blocks(rows)}

    (capped, held), (uncapped, let) = takers(2.0), takers(100.0)
    assert capped < uncapped
    assert "taker_cap" in held
    assert "taker_cap" not in let


def test_no_second_of_a_run_holds_more_messages_than_the_throttle_allows() -> None:
    chosen = trading(throttle={"messages_per_s": 12, "reserved_for_cancels": 6})
    sent = play(lively(0), chosen, compiled=True).sent_ns
    assert max(sum(1 for at_ns in sent if first <= at_ns < first + SECOND) for first in sent) == 12
