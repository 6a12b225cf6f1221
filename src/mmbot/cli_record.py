"""`mmbot record`: frames of a live market into files, and what is seen of it on the terminal."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from mmbot.clock import wall_ns
from mmbot.errors import ConfigError
from mmbot.model.notes import Happened
from mmbot.net.loop import run
from mmbot.recording.manifest import RecordingManifest
from mmbot.recording.mending import mend
from mmbot.runtime.record import RecordRequest, record
from mmbot.runtime.record_statistics import RecordStatistics
from mmbot.units import SECOND


def command(
    venue: Annotated[
        str, typer.Option(help="bybit (linear), bybit_spot, bybit_inverse or binance_usdm.")
    ] = "bybit",
    symbols: Annotated[str, typer.Option(help="Symbols of one connection, separated by commas.")] = "BTCUSDT",
    minutes: Annotated[
        float | None, typer.Option(min=0.0, help="How long. Default: until Ctrl-C or SIGTERM.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="mainnet, testnet, a domain (bybit.eu), or http://HOST:PORT for both doors.")
    ] = "mainnet",
    depth: Annotated[int, typer.Option(help="Levels a side on Bybit: 1, 50, 200 or 1000.")] = 50,
    out: Annotated[
        Path | None, typer.Option(help="Folder to make. Default: artifacts/recordings/<venue>-<time>.")
    ] = None,
    file_mb: Annotated[int, typer.Option(min=1, help="Start another file when one is longer.")] = 256,
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make OUT, which was cut off by force, whole; record nothing.")
    ] = False,
) -> None:
    """Record books and trades of a live market, exactly as received, as a scenario that can be replayed.

    Writes at least once a second. Prints what to run to replay it. Nothing is traded, and no key is needed.
    """
    if repair:
        _repair(out)
        return
    folder = out or Path("artifacts/recordings") / f"{venue}-{wall_ns() // SECOND}"
    names = [name for name in symbols.split(",") if name]
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"--symbols: was {symbols!r}, expected at least one, each once")
    request = RecordRequest(
        venue=venue,
        symbols=names,
        host=host,
        out=folder,
        duration_ns=None if minutes is None else round(minutes * 60 * SECOND),
        depth=depth,
        file_bytes=file_mb << 20,
    )
    console = Console()
    with Live(console=console, auto_refresh=False, transient=True) as live:
        manifest = run(_until_told(request, live))
    _say(console, manifest, folder)


async def _until_told(request: RecordRequest, live: Live) -> RecordingManifest:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()  # noqa: TID251 (signals)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return await record(request, stop, lambda seen: live.update(table(seen), refresh=True))


def table(seen: RecordStatistics) -> Table:
    """What was recorded so far, a row a symbol."""
    state = "connected" if seen.connected else f"not connected {seen.last_reason}"
    losses = seen.happened[Happened.LOST]
    title = f"{seen.elapsed_ns / SECOND:.0f} s, {state}, {losses} connections lost"
    shown = Table(title=title, title_justify="left")
    for name in ("symbol", "snapshots", "deltas", "trades", "delay ms", "troubles"):
        shown.add_column(name, justify="left" if name in ("symbol", "troubles") else "right")
    for key, one in seen.symbols.items():
        delay = "" if one.delay_ms is None else f"{one.delay_ms:.1f}"
        troubles = ", ".join(f"{kind} {count}" for kind, count in sorted(one.troubles.items()))
        shown.add_row(key, str(one.snapshots), str(one.deltas), str(one.trades), delay, troubles)
    return shown


def _repair(out: Path | None) -> None:
    if out is None:
        raise ConfigError("--repair: needs --out, the folder of the recording")
    manifest, moved = mend(out)
    typer.echo(f"{out}: {moved} bytes moved aside, {_frames(manifest)} frames stand")


def _say(console: Console, manifest: RecordingManifest, folder: Path) -> None:
    console.print(f"{_frames(manifest)} frames, {len(manifest.files)} files, {len(manifest.gaps)} gaps")
    for gap in manifest.gaps:
        lasted = "to the end" if gap.until_ns is None else f"{(gap.until_ns - gap.from_ns) / SECOND:.3f} s"
        console.print(f"  {gap.symbol} {gap.kind} {lasted}: {gap.detail}", markup=False)
    sys.stdout.write(f"mmbot run --scenario recording --scenarios {folder} --data {folder}\n")


def _frames(manifest: RecordingManifest) -> int:
    return sum(file.frames for file in manifest.files)
