"""`mmgates baseline`: lock, verify, unlock. What needs a run is a pytest run of its own, with the options and
the ini of the project.
"""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from pytest_mmgates.baseline.lockfile import lock_path
from pytest_mmgates.baseline.locking import unlock_baseline
from pytest_mmgates.baseline.source import head_of
from pytest_mmgates.commands.check import GATES, Gates

app = typer.Typer(no_args_is_help=True, help="The baseline that a pull request is held against.")
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command("lock", context_settings=PASS_ON)
def lock(
    context: typer.Context,
    without_ab: Annotated[
        str | None, typer.Option(metavar="REASON", help="Lock a release baseline without an accepted A/B.")
    ] = None,
) -> None:
    """Lock the shadow run that passed: `pytest -m lock --mmgates-lock`. Further options are pytest's."""
    reason = [] if without_ab is None else [f"--mmgates-without-ab={without_ab}"]
    raise typer.Exit(_pytest("lock", ["--mmgates-lock", *reason, *context.args]))


@app.command("verify", context_settings=PASS_ON)
def verify(
    context: typer.Context,
    base: Annotated[
        str | None, typer.Option(metavar="COMMIT", help="Tell edits of gates beside this commit.")
    ] = None,
) -> None:
    """Hold the checked-out code against the baseline: `pytest -m ci`. Further options are pytest's."""
    told = [] if base is None else [f"--mmgates-base={base}"]
    raise typer.Exit(_pytest("ci", [*told, *context.args]))


@app.command("unlock")
def unlock(
    name: Annotated[str, typer.Argument(help="The scenario that it was locked on.")],
    reason: Annotated[str, typer.Option(help="Why; stays in the file's history.")],
    gates: Gates = GATES,
) -> None:
    """Take a lock out of force, on purpose and on the record. Then lock anew."""
    path = lock_path(gates, name)
    unlock_baseline(path, reason, head_of(gates)[0])
    typer.echo(f"{path}: unlocked; `mmgates baseline lock` locks anew")


def _pytest(step: str, arguments: list[str]) -> int:
    """Pytest's exit code. It prints for itself, into the same terminal."""
    command = [sys.executable, "-m", "pytest", "-m", step, *arguments]
    return subprocess.run(command, check=False, cwd=Path.cwd()).returncode  # noqa: S603 (no shell)
