"""A run of the change beside the locked baseline: decisions, stage times, and what it does to the gates."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_mmgates.baseline.behaviour import behaviour, play
from pytest_mmgates.baseline.edits import baseline_edits, edits, gate_files, gate_files_of
from pytest_mmgates.baseline.in_force import limits
from pytest_mmgates.baseline.latency import CANDIDATE, counted, measured, stored
from pytest_mmgates.baseline.lockfile import BASELINES, Lock, lock_path, read_locked
from pytest_mmgates.baseline.record import Behaviour, ComparisonRecord, Latency
from pytest_mmgates.baseline.source import Unpacked, sha256, unpack
from pytest_mmgates.errors import BaselineError, RunlogError
from pytest_mmgates.gatefile import Gate
from pytest_mmgates.options import Options
from pytest_mmgates.perflab import PerfError
from pytest_mmgates.runlog import RunLog

Request = Mapping[str, Any]


def lock_of(options: Options, scenario: str) -> Lock:
    """The lock of a scenario, of this scenario's market; BaselineError."""
    path = lock_path(options.gates_dir, scenario)
    lock = read_locked(path, shown_as=options.shown(path))
    file = options.file_of(scenario)
    if lock.market.scenario != scenario:
        raise BaselineError(
            f"{options.shown(path)}: was locked on {lock.market.scenario}, expected {scenario}"
        )
    found = sha256(file.read_bytes())
    if found != lock.market.scenario_sha256:
        raise BaselineError(
            f"{options.shown(file)}: sha256 was {found[:12]}, expected {lock.market.scenario_sha256[:12]} as"
            " locked: another market needs another lock"
        )
    return lock


def checked_lock(options: Options, scenario: str) -> Lock:
    """The same, and its code is there to be played."""
    lock = lock_of(options, scenario)
    unpacked(options, lock)
    return lock


def unpacked(options: Options, lock: Lock) -> Unpacked:
    into = options.out_dir / "baseline" / "source"
    return unpack(lock.source, options.gates_dir / BASELINES, options.root, into)


def compare(
    options: Options, lock: Lock, gate: Gate, request: Request, candidate: RunLog
) -> ComparisonRecord:
    """Play the baseline as the candidate was played, and compare. What cannot be compared says why."""
    said = tuple(gate_edits(options, lock))
    code = _code(options, lock)
    decided, undecided = _behaviour(options, lock, code, request, candidate)
    timed, untimed = _latency(options, lock, gate, code)
    return ComparisonRecord(lock.name, lock.digest, lock.commit, decided, undecided, timed, untimed, said)


def _code(options: Options, lock: Lock) -> Unpacked | str:
    """The baseline's code, or why it cannot be had."""
    try:
        return unpacked(options, lock)
    except BaselineError as error:
        return str(error)


def gate_edits(options: Options, lock: Lock) -> Iterator[str]:
    """What the change does to the gates: beside the commit that it is made on, else beside the lock."""
    now = gate_files(options.gates_dir)
    if options.base is None:
        yield from edits(lock.gates, now)
    else:
        yield from edits(gate_files_of(options.root, options.base, options.gates_dir), now)
        yield from baseline_edits(options.root, options.base, options.gates_dir)


def _behaviour(
    options: Options, lock: Lock, code: Unpacked | str, request: Request, candidate: RunLog
) -> tuple[Behaviour | None, str | None]:
    if isinstance(code, str):
        return None, code
    directory = candidate.directory / "baseline"
    asked = {**request, "config": [_beside(path, options.root, code.root) for path in request["config"]]}
    try:
        baseline = play(code.root, options.sut, asked, directory)
        return behaviour(lock, baseline, candidate, options.gates_dir), None
    except (BaselineError, RunlogError) as error:
        return None, str(error)


def _latency(
    options: Options, lock: Lock, gate: Gate, code: Unpacked | str
) -> tuple[Latency | None, str | None]:
    """Down the ladder: the baseline run here, else its stored instructions, else its stored costs, else
    nothing and why. `code` says why where there is none. A change that does not run itself has nothing to
    be compared: a lower rung must not pass it.
    """
    asked = limits(gate)
    if not asked:
        return None, "no rule asks for stage times"
    why = code if isinstance(code, str) else ""
    try:
        if isinstance(code, Unpacked):
            found = measured(
                lock, code, options.root,
                limits=asked, budget_s=options.compare_s, instructions=options.instructions,
            )  # fmt: skip
            return found, None
    except (BaselineError, PerfError) as error:
        why = str(error)
        if isinstance(error, PerfError) and error.code == CANDIDATE:
            return None, why
    try:
        return counted(lock, options.root, why, limits=asked), None
    except (BaselineError, PerfError) as error:
        why = f"{why}; {error}"
    try:
        return stored(lock, options.root, why), None
    except (BaselineError, PerfError) as error:
        return None, str(error)


def _beside(path: str, root: Path, code: Path) -> str:
    """The same file of the baseline."""
    asked = Path(path)
    return str(code / asked.relative_to(root)) if asked.is_relative_to(root) else path
