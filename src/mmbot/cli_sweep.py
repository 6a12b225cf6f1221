"""`mmbot sweep`: many points of the settings over one market, and whether any beats what is in force."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mmbot.cli_options import Config, Data, Override, Scenario, Scenarios, captures, duration_s, nanoseconds
from mmbot.errors import ConfigError

if TYPE_CHECKING:
    from mmbot.ops.sweep import Sweep
    from mmbot.ops.sweep_run import Trouble

_TOLD = 5
"""Points with failures that a terminal is told of."""
_EXIT_CODES = {"PASS": 0, "INCONCLUSIVE": 1, "NO_DATA": 2}


def sweep(
    set_: Annotated[
        list[str],
        typer.Option(
            "--set",
            help="A setting and its values: PATH=FROM:TO:STEP, both ends in it, or PATH=a,b,c. Repeatable:"
            " every combination is a point.",
        ),
    ],
    scenario: Scenario = "demo",
    metric: Annotated[
        str, typer.Option(help="What is to be better; a name that is none lists them. Needs no new replays.")
    ] = "net_bps",
    cluster: Annotated[
        str | None,
        typer.Option(
            help="local:N starts N workers here, tcp://HOST:8786 is a Dask scheduler. Default: one after the"
            " other, here."
        ),
    ] = None,
    data: Data = None,
    duration: Annotated[
        str | None, typer.Option(help="60m, 24h, ... or all of the market. Default: the scenario's own.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, max=1000, help="Draws of the latency models, the same for every point.")
    ] = 1,
    block: Annotated[
        str | None,
        typer.Option(help="Stretches that are compared pair by pair. Default: 2h, or less for 12 of them."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of folder and report. Default: scenario and settings.")
    ] = None,
    config: Config = Path("config.yaml"),
    config_override: Override = None,
    scenarios: Scenarios = Path("scenarios"),
    out: Annotated[Path, typer.Option(help="Where artifacts go.")] = Path("artifacts"),
    shard: Annotated[
        str | None,
        typer.Option(help="Play this one shard here, print its sums and keep nothing: to look at a failure."),
    ] = None,
    *,
    again: Annotated[
        bool, typer.Option("--again", help="Throw away what another sweep of this name left.")
    ] = False,
) -> None:
    """Replay every point of a grid of settings, and tell the best region from luck.

    Writes OUT/reports/SWEEP_NAME.md, .html, .json and .svg. Finished shards are kept in OUT/sweeps/NAME:
    started again, a sweep goes on. Points, metrics and statistics: docs/sweep.md.

    Exit code 0: a point is better than the configuration in force, told apart after allowing for the number
    of points; OUT/sweeps/NAME/proposed.yaml is its overlay. 1: none is. 2: nothing could be told.
    """
    from mmbot.ops.sweep import SweepRequest, open_sweep  # noqa: PLC0415 (scipy and charts, which no run needs)

    opened = open_sweep(
        SweepRequest(
            scenario=scenario,
            scenarios=scenarios,
            config=[config, *(config_override or [])],
            sets=set_,
            data=captures(data),
            out=out,
            metric=metric,
            duration_s=duration_s(duration),
            seeds=seeds,
            block_ns=None if block is None else nanoseconds("--block", block),
            name=name,
        )
    )
    if shard is not None:
        typer.echo(_one_shard(opened, shard))
        return
    from mmbot.ops.sweep_report import write  # noqa: PLC0415
    from mmbot.ops.sweep_run import play_sweep  # noqa: PLC0415
    from mmbot.ops.sweep_store import SweepStore  # noqa: PLC0415
    from mmbot.ops.sweep_verdict import judge  # noqa: PLC0415

    total = len(opened.played) * opened.shards_a_point
    console = Console()
    with SweepStore(opened.folder, opened.content, opened.sha256, again=again) as store:
        with _progress(console, total) as finished:
            outcome = play_sweep(opened, store, cluster, _dashboard(console), finished)
        judged = judge(opened, outcome)
        page = write(judged)
    if outcome.resumed:
        typer.echo(f"{outcome.resumed} of {total} shards were there already")
    _tell_troubles(opened, list(outcome.troubles.values()))
    mark = " (SYNTHETIC)" if opened.kind == "synthetic" else ""
    typer.echo(f"{judged.verdict}{mark}: {judged.reason}")
    typer.echo(f"written to {page}")
    raise typer.Exit(_EXIT_CODES[judged.verdict])


def _one_shard(opened: "Sweep", name: str) -> str:
    """Its digest and sums as JSON. Raises ConfigError for a name that is none, and what the shard raises."""
    from mmbot.ops.sweep_shard import played  # noqa: PLC0415

    for candidate in opened.played:
        for found, shard in opened.shards(candidate):
            if found == name:
                return msgspec.json.encode(played(shard)).decode()
    raise ConfigError(f"--shard: was {name!r}, expected POINT/PART/SEED of this sweep, as in its report")


def _tell_troubles(opened: "Sweep", troubles: "Sequence[Trouble]") -> None:
    """The first few, each with its traceback if it is a bug, and the line that plays it here."""
    from mmbot.ops.sweep_report import replay_line  # noqa: PLC0415

    for trouble in troubles[:_TOLD]:
        typer.echo(f"shard {trouble.shard}: {trouble.detail or trouble.error}", err=True)
        typer.echo(f"    {replay_line(opened, trouble.shard)}", err=True)
    if len(troubles) > _TOLD:
        typer.echo(f"and {len(troubles) - _TOLD} more points, in the report", err=True)


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Callable[[int], None]]:
    """Shards that are done, drawn where a terminal is there."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("shards", total=total)
        yield lambda done: progress.update(task, completed=done)


def _dashboard(console: Console) -> Callable[[str | None], None]:
    def opened(url: str | None) -> None:
        if url is not None:
            console.print(f"cluster at {url}", markup=False, highlight=False)

    return opened
