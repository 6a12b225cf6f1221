"""Every flag changes what the bot does: on a market that exercises it, on and off trade differently; `trace`
alone changes what is written down.
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import (
    MARKET,
    NEXO,
    REPO,
    capture,
    linear,
    ms,
    recorded_file,
    run_request,
    scenario_file,
    wire_depth,
    wire_snapshot,
)

from mmbot.config.flags import FLAGS
from mmbot.runtime.run import EngineKind, Run

BUSY: dict[str, Any] = {
    "spread": {"base_bps": 3.0, "min_bps": 1.0, "volatility_reference_bps": 0.1, "slew_bps_per_s": 100.0},
    "guards": {"soft_volatility_bps": 50.0, "hard_volatility_bps": 100.0},
    "inventory": {"dead_band_ratio": 0.0},
    "queue_aware": {"max_eta_s": 0.1, "max_reprice_bps": 100.0, "min_edge_bps": -100.0},
}
"""Quotes that trade, wait at the touch and hold a position."""
NERVOUS: dict[str, Any] = {**BUSY, "guards": {"soft_volatility_bps": 0.1, "hard_volatility_bps": 100.0}}
SILENT: dict[str, Any] = {
    "spread": {"base_bps": 14.0, "min_bps": 12.0, "max_bps": 60.0},
    "sim": {"resync": {"model": "constant", "median_ms": 60, "sigma": 0.0}},
}
"""The tape falls silent for eight seconds; the book can be had by asking."""
CROWDED: dict[str, Any] = {
    **BUSY,
    "emit": {"levels": 3, "order_notional_quote": 100},
    "async_batch": {"max_orders": 2, "max_batches_per_tick": 1},
}
"""Ladders that do not fit into the batches of one tick."""
GREEDY: dict[str, Any] = {
    **BUSY,
    "spread": {**BUSY["spread"], "base_bps": 0.3, "min_bps": 0.1},
    "aligner": {"post_only": False},
    "sim": {"entry": {"model": "constant", "median_ms": 300, "sigma": 0.0}},
    "taker_cap": {"min_fills": 1},
}
"""Orders near the touch that come late, and take instead of being rejected."""
JUMPY: dict[str, Any] = {**BUSY, "fast_cancel": {"move_bps": 0.5, "hold_ms": 500}}
"""A threshold that an ordinary move of this market is a spike for."""
EXERCISED: dict[str, dict[str, Any]] = {
    "pipeline": BUSY,
    "md_cache": SILENT,
    "risk_guards": NERVOUS,
    "fast_cancel": JUMPY,
    "adaptive_spread": BUSY,
    "queue_aware": BUSY,
    "inventory_skew": BUSY,
    "async_batch": CROWDED,
    "amend": BUSY,
    "taker_cap": GREEDY,
    "trace": BUSY,
    "trace_rate": BUSY,
    "taker_cap_share": GREEDY,
}
NUMBERS: dict[str, tuple[float, float]] = {"trace_rate": (0.5, 0.01), "taker_cap_share": (100.0, 9.0)}
"""Of a flag that is a number: two values of it, in place of on and off."""


def silent_tape(folder: Path) -> None:
    bids, asks = [["1.200", "500"], ["1.199", "500"]], [["1.203", "500"], ["1.204", "500"]]
    frames = [(ms(0), wire_snapshot(100, bids, asks))]
    times = (*range(50, 2_000, 100), *range(10_050, 12_000, 100))
    for number, at_ms in enumerate(times, start=101):
        frames.append((ms(at_ms), wire_depth(number, number, [["1.199", f"{number}"]], [])))
    capture(folder / "data" / "nexo.dat", frames)
    recorded_file(folder / "scenarios", [(NEXO, "nexo.dat")], name="silent")


def played(folder: Path, name: str, flag: str, engine: EngineKind, **switch: Any) -> Run:
    override = folder / f"{name}.yaml"
    override.write_bytes(msgspec.json.encode(EXERCISED[flag]))
    last = folder / f"{name}-switch.yaml"
    last.write_bytes(msgspec.json.encode(switch))
    run = Run(
        run_request(
            folder,
            name,
            scenario="silent" if EXERCISED[flag] is SILENT else "short",
            data=folder / "data",
            config=[REPO / "config.yaml", override, last],
            engine=engine,
        )
    )
    for _ in run:
        pass
    return run


@pytest.mark.parametrize("engine", [EngineKind.PLAIN, EngineKind.COMPILED])
@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_on_and_off_differ(tmp_path: Path, flag: Any, engine: EngineKind):
    silent_tape(tmp_path)
    scenario_file(
        tmp_path / "scenarios",
        market={
            "seed": 7,
            "start_ns": ms(0),
            "instrument": msgspec.to_builtins(linear()),
            "settings": {**MARKET, "duration_s": 40.0},
        },
        duration="35s",
    )
    section, key = flag.path
    one, other = NUMBERS.get(flag.name, (True, False))
    on = played(tmp_path, "on", flag.name, engine, **{section: {key: one}})
    off = played(tmp_path, "off", flag.name, engine, **{section: {key: other}})
    assert on.counts.orders > 0
    if flag.name == "trace_rate":
        assert on.digest == off.digest
        assert traced(tmp_path / "on") > 10 * traced(tmp_path / "off") > 0
    elif flag.name == "trace":  # what is written down, and nothing else
        assert on.digest == off.digest
        assert list((tmp_path / "on").glob("trace_*.jsonl"))
        assert not list((tmp_path / "off").glob("trace_*.jsonl"))
    else:
        assert on.digest != off.digest
    assert on.counts.ticks == off.counts.ticks


def traced(run: Path) -> int:
    return sum(len(path.read_bytes().splitlines()) for path in run.glob("trace_*.jsonl"))


def test_without_the_pipeline_nothing_is_quoted(tmp_path: Path):
    scenario_file(tmp_path / "scenarios")
    run = played(tmp_path, "off", "pipeline", EngineKind.PLAIN, pipeline={"enabled": False})
    assert (run.counts.orders, run.counts.fills) == (0, 0)
    assert run.counts.ticks == 150
