"""`mmgates github`: the verdicts of this job, where a pull request shows them."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pytest_mmgates.commands.check import GATES, Gates
from pytest_mmgates.errors import CommandError
from pytest_mmgates.github import annotations, read_verdicts, summary

SUMMARY = "GITHUB_STEP_SUMMARY"
OUT = Path("artifacts")
_REPORTS = ("PULL_REQUEST_REPORT.md", "SOAK_REPORT.md")

Out = Annotated[Path, typer.Option(help="Output directory of the gates.")]


def github(
    out: Out = OUT,
    gates: Gates = GATES,
    write: Annotated[
        Path | None, typer.Option(help=f"Where the summary goes (default: ${SUMMARY}, appended).")
    ] = None,
) -> None:
    """Write the job summary, and print annotations at the lines of the rules that are not green."""
    try:
        verdicts = read_verdicts(out)
    except CommandError as error:
        _append(f"**No verdict.** {error}\n", write)
        raise
    reports = [
        path.read_text(encoding="utf-8")
        for path in (out / "reports" / name for name in _REPORTS)
        if path.is_file()
    ]
    _append(summary(verdicts, reports), write)
    for line in annotations(verdicts, gates):
        typer.echo(line)


def _append(text: str, write: Path | None) -> None:
    asked = write or (Path(os.environ[SUMMARY]) if os.environ.get(SUMMARY) else None)
    if asked is None:
        typer.echo(text)
        return
    with asked.open("a", encoding="utf-8") as file:
        file.write(text)
