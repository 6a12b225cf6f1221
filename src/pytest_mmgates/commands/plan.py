"""`mmgates plan FILE RUN...`: whether an experiment is worth its time, from runs of the past."""

from pathlib import Path
from typing import Annotated

import typer

from pytest_mmgates.experiment.planner import Forecast, forecast, noise_of, read_plan
from pytest_mmgates.units import show


def plan(
    file: Annotated[Path, typer.Argument(help="Plan of an experiment: experiments/NAME.yaml.")],
    runs: Annotated[list[Path], typer.Argument(help="Run directories of arm A: a soak, or several.")],
) -> None:
    """Say how many pairs and hours an experiment needs, and what it would decide. Exit code 1 for a plan that
    cannot show the effect that it is made for.
    """
    read = read_plan(file)
    made = forecast(read, noise_of(read, runs))
    for line in lines(made):
        typer.echo(line)
    if made.hopeless is not None:
        typer.echo(f"mmgates: {file}: {made.hopeless}", err=True)
        raise typer.Exit(1)


def lines(made: Forecast) -> list[str]:
    plan, noise = made.plan, made.noise
    live = "not within the plan" if made.pairs is None else f"{made.pairs} pairs, {_hours(made.hours)}"
    block = f"{show(noise.deviation_bps)} bps a block of {plan.block}"
    pair = f"{show(noise.pair_bps)} bps a pair"
    return [
        f"noise: {block} (neighbours {noise.neighbours:+.2f}, {noise.blocks} blocks), {pair}",
        f"live, {plan.units} clusters: {plan.effect_bps:+g} bps at 80 % power takes {live}",
        f"smallest effect that {plan.max_pairs} pairs show: {made.smallest_bps:.2g} bps",
        *(
            f"replay, arms correlated {r:g}: {_hours(hours)} of market"
            for r, hours in made.replay_hours.items()
        ),
        "true effect  accepted  rejected  undecided  median pairs",
        *(
            f"{line.effect_bps:+11.1f}  {line.accept:8.1%}  {line.reject:8.1%}  {line.undecided:9.1%}"
            f"  {line.pairs:12.0f}"
            for line in made.table
        ),
    ]


def _hours(hours: float | None) -> str:
    return "no number of hours" if hours is None else f"{show(round(hours, 1))} h ({hours / 24:.1f} days)"
