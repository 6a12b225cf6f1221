"""There is no key of the configuration that nothing reads: each one, changed, changes what is sent where it
matters, or what is written down of it.
"""

from typing import Any

import msgspec
import pytest
from tests.system.test_engines_agree import ROOT, START, Played, configured, feed, instrument, play

from mmbot.config.settings import load_settings
from mmbot.runtime.faults import injected, parse_fault
from mmbot.runtime.tape import Tape, TapeFeed
from mmbot.sim.market import MarketSettings, SyntheticMarket
from mmbot.units import Ns

Changes = dict[str, dict[str, Any]]
Lever = tuple[Changes, str, Any]
QUIET: Changes = {
    "spread": {"base_bps": 1.0, "min_bps": 0.5, "max_bps": 30.0, "latency_reference_ms": 1e6,
               "drawdown_reference_quote": 1e6, "slew_bps_per_s": 10.0},
    "guards": {"soft_latency_ms": 1e6, "hard_latency_ms": 1e6, "soft_drawdown_quote": 1e6,
               "hard_drawdown_quote": 1e6, "soft_taker_ratio": 10.0, "hard_taker_ratio": 10.0,
               "recovery_s": 1.0},
    "fast_cancel": {"move_bps": 1e6},
    "limits": {"max_position_quote": 1e6},
    "emit": {"order_notional_quote": 200.0},
    "queue_aware": {"max_reprice_bps": 0.0},
}  # fmt: skip
"""Nothing of the bot itself matters."""
LATE: Changes = {"spread": {"latency_reference_ms": 8.0}}
LOSING: Changes = {"spread": {"drawdown_reference_quote": 0.02}}
GUARDED_LATE: Changes = {
    "vitals": {"latency_halflife_s": 0.3},
    "spread": {"latency_reference_ms": 8.0},
    "sim": {"entry": {"model": "lognormal", "median_ms": 8, "sigma": 1}},
    "guards": {"soft_latency_ms": 16.0, "hard_latency_ms": 30.0, "clear_ratio": 0.8},
}
GUARDED_LOSING: Changes = {"guards": {"soft_drawdown_quote": 0.05, "hard_drawdown_quote": 0.3}}
TAKING: Changes = {
    "aligner": {"post_only": False},
    "async_batch": {"amend": False},
    "sim": {"entry": {"model": "constant", "median_ms": 300}},
    "taker_cap": {"min_fills": 5, "max_taker_share_pct": 100.0},
    "guards": {"soft_taker_ratio": 0.012, "hard_taker_ratio": 0.0165},
}
JUMPY: Changes = {"fast_cancel": {"move_bps": 1.0, "hold_ms": 300.0}}
SHIFTY: Changes = {
    "spread": {"base_bps": 1.0, "max_bps": 4.0, "slew_bps_per_s": 1.0, "volatility_reference_bps": 0.2,
               "liquidity_weight_bps": 4.0},
}  # fmt: skip
GLFT: Changes = {"spread": {"model": "glft"}}
NERVOUS: Changes = {"guards": {"soft_volatility_bps": 0.5, "hard_volatility_bps": 1.2}}
SHRINKING: Changes = {"guards": {"soft_volatility_bps": 0.1, "soft_widen_ratio": 1.0}}
HELD: Changes = {"inventory": {"max_position_quote": 400.0}, "guards": {"soft_inventory_ratio": 0.4}}
LADDER: Changes = {
    "emit": {"levels": 3, "level_step_bps": 1.0, "order_notional_quote": 100.0},
    "async_batch": {"max_orders": 3, "max_batches_per_tick": 1},
}
QUEUED: Changes = {
    "spread": {"base_bps": 2.0},
    "queue_aware": {"max_eta_s": 0.5, "max_reprice_bps": 3.0, "min_edge_bps": 0.5, "rate_halflife_s": 5.0},
}
CAPPED: Changes = {
    "limits": {"max_order_notional_quote": 300.0, "max_position_quote": 500.0, "collar_bps": 3.0},
}
CAPPED_TAKING: Changes = {
    **TAKING,
    "guards": {"soft_taker_ratio": 10.0, "hard_taker_ratio": 10.0},
    "taker_cap": {"max_taker_share_pct": 10.0, "min_fills": 5, "window_s": 10.0},
}
FAILING: Changes = {
    "sim": {"entry": {"model": "lognormal", "median_ms": 100, "sigma": 1.0}},
    "breaker": {"window_s": 5.0, "min_samples": 5, "max_failure_ratio": 0.2, "open_s": 1.0,
                "answer_timeout_ms": 150.0},
}  # fmt: skip
ONE_AT_A_TIME: Changes = {
    "md_cache": {"max_inflight_refresh": 1, "refresh_retry_ms": 200.0},
    "sim": {"resync": {"model": "constant", "median_ms": 1000}},
}
RESYNCED: Changes = {"guards": {"hard_resyncs": 2}, "vitals": {"resync_window_s": 10.0}}


def constant(median_ms: float) -> dict[str, Any]:
    return {"model": "constant", "median_ms": median_ms}


LEVERS: list[Lever] = [
    ({}, "pipeline.tick_interval_ms", 50.0),
    ({}, "fetch_md.fair_value", "mid"),
    ({}, "fetch_md.depth_ticks", 1),
    (NERVOUS, "fetch_md.volatility_halflife_s", 3.0),
    ({}, "fetch_md.microprice_refit_ticks", 100),
    (LATE, "vitals.latency_halflife_s", 0.1),
    (LOSING, "vitals.drawdown_window_s", 3.0),
    ({}, "spread.model", "glft"),
    ({}, "spread.base_bps", 4.0),
    ({}, "spread.min_bps", 6.0),
    (SHIFTY, "spread.max_bps", 0.6),
    (SHIFTY, "spread.volatility_reference_bps", 0.02),
    (SHIFTY, "spread.volatility_weight_bps", 0.3),
    (SHIFTY, "spread.liquidity_weight_bps", 8.0),
    (SHIFTY, "spread.liquidity_fast_halflife_s", 0.5),
    ({}, "spread.liquidity_halflife_s", 12.0),
    (LATE, "spread.latency_reference_ms", 6.0),
    (LATE, "spread.latency_weight_bps", 1.0),
    (LOSING, "spread.drawdown_reference_quote", 1.0),
    (LOSING, "spread.pnl_weight_bps", 1.0),
    (SHIFTY, "spread.slew_bps_per_s", 0.1),
    (GUARDED_LATE, "spread.cool_off_s", 0.0),
    (GLFT, "glft.risk_aversion_per_quote", 0.01),
    (GLFT, "glft.intensity_per_s", 0.1),
    (GLFT, "glft.decay_per_bps", 0.08),
    (NERVOUS, "guards.soft_volatility_bps", 0.05),
    (NERVOUS, "guards.hard_volatility_bps", 0.2),
    (GUARDED_LATE, "guards.soft_latency_ms", 1e6),
    (GUARDED_LATE, "guards.hard_latency_ms", 1e6),
    (GUARDED_LOSING, "guards.soft_drawdown_quote", 10.0),
    (GUARDED_LOSING, "guards.hard_drawdown_quote", 10.0),
    (TAKING, "guards.soft_taker_ratio", 10.0),
    (TAKING, "guards.hard_taker_ratio", 10.0),
    (HELD, "guards.soft_inventory_ratio", 0.1),
    (HELD, "guards.soft_widen_ratio", 15.0),
    (HELD, "guards.soft_size_ratio", 0.1),
    (HELD, "guards.clear_ratio", 0.1),
    (HELD, "guards.recovery_s", 0.1),
    (JUMPY, "fast_cancel.move_bps", 2.5),
    (JUMPY, "fast_cancel.hold_ms", 700.0),
    ({}, "inventory.max_position_quote", 500.0),
    ({}, "inventory.dead_band_ratio", 0.01),
    ({}, "inventory.max_skew_bps", 0.3),
    (QUEUED, "queue_aware.max_eta_s", 0.05),
    (QUEUED, "queue_aware.max_reprice_bps", 0.3),
    (QUEUED, "queue_aware.min_edge_bps", 1.0),
    (QUEUED, "queue_aware.rate_halflife_s", 0.5),
    ({}, "emit.order_notional_quote", 100.0),
    ({}, "emit.levels", 2),
    (LADDER, "emit.level_step_bps", 2.0),
    ({}, "aligner.hold_bps", 3.0),
    ({}, "aligner.lead_bps", 12.0),
    (SHRINKING, "aligner.hold_size_ratio", 1.0),
    ({}, "aligner.post_only", False),
    (LADDER, "async_batch.max_orders", 1),
    (LADDER, "async_batch.max_batches_per_tick", 2),
    (CAPPED, "limits.max_order_notional_quote", 150.0),
    (CAPPED, "limits.max_position_quote", 250.0),
    (TAKING, "limits.max_daily_loss_quote", 0.01),
    (CAPPED, "limits.collar_bps", 0.3),
    ({}, "limits.collar_reference_max_age_ms", 500.0),
    (CAPPED_TAKING, "taker_cap.max_taker_share_pct", 20.0),
    (CAPPED_TAKING, "taker_cap.window_s", 1.0),
    (CAPPED_TAKING, "taker_cap.min_fills", 1),
    (FAILING, "breaker.window_s", 0.5),
    (FAILING, "breaker.min_samples", 50),
    (FAILING, "breaker.max_failure_ratio", 0.9),
    (FAILING, "breaker.open_s", 0.1),
    (FAILING, "breaker.probes", 1),
    (FAILING, "breaker.answer_timeout_ms", 1000.0),
    ({}, "throttle.messages_per_s", 25),
    ({}, "throttle.reserved_for_cancels", 39),
    ({}, "sim.queue", {"model": "power", "power": 2.0}),
    ({}, "sim.entry", constant(40)),
    ({}, "sim.response", constant(150)),
]
"""In a market of one symbol: what surrounds it, the key, another value."""
LEVERS_OF_BREAKS: list[Lever] = [
    ({}, "md_cache.fresh_ms_for_pricing", 100.0),
    ({}, "md_cache.invalidate_on_ws_gap_ms", 2000.0),
    ({}, "md_cache.stale_ok", False),
    (ONE_AT_A_TIME, "md_cache.max_inflight_refresh", 2),
    (ONE_AT_A_TIME, "md_cache.refresh_retry_ms", 20.0),
    (RESYNCED, "vitals.resync_window_s", 1.0),
    (RESYNCED, "guards.hard_resyncs", 1),
    ({}, "limits.max_gross_quote", 500.0),
    ({}, "sim.resync", constant(900)),
    ({}, "sim.market_data", constant(80)),
]
"""In two symbols whose feeds fall silent and lose frames."""
LEVERS_OF_ROWS: list[Lever] = [
    ({}, "pipeline.deadline_ms", 20.0),
    ({}, "md_cache.ttl_ms", 500.0),
    ({}, "trace.sample_rate", 0.6),
]
"""There, these change the rows alone."""
ELSEWHERE = {
    "telemetry.checkpoint_interval_s": "tests/mmbot/runtime/test_checkpoint.py",
    "telemetry.sample_interval_s": "tests/mmbot/runtime/test_replay.py",
    "telemetry.metrics_port": "tests/mmbot/runtime/test_served.py",
    "alerts.webhook_url": "tests/mmbot/runtime/test_alerting.py",
}


def market(symbol: str, seed: int, *, exchange_clock: bool) -> TapeFeed:
    key = f"bybit_linear:{symbol}"
    shape = MarketSettings(
        symbol=key, duration_s=30.0, depth_levels=10, trades_per_s=20.0, trade_lots_log_mean=3.0
    )
    events = list(SyntheticMarket(shape, seed, Ns(START)).events())
    return feed(events, instrument(symbol), exchange_clock=exchange_clock)


@pytest.fixture(scope="module")
def whole() -> Tape:
    return Tape("synthetic", [market("XUSDT", 1, exchange_clock=True)])


@pytest.fixture(scope="module")
def breaking() -> Tape:
    return Tape("synthetic", [market(*each, exchange_clock=False) for each in (("XUSDT", 1), ("YUSDT", 2))])


FAULTS = [parse_fault(text) for text in ("silence@5s+1.5s", "silence@10s+7s", "gap@20s", "gap@22s")]


class Bench:
    """Plays a tape with layers of changes on the quiet configuration, each combination once."""

    def __init__(self) -> None:
        self._played: dict[bytes, Played] = {}

    def play(self, tape: Tape, *layers: Changes) -> Played:
        merged: Changes = {}
        for layer in (QUIET, *layers):
            for section, values in layer.items():
                merged[section] = {**merged.get(section, {}), **values}
        name = msgspec.json.encode([id(tape), merged])
        if name not in self._played:
            chosen = configured(**merged)
            broken = injected(tape, FAULTS, chosen.sim.market_data) if len(tape.feeds) > 1 else tape
            self._played[name] = play(broken, chosen, compiled=False)
        return self._played[name]

    def pulled(self, tape: Tape, lever: Lever) -> tuple[Played, Played]:
        """Without and with it."""
        around, key, value = lever
        section, _, leaf = key.partition(".")
        return self.play(tape, around), self.play(tape, around, {section: {leaf: value}})


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


def by_key(levers: list[Lever]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("lever", levers, ids=[key for _, key, _ in levers])


@by_key(LEVERS)
def test_it_changes_what_is_sent(whole: Tape, bench: Bench, lever: Lever) -> None:
    before, after = bench.pulled(whole, lever)
    assert after.digest != before.digest


@by_key(LEVERS_OF_BREAKS)
def test_it_changes_what_is_sent_where_feeds_break(breaking: Tape, bench: Bench, lever: Lever) -> None:
    before, after = bench.pulled(breaking, lever)
    assert after.digest != before.digest


@by_key(LEVERS_OF_ROWS)
def test_it_changes_the_rows_alone(breaking: Tape, bench: Bench, lever: Lever) -> None:
    before, after = bench.pulled(breaking, lever)
    assert after.digest == before.digest
    assert after.rows != before.rows


def test_no_key_is_left_out() -> None:
    """Flags (`enabled`, and `async_batch.amend`) are switched in test_flags.py."""
    shipped = msgspec.to_builtins(load_settings([ROOT / "config.yaml"]))
    keys = {f"{section}.{key}" for section, values in shipped.items() for key in values}
    flags = {key for key in keys if key.endswith(".enabled")} | {"async_batch.amend"}
    pulled = [key for _, key, _ in LEVERS + LEVERS_OF_BREAKS + LEVERS_OF_ROWS]
    assert sorted([*pulled, *flags, *ELSEWHERE]) == sorted(keys)
