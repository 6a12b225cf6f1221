"""`mmbot prep`, `dataset` and `daily`: steps of the workflow, as pytest runs them."""

from pathlib import Path
from typing import Annotated

import typer

from mmbot.cli_options import Data
from mmbot.ops.steps import run_step


def prep(
    scenario: Annotated[
        list[str] | None, typer.Option(help="Market for the money arithmetic; repeatable. Default: demo.")
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option(
            help="Base, then overlays; repeatable. Default: config.yaml and config.soak_overrides.yaml."
        ),
    ] = None,
    data: Data = None,
    out: Annotated[Path, typer.Option(help="Where artifacts go.")] = Path("artifacts"),
) -> None:
    """May this configuration go on to a shadow run? The same as `pytest -m prep`, exit code included.

    Checks the merged configuration, its flags, what it can earn and what gates ask it to earn. Writes
    OUT/reports/PREP_LOG.md and OUT/verdicts/prep.json; if all is green, also
    OUT/release/FEATURE_FLAGS_SNAPSHOT.json, from which `mmbot rollback` restores.
    """
    arguments = ["--mmgates-out", str(out)]
    arguments += [] if data is None else ["--mmgates-data", str(data)]
    for name in scenario or []:
        arguments += ["--mmgates-scenario", name]
    for path in config or []:
        arguments += ["--mmgates-config", str(path)]
    raise typer.Exit(run_step("prep", arguments))


def dataset(
    begin: Annotated[
        str | None,
        typer.Option("--from", help="As ISO 8601: 2025-01-15T00:00:00Z. Default: the first tick."),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="Its end, not in it. Default: the last tick.")
    ] = None,
    interval: Annotated[str, typer.Option(help="Length of an interval, a divisor of a day: 5m, 1h.")] = "5m",
    feeds: Annotated[
        list[str] | None,
        typer.Option(
            help="As a soak publishes them, or a run directory; repeatable. Default: OUT/edge/feeds."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where artifacts go.")] = Path("artifacts"),
) -> None:
    """Turn feeds of soaks into a calibration dataset. The same as `pytest -m dataset`, exit code included.

    Writes OUT/edge/datasets/calib_FROM_TO.json and .parquet, intervals and fills, and
    OUT/edge/reports/calib_summary_FROM_TO.md with its charts; OUT/verdicts/dataset.json says whether they
    will do. Columns, formulas and filters: docs/dataset.md.
    """
    arguments = [f"--mmgates-out={out}", f"--mmgates-interval={interval}"]
    arguments += [] if begin is None else [f"--mmgates-from={begin}"]
    arguments += [] if end is None else [f"--mmgates-to={end}"]
    arguments += [f"--mmgates-feeds={place}" for place in feeds or []]
    raise typer.Exit(run_step("dataset", arguments))


def daily(
    date: Annotated[
        str | None, typer.Option(help="The UTC day, as 2026-01-31. Default: the last whole one.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Artifacts: runs to tell of, and where the report goes.")] = Path(
        "artifacts"
    ),
) -> None:
    """What all runs did on a day, beside the seven before. The same as `pytest -m daily`, exit code included.

    Writes OUT/reports/daily/DATE.md, .html and .json, OUT/reports/ALERT_RULES.md, and
    OUT/verdicts/daily.json, which says whether it was a good day: docs/daily.md.
    """
    arguments = [f"--mmgates-out={out}"] + ([] if date is None else [f"--mmgates-date={date}"])
    raise typer.Exit(run_step("daily", arguments))
