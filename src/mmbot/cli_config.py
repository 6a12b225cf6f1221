"""`mmbot config`: what the bot is told."""

from pathlib import Path
from typing import Annotated

import typer

from mmbot.cli_options import Config, Data, Override, Scenario, Scenarios, captures
from mmbot.config.explain import Explained
from mmbot.config.explain import explain as explained
from mmbot.config.flags import FLAGS, registry_markdown
from mmbot.config.flags import text as flag_text
from mmbot.config.scenario import load_scenario
from mmbot.config.settings import load_config, settings_of
from mmbot.ops.plan import plan

app = typer.Typer(no_args_is_help=True, help="What the bot is told: show it, check it, list its flags.")


@app.command()
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


@app.command()
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
    planned = plan(scenario, scenarios, [config, *(config_override or [])], captures(data))
    for one in planned.economics:
        typer.echo("\n".join(one.lines))
    problems = sum(len(one.problems) for one in planned.economics)
    typer.echo(f"{problems} problems" if problems else "configuration is sound")
    raise typer.Exit(1 if problems else 0)


@app.command()
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


def _origin(line: Explained) -> str:
    """Where a value was written, and what is in force in its place."""
    where = line.where or "default"
    if line.instead is None:
        return where
    flag, value = line.instead
    return f"{where}, but {flag.key} is off: {flag_text(value)}"
