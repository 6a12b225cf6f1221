"""`mmbot run`: the bot over a scenario or at a venue, without pytest."""

import contextlib
import datetime as dt
import math
import signal
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from mmbot import cli_live, cli_soak
from mmbot.cli_options import Config, Data, Override, Scenarios, captures, duration_s
from mmbot.clock import wall_ns
from mmbot.errors import ConfigError
from mmbot.experiment.arms import BASELINE
from mmbot.experiment.plan import Stage, load_experiment
from mmbot.runtime import checkpoint
from mmbot.runtime.faults import parse_fault
from mmbot.runtime.kept_run import KeptRun
from mmbot.runtime.live_request import LiveRequest, live_interrupted
from mmbot.runtime.rollout_folder import ROLLOUTS
from mmbot.runtime.run import EngineKind, Run, RunRequest, interrupted
from mmbot.runtime.running import announced
from mmbot.runtime.shown import shown
from mmbot.runtime.summary import Summary
from mmbot.units import SECOND

_NOT_OF_SOAK = (
    "out", "engine", "wake_filter", "scenarios", "inject", "running", "metrics_port", "account", "adopt",
    "plan", "stage",
)  # fmt: skip


class Mode(StrEnum):
    """How `mmbot run` plays."""

    REPLAY = "replay"
    SHADOW = "shadow"
    SOAK = "soak"
    LIVE = "live"


def run(
    context: typer.Context,
    scenario: Annotated[
        str, typer.Option(help="Name of a file in scenarios/. Of soak the default is soak-72h.")
    ] = "demo",
    mode: Annotated[
        Mode,
        typer.Option(
            help="replay: a recording, a simulated venue, a virtual clock."
            " shadow: live data of --venue, a simulated venue, the wall clock."
            " soak: replay, or shadow if --venue is given, as `pytest -m soak`: watched, judged, published."
            " live: real orders at --venue; see docs/live.md."
        ),
    ] = Mode.REPLAY,
    venue: Annotated[str, typer.Option(help="Of shadow and live: a file in scenarios/live/.")] = "bybit",
    host: Annotated[
        str | None,
        typer.Option(
            help="Of shadow and live: mainnet, testnet, a domain, or http://HOST:PORT. Default: the file's."
        ),
    ] = None,
    config: Config = Path("config.yaml"),
    config_override: Override = None,
    duration: Annotated[
        str | None,
        typer.Option(
            help="60m, 24h, ... or all of the recording. Of soak, 72 is 72h. Default: the scenario's own."
        ),
    ] = None,
    data: Data = None,
    out: Annotated[
        Path | None, typer.Option(help="Run directory to make. Default: artifacts/runs/<id>.")
    ] = None,
    engine: Annotated[
        EngineKind, typer.Option(help="Play in ordinary Python or in the kernel; results are equal.")
    ] = EngineKind.AUTO,
    wake_filter: Annotated[  # noqa: FBT002 (an option of the command line)
        bool, typer.Option("--wake-filter", help="Leave out ticks at which nothing would happen.")
    ] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the latency models.")] = None,
    scenarios: Scenarios = Path("scenarios"),
    inject: Annotated[
        list[str] | None,
        typer.Option(help="Fault from the start of the tape on: silence@10m+5s, gap@15m; repeatable."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Run directory of a run that was interrupted: go on as it was asked for, a replay behind its"
            " last checkpoint, a live run from now on. Takes no other option but --running and ports."
        ),
    ] = None,
    running: Annotated[
        Path, typer.Option(help="Folder in which a bot says that it runs; `mmbot rollback` looks there.")
    ] = Path("artifacts/running"),
    status_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            help="Show the run at http://127.0.0.1:PORT/ while it plays, and its /metrics; 0: a free port.",
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            help="Serve /metrics on this port of 127.0.0.1; 0: a free one. Default: telemetry.metrics_port.",
        ),
    ] = None,
    account: cli_live.AccountName = None,
    adopt: Annotated[
        list[str] | None,
        typer.Option(help="Of a live run: venue:SYMBOL whose books may begin at a position; repeatable."),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            help="Run both arms of this experiment (experiments/NAME.yaml), whose files take the place of"
            " --config: of a replay as --stage says, of shadow and live as the rollout in"
            " ARTIFACTS/edge/rollout/NAME does; see docs/rollout.md."
        ),
    ] = None,
    stage: Annotated[
        Stage | None, typer.Option(help="Of a replay with --plan: 10, 50 or 100 % of blocks for arm B.")
    ] = None,
    artifacts: Annotated[
        Path,
        typer.Option(
            help="Of a live run: where prep wrote its verdict, accounts and rollouts are kept. Of soak: its"
            " output."
        ),
    ] = Path("artifacts"),
) -> None:
    """Run the bot over a scenario and print what it did.

    SIGHUP makes a running bot read its configuration again and take it between two ticks, all or nothing.
    SIGTERM and Ctrl-C halt it; a run that was halted so, or killed, goes on with --resume.
    """
    if resume is not None:
        _check_alone(context, "resume", "running", "metrics_port", "status_port")
        with _resumed(resume) as opened:
            _run(opened, running, str(resume), status_port, metrics_port)
        return
    if mode is Mode.SOAK:
        for option in _NOT_OF_SOAK:
            if _given(context, option):
                raise ConfigError(f"--mode soak: takes no --{option.replace('_', '-')}")
        asked = cli_soak.SoakRequest(
            scenario=scenario if _given(context, "scenario") else None,
            venue=venue if _given(context, "venue") else None,
            host=host,
            config=[config, *(config_override or [])] if config_override or _given(context, "config") else [],
            duration=duration,
            data=data,
            seed=seed,
            artifacts=artifacts,
            status_port=status_port,
        )
        raise typer.Exit(cli_soak.soak(asked))
    name = scenario if mode is Mode.REPLAY else venue
    run_id = f"run-{name}-{wall_ns()}"
    directory = out or Path("artifacts/runs") / run_id
    configs = _files(context, [config, *(config_override or [])], plan, scenarios, mode)
    opening: contextlib.AbstractContextManager[KeptRun]
    if mode is Mode.REPLAY:
        played = RunRequest(
            scenario=scenario,
            scenarios=scenarios,
            config=configs,
            data=captures(data),
            run_id=run_id,
            directory=directory,
            duration_s=duration_s(duration),
            seed=seed,
            engine=EngineKind.COMPILED if wake_filter and engine is EngineKind.AUTO else engine,
            wake_filter=wake_filter,
            faults=tuple(map(parse_fault, inject or [])),
            plan=plan,
            stage=stage,
        )
        opening = contextlib.nullcontext(Run(played))
    else:
        if inject or wake_filter or data or stage or engine is not EngineKind.AUTO:
            raise ConfigError(
                f"--mode {mode}: takes none of --inject, --wake-filter, --data, --stage and --engine"
            )
        request = LiveRequest(
            scenario=venue,
            scenarios=scenarios / "live",
            config=configs,
            run_id=run_id,
            directory=directory,
            duration_s=duration_s(duration),
            seed=seed,
            host=host,
            plan=plan,
            rollouts=artifacts / ROLLOUTS,
        )
        if mode is Mode.SHADOW:
            from mmbot.runtime.live_run import ShadowRun  # noqa: PLC0415 (numba costs 0.6 s to import)

            opening = contextlib.nullcontext(ShadowRun(request))
        else:
            opening = cli_live.trading(request, account, frozenset(adopt or []), artifacts)
    with opening as opened:
        _run(opened, running, name, status_port, metrics_port)


def _resumed(directory: Path) -> contextlib.AbstractContextManager[KeptRun]:
    """The run that was interrupted in this directory, opened to go on."""
    document = checkpoint.read(directory)[0].request
    mode = Mode(document.get("mode", Mode.REPLAY))
    if mode is Mode.REPLAY:
        return contextlib.nullcontext(Run(interrupted(directory)))
    request = live_interrupted(document, directory)
    if mode is Mode.LIVE:
        accounts = Path(document["accounts"])
        return cli_live.trading(request, document["account"], frozenset(document["adopt"]), accounts.parent)
    from mmbot.runtime.live_run import ShadowRun  # noqa: PLC0415 (numba costs 0.6 s to import)

    return contextlib.nullcontext(ShadowRun(request))


def _run(
    opened: KeptRun, running: Path, name: str, status_port: int | None, metrics_port: int | None
) -> None:
    """Play it, and say what it did."""
    if metrics_port is not None:
        opened.metrics_port = metrics_port
    console = Console()
    summary = Summary(opened.instruments)
    opened.observers += [summary, cli_live.Notable(console)]
    with contextlib.ExitStack() as stack:
        url = None
        if status_port is not None:
            _, url = stack.enter_context(shown(opened, status_port, "--status-port"))
            console.print(f"shown at {url}", markup=False, highlight=False)
        stack.enter_context(announced(opened, running, url))
        stack.enter_context(_told_to_stop(opened))
        _play(opened, summary, console)
    console.print(_table(opened, summary, name))


def _files(
    context: typer.Context, config: list[Path], plan: Path | None, scenarios: Path, mode: Mode
) -> list[Path]:
    """The configuration: a plan names its own. Raises ConfigError."""
    if plan is None:
        if mode is Mode.LIVE and not _given(context, "config"):
            raise ConfigError("--mode live: expected --config, the files that prep has passed")
        return config
    for option in ("config", "config_override"):
        if _given(context, option):
            raise ConfigError(f"--plan: names its own files: expected no --{option.replace('_', '-')}")
    return load_experiment(plan, scenarios, live=mode is not Mode.REPLAY).plan.files(BASELINE)


def _check_alone(context: typer.Context, option: str, *beside: str) -> None:
    """Raise ConfigError for an option that another one leaves no place for."""
    others = [name for name in context.params if name not in (option, *beside) and _given(context, name)]
    if others:
        given = ", ".join(f"--{name.replace('_', '-')}" for name in others)
        raise ConfigError(f"--{option}: goes on as the run was asked for: expected no {given}")


def _given(context: typer.Context, option: str) -> bool:
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


@contextlib.contextmanager
def _told_to_stop(opened: KeptRun) -> Iterator[None]:
    """SIGTERM and Ctrl-C halt a run: quotes are pulled, and what was done is written down. A checkpoint is
    left.
    """

    def told(number: int, _: object) -> None:
        opened.suspend(signal.Signals(number).name)

    before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _play(opened: KeptRun, summary: Summary, console: Console) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    planned_ns = opened.planned_ns
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("run", total=None if math.isinf(planned_ns) else planned_ns / SECOND)
        for number, _ in enumerate(opened):
            if number == 0 and opened.url is not None:
                console.print(f"metrics on {opened.url}/metrics", highlight=False)
            progress.update(task, completed=opened.played_ns(summary.now_ns) / SECOND)


def _table(opened: KeptRun, summary: Summary, title: str) -> Table:
    kind = opened.data_kind
    mark = "  SYNTHETIC DATA" if kind == "synthetic" else ""
    table = Table(title=f"{title}, {kind}{mark}", show_header=False, title_justify="left")
    counts, sim = opened.counts, opened.settings.sim
    if opened.resumed_ns is not None:
        at = f"{dt.datetime.fromtimestamp(opened.resumed_ns // SECOND, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
        table.add_row("resumed", f"at {at}: counts and digest are of the whole run, the rest is since then")
    skipped = f", {counts.skipped_ticks} left out by the wake filter" if counts.skipped_ticks else ""
    dropped = f", {counts.dropped_ticks} dropped" if counts.dropped_ticks else ""
    table.add_row("ticks", f"{counts.ticks}{skipped}{dropped}")
    table.add_row(
        "orders",
        f"{counts.orders} sent, {counts.amends} amends, {counts.cancels} cancels, {counts.rejects} rejects",
    )
    for name, text in summary.market():
        table.add_row(name, text)
    for key, bot in opened.engine.bots.items():
        table.add_section()
        table.add_row(key, f"fees: {bot.instrument.fees.tier}")
        for name, text in summary.trading(bot):
            table.add_row(name, text)
    table.add_section()
    if opened.venue_is_simulated:
        table.add_row(
            "models", f"queue {sim.queue.name}; entry {sim.entry.name}; response {sim.response.name}"
        )
    table.add_row("run digest", opened.digest)
    table.add_row("written to", str(opened.directory))
    return table
