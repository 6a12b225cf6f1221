"""The queue ETA of a run's orders against how long they waited, from its feeds.

Traces look at the first order of each side at a share of the ticks; a fill between one look and the next is
the order's. An order is at the touch where the price that is wanted of it is the best one, to half a tick.
The prediction is of the look itself; an order that was moved right after it counts as waiting until the next.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np

from mmbot.calibration.queue_eta import Speed, Waits, measure
from mmbot.ops.dataset import MEMORY_MB
from mmbot.ops.dataset_feeds import Source, connect, find, load
from mmbot.units import SECOND

_SIDES = (("bid", "buy", -1), ("ask", "sell", 1))
"""Columns, side of the fills, and where the best price lies from the mid."""
_LOOKS = """
SELECT ts_ns, eta_s, (next_ns - ts_ns) / 1e9 AS waited_s, next_ns FROM (
    SELECT t.ts_ns, t.{side}_eta_s AS eta_s, t.{side}_ahead_lots AS ahead_lots,
           p.{side} - p.mid * (1 + {away} * t.touch_bps / 2e4) AS off, ?::DOUBLE AS tick,
           lead(t.ts_ns) OVER (ORDER BY t.ts_ns) AS next_ns
    FROM trace t JOIN pipeline_ticks p ON p.ts_ns = t.ts_ns AND p.symbol = t.symbol
    WHERE t.symbol = ?
) WHERE ahead_lots IS NOT NULL AND eta_s IS NOT NULL AND next_ns IS NOT NULL AND abs(off) < tick / 2
ORDER BY ts_ns
"""


@dataclass(frozen=True, slots=True)
class QueueCalibration:
    """`configured_s`: `queue_aware.max_eta_s` of the run."""

    run_id: str
    kind: str
    data_sha256: str
    configured_s: float
    found: Speed

    @property
    def max_eta_s(self) -> float:
        """Recommended: the configured one unless predictions are off."""
        return self.found.max_eta_s(self.configured_s) if self.found.off else self.configured_s


def calibrate_queue(place: str, block_ns: int) -> QueueCalibration:
    """`place`: a run directory, or what a soak published. Raises DatasetError and CalibrationError."""
    with TemporaryDirectory() as folder, contextlib.closing(connect(Path(folder), MEMORY_MB)) as database:
        source = find(database, place, None, None)
        load(database, source, None, None, Path(folder))
        waits = Waits(*map(np.concatenate, zip(*_waits(database, source), strict=True)))
    manifest = source.manifest
    return QueueCalibration(
        run_id=manifest.run_id,
        kind=manifest.data.kind,
        data_sha256=manifest.data.sha256,
        configured_s=manifest.setting("queue_aware", "max_eta_s"),
        found=measure(waits, block_ns),
    )


def _waits(database: duckdb.DuckDBPyConnection, source: Source) -> Iterator[Waits]:
    """One for each side of each symbol."""
    for symbol, instrument in source.instruments.items():
        for side, word, away in _SIDES:
            sql = _LOOKS.format(side=side, away=away)
            looks = database.execute(sql, [float(instrument.tick), symbol]).fetchnumpy()
            sql = "SELECT ts_ns FROM fills WHERE symbol = ? AND side = ? AND liquidity = 'maker' ORDER BY 1"
            fills = database.execute(sql, [symbol, word]).fetchnumpy()["ts_ns"].astype(np.int64)
            ts_ns, next_ns = (looks[name].astype(np.int64) for name in ("ts_ns", "next_ns"))
            filled = np.searchsorted(fills, next_ns, "right") > np.searchsorted(fills, ts_ns, "right")
            yield Waits(ts_ns, looks["eta_s"].astype(float), looks["waited_s"].astype(float), filled)


def queue_overlay(done: QueueCalibration, block_ns: int) -> str:
    """A file for --config-override; it sets nothing where predictions are not off."""
    found, mark = done.found, ", SYNTHETIC DATA" if done.kind == "synthetic" else ""
    low, high = found.speed.low, found.speed.high
    lines = [
        f"# made by `mmbot calibrate queue` from run {done.run_id}, {done.kind}{mark}",
        f"# data sha256 {done.data_sha256}",
        f"# orders at the touch fill {found.speed.value:.3g} times as fast as predicted",
        f"# 95 %: {low:.3g} to {high:.3g}",
        f"# {found.fills} fills of {found.looks} looks in {found.blocks} blocks of {block_ns / SECOND:g} s",
        "# not confirmed by a replay: what a nudge earns is another question than how long an order waits",
        "#  ETA from, to, s    looks   fills   times as fast",
        *(
            f"#  {one.above_s:8g} {one.upto_s:8g} {one.looks:8d} {one.fills:7d}   {one.speed:.3g}"
            for one in found.stretches
        ),
    ]
    if found.off:
        lines += ["queue_aware:", f"  max_eta_s: {done.max_eta_s:g}  # was {done.configured_s:g}"]
    else:
        lines += ["# 1 is among them: keep the old", "{}"]
    return "\n".join([*lines, ""])
