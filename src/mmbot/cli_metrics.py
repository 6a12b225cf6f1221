"""`mmbot metrics`: what a running bot exports."""

from typing import Annotated

import msgspec
import typer

from mmbot.errors import ConfigError
from mmbot.telemetry.metrics import METRICS, table, table_markdown


def command(
    *,
    json: Annotated[
        bool, typer.Option("--json", help="The whole table, as `mmgates alerts` reads it.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="The table of docs/metrics.md.")] = False,
) -> None:
    """List the metrics that `mmbot run --metrics-port` exports: name, kind, unit and meaning."""
    if json and markdown:
        raise ConfigError("--json and --markdown: expected one of them")
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(table()), indent=1))
    elif markdown:
        typer.echo(table_markdown(), nl=False)
    else:
        for metric in METRICS:
            typer.echo(f"{metric.name} ({metric.kind}, {metric.unit}): {metric.help}")
