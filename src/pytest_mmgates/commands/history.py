"""`mmgates history METRIC`: how a metric went from session to session, and whether it creeps."""

from typing import Annotated

import typer

from pytest_mmgates import history as log
from pytest_mmgates.commands.github import OUT, Out
from pytest_mmgates.errors import CommandError
from pytest_mmgates.units import show

_LATEST = 100


def history(
    metric: Annotated[str, typer.Argument(help="As in a rule: fetch_md.p95, or 'regress(fetch_md.p95)'.")],
    scenario: Annotated[str | None, typer.Option(help="Of this scenario only.")] = None,
    out: Out = OUT,
) -> None:
    """Draw the trend of a metric over all sessions, with its locks. Exit code 1 for a slow creep."""
    path = out / log.HISTORY
    rows = log.read(path, metric, scenario)
    measured = [row for row in rows if row.kind == "verdict"]
    if not measured:
        raise CommandError(f"{path}: found no {metric}; it has {', '.join(log.metrics(path)) or 'nothing'}")
    for label, stretch in log.lines_of(rows):
        if stretch:
            _draw(label, stretch[-_LATEST:])
    _tell(log.since_lock(rows), metric)


def _draw(label: str, rows: list[log.Row]) -> None:
    values = [row.value for row in rows if row.value is not None]
    ends = f"{show(values[0])}{rows[0].unit} -> {show(values[-1])}{rows[-1].unit}"
    red = sum(row.verdict != "PASS" for row in rows)
    typer.echo(f"{label}: {log.ticks(values)} {ends}, {len(values)} sessions, {red} not PASS")


def _tell(passes: list[log.Row], metric: str) -> None:
    values = [row.value for row in passes if row.value is not None]
    found = log.creep(values, worse_above=log.worse_above(passes[-1].op if passes else None))
    if found is None:
        typer.echo(f"creep: not known: {len(values)} passes since the last lock, expected {log.LEAST}")
        return
    unit = passes[-1].unit
    slope = f"{show(found.slope)}{unit} a pass, {show(found.total)}{unit} over {found.n}"
    if not found.alarm:
        typer.echo(f"creep: none found: {slope}, p {found.p:.2g}")
        return
    typer.echo(f"creep: {metric} gets worse: {slope}, p {found.p:.2g}")
    raise typer.Exit(1)
