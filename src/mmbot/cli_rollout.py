"""`mmbot rollout`: where a rollout stands, and the buttons: they write its audit log, which bots follow."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mmbot import audit
from mmbot.clock import wall_ns
from mmbot.errors import ConfigError
from mmbot.experiment.plan import load_experiment
from mmbot.experiment.rollout import Action, State, Status
from mmbot.ops.rollouts import followers, wait_for
from mmbot.runtime.rollout_folder import ROLLOUTS, RolloutFolder
from mmbot.units import SECOND, parse_duration

app = typer.Typer(no_args_is_help=True, help="A staged rollout: where it stands, and its buttons.")
_Name = Annotated[str, typer.Argument(metavar="PLAN", help="Its file, or its name.")]
_Artifacts = Annotated[Path, typer.Option(help="As the bot's.")]
_Reason = Annotated[str, typer.Option(help="Stands in the audit log.")]
_Wait = Annotated[str, typer.Option(help="How long running bots may take to be back on the baseline.")]
_BY = "mmbot rollout"
_DATA = Path("../shared/data")
_QUIET = ("ts_ns", "action", "before_sha256", "sha256", "ts_of_run_ns")


@app.command()
def status(name: _Name, artifacts: _Artifacts = Path("artifacts")) -> None:
    """Print where it stands, which bots follow it, and every transition so far.

    Exit code 1 where the audit log was altered: bots are on the baseline then.
    """
    folder = _folder(name, artifacts)
    broken = audit.broken_line(folder.log)
    if broken is not None:
        typer.echo(f"{folder.log}:{broken}: the audit log was altered at this line", err=True)
        raise typer.Exit(1)
    typer.echo("\n".join(_words(_stands(folder))))
    for bot in followers(artifacts / "running", folder.path):
        typer.echo(f"followed by {bot.run_id} (process {bot.pid})")
    for record in audit.records(folder.log):
        facts = ", ".join(f"{key} {value}" for key, value in record.items() if key not in _QUIET)
        typer.echo(f"{_moment(record['ts_ns'])}  {record['action']:12} {facts}".rstrip())


@app.command()
def rehearse(
    plan: Annotated[Path, typer.Argument(help="File of the plan.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of captures. Default: ../shared/data if there.")
    ] = None,
    scenarios: Annotated[Path, typer.Option(help="Folder of scenario files.")] = Path("scenarios"),
    artifacts: _Artifacts = Path("artifacts"),
) -> None:
    """Walk the rollback on the paper exchange, with both arms of the plan, over real sockets.

    Records in the audit log how long it took; no live stage begins before. Exit code 2 where it fails.
    """
    from mmbot.ops.rehearsal import rehearse as walk  # noqa: PLC0415 (sockets and kernels cost 1 s to import)

    experiment = load_experiment(plan, scenarios, live=True)
    done = walk(plan, scenarios, data or (_DATA if _DATA.is_dir() else None))
    folder = _folder(experiment.plan.name, artifacts)
    folder.plan(experiment, wall_ns())
    folder.record(Action.REHEARSED, wall_ns(), by=_BY, took_s=done.took_s, config_sha256=done.config_sha256)
    typer.echo(
        f"rehearsed: {done.candidate_orders} orders of the candidate gone and the baseline in force after "
        f"{done.took_s:.2f} s, config_sha256 {done.config_sha256}"
    )


@app.command()
def pause(
    name: _Name, reason: _Reason = "mmbot rollout pause", artifacts: _Artifacts = Path("artifacts")
) -> None:
    """Quote on the baseline until it is resumed."""
    state = _folder(name, artifacts).record(Action.PAUSED, wall_ns(), reason=reason, by=_BY)
    typer.echo("\n".join(_words(state)))


@app.command()
def resume(name: _Name, artifacts: _Artifacts = Path("artifacts")) -> None:
    """Go on with the stage that was paused. It begins anew."""
    state = _folder(name, artifacts).record(Action.RESUMED, wall_ns(), by=_BY)
    typer.echo("\n".join(_words(state)))


@app.command()
def rollback(
    name: _Name,
    reason: _Reason = "mmbot rollout rollback",
    wait: _Wait = "30s",
    artifacts: _Artifacts = Path("artifacts"),
) -> None:
    """End the rollout: every bot that follows it returns to the baseline, for good.

    Waits until each has recorded the hash that it is back on. Exit code 0 only when all have, or none runs.
    """
    folder = _folder(name, artifacts)
    if not folder.log.exists():
        raise ConfigError(f"{folder.log}: nothing is planned: expected the name of a plan")
    bots = followers(artifacts / "running", folder.path)
    state = folder.force_back(reason, _BY, wall_ns())
    if state is None:
        typer.echo(f"{folder.log}: was altered: bots that follow it are on the baseline", err=True)
        raise typer.Exit(1)
    if not bots:
        folder.record(Action.ROLLED_BACK, wall_ns(), config_sha256=None, by=_BY, reason="no bot follows")
        typer.echo("rolled back; no bot follows it")
        return
    late = wait_for(folder, bots, _seconds(wait))
    typer.echo("\n".join(_words(_stands(folder))))
    for bot in late:
        typer.echo(f"{bot.run_id} (process {bot.pid}): is NOT proven to be back within {wait}", err=True)
    raise typer.Exit(1 if late else 0)


def _folder(name: str, artifacts: Path) -> RolloutFolder:
    return RolloutFolder(artifacts / ROLLOUTS / Path(name).stem)


def _stands(folder: RolloutFolder) -> State:
    state = folder.state()
    if state is None:
        raise ConfigError(f"{folder.log}: nothing is planned: expected the name of a plan")
    return state


def _words(state: State) -> Sequence[str]:
    """For people."""
    lines = [f"{state.plan}: {state.status}" + (f": {state.reason}" if state.reason else "")]
    if state.stage is not None and not state.over:
        how = "passed" if state.passed else "goes on"
        lines.append(f"stage {state.stage}, begun at {_moment(state.began_ns)}, {how}")
    if state.status is Status.ROLLED_BACK:
        back = state.returned or "nothing that a bot has proven yet"
        lines.append(f"baseline {' or '.join(state.baseline_sha256)}, back on {back}")
    return lines


def _moment(ts_ns: int) -> str:
    return f"{dt.datetime.fromtimestamp(ts_ns / SECOND, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


def _seconds(wait: str) -> float:
    try:
        return parse_duration(wait) / SECOND
    except ValueError as error:
        raise ConfigError(f"--wait: {error}") from error
