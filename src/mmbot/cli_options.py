"""What options of several commands have in common."""

import math
from pathlib import Path
from typing import Annotated

import typer

from mmbot.errors import ConfigError
from mmbot.units import SECOND, parse_duration

_DATA = Path("../shared/data")

Scenario = Annotated[str, typer.Option(help="Name of a file in scenarios/.")]
Scenarios = Annotated[Path, typer.Option(help="Folder of scenario files.")]
Config = Annotated[Path, typer.Option(help="Base configuration.")]
Override = Annotated[list[Path] | None, typer.Option(help="Overlay; repeatable, last wins.")]
Data = Annotated[Path | None, typer.Option(help="Folder of captures. Default: ../shared/data if there.")]


def captures(asked: Path | None) -> Path | None:
    """The folder that was asked for, or the usual one where it is there."""
    return asked or (_DATA if _DATA.is_dir() else None)


def duration_s(duration: str | None) -> float | None:
    """Of `--duration`: None = not given, infinity = all there is. Raises ConfigError."""
    if duration is None:
        return None
    return math.inf if duration == "all" else seconds("--duration", duration)


def seconds(option: str, duration: str) -> float:
    """Raises ConfigError."""
    return nanoseconds(option, duration) / SECOND


def nanoseconds(option: str, duration: str) -> int:
    """Raises ConfigError."""
    try:
        return parse_duration(duration)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from error
