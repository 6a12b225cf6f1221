"""Do both sides decide the same? The baseline's code plays what the candidate just played; digests over every
command and fill are compared, and where they differ, what it comes to.

Decided: each side is played with its own configuration, because a change of `config.yaml` is a change of
behaviour too, and on the same market, which the lock names and whose hash both runs must show.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_mmgates.baseline.acknowledged import acknowledgement
from pytest_mmgates.baseline.lockfile import Lock
from pytest_mmgates.baseline.record import Behaviour, Figure
from pytest_mmgates.errors import BaselineError
from pytest_mmgates.loader import load
from pytest_mmgates.metrics import METRICS
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.units import NATURAL_UNIT, in_unit

_WORKER = Path(__file__).with_name("replay_worker.py")
_TIMEOUT_S = 600
_DECIDING = ("step", "scenario", "part", "run_id", "data_dir", "duration_s", "seed", "config")
"""What a run is asked for that its decisions rest on. The baseline is asked for nothing else: its code may be
older than what a request has learned since.
"""
FIGURES = (
    "fills.count",
    "net_bps",
    "gross_bps",
    "adverse_60s_bps",
    "maker_share",
    "inventory.abs_p99_quote",
    "inventory.abs_max_quote",
    "md_cache.hit_ratio",
)
"""What the table of differences shows."""


def play(code: Path, sut: str, request: Mapping[str, Any], directory: Path) -> RunLog:
    """The run of the code below `code`, in `directory`. Raises BaselineError where it cannot be played."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    asked = directory.with_name(f"{directory.name}.request.json")
    deciding = {key: request[key] for key in _DECIDING}
    asked.write_text(json.dumps({"sut": sut, "request": {**deciding, "run_dir": str(directory)}}))
    command = [sys.executable, "-P", str(_WORKER), str(asked)]
    try:
        done = subprocess.run(  # noqa: S603 (no shell)
            command, cwd=code, env=environment(code), capture_output=True, check=False, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise BaselineError(f"the baseline did not end within {_TIMEOUT_S} s") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no word"]
        raise BaselineError(f"the baseline cannot be played: {said[-1]}")
    return load(directory)


def environment(code: Path) -> dict[str, str]:
    """Of a process that runs that code: its package first on the path, and no commit but its own."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(code / "src"), str(code))),
        "GIT_CEILING_DIRECTORIES": str(code.parent),
    }


def behaviour(lock: Lock, baseline: RunLog, candidate: RunLog, gates_dir: Path) -> Behaviour:
    """Compare two runs. Raises BaselineError where they were not played on the market that was locked."""
    sides = {"the baseline": baseline, "the change": candidate}
    for side, run in sides.items():
        if run.manifest.data.sha256 != lock.market.data_sha256:
            raise BaselineError(
                f"{side} was played on data {run.manifest.data.sha256[:12]},"
                f" expected {lock.market.data_sha256[:12]} as locked: lock anew"
            )
    old, new = (_digest(side, run) for side, run in sides.items())
    return Behaviour(
        baseline=old,
        candidate=new,
        locked=lock.run_digest,
        acknowledged=None if old == new else acknowledgement(gates_dir, lock.name, old, new),
        figures=() if old == new else tuple(_figure(name, baseline, candidate) for name in FIGURES),
    )


def _digest(side: str, run: RunLog) -> str:
    found = run.manifest.run_digest
    if found is None:
        raise BaselineError(f"{side} wrote no run_digest into its manifest")
    return found


def _figure(name: str, baseline: RunLog, candidate: RunLog) -> Figure:
    dimension = METRICS[name].dimension
    unit = NATURAL_UNIT[dimension]
    values = [METRICS[name].measure(run, None).value for run in (baseline, candidate)]
    old, new = (None if value is None else in_unit(value, dimension, unit) for value in values)
    return Figure(name, unit, old, new)
