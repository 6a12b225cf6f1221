"""The `mmgates` command: what the gates can do without a run. Each group of commands has a module of its own
in `commands`, and one line here.
"""

import sys

import typer

from pytest_mmgates.commands import baseline
from pytest_mmgates.commands.alerts import alerts
from pytest_mmgates.commands.check import check
from pytest_mmgates.commands.explain import explain, list_gates
from pytest_mmgates.commands.github import github
from pytest_mmgates.commands.history import history
from pytest_mmgates.commands.judge import judge
from pytest_mmgates.commands.plan import plan
from pytest_mmgates.commands.rehearse import rehearse
from pytest_mmgates.errors import MmgatesError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
app.command()(check)
app.command("list")(list_gates)
app.command()(explain)
app.command()(alerts)
app.command()(github)
app.command()(history)
app.command()(judge)
app.command("test")(rehearse)
app.command()(plan)
app.add_typer(baseline.app, name="baseline")


@app.callback()
def _commands() -> None:
    """Gates of a market-making bot. They judge in pytest: `pytest -m shadow`."""


def main() -> None:
    """Entry point: what a person can put right ends with one line (a gate's with its caret), exit code 2."""
    try:
        app()
    except MmgatesError as error:
        typer.echo(f"mmgates: {error}", err=True)
        sys.exit(2)
