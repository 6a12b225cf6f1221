"""Run directories made of rows, through the bot's own writer."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from tests.mmbot.builders import KEY, START_NS, fill_row, linear, shipped_settings, tick_row

from mmbot.model.instrument import Instrument
from mmbot.model.records import FillRow, Row, TickRow, TraceRow
from mmbot.telemetry.feeds import FeedWriter
from mmbot.units import MS, SECOND

TICK_NS = 100 * MS


def at(seconds: float) -> int:
    return START_NS + round(seconds * SECOND)


def ticks(seconds: float, start_s: float = 0.0, **changes: Any) -> list[TickRow]:
    """A tick every 100 ms; the mid goes up and down by a cent."""
    count = round(seconds * 10)
    begin = at(start_s)
    return [
        tick_row(**{"ts_ns": begin + n * TICK_NS, "seq": n, "mid": 100.0 + 0.01 * (n % 2)} | changes)
        for n in range(count)
    ]


def bought(seconds: float, number: int = 1, **changes: Any) -> FillRow:
    return fill_row(**{"ts_ns": at(seconds), "recv_ns": at(seconds), "fill_id": number} | changes)


def trace(seconds: float, **changes: Any) -> TraceRow:
    facts: dict[str, Any] = dict.fromkeys(TraceRow.__struct_fields__)
    facts |= {"ts_ns": at(seconds), "symbol": KEY, "seq": 1, "guard": "NONE", "quotes": []}
    for name in ("soft", "hard", "held"):
        facts[name] = ()
    scores = {"latency_score": 0.0, "pnl_score": 0.0, "volatility_score": 0.0, "liquidity_score": 0.0}
    rates = {"bid_trade_lots_per_s": 0.0, "ask_trade_lots_per_s": 0.0}
    return TraceRow(**facts | scores | rates | {"skew_bps": 0.0, "fair": 100.0} | changes)


def run_of(
    folder: Path,
    rows: Iterable[Row],
    *,
    run_id: str = "run-1",
    instruments: Iterable[Instrument] | None = None,
    **changes: Any,
) -> Path:
    """A finished run directory that holds these rows; `changes` of its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = list(rows)
    kind = changes.get("data", {}).get("kind", "recorded")
    writer = FeedWriter(folder, run_id=run_id, arm=changes.get("arm", "A"), data_kind=kind)
    writer.touch(kept[0].ts_ns if kept else START_NS)
    writer.write(kept)
    writer.close()
    manifest = {
        "schema": 1,
        "run_id": run_id,
        "arm": "A",
        "step": "soak",
        "scenario": "made-by-hand",
        "mode": "replay",
        "status": "complete",
        "started_ns": kept[0].ts_ns if kept else START_NS,
        "ended_ns": START_NS,
        "data": {"kind": kind, "sha256": "d" * 64, "injected": []},
        "config": msgspec.to_builtins(shipped_settings()),
        "config_sha256": "c" * 64,
        "code": {"version": "0", "commit": None, "dirty": None},
        "instruments": [stated(instrument) for instrument in instruments or [linear()]],
        "counts": {
            "ticks": sum(isinstance(row, TickRow) for row in kept),
            "fills": sum(isinstance(row, FillRow) for row in kept),
            "skipped_ticks": 0,
        },
        "run_digest": "e" * 64,
    }
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest | changes))
    return folder


def stated(instrument: Instrument) -> dict[str, Any]:
    """As a manifest states it."""
    return {
        "symbol": instrument.key,
        "venue": instrument.venue,
        "tick_size": instrument.tick_size,
        "lot_size": instrument.lot_size,
        "contract": instrument.contract.value,
        "contract_value": instrument.contract_value,
        "base": instrument.base,
        "quote": instrument.quote,
        "fee_tier": instrument.fees.tier,
        "maker_fee_bps": instrument.fees.maker_bps,
        "taker_fee_bps": instrument.fees.taker_bps,
    }
