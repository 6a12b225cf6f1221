"""`mmbot rollback`: feature flags as they were, in the files and in every running bot."""

from pathlib import Path
from typing import Annotated

import typer

from mmbot import cli_live
from mmbot.audit import broken_line
from mmbot.cli_options import Scenarios, seconds
from mmbot.clock import wall_ns
from mmbot.config.snapshot import SNAPSHOT, Snapshot, load_snapshot
from mmbot.errors import ConfigError, MmbotError
from mmbot.ops.gradual import GRADUAL, load_step_back
from mmbot.ops.reloads import Outcome, using
from mmbot.ops.rollback import Rollback, Values, apply, ask_running, targets, work_out


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
    wait_s = seconds("--wait", wait or ("1s" if kill else "10s"))
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


def _files_of(snapshot: Snapshot | None) -> list[Path]:
    return [Path(file.path) for file in snapshot.files] if snapshot else []
