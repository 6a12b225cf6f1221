"""The door for people: the `mmbot` command."""

import contextlib
import datetime as dt
import math
import signal
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from mmbot import cli_calibrate, cli_live, cli_metrics, cli_record, cli_rollout, cli_soak, cli_workflow
from mmbot.audit import broken_line
from mmbot.cli_paper import paper
from mmbot.cli_sweep import sweep
from mmbot.cli_top import top
from mmbot.clock import wall_ns
from mmbot.config.explain import Explained
from mmbot.config.explain import explain as explained
from mmbot.config.flags import FLAGS, registry_markdown
from mmbot.config.flags import text as flag_text
from mmbot.config.scenario import load_scenario
from mmbot.config.settings import load_config, settings_of
from mmbot.config.snapshot import SNAPSHOT, Snapshot, load_snapshot
from mmbot.errors import ConfigError, MmbotError
from mmbot.experiment.arms import BASELINE
from mmbot.experiment.plan import Stage, load_experiment
from mmbot.ops.calibrate import calibrate_glft, overlay
from mmbot.ops.files import write_atomically
from mmbot.ops.gradual import GRADUAL, load_step_back
from mmbot.ops.plan import plan
from mmbot.ops.reloads import Outcome, using
from mmbot.ops.rollback import Rollback, Values, apply, ask_running, targets, work_out
from mmbot.ops.steps import run_step
from mmbot.runtime import checkpoint
from mmbot.runtime.faults import parse_fault
from mmbot.runtime.kept_run import KeptRun
from mmbot.runtime.live_request import LiveRequest, live_interrupted
from mmbot.runtime.rollout_folder import ROLLOUTS
from mmbot.runtime.run import EngineKind, Run, RunRequest, interrupted
from mmbot.runtime.running import announced
from mmbot.runtime.shown import shown
from mmbot.runtime.summary import Summary
from mmbot.units import SECOND, parse_duration


class Mode(StrEnum):
    """How `mmbot run` plays."""

    REPLAY = "replay"
    SHADOW = "shadow"
    SOAK = "soak"
    LIVE = "live"


app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
config_app = typer.Typer(
    no_args_is_help=True, help="What the bot is told: show it, check it, list its flags."
)
app.add_typer(config_app, name="config")
app.command()(paper)
app.command()(top)
app.command()(sweep)
calibrate_app = typer.Typer(no_args_is_help=True, help="Measure the numbers of the spread from data.")
app.add_typer(calibrate_app, name="calibrate")
calibrate_app.command()(cli_calibrate.weights)
calibrate_app.command()(cli_calibrate.queue)
app.command("record")(cli_record.command)
app.command("metrics")(cli_metrics.command)
app.command()(cli_workflow.status)
app.command("next", context_settings={"allow_extra_args": True})(cli_workflow.next_)
app.command("all")(cli_workflow.all_)
app.command()(cli_live.kill)
app.command()(cli_live.resume)
app.command()(cli_live.guard)
app.add_typer(cli_rollout.app, name="rollout")
_DATA = Path("../shared/data")
_NOT_OF_SOAK = (
    "out", "engine", "wake_filter", "scenarios", "inject", "running", "metrics_port", "account", "adopt",
    "plan", "stage",
)  # fmt: skip

Scenario = Annotated[str, typer.Option(help="Name of a file in scenarios/.")]
Scenarios = Annotated[Path, typer.Option(help="Folder of scenario files.")]
Config = Annotated[Path, typer.Option(help="Base configuration.")]
Override = Annotated[list[Path] | None, typer.Option(help="Overlay; repeatable, last wins.")]
Data = Annotated[Path | None, typer.Option(help="Folder of captures. Default: ../shared/data if there.")]


@app.callback()
def _commands() -> None:
    """A market-making bot. Gates run it through pytest: `pytest -m shadow`."""


@app.command()
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
            data=_captures(data),
            run_id=run_id,
            directory=directory,
            duration_s=_duration_s(duration),
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
            duration_s=_duration_s(duration),
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


@config_app.command()
def show(
    scenario: Annotated[str | None, typer.Option(help="With the overlay of this scenario.")] = None,
    config: Config = Path("config.yaml"),
    config_override: Override = None,
    scenarios: Scenarios = Path("scenarios"),
    *,
    explain: Annotated[
        bool, typer.Option("--explain", help="Add the file and line that each value comes from.")
    ] = False,
) -> None:
    """Print every effective value, and the hash of all of them that a run's manifest will carry."""
    overlay = None if scenario is None else load_scenario(scenario, scenarios)[1]
    document = load_config([config, *(config_override or [])], overlay)
    settings = settings_of(document)
    lines = explained(document, settings)
    width = max(len(f"{line.key} = {line.written}") for line in lines)
    for line in lines:
        text = f"{line.key} = {line.written}"
        typer.echo(f"{text:{width}}  {_origin(line)}" if explain else text)
    typer.echo(f"config_sha256 = {settings.sha256()}")


@config_app.command()
def check(
    scenario: Scenario = "demo",
    config: Config = Path("config.yaml"),
    config_override: Override = None,
    data: Data = None,
    scenarios: Scenarios = Path("scenarios"),
) -> None:
    """Validate the merged configuration and print what it can earn on each instrument, with the arithmetic.

    Exit code 1 where it can earn nothing or trade nothing.
    """
    planned = plan(scenario, scenarios, [config, *(config_override or [])], _captures(data))
    for one in planned.economics:
        typer.echo("\n".join(one.lines))
    problems = sum(len(one.problems) for one in planned.economics)
    typer.echo(f"{problems} problems" if problems else "configuration is sound")
    raise typer.Exit(1 if problems else 0)


@config_app.command()
def flags(
    config: Config = Path("config.yaml"),
    config_override: Override = None,
    *,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print docs/FEATURE_FLAGS_REGISTRY.md instead.")
    ] = False,
) -> None:
    """List every feature flag: its value, default, rollback value, and what it does."""
    if markdown:
        typer.echo(registry_markdown(), nl=False)
        return
    settings = settings_of(load_config([config, *(config_override or [])]))
    for flag in FLAGS:
        value, default, rollback = map(flag_text, (flag.of(settings), flag.default, flag.rollback))
        typer.echo(
            f"{flag.name}: {flag.key} = {value} (default {default}, rollback {rollback}, {flag.owner})"
        )
        typer.echo(f"    {flag.effect}")


@calibrate_app.command()
def glft(
    scenario: Scenario = "demo",
    symbol: Annotated[
        str | None, typer.Option(help="venue:SYMBOL. Needed where the scenario has several.")
    ] = None,
    window: Annotated[str, typer.Option(help="How long a virtual quote waits to be reached.")] = "1s",
    duration: Annotated[
        str | None, typer.Option(help="Of the data, from its beginning. Default: all.")
    ] = None,
    nearest_bps: Annotated[
        float, typer.Option(min=0.0, help="Fit from this distance on: where quotes would pay.")
    ] = 0.0,
    out: Annotated[Path | None, typer.Option(help="Overlay to write. Default: print it.")] = None,
    data: Data = None,
    scenarios: Scenarios = Path("scenarios"),
) -> None:
    """Fit the fill intensities A exp(-k distance) of spread.model glft, and write them as an overlay for
    --config-override that says what they were measured from.

    Refuses, with what was found, where the data does not show them: exit code 2, and nothing written.
    """
    done = calibrate_glft(
        scenario,
        scenarios,
        _captures(data),
        symbol=symbol,
        window_ns=_nanoseconds("--window", window),
        duration_ns=None if duration is None else _nanoseconds("--duration", duration),
        nearest_bps=nearest_bps,
    )
    text = overlay(done)
    if out is None:
        typer.echo(text, nl=False)
        return
    write_atomically({out: text.encode()})
    typer.echo(f"written to {out}")


@app.command()
def prep(
    scenario: Annotated[
        list[str] | None, typer.Option(help="Market for the money arithmetic; repeatable. Default: demo.")
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option(
            help="Base, then overlays; repeatable. Default: config.yaml and config.soak_overrides.yaml."
        ),
    ] = None,
    data: Data = None,
    out: Annotated[Path, typer.Option(help="Where artifacts go.")] = Path("artifacts"),
) -> None:
    """May this configuration go on to a shadow run? The same as `pytest -m prep`, exit code included.

    Checks the merged configuration, its flags, what it can earn and what gates ask it to earn. Writes
    OUT/reports/PREP_LOG.md and OUT/verdicts/prep.json; if all is green, also
    OUT/release/FEATURE_FLAGS_SNAPSHOT.json, from which `mmbot rollback` restores.
    """
    arguments = ["--mmgates-out", str(out)]
    arguments += [] if data is None else ["--mmgates-data", str(data)]
    for name in scenario or []:
        arguments += ["--mmgates-scenario", name]
    for path in config or []:
        arguments += ["--mmgates-config", str(path)]
    raise typer.Exit(run_step("prep", arguments))


@app.command()
def dataset(
    begin: Annotated[
        str | None,
        typer.Option("--from", help="As ISO 8601: 2025-01-15T00:00:00Z. Default: the first tick."),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="Its end, not in it. Default: the last tick.")
    ] = None,
    interval: Annotated[str, typer.Option(help="Length of an interval, a divisor of a day: 5m, 1h.")] = "5m",
    feeds: Annotated[
        list[str] | None,
        typer.Option(
            help="As a soak publishes them, or a run directory; repeatable. Default: OUT/edge/feeds."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where artifacts go.")] = Path("artifacts"),
) -> None:
    """Turn feeds of soaks into a calibration dataset. The same as `pytest -m dataset`, exit code included.

    Writes OUT/edge/datasets/calib_FROM_TO.json and .parquet, intervals and fills, and
    OUT/edge/reports/calib_summary_FROM_TO.md with its charts; OUT/verdicts/dataset.json says whether they
    will do. Columns, formulas and filters: docs/dataset.md.
    """
    arguments = [f"--mmgates-out={out}", f"--mmgates-interval={interval}"]
    arguments += [] if begin is None else [f"--mmgates-from={begin}"]
    arguments += [] if end is None else [f"--mmgates-to={end}"]
    arguments += [f"--mmgates-feeds={place}" for place in feeds or []]
    raise typer.Exit(run_step("dataset", arguments))


@app.command()
def daily(
    date: Annotated[
        str | None, typer.Option(help="The UTC day, as 2026-01-31. Default: the last whole one.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Artifacts: runs to tell of, and where the report goes.")] = Path(
        "artifacts"
    ),
) -> None:
    """What all runs did on a day, beside the seven before. The same as `pytest -m daily`, exit code included.

    Writes OUT/reports/daily/DATE.md, .html and .json, OUT/reports/ALERT_RULES.md, and
    OUT/verdicts/daily.json, which says whether it was a good day: docs/daily.md.
    """
    arguments = [f"--mmgates-out={out}"] + ([] if date is None else [f"--mmgates-date={date}"])
    raise typer.Exit(run_step("daily", arguments))


@app.command()
def rollback(
    to: Annotated[
        str | None,
        typer.Option(
            help=f"Snapshot to restore from, or a smaller step back that prep made: {', '.join(GRADUAL)}."
            " Default: the snapshot in OUT/release."
        ),
    ] = None,
    values: Annotated[
        Values | None,
        typer.Option(
            help="previous: before the snapshot; new: as released in it; registry: those held safe."
            " Default: previous, and new of a smaller step back."
        ),
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option(
            help="The bot's files: base, then overlays; repeatable. Default: those of the snapshot."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Artifacts: snapshot, audit log, and who runs (OUT/running).")
    ] = Path("artifacts"),
    wait: Annotated[
        str | None,
        typer.Option(
            help="How long running bots may take to report their new settings. Default: 10s, with --kill 1s."
        ),
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the diff and change nothing.")] = False,
    kill: Annotated[
        bool,
        typer.Option("--kill", help="Then do as `mmbot kill`, whatever came of the flags; its exit codes."),
    ] = False,
    reason: Annotated[str, typer.Option(help="Of --kill: stands in the marker.")] = "mmbot rollback --kill",
    venue: Annotated[str, typer.Option(help="Of --kill: a file in scenarios/live/.")] = "bybit",
    host: Annotated[str | None, typer.Option(help="Of --kill: as the bot's. Default: the file's.")] = None,
    account: cli_live.AccountName = None,
    give_up: Annotated[
        str | None, typer.Option(help="Of --kill: stop trying after 30s, 5m, ... Default: never.")
    ] = None,
    scenarios: Scenarios = Path("scenarios"),
) -> None:
    """The red button: set the feature flags back to recorded values, all or none.

    Changes single values in the files that have the last word on them and leaves every other character alone.
    Refuses a snapshot that was edited, prints the diff, and appends to OUT/release/audit.jsonl.

    Then asks every running bot that uses one of the files to reload, and waits until each reports the hash
    that its files now stand for. Exit code 1 where one does not: the files are changed, that bot is not.

    With --kill the bot of the account is stopped then and its orders are cancelled, all symbols, both arms,
    until the venue lists none: exit code 3 where orders may be left.
    """
    if kill and dry_run:
        raise ConfigError("--kill: cancels orders: expected no --dry-run")
    wait_s = _seconds("--wait", wait or ("1s" if kill else "10s"))
    try:
        code = 0 if _set_back(to, values, config, out, wait_s, dry_run=dry_run) else 1
    except MmbotError as error:
        if not kill:
            raise
        typer.echo(f"mmbot rollback: {error}; orders are cancelled all the same", err=True)
        code = error.exit_code
    if kill:
        cli_live.kill(reason, venue, host, account, give_up, scenarios, out)
    raise typer.Exit(code)


def _set_back(
    to: str | None,
    values: Values | None,
    config: list[Path] | None,
    out: Path,
    wait_s: float,
    *,
    dry_run: bool,
) -> bool:
    """Flags in the files and in every running bot; False if a bot is not on them. Raises MmbotError."""
    small = to in GRADUAL
    values = values or (Values.NEW if small else Values.PREVIOUS)
    snapshot = None
    if to is not None and small:
        snapshot = load_step_back(to, out)
    elif values is not Values.REGISTRY or not config:
        snapshot = load_snapshot(out / "release" / SNAPSHOT if to is None else Path(to))
    planned = work_out(targets(values, snapshot), config or _files_of(snapshot))
    typer.echo(f"files: {' + '.join(map(str, planned.before))}")
    typer.echo(planned.diff, nl=False)
    for flag in () if small else planned.unknown:
        typer.echo(f"{flag}: not in the snapshot, left as it is")
    log = out / "release" / "audit.jsonl"
    if planned.changes and not dry_run:
        apply(planned, log, wall_ns())
        done = f"{len(planned.changes)} flags set"
    else:
        done = f"{len(planned.changes)} flags would be set" if planned.changes else "nothing to change"
    typer.echo(f"{done}\nconfig_sha256 = {planned.config_sha256}")
    in_force = _in_force(planned, out, wait_s, dry_run=dry_run)
    broken = broken_line(log)
    if broken is not None:
        typer.echo(f"{log}:{broken}: the audit log was altered at this line", err=True)
    return in_force


def main() -> None:
    """Console entry: bad input is one line and exit code 2; a bug keeps its traceback."""
    try:
        app()
    except MmbotError as error:
        sys.stderr.write(f"mmbot: {error}\n")
        sys.exit(error.exit_code)


def _in_force(planned: Rollback, out: Path, wait_s: float, *, dry_run: bool) -> bool:
    """Ask the bots that run on these files; False if one is not on them."""
    folder = out / "running"
    if dry_run:
        for bot in using(folder, list(planned.after)):
            typer.echo(bot.line)
        return True
    reports = ask_running(planned, folder, out / "release" / "audit.jsonl", wait_s, wall_ns())
    failed = [one for one in reports if one.outcome is Outcome.FAILED]
    for one in reports:
        typer.echo(one.line, err=one in failed)
    if not reports:
        typer.echo(f"no bot that runs on these files has said so in {folder}")
    if failed:
        typer.echo(
            f"{len(failed)} of {len(reports)} running bots are NOT on these files: stop them, or mend what "
            "they refused and press again",
            err=True,
        )
    return not failed


def _captures(asked: Path | None) -> Path | None:
    return asked or (_DATA if _DATA.is_dir() else None)


def _files_of(snapshot: Snapshot | None) -> list[Path]:
    return [Path(file.path) for file in snapshot.files] if snapshot else []


def _origin(line: Explained) -> str:
    """Where a value was written, and what is in force in its place."""
    where = line.where or "default"
    if line.instead is None:
        return where
    flag, value = line.instead
    return f"{where}, but {flag.key} is off: {flag_text(value)}"


def _duration_s(duration: str | None) -> float | None:
    if duration is None:
        return None
    return math.inf if duration == "all" else _seconds("--duration", duration)


def _seconds(option: str, duration: str) -> float:
    return _nanoseconds(option, duration) / SECOND


def _nanoseconds(option: str, duration: str) -> int:
    try:
        return parse_duration(duration)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from error


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
