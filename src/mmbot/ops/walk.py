"""The whole workflow on one machine: every step as a session of its own, on the virtual clock.

    mmbot all --virtual --scenario demo-14d

Each step plays the scenario's stretch of its name; between the dataset and the A/B the weights of the spread
are calibrated, and the plan of the A/B is written from `experiments/workflow/calibrated.yaml` with them. A
step that is accepted already is not played again, so that a walk that was stopped goes on.

Decided: a rehearsal touches no release. It has a folder of artifacts of its own, and what it locks lies there
too, with a copy of the gates: pull requests are held against something else. A walk ends at the first step
that is not accepted. One that is told to show the blocked ones writes, for each after it, a verdict NO_DATA
with the reason, and the artifacts that are due with the same words; they are gone when the step is played.
What an earlier session of a blocked step found stays, and stands at what it is worth now.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import yaml

from mmbot.clock import stopwatch, wall_ns
from mmbot.config.scenario import load_scenario
from mmbot.config.strict_yaml import load
from mmbot.errors import MmbotError
from mmbot.experiment.plan import Stage
from mmbot.ops import evidence, finish_line
from mmbot.ops.evidence import Standing, State, record_path
from mmbot.ops.files import write_atomically
from mmbot.ops.finish_line import Release
from mmbot.ops.steps import run_step
from mmbot.ops.workflow import ARMED, TASKS, Task, arguments, played, step_of
from mmbot.runtime import provenance
from mmbot.units import DAY, SECOND

TEMPLATE = Path("experiments/workflow/calibrated.yaml")
CONFIG = (Path("config.yaml"), Path("config.soak_overrides.yaml"))
_OVERLAY = "edge/calibrated_weights.yaml"
_GATES = Path("gates")
_MOST_WORKERS = 8
"""As many as a replay stage has runs."""
_NO_TESTS = 5
"""Pytest's exit code where nothing was collected."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What was asked for. `say` gets a line a step."""

    scenario: str
    scenarios: Path
    data: Path | None
    out: Path
    show_blocked: bool
    say: Callable[[str], None]


def walk(asked: Walk) -> Release:
    """All steps, as far as they are accepted. Raises MmbotError for what no step can say itself."""
    load_scenario(asked.scenario, asked.scenarios)
    for task in TASKS:
        release = finish_line.look(asked.out, wall_ns())
        one = next(one for one in release.standings if one.task is task)
        before = release.before(task)
        if before is not None and not asked.show_blocked:
            break
        if one.accepted:
            asked.say(f"{_head(one)} accepted {evidence.age_text(one.age_ns or 0)} ago")
        elif before is None:
            _play(asked, task)
        elif one.state is State.NOT_RUN or (one.record and one.record.stands_for):
            _block(asked, task, before)
        else:
            asked.say(f"{_head(one)} {one.state}: {one.why}")
    release = finish_line.look(asked.out, wall_ns())
    finish_line.write(release)
    return release


def _play(asked: Walk, task: Task) -> None:
    """One session, and a line of what came of it. What pytest told is in OUT/workflow/TASK.log."""
    began_ns = stopwatch()
    _unblock(task, asked.out)
    try:
        words = list(_words(asked, task))
    except MmbotError as error:
        _keep_blocked(asked, task, str(error))
    else:
        log = record_path(task.name, asked.out).with_suffix(".log")
        before = _recorded_ns(task, asked.out)
        code = run_step(task.step, words, log)
        if _recorded_ns(task, asked.out) == before:
            why = f"no step {task.step} in scenarios/" if code == _NO_TESTS else f"pytest ended with {code}"
            _keep_blocked(asked, task, f"{why}: see {log}")
    _say(asked, task, (stopwatch() - began_ns) / SECOND)


def _say(asked: Walk, task: Task, seconds: float) -> None:
    one = evidence.standing(task, asked.out, source_sha256=provenance.source_sha256(), now_ns=wall_ns())
    asked.say(f"{_head(one)} {one.label or one.state} in {seconds:.0f} s{f': {one.why}' if one.why else ''}")


def _head(one: Standing) -> str:
    return f"{step_of(one.task).number} {one.task.name:9}"


def _recorded_ns(task: Task, out: Path) -> int | None:
    path = record_path(task.name, out)
    return path.stat().st_mtime_ns if path.is_file() else None


def _words(asked: Walk, task: Task) -> Iterator[str]:
    """Arguments of the session. Makes what it needs: the candidate, and a folder of gates of its own."""
    yield asked.scenarios.name
    yield from arguments(task, asked.out, played(task, asked.scenario, asked.scenarios))
    if asked.data is not None:
        yield f"--mmgates-data={asked.data}"
    if task.step == ARMED:
        plans = asked.out / "edge" / "experiments"
        if task.stretch == "replay":
            _candidate(asked, plans)
            yield from ("-n", str(min(os.cpu_count() or 1, _MOST_WORKERS)))
        elif task.stretch != Stage.FIFTY:  # that is played until it is decided
            yield from ("--mmgates-duration", "all")
        yield from ("--mmgates-experiment", TEMPLATE.stem, "-o", f"mmgates_experiments={plans}")
    elif task.step == "lock":
        gates = asked.out / "gates"
        shutil.rmtree(gates, ignore_errors=True)
        shutil.copytree(_GATES, gates, ignore=shutil.ignore_patterns("baselines"))
        yield from ("-o", f"mmgates_gates={gates}")
    elif task.step == "daily":
        yield from ("--mmgates-date", _last_whole_day(asked.out))


def _candidate(asked: Walk, plans: Path) -> None:
    """Weights from the dataset, and the plan that holds them against the old ones."""
    from mmbot.ops.calibrate_weights import (  # noqa: PLC0415 (scipy and charts, which no other step needs)
        WeightsRequest,
        calibrate_weights,
        find_dataset,
    )
    from mmbot.ops.weights_report import write  # noqa: PLC0415

    began_ns = stopwatch()
    made = calibrate_weights(
        WeightsRequest(
            dataset=find_dataset(asked.out / "edge" / "datasets"),
            config=CONFIG,
            scenarios=asked.scenarios,
            data=asked.data,
        )
    )
    write(made, asked.out)
    write_atomically({plans / f"{TEMPLATE.stem}.yaml": _plan(asked)})
    kept = f"old weights are kept: {made.result.reason}" if made.result.kept_old else "new weights"
    asked.say(f"  candidate {kept} in {(stopwatch() - began_ns) / SECOND:.0f} s")


def _plan(asked: Walk) -> bytes:
    """That of the template, on this scenario, a cluster a symbol, with the overlay that was calibrated."""
    plan: dict[str, Any] = load(TEMPLATE).data
    instruments = load_scenario(asked.scenario, asked.scenarios)[0].instruments
    overlays = [str(asked.out / _OVERLAY) if name.endswith(_OVERLAY) else name for name in plan["arms"]["B"]]
    plan |= {
        "scenario": asked.scenario,
        "arms": {**plan["arms"], "B": overlays},
        "clusters": {one.symbol.lower(): [one.key] for one in instruments},
    }
    text = f"# Written by `mmbot all` from {TEMPLATE}.\n{yaml.safe_dump(plan, sort_keys=False)}"
    return text.encode()


def _last_whole_day(out: Path) -> str:
    """Of the soak that was published."""
    ended_ns = msgspec.json.decode((out / "edge/feeds/manifest.json").read_bytes())["ended_ns"]
    return f"{datetime.fromtimestamp((ended_ns // DAY - 1) * DAY // SECOND, UTC):%Y-%m-%d}"


def _block(asked: Walk, task: Task, by: Standing) -> None:
    _unblock(task, asked.out)
    _keep_blocked(asked, task, f"blocked by {by.task.name}, which is {by.state}")
    _say(asked, task, 0)


def _keep_blocked(asked: Walk, task: Task, why: str) -> None:
    """Verdict, artifacts and record of a step that could not be played."""
    out, now_ns = asked.out, wall_ns()
    facts = {"schema": 1, "step": task.step, "verdict": "NO_DATA", "data_kind": None, "reason": why}
    verdict = msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n"
    files = {
        path: verdict if path.suffix == ".json" else _note(path, task, why)
        for path in _due(task, out, now_ns)
    }
    write_atomically({**files, out / task.evidence: verdict})
    evidence.keep(
        task,
        out,
        said={"verdict": "NO_DATA", "label": "NO_DATA", "reason": why, "data_kind": None},
        checks={},
        command=f"mmbot all --virtual --scenario {asked.scenario}",
        inputs=(),
        code=provenance.code() | {"source_sha256": provenance.source_sha256()},
        now_ns=now_ns,
        stands_for=[str(path.relative_to(out)) for path in files],
    )


def _due(task: Task, out: Path, now_ns: int) -> Iterator[Path]:
    """A name for each artifact that is not there."""
    today = f"{datetime.fromtimestamp(now_ns // SECOND, UTC):%Y-%m-%d}"
    for pattern, there in task.found(out):
        if not there:
            yield out / pattern.replace("????-??-??", today).replace("*", "NO_DATA")


def _note(path: Path, task: Task, why: str) -> bytes:
    if path.suffix == ".jsonl":
        return msgspec.json.encode({"verdict": "NO_DATA", "reason": why}) + b"\n"
    return f"# {task.name}: NO_DATA\n\nThis step was not played: {why}.\n".encode()


def _unblock(task: Task, out: Path) -> None:
    """Take away what said no more than that the step could not be played."""
    path = record_path(task.name, out)
    one = evidence.standing(task, out, source_sha256="", now_ns=0)
    if one.record is None or not one.record.stands_for:
        return
    for name in (*one.record.stands_for, task.evidence):
        (out / name).unlink(missing_ok=True)
    path.unlink()
