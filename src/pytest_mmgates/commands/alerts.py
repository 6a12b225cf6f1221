"""`mmgates alerts`: alerts, their tests and a dashboard, from the gates and what the bot exports."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from pytest_mmgates.alerting.alerts import alerts_of
from pytest_mmgates.alerting.dashboard import dashboard
from pytest_mmgates.alerting.exports import Exports, read_exports
from pytest_mmgates.alerting.page import NAME as PAGE
from pytest_mmgates.alerting.page import alert_rules
from pytest_mmgates.alerting.prometheus import rule_files
from pytest_mmgates.commands.check import GATES, Gates, read_gates
from pytest_mmgates.errors import CommandError
from pytest_mmgates.gatefile import Gate
from pytest_mmgates.report.files import write_atomically

_HEADER = "Made by `mmbot metrics --json | mmgates alerts` from gates/; change those, not this."


def alerts(
    metrics: Annotated[
        Path, typer.Option(help="The table that `mmbot metrics --json` prints; - reads it from the pipe.")
    ] = Path("-"),
    gates: Gates = GATES,
    out: Annotated[Path, typer.Option(help="Folder of the files.")] = Path("ops"),
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing: exit code 1 names the files that are not current.")
    ] = False,
) -> None:
    """Make OUT/prometheus/alerts.yml, its unit tests alerts_test.yml (`promtool test rules`),
    OUT/grafana/mmbot.json, and OUT/ALERT_RULES.md to read, from every gate file and the exported metrics.
    """
    files = {out / name: text for name, text in made(read_gates(gates), _exports(metrics)).items()}
    if not check:
        write_atomically(files)
        for path in files:
            typer.echo(f"wrote {path}")
        return
    old = [path for path, text in files.items() if _text(path) != text]
    for path in old:
        typer.echo(f"{path}: is not what the gates and metrics make: `mmbot metrics --json | mmgates alerts`")
    raise typer.Exit(1 if old else 0)


def made(gates: list[Gate], exports: Exports) -> Mapping[str, str]:
    """Text of each file by its path below the folder."""
    watched = {gate.name: alerts_of(gate, exports) for gate in gates}
    rules = rule_files({name: alerts for name, alerts in watched.items() if alerts}, _HEADER)
    return {
        **{f"prometheus/{name}": text for name, text in rules.items()},
        "grafana/mmbot.json": dashboard(gates, exports),
        PAGE: alert_rules(watched, _HEADER),
    }


def _exports(metrics: Path) -> Exports:
    if str(metrics) != "-":
        try:
            return read_exports(metrics.read_bytes(), str(metrics))
        except OSError as error:
            raise CommandError(f"--metrics {metrics}: cannot be read: {error.strerror}") from error
    if sys.stdin.isatty():
        raise CommandError(
            "found no table of metrics on standard input, expected `mmbot metrics --json | ...`"
        )
    return read_exports(sys.stdin.buffer.read(), "standard input")


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None
