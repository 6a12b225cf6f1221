"""`mmgates check`: read the gate files as pytest would, without pytest."""

from pathlib import Path
from typing import Annotated

import typer

from pytest_mmgates.errors import CommandError
from pytest_mmgates.gatefile import Gate, read_gate

Gates = Annotated[Path, typer.Option(help="Folder of gate files.")]
GATES = Path("gates")


def read_gates(folder: Path) -> list[Gate]:
    """Every gate of a folder, by name. Raises GateError for one that is wrong, CommandError for none."""
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise CommandError(f"{folder}: found no gate file, expected *.yaml")
    return [read_gate(path) for path in paths]


def check(gates: Gates = GATES) -> None:
    """Read every gate file and count its rules. Exit code 2, with file, line and caret, for a wrong one."""
    for gate in read_gates(gates):
        sections = {
            "require": gate.require,
            "stop": gate.stop,
            "warn": gate.warn,
            "regress": gate.regress,
            "accept": gate.accept,
            "safety": gate.safety,
        }
        counts = {name: len(rules) for name, rules in sections.items()}
        typer.echo(f"{gate.file}: " + ", ".join(f"{count} {name}" for name, count in counts.items() if count))
