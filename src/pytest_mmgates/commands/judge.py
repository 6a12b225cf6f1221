"""`mmgates judge DIR`: what a recorded stage of an experiment decides, from its rows."""

from pathlib import Path
from typing import Annotated

import typer

from pytest_mmgates.commands.check import GATES, Gates
from pytest_mmgates.experiment.reading import read_experiment
from pytest_mmgates.gatefile import read_gate
from pytest_mmgates.judge import judge as judge_gate
from pytest_mmgates.report.table import table
from pytest_mmgates.steps import AB
from pytest_mmgates.verdict import Verdict

Directory = Annotated[Path, typer.Argument(help="Folder with experiment.json: artifacts/runs/ab-NAME.")]


def judge(directory: Directory, gates: Gates = GATES) -> None:
    """Judge an experiment again, from the rows that it left: the same rows always give the same verdict. Exit
    code 1 unless it is PASS.
    """
    gate = read_gate(gates / f"{AB}.yaml")
    log = read_experiment(directory, gate)
    verdict = judge_gate(gate, log)
    for line in table([(log.scenario, rule) for rule in verdict.rules]):
        typer.echo(line)
    typer.echo(f"{verdict.label}: {log.decision.decision}: {log.decision.reason}")
    if verdict.verdict is not Verdict.PASS:
        raise typer.Exit(1)
