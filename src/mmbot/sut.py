"""The door for gates: `mmgates_sut = "mmbot.sut:open_run"`, `mmgates_parts = "mmbot.sut:parts"`. Built-in
types in, built-in types out.

Request keys: `step`, `scenario`, `run_id`, `run_dir`, `data_dir` (or None), `duration_s` (None = the
scenario's own, infinity = the whole tape), `seed` (or None), `config` (list of files: base, then overrides;
empty = config.yaml), `part` (one that `parts` named, or None = all of the scenario in one run), `live` (true:
the scenario is a venue to connect to; absent: false), `host` (of a live scenario, None = its own),
`status_port` (None or absent: the run is not shown; 0: on a free port) and, with it, `running_dir`: where a
run that is shown says that it runs.
Scenarios are `scenarios/<name>.yaml` of the working directory, live ones `scenarios/live/<name>.yaml`. The
run is an iterable of (feed, JSONL bytes) and has `halt(reason)`; one that is shown also has `watched(rules)`,
which takes what rules that watch it say: a mapping each of `rule`, `section`, `says` (text or None), `fired`.

A live run is a shadow run: market data of the venue, simulated fills, no order leaves. What comes over plain
HTTP is a market that somebody plays, and its rows say synthetic.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmbot.errors import ConfigError
from mmbot.runtime.kept_run import KeptRun
from mmbot.runtime.live_run import LiveRequest, ShadowRun
from mmbot.runtime.run import EngineKind, Run, RunRequest, part_names
from mmbot.runtime.shown import ShownRun

ENGINE = "MMBOT_ENGINE"
"""Environment variable: auto (default), plain or compiled. What a run decides does not depend on it."""
CONFIG = Path("config.yaml")
SCENARIOS = Path("scenarios")


def open_run(request: Mapping[str, Any]) -> KeptRun | ShownRun:
    """Open a run, or one part of it. Raises MmbotError subclasses (`user_error` is true) for bad input and a
    venue that does not answer, before anything is written.
    """
    _check_keys(request)
    run = _live(request) if request.get("live") else _replay(request)
    port = request.get("status_port")
    return run if port is None else ShownRun(run, port, "status_port", Path(request["running_dir"]))


def _live(request: Mapping[str, Any]) -> KeptRun:
    return ShadowRun(
        LiveRequest(
            scenario=request["scenario"],
            scenarios=SCENARIOS / "live",
            config=_config(request),
            run_id=request["run_id"],
            directory=Path(request["run_dir"]),
            step=request["step"],
            duration_s=request["duration_s"],
            seed=request["seed"],
            host=request.get("host"),
        )
    )


def _replay(request: Mapping[str, Any]) -> KeptRun:
    return Run(
        RunRequest(
            scenario=request["scenario"],
            scenarios=SCENARIOS,
            config=_config(request),
            data=_data(request),
            run_id=request["run_id"],
            directory=Path(request["run_dir"]),
            step=request["step"],
            duration_s=request["duration_s"],
            seed=request["seed"],
            engine=_engine(),
            part=request.get("part"),
        )
    )


def parts(request: Mapping[str, Any]) -> list[str]:
    """The names of the parts that a requested run is played in, in a fixed order; empty = it is played whole.
    They are a property of the scenario, and each is a run by itself. Raises like `open_run`.
    """
    _check_keys(request)
    return [] if request.get("live") else part_names(request["scenario"], SCENARIOS, _data(request))


def _check_keys(request: Mapping[str, Any]) -> None:
    unknown = set(request) - _KEYS
    if unknown:
        raise ConfigError(f"run request had unknown keys {sorted(unknown)}, expected {sorted(_KEYS)}")


def _config(request: Mapping[str, Any]) -> list[Path]:
    return [Path(path) for path in request["config"]] or [CONFIG]


def _data(request: Mapping[str, Any]) -> Path | None:
    data = request["data_dir"]
    return None if data is None else Path(data)


def _engine() -> EngineKind:
    asked = os.environ.get(ENGINE, EngineKind.AUTO)
    try:
        return EngineKind(asked)
    except ValueError as error:
        raise ConfigError(f"{ENGINE} was {asked!r}, expected {', '.join(EngineKind)}") from error


_KEYS = {
    "step", "scenario", "run_id", "run_dir", "data_dir", "duration_s", "seed", "config", "part",
    "live", "host", "status_port", "running_dir",
}  # fmt: skip
