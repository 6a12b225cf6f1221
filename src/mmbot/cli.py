"""The door for people: the `mmbot` command."""

import math
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from mmbot.clock import wall_ns
from mmbot.errors import ConfigError, MmbotError
from mmbot.runtime.run import EngineKind, Run, RunRequest
from mmbot.runtime.summary import Summary
from mmbot.units import SECOND, parse_duration

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
_DATA = Path("../shared/data")


@app.callback()
def _commands() -> None:
    """A market-making bot. Gates run it through pytest: `pytest -m shadow`."""


@app.command()
def run(
    scenario: Annotated[str, typer.Option(help="Name of a file in scenarios/.")] = "demo",
    mode: Annotated[
        str, typer.Option(help="replay: a recording, a simulated venue, a virtual clock.")
    ] = "replay",
    config: Annotated[Path, typer.Option(help="Base configuration.")] = Path("config.yaml"),
    config_override: Annotated[
        list[Path] | None, typer.Option(help="Overlay; repeatable, last wins.")
    ] = None,
    duration: Annotated[
        str | None, typer.Option(help="60m, 24h, ... or all of the recording. Default: the scenario's own.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of captures. Default: ../shared/data if there.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run directory to make. Default: artifacts/runs/<id>.")
    ] = None,
    engine: Annotated[
        EngineKind, typer.Option(help="Play in ordinary Python or in the kernel; results are equal.")
    ] = EngineKind.AUTO,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the latency models.")] = None,
    scenarios: Annotated[Path, typer.Option(help="Folder of scenario files.")] = Path("scenarios"),
) -> None:
    """Run the bot over a scenario and print what it did."""
    if mode != "replay":
        raise ConfigError(f"--mode: was {mode!r}, expected replay")
    run_id = f"run-{scenario}-{wall_ns()}"
    request = RunRequest(
        scenario=scenario,
        scenarios=scenarios,
        config=[config, *(config_override or [])],
        data=data or (_DATA if _DATA.is_dir() else None),
        run_id=run_id,
        directory=out or Path("artifacts/runs") / run_id,
        duration_s=_seconds(duration),
        seed=seed,
        engine=engine,
    )
    console = Console()
    opened = Run(request)
    summary = Summary([feed.instrument for feed in opened.tape.feeds])
    opened.observers.append(summary)
    _play(opened, summary, console)
    console.print(_table(opened, summary, request))


def main() -> None:
    """Console entry: bad input is one line and exit code 2; a bug keeps its traceback."""
    try:
        app()
    except MmbotError as error:
        sys.stderr.write(f"mmbot: {error}\n")
        sys.exit(2)


def _seconds(duration: str | None) -> float | None:
    if duration is None:
        return None
    if duration == "all":
        return math.inf
    try:
        return parse_duration(duration) / SECOND
    except ValueError as error:
        raise ConfigError(f"--duration: {error}") from error


def _play(opened: Run, summary: Summary, console: Console) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("replay", total=opened.planned_ns / SECOND)
        for _ in opened:
            if opened.started_ns is not None:
                progress.update(task, completed=(summary.now_ns - opened.started_ns) / SECOND)


def _table(opened: Run, summary: Summary, request: RunRequest) -> Table:
    kind = opened.tape.kind
    mark = "  SYNTHETIC DATA" if kind == "synthetic" else ""
    table = Table(title=f"{request.scenario}, {kind}{mark}", show_header=False, title_justify="left")
    counts, sim = opened.counts, opened.settings.sim
    table.add_row("ticks", str(counts.ticks))
    table.add_row("orders", f"{counts.orders} sent, {counts.cancels} cancels, {counts.rejects} rejects")
    for name, text in summary.market():
        table.add_row(name, text)
    for key, bot in opened.engine.bots.items():
        table.add_section()
        table.add_row(key, f"fees: {bot.instrument.fees.tier}")
        for name, text in summary.trading(bot):
            table.add_row(name, text)
    table.add_section()
    table.add_row("models", f"queue {sim.queue.name}; entry {sim.entry.name}; response {sim.response.name}")
    table.add_row("run digest", opened.digest)
    table.add_row("written to", str(request.directory))
    return table
