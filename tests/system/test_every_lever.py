"""Every number of vitals, scores, guards and fast_cancel changes what is sent, where it matters."""

from typing import Any

import msgspec
import pytest
from tests.system.test_engines_agree import KEY, START, configured, feed, instrument, play

from mmbot.runtime.tape import Tape
from mmbot.sim.market import MarketSettings, SyntheticMarket
from mmbot.units import Ns

Changes = dict[str, dict[str, Any]]
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
LEVERS: list[tuple[Changes, str, float]] = [
    (LATE, "spread.latency_reference_ms", 6.0),
    (LATE, "spread.latency_weight_bps", 1.0),
    (LATE, "vitals.latency_halflife_s", 0.1),
    (LOSING, "spread.drawdown_reference_quote", 1.0),
    (LOSING, "spread.pnl_weight_bps", 1.0),
    (LOSING, "vitals.drawdown_window_s", 3.0),
    (GUARDED_LATE, "spread.cool_off_s", 0.0),
    (GUARDED_LATE, "guards.soft_latency_ms", 1e6),
    (GUARDED_LATE, "guards.hard_latency_ms", 1e6),
    (GUARDED_LATE, "guards.clear_ratio", 1.0),
    (GUARDED_LOSING, "guards.soft_drawdown_quote", 10.0),
    (GUARDED_LOSING, "guards.hard_drawdown_quote", 10.0),
    (TAKING, "guards.soft_taker_ratio", 10.0),
    (TAKING, "guards.hard_taker_ratio", 10.0),
    (JUMPY, "fast_cancel.move_bps", 2.5),
    (JUMPY, "fast_cancel.hold_ms", 700.0),
]


@pytest.fixture(scope="module")
def tape() -> Tape:
    market = MarketSettings(
        symbol=KEY, duration_s=60.0, depth_levels=10, trades_per_s=20.0, trade_lots_log_mean=3.0
    )
    events = list(SyntheticMarket(market, 1, Ns(START)).events())
    return Tape("synthetic", [feed(events, instrument(), exchange_clock=True)])


def digest(tape: Tape, *layers: Changes) -> str:
    merged: Changes = {}
    for layer in layers:
        for section, values in layer.items():
            merged[section] = {**merged.get(section, {}), **values}
    return play(tape, configured(**merged), compiled=False).digest


@pytest.fixture(scope="module")
def digests() -> dict[bytes, str]:
    """Of each surrounding, played once."""
    return {}


@pytest.mark.parametrize(("around", "key", "value"), LEVERS, ids=[key for _, key, _ in LEVERS])
def test_it_changes_what_is_sent(
    tape: Tape, digests: dict[bytes, str], around: Changes, key: str, value: float
) -> None:
    name = msgspec.json.encode(around)
    if name not in digests:
        digests[name] = digest(tape, QUIET, around)
    section, _, leaf = key.partition(".")
    assert digest(tape, QUIET, around, {section: {leaf: value}}) != digests[name]
