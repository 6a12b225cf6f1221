"""`mmbot status`, `next` and `all`: the release workflow as one thing."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from mmbot.clock import wall_ns
from mmbot.errors import ConfigError
from mmbot.ops import finish_line
from mmbot.ops.evidence import State, age_text
from mmbot.ops.finish_line import Release
from mmbot.ops.steps import run_step
from mmbot.ops.walk import Walk, walk
from mmbot.ops.workflow import TASKS, Task, arguments, played, step_of, task_named

_DATA = Path("../shared/data")
_EXIT_NOT_COMPLETE, _EXIT_NOT_BELIEVED = 1, 2

Artifacts = Annotated[Path, typer.Option(help="Folder of artifacts.")]
Scenarios = Annotated[Path, typer.Option(help="Folder of scenario files.")]


def status(
    artifacts: Artifacts = Path("artifacts"),
    *,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Where the release stands: the seven steps with verdict, age, evidence and next action, from files.

    Brings ARTIFACTS/reports/FINISH_LINE_REPORT.md up to date. Exit code 0: all seven are accepted. 1: not
    yet, or no longer. 2: a file is not what a step wrote, and counts for nothing.
    """
    release = finish_line.look(artifacts, wall_ns())
    finish_line.write(release)
    if as_json:
        typer.echo(json.dumps(finish_line.document(release), indent=2))
    else:
        _show(release)
    raise typer.Exit(_exit_code(release))


def next_(
    context: typer.Context,
    step: Annotated[
        str | None,
        typer.Option(help="This one: shadow, ab.50, ... Refused while one before it is not accepted."),
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(help="What shadow, soak and lock play. Default: the session's own.")
    ] = None,
    artifacts: Artifacts = Path("artifacts"),
    scenarios: Scenarios = Path("scenarios"),
) -> None:
    """Run the next step of the workflow, as pytest would; what follows `--` goes to pytest as it is.

    Exit code: pytest's. 0 also where nothing is left to do; 2 where the step before is not accepted.
    """
    release = finish_line.look(artifacts, wall_ns())
    task = _asked(release, step)
    if task is None:
        typer.echo("all seven steps are accepted")
        return
    before = release.before(task)
    if before is not None:
        raise ConfigError(f"{task.name}: {before.task.name} is {before.state}, expected accepted before it")
    name = scenario or task.default_scenario
    words = arguments(task, artifacts, None if name is None else played(task, name, scenarios))
    words = [scenarios.name, *words, *context.args]
    typer.echo(shlex.join(["pytest", "-m", task.step, *words]))
    raise typer.Exit(run_step(task.step, words))


def all_(
    *,
    virtual: Annotated[
        bool,
        typer.Option("--virtual", help="On the virtual clock: the only way there is; live steps take days."),
    ] = False,
    scenario: Annotated[str, typer.Option(help="With a stretch for each step.")] = "demo-14d",
    artifacts: Annotated[
        Path | None, typer.Option(help="Folder of artifacts. Default: artifacts/virtual/SCENARIO.")
    ] = None,
    show_blocked: Annotated[
        bool,
        typer.Option("--show-blocked", help="Go on behind a step that is not accepted: say NO_DATA and why."),
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="Folder of captures. Default: ../shared/data if there.")
    ] = None,
    scenarios: Scenarios = Path("scenarios"),
) -> None:
    """Run the whole workflow, prep to daily, each step on its own stretch of a market.

    Goes on where it stopped. A line a step; what pytest told is in ARTIFACTS/workflow/STEP.log. Exit codes
    are those of `mmbot status`.
    """
    if not virtual:
        raise ConfigError("all: expected --virtual: live, each step takes its own time: `mmbot next`")
    release = walk(
        Walk(
            scenario=scenario,
            scenarios=scenarios,
            data=data or (_DATA if _DATA.is_dir() else None),
            out=artifacts or Path("artifacts/virtual") / scenario,
            show_blocked=show_blocked,
            say=typer.echo,
        )
    )
    _show(release)
    raise typer.Exit(_exit_code(release))


def _asked(release: Release, name: str | None) -> Task | None:
    """The task to run; None where none is left. Of a step of several, the first that is not accepted."""
    if name is None:
        return None if release.next is None else release.next.task
    task = task_named(name)
    if task is not None:
        return task
    of_step = [one for one in release.standings if one.task.step == name]
    if not of_step:
        known = ", ".join(task.name for task in TASKS)
        raise ConfigError(f"--step: was {name!r}, expected one of {known}")
    return next((one.task for one in of_step if not one.accepted), of_step[-1].task)


def _show(release: Release) -> None:
    mark = "  SYNTHETIC: releases nothing" if release.is_synthetic else ""
    table = Table(title=f"{release.out}{mark}", title_justify="left")
    for column in ("step", "stands at", "verdict", "age", "evidence", "next"):
        table.add_column(column)
    for one in release.standings:
        stands = f"{one.state}: {one.why}" if one.why else str(one.state)
        age = "" if one.age_ns is None else age_text(one.age_ns)
        name = f"{step_of(one.task).number} {one.task.name}"
        style = {State.ACCEPTED: "green", State.NOT_RUN: ""}.get(one.state, "red")
        table.add_row(name, stands, one.label, age, one.task.evidence, release.action(one), style=style)
    Console().print(table)


def _exit_code(release: Release) -> int:
    if release.not_believed:
        return _EXIT_NOT_BELIEVED
    return 0 if release.complete else _EXIT_NOT_COMPLETE
