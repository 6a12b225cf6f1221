"""`mmbot run --mode soak`: a soak is a gate, so it is played by pytest, whose stop rules watch it."""

import re
from dataclasses import dataclass
from pathlib import Path

import typer

from mmbot.errors import ConfigError
from mmbot.ops.steps import judged_step

SCENARIO = "soak-72h"
"""What a soak is played on where nothing was named: the one that is as long as a soak."""
_HOURS = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class SoakRequest:
    """What was asked for; None is what was not. `venue`: a live one, with simulated fills, instead of a
    scenario. `config` empty: what pyproject.toml says for the step.
    """

    scenario: str | None
    venue: str | None
    host: str | None
    config: list[Path]
    duration: str | None
    data: Path | None
    seed: int | None
    artifacts: Path
    status_port: int | None


def soak(request: SoakRequest) -> int:
    """Play it and say the verdict. Returns pytest's exit code: 0 only for PASS."""
    code, verdict = judged_step("soak", arguments(request), request.artifacts)
    typer.echo(verdict)
    return code


def arguments(request: SoakRequest) -> list[str]:
    """Of pytest. A path stands in one word with its option. Raises ConfigError for what contradicts."""
    if request.venue is not None and request.scenario is not None:
        raise ConfigError("--mode soak: was given --scenario and --venue, expected one of them")
    if request.venue is None and request.host is not None:
        raise ConfigError("--mode soak: --host is of --venue, which was not given")
    if request.venue is not None:
        words = ["--mmgates-live", request.venue]
    else:
        words = ["--mmgates-scenario", request.scenario or SCENARIO]
    words += [] if request.host is None else ["--mmgates-host", request.host]
    words += [f"--mmgates-config={path}" for path in request.config]
    words += [] if request.duration is None else ["--mmgates-duration", hours(request.duration)]
    words += [] if request.data is None else [f"--mmgates-data={request.data}"]
    words += [] if request.seed is None else ["--mmgates-seed", str(request.seed)]
    words += [] if request.status_port is None else ["--mmgates-status-port", str(request.status_port)]
    return [*words, f"--mmgates-out={request.artifacts}"]


def hours(duration: str) -> str:
    """A soak is spoken of in hours: a bare number is of them, `--duration 72`."""
    return f"{duration}h" if _HOURS.fullmatch(duration) else duration
