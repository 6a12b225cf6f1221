"""The door for gates: `mmgates_sut = "mmbot.sut:open_run"`. Built-in types in, built-in types out.

Request keys: `step`, `scenario`, `run_id`, `run_dir`, `data_dir` (or None), `duration_s` (None = the
scenario's own, infinity = the whole tape), `seed` (or None), `config` (list of files: base, then overrides;
empty = config.yaml). Scenarios are `scenarios/<name>.yaml` of the working directory. The run is an iterable
of (feed, JSONL bytes) and has `halt(reason)`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmbot.errors import ConfigError
from mmbot.runtime.run import EngineKind, Run, RunRequest

ENGINE = "MMBOT_ENGINE"
"""Environment variable: auto (default), plain or compiled. What a run decides does not depend on it."""
CONFIG = Path("config.yaml")
SCENARIOS = Path("scenarios")


def open_run(request: Mapping[str, Any]) -> Run:
    """Open a run. Raises MmbotError subclasses (`user_error` is true) for bad input, before anything is
    written.
    """
    unknown = set(request) - _KEYS
    if unknown:
        raise ConfigError(f"run request had unknown keys {sorted(unknown)}, expected {sorted(_KEYS)}")
    config = [Path(path) for path in request["config"]] or [CONFIG]
    data = request["data_dir"]
    return Run(
        RunRequest(
            scenario=request["scenario"],
            scenarios=SCENARIOS,
            config=config,
            data=None if data is None else Path(data),
            run_id=request["run_id"],
            directory=Path(request["run_dir"]),
            step=request["step"],
            duration_s=request["duration_s"],
            seed=request["seed"],
            engine=_engine(),
        )
    )


def _engine() -> EngineKind:
    asked = os.environ.get(ENGINE, EngineKind.AUTO)
    try:
        return EngineKind(asked)
    except ValueError as error:
        raise ConfigError(f"{ENGINE} was {asked!r}, expected {', '.join(EngineKind)}") from error


_KEYS = {"step", "scenario", "run_id", "run_dir", "data_dir", "duration_s", "seed", "config"}
