"""The product itself on the reference market: six stages at every tick, every row written to a run directory.

Variants: `compiled` is played in the kernel, `filtered` too and with the wake filter, `plain` in ordinary
Python. Its strategy is the shipped one, so its orders are not the reference quoter's.
"""

import functools
import importlib.metadata
import shutil
import tempfile
from pathlib import Path

import msgspec
import numpy as np
from tests.bench.workload import MS, Asked, Columns, Outcome, asked, load, report, timed

from mmbot.clock import stopwatch
from mmbot.config.settings import Settings, load_settings
from mmbot.model.instrument import Fees, Instrument
from mmbot.model.market_rows import KIND, SELL
from mmbot.recording.columns import Columns as Recording
from mmbot.recording.columns import ColumnsMeta
from mmbot.runtime.assemble import build_engine, feature_settings, plain_markets
from mmbot.runtime.compiled_world import CompiledWorld
from mmbot.runtime.filtered import FilteredReplay
from mmbot.runtime.plain_world import PlainWorld
from mmbot.runtime.replay import Replay, Times
from mmbot.runtime.tape import Tape, TapeFeed
from mmbot.telemetry.feeds import FeedWriter
from mmbot.units import SECOND

ROOT = Path(__file__).parents[2]
_SEED = 1
_INSTRUMENT = Instrument(
    venue="bybit_linear",
    symbol="REFUSDT",
    base="REF",
    quote="USDT",
    tick_size="0.1",
    lot_size="0.001",
    min_notional=5.0,
    fees=Fees("none", 0.0, 0.0),
)


def tape_of(columns: Columns) -> Tape:
    """The columns as an opened recording with the venue's own stamps."""
    first_ns, last_ns = int(columns["recv_ns"][0]), int(columns["recv_ns"][-1])
    priced = columns["tick"][(columns["kind"] & KIND) <= SELL]
    tick_range = int(priced.min()), int(priced.max())
    meta = ColumnsMeta(0, len(columns["kind"]), first_ns, last_ns, tick_range, [], [])
    recording = Recording(meta, {**columns})
    return Tape("synthetic", [TapeFeed(_INSTRUMENT, recording, [], "", exchange_clock=True)])


def open_replay(tape: Tape, settings: Settings, variant: str) -> Replay:
    """Wired as a run wires it."""
    instruments = [feed.instrument for feed in tape.feeds]
    if variant != "plain":
        cache, features, sim = settings.md_cache, feature_settings(settings), settings.sim
        compiled = CompiledWorld(tape.feeds, cache, features, sim, _SEED)
        engine = build_engine(settings, instruments, compiled.markets, arm="A", clock=stopwatch)
        world = functools.partial(compiled.attach, engine)
    else:
        markets = plain_markets(settings, instruments)
        engine = build_engine(settings, instruments, markets, arm="A", clock=stopwatch)
        world = functools.partial(PlainWorld, tape, engine, settings.sim, _SEED)
    times = Times(
        first_ns=tape.feeds[0].columns.meta.first_ns,
        tape_end_ns=tape.last_ns,
        tick_ns=round(settings.pipeline.tick_interval_ms * MS),
        sample_ns=round(settings.telemetry.sample_interval_s * SECOND),
        duration_ns=None,
    )
    return (FilteredReplay if variant == "filtered" else Replay)(engine, times, world, lambda: 0)


def play(columns: Columns, what: Asked) -> tuple[float, Outcome]:
    """One replay with its rows, timed without wiring."""
    shipped = load_settings([ROOT / "config.yaml"])
    pipeline = msgspec.structs.replace(shipped.pipeline, tick_interval_ms=float(what.tick_ms))
    settings = msgspec.structs.replace(shipped, pipeline=pipeline)
    replay = open_replay(tape_of(columns), settings, what.variant)
    folder = Path(tempfile.mkdtemp())
    writer = FeedWriter(folder, run_id="bench", arm="A", data_kind="synthetic")

    def write() -> None:
        for rows in replay.run():
            writer.write(rows)
        writer.close()

    try:
        cpu_s, _ = timed(write)
    finally:
        shutil.rmtree(folder)
    counts = replay.counts
    return cpu_s, Outcome(counts.ticks, counts.orders, counts.cancels, 0)


def main() -> None:
    """Measure in this process and say so in one line."""
    what = asked(["compiled", "filtered", "plain"])
    columns = load(what.columns)
    ends = np.flatnonzero(columns["kind"] & 0x80)
    play({name: column[: ends[1000] + 1] for name, column in columns.items()}, what)  # loads the kernel
    runs = [play(columns, what) for _ in range(what.repeat)]
    versions = {name: importlib.metadata.version(name) for name in ("mmbot", "numba", "numpy", "msgspec")}
    report(what, len(columns["kind"]) - 1, runs, versions)


if __name__ == "__main__":
    main()
