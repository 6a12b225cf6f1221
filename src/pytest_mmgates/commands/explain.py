"""`mmgates list` and `mmgates explain`: what the gates ask, in words and figures."""

from pathlib import Path
from typing import Annotated

import typer

from pytest_mmgates.commands.check import GATES, Gates, read_gates
from pytest_mmgates.errors import CommandError
from pytest_mmgates.explaining import (
    explained,
    false_alarms_of,
    looks_of,
    parse_any,
    rules_of,
    window_of,
)
from pytest_mmgates.gatefile import Evidence, Gate, JudgedRule, read_gate
from pytest_mmgates.judge import section_of

_HEADS = ("gate", "section", "owner", "window", "looks", "predicted false alarms", "rule")


def list_gates(gates: Gates = GATES) -> None:
    """Show every rule of every gate: its section, owner, window, looks and predicted false alarms."""
    rows = [
        (
            gate.name,
            section,
            gate.owner,
            window_of(rule),
            looks_of(rule),
            false_alarms_of(rule, section, gate.evidence),
            str(rule),
        )
        for gate in read_gates(gates)
        for section, rule in rules_of(gate)
    ]
    widths = [max(len(row[column]) for row in (_HEADS, *rows)) for column in range(len(_HEADS))]
    for row in (_HEADS, *rows):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def explain(
    what: Annotated[
        str, typer.Argument(metavar="RULE|GATE", help="A gate's name or file, or a rule's text.")
    ],
    gates: Gates = GATES,
) -> None:
    """Say in words what a rule, or every rule of a gate, asks: metric, window, hold, looks, where it is
    computed, how often it would cry wolf, and how soon it finds what it is for.
    """
    gate = named_gate(what, gates)
    if gate is None:
        rule = parse_any(what)
        _explain(rule, section_of(rule), None)
        return
    typer.echo(f"gate {gate.name}: {gate.file}, owner {gate.owner}, runbook {gate.runbook}")
    for section, rule in rules_of(gate):
        typer.echo("")
        _explain(rule, section, gate.evidence)


def named_gate(what: str, gates: Path) -> Gate | None:
    """The gate of a file or name; None for what can only be a rule. Raises CommandError, GateError."""
    if what.endswith((".yaml", ".yml")):
        return read_gate(Path(what))
    if not what.replace("-", "").replace("_", "").isalnum():
        return None
    path = gates / f"{what}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(one.stem for one in gates.glob("*.yaml"))) or "none"
        raise CommandError(f"no gate {what!r} in {gates}: there is {known}")
    return read_gate(path)


def _explain(rule: JudgedRule, section: str, evidence: Evidence | None) -> None:
    typer.echo(f"{section}: {rule}")
    for word, text in explained(rule, section, evidence):
        typer.echo(f"  {word:<13} {text}")
