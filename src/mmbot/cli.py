"""The door for people: the `mmbot` command."""

import sys

import typer

from mmbot import (
    cli_calibrate,
    cli_config,
    cli_live,
    cli_metrics,
    cli_paper,
    cli_record,
    cli_rollback,
    cli_rollout,
    cli_run,
    cli_steps,
    cli_sweep,
    cli_top,
    cli_workflow,
)
from mmbot.errors import MmbotError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
app.command()(cli_run.run)
app.command()(cli_paper.paper)
app.command("record")(cli_record.command)
app.command()(cli_top.top)
app.command()(cli_sweep.sweep)
app.command("metrics")(cli_metrics.command)
app.command()(cli_steps.prep)
app.command()(cli_steps.dataset)
app.command()(cli_steps.daily)
app.command()(cli_workflow.status)
app.command("next", context_settings={"allow_extra_args": True})(cli_workflow.next_)
app.command("all")(cli_workflow.all_)
app.command()(cli_rollback.rollback)
app.command()(cli_live.kill)
app.command()(cli_live.resume)
app.command()(cli_live.guard)
app.add_typer(cli_config.app, name="config")
app.add_typer(cli_calibrate.app, name="calibrate")
app.add_typer(cli_rollout.app, name="rollout")


@app.callback()
def _commands() -> None:
    """A market-making bot. Gates run it through pytest: `pytest -m shadow`."""


def main() -> None:
    """Console entry: bad input is one line and exit code 2; a bug keeps its traceback."""
    try:
        app()
    except MmbotError as error:
        sys.stderr.write(f"mmbot: {error}\n")
        sys.exit(error.exit_code)
