"""The door for gates: `mmgates_sut = "mmbot.sut:open_run"`, `mmgates_parts = "mmbot.sut:parts"`,
`mmgates_files = "mmbot.sut:files"`,
`mmgates_tape = "mmbot.sut:open_tape"`, `mmgates_dataset = "mmbot.sut:open_dataset"`,
`mmgates_daily = "mmbot.sut:open_daily"`, `mmgates_experiment = "mmbot.sut:open_experiment"`,
`mmgates_rollout = "mmbot.sut:record_rollout"`. Built-in types in, built-in types out.

Request keys: `step`, `scenario`, `run_id`, `run_dir`, `data_dir` (or None), `duration_s` (None = the
scenario's own, infinity = the whole tape), `horizon_s` (at least that: what the run may come to where nobody
finishes it, as far as there is a market; absent or None: no more), `seed` (or None), `config` (list of files:
base, then overrides; empty = config.yaml), `part` (one that `parts` named, or None = all of the scenario in
one run), `live` (true: the scenario is a venue to connect to; absent: false), `host` (of a live scenario,
None = its own),
`status_port` (None or absent: the run is not shown; 0: on a free port) and `running_dir`: where a run that is
shown, or follows a rollout, says that it runs; `resume` (true: `run_dir` holds what an interrupted run of the
same request left, and it goes on; absent: false), `arm` (the run's, in rows and client ids; absent: A) and
`plan_hash` (of the experiment whose arm it plays, for its manifest; absent: it is of none). A run of both
arms has `plan` (the experiment's file, which names the configuration: `config` is empty), `stage` (10, 50 or
100) and `out_dir` (of artifacts: a live run follows the rollout in its `edge/rollout`); it has
`rollback(reason)`, and a live one `beat()`.
Scenarios are `scenarios/<name>.yaml` of the working directory, live ones `scenarios/live/<name>.yaml`. The
run is an iterable of (feed, JSONL bytes) and has `halt(reason)`, and `finish(reason)`: it ends at the next
tick as if its time were over, `complete`, and its manifest says why. One that is shown also has
`watched(rules)`, which takes what rules that watch it say: a mapping each of `rule`, `section`, `says` (text
or None), `fired`.

A dataset's request has other keys: `from` and `to` (text of ISO 8601, None = as far as ticks reach),
`interval_s` (None = 300), `feeds` (list of folders) and `out_dir`. What comes back is the path of its JSON.

The request of a day has `date` (`2026-01-31`, or None = the last whole one of UTC) and `out_dir`, below which
the runs lie. What comes back is the path of the JSON with its facts.

An experiment's request has `plan` (its file), `stage`, `out_dir`, and of a live stage `start_ns` and
`until_ns`. What comes back is what `pytest_mmgates.experiment.facts` names: the plan's own facts, and the
runs of a replay or the blocks of a live stage that begin in that time.

What is recorded of a rollout has `plan`, `out_dir`, `action` (begun, passed, rejected, rollback), `stage`,
`live`, and whatever else is known of it. What comes back is its `status`, and `began_ns` of the stage that
runs.

A live run is a shadow run: market data of the venue, simulated fills, no order leaves. That of both arms
trades where MMBOT_LIVE=1 is set: with all that `mmbot run --mode live` asks for. What comes over plain
HTTP is a market that somebody plays, and its rows say synthetic.

A tape times the pipeline on the first `ticks` of a scenario's first symbol, after `lead_ticks` to warm up.
Request keys: `scenario`, and where the default is not wanted `config`, `data_dir`, `seed`, `ticks`,
`lead_ticks`, `repeats` (how often each tick is done within one sample), `market` (plain, or compiled: in
kernels, as live), `sha256` (of the market that is expected) and `clock` (a callable without arguments that
returns whole numbers; the pipeline reads it between its stages). `step(first, stop)` returns for every tick
the hash of what it decided, and the time of each of `stages` by repeat; `readings` tells how many readings of
the clock are part of each, `sha256` names the market, `kind` its origin.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbot.clock import wall_ns
from mmbot.errors import ConfigError
from mmbot.experiment.arms import BASELINE
from mmbot.experiment.plan import Stage, load_experiment
from mmbot.ops.live import SWITCH
from mmbot.runtime.kept_run import KeptRun
from mmbot.runtime.latency_tape import LatencyRequest, LatencyTape
from mmbot.runtime.live_request import LiveRequest
from mmbot.runtime.reload import Sources
from mmbot.runtime.rollout_folder import ROLLOUTS
from mmbot.runtime.run import EngineKind, Run, RunRequest, capture_files, part_names
from mmbot.units import SECOND

if TYPE_CHECKING:
    from mmbot.runtime.shown import ShownRun

ENGINE = "MMBOT_ENGINE"
"""Environment variable: auto (default), plain or compiled. What a run decides does not depend on it."""
CONFIG = Path("config.yaml")
SCENARIOS = Path("scenarios")


def open_run(request: Mapping[str, Any]) -> "KeptRun | ShownRun":
    """Open a run, or one part of it. Raises MmbotError subclasses (`user_error` is true) for bad input and a
    venue that does not answer, before anything is written.
    """
    _check_keys(request)
    run = _live(request) if request.get("live") else _replay(request)
    port = request.get("status_port")
    if port is None and run.rollout is None:
        return run
    from mmbot.runtime.shown import ShownRun  # noqa: PLC0415 (a web server costs as much)

    return ShownRun(run, port, "status_port", Path(request["running_dir"]))


def _live(request: Mapping[str, Any]) -> KeptRun:
    plan = request.get("plan")
    from mmbot.runtime.live_run import ShadowRun  # noqa: PLC0415 (sockets and kernels cost 1 s to import)

    asked = LiveRequest(
        scenario=request["scenario"],
        scenarios=SCENARIOS / "live",
        config=_config(request) if plan is None else _of_arm_a(plan, live=True),
        run_id=request["run_id"],
        directory=Path(request["run_dir"]),
        step=request["step"],
        duration_s=request.get("horizon_s") or request["duration_s"],
        seed=request["seed"],
        host=request.get("host"),
        resume=bool(request.get("resume")),
    )
    if plan is None:
        return ShadowRun(asked)
    artifacts = Path(request["out_dir"])
    asked = replace(asked, plan=Path(plan), rollouts=artifacts / ROLLOUTS)
    if os.environ.get(SWITCH) != "1":
        return ShadowRun(asked)
    from mmbot.cli_live import open_trading  # noqa: PLC0415 (as much again)

    return open_trading(asked, None, frozenset(), artifacts)


def _replay(request: Mapping[str, Any]) -> KeptRun:
    plan = request.get("plan")
    return Run(
        RunRequest(
            scenario=request["scenario"],
            scenarios=SCENARIOS,
            config=_config(request) if plan is None else _of_arm_a(plan, live=False),
            data=_data(request),
            run_id=request["run_id"],
            directory=Path(request["run_dir"]),
            step=request["step"],
            duration_s=request["duration_s"],
            horizon_s=request.get("horizon_s"),
            seed=request["seed"],
            engine=_engine(),
            part=request.get("part"),
            resume=bool(request.get("resume")),
            arm=request.get("arm", "A"),
            plan_hash=request.get("plan_hash"),
            plan=None if plan is None else Path(plan),
            stage=None if plan is None else Stage(request["stage"]),
        )
    )


def open_tape(request: Mapping[str, Any]) -> LatencyTape:
    """Open a latency tape. Raises MmbotError subclasses for bad input."""
    unknown = set(request) - _TAPE_KEYS
    if unknown or "scenario" not in request:
        what = f"unknown keys {sorted(unknown)}" if unknown else "no scenario"
        raise ConfigError(f"tape request had {what}, expected scenario and any of {sorted(_TAPE_KEYS)}")
    market = request.get("market", "plain")
    if market not in ("plain", "compiled"):
        raise ConfigError(f"tape request: market was {market!r}, expected plain or compiled")
    tape = LatencyTape(
        LatencyRequest(
            sources=Sources(tuple(_config({"config": (), **request})), request["scenario"], SCENARIOS),
            data=_data({"data_dir": None, **request}),
            compiled=market == "compiled",
            **{key: request[key] for key in _TAPE_PLAY if key in request},
        )
    )
    expected = request.get("sha256", tape.sha256)
    if tape.sha256 != expected:
        raise ConfigError(f"tape of scenario {request['scenario']}: is {tape.sha256}, expected {expected}")
    return tape


def parts(request: Mapping[str, Any]) -> list[str]:
    """The names of the parts that a requested run is played in, in a fixed order; empty = it is played whole.
    They are a property of the scenario, and each is a run by itself. Raises like `open_run`.
    """
    _check_keys(request)
    return [] if request.get("live") else part_names(request["scenario"], SCENARIOS, _data(request))


def files(request: Mapping[str, Any]) -> list[str]:
    """The captures that a requested run reads, below its data directory. Raises like `open_run`."""
    _check_keys(request)
    return [] if request.get("live") else capture_files(request["scenario"], SCENARIOS)


def open_dataset(request: Mapping[str, Any]) -> str:
    """Make a dataset; the path of its JSON. Raises MmbotError subclasses for what none can be made of."""
    from mmbot.ops.dataset import (  # noqa: PLC0415 (half a second of charts, which no run needs)
        INTERVAL_NS,
        DatasetRequest,
        make_dataset,
        read_moment,
    )

    _check_keys(request, _DATASET_KEYS)
    begin, end = request["from"], request["to"]
    interval_s = request["interval_s"]
    path = make_dataset(
        DatasetRequest(
            places=request["feeds"],
            out=Path(request["out_dir"]),
            from_ns=None if begin is None else read_moment(begin),
            to_ns=None if end is None else read_moment(end),
            interval_ns=INTERVAL_NS if interval_s is None else round(interval_s * SECOND),
        )
    )
    return str(path)


def open_daily(request: Mapping[str, Any]) -> str:
    """Put together the facts of a day; the path of their JSON. Raises MmbotError subclasses."""
    from mmbot.ops.daily import DailyRequest, last_whole_day, make_daily  # noqa: PLC0415 (no run needs it)

    _check_keys(request, _DAILY_KEYS)
    now_ns = wall_ns()
    day = request["date"] or last_whole_day(now_ns)
    return str(make_daily(DailyRequest(day, Path(request["out_dir"])), now_ns))


def open_experiment(request: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of one stage of a plan. Raises ConfigError."""
    from mmbot.ops.experiment import ExperimentRequest, facts  # noqa: PLC0415 (no run needs it)

    _check_keys(request, _EXPERIMENT_KEYS)
    return facts(
        ExperimentRequest(
            plan=Path(request["plan"]),
            scenarios=SCENARIOS,
            stage=request["stage"],
            out=Path(request["out_dir"]),
            start_ns=request.get("start_ns"),
            until_ns=request.get("until_ns"),
        )
    )


def record_rollout(request: Mapping[str, Any]) -> dict[str, Any]:
    """Record what became of a stage. Raises ConfigError for what may not come now, and OutputError."""
    from mmbot.ops.rollouts import record  # noqa: PLC0415 (no run needs it)

    _check_keys(request, _ROLLOUT_KEYS)
    known = {key: value for key, value in request.items() if key in ("data_kind", "decision", "reason")}
    state = record(
        Path(request["plan"]),
        SCENARIOS,
        Path(request["out_dir"]) / ROLLOUTS,
        request["action"],
        Stage(request["stage"]),
        live=bool(request["live"]),
        known=known,
    )
    return {"status": state.status.value, "began_ns": state.began_ns}


def _of_arm_a(plan: str, *, live: bool) -> list[Path]:
    return load_experiment(Path(plan), SCENARIOS, live=live).plan.files(BASELINE)


def _check_keys(request: Mapping[str, Any], expected: set[str] | None = None) -> None:
    unknown = set(request) - (expected or _KEYS)
    if unknown:
        raise ConfigError(f"request had unknown keys {sorted(unknown)}, expected {sorted(expected or _KEYS)}")


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
    "step", "scenario", "run_id", "run_dir", "data_dir", "duration_s", "horizon_s", "seed", "config",
    "part", "live", "host", "status_port", "running_dir", "resume", "arm", "plan_hash", "plan", "stage",
    "out_dir",
}  # fmt: skip
_TAPE_PLAY = ("seed", "ticks", "lead_ticks", "repeats", "clock")
_TAPE_KEYS = {"scenario", "config", "data_dir", "market", "sha256", *_TAPE_PLAY}
_EXPERIMENT_KEYS = {"plan", "stage", "out_dir", "start_ns", "until_ns"}
_ROLLOUT_KEYS = {"plan", "out_dir", "stage", "live", "action", "data_kind", "decision", "reason"}
_DAILY_KEYS = {"date", "out_dir"}
_DATASET_KEYS = {"from", "to", "interval_s", "feeds", "out_dir"}
