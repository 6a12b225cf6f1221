"""Which session `--mmgates-resume` goes on with: the newest that was interrupted, under its own id.

A session that was killed leaves the directories of its runs in the making, one that failed leaves
`<run>.failed`. Of either only what holds a checkpoint, or was played to its end, can be gone on with; a run
that is finished, but was not judged yet, is judged. The session takes the id of the old one, so that its runs
keep their run_id, and those that it had finished are not played again.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_mmgates.errors import OutputError
from pytest_mmgates.loader import PARTS
from pytest_mmgates.making import FAILED, FAILURE, LOCK, OUTCOME, PARTIAL, RUNS
from pytest_mmgates.playing import ABORT_NOTE, Left, left_in

_ID_LENGTH = 8


@dataclass(frozen=True)
class Interrupted:
    """A run that can be gone on with. `name`: what it is of, `soak-demo`."""

    name: str
    session_id: str
    directory: Path
    newest_s: float


def take_over(out_dir: Path) -> str:
    """The id of the session to go on with; what it left is put where its runs look for it. Raises OutputError
    where there is none.
    """
    runs = out_dir / RUNS
    found = [*_interrupted(runs), *_unjudged(out_dir)]
    if not found:
        raise OutputError(f"{runs}: holds no run that was interrupted: nothing to resume")
    session_id = max(found, key=lambda run: run.newest_s).session_id
    for run in found:
        if run.session_id == session_id:
            _reopen(runs, run)
    return session_id


def _interrupted(runs: Path) -> Iterator[Interrupted]:
    for directory in [*runs.glob(f"*.{PARTIAL}-*"), *runs.glob(f"*.{FAILED}")]:
        left = [one for one in (directory, *directory.glob(f"{PARTS}/*")) if left_in(one) is not Left.NOTHING]
        name, _, suffix = directory.name.rpartition(".")
        session_id = suffix.removeprefix(f"{PARTIAL}-") if suffix != FAILED else _session_of(runs, name)
        if left and session_id:
            yield Interrupted(name, session_id, directory, max(one.stat().st_mtime for one in left))


def _session_of(runs: Path, name: str) -> str:
    """Whose run failed, by its outcome."""
    return (_run_id(runs / f"{name}.{OUTCOME}") or "")[-_ID_LENGTH:]


def _unjudged(out_dir: Path) -> Iterator[Interrupted]:
    """Finished runs of which no verdict speaks: the session was killed between the two."""
    judged = {_run_id(path) for path in (out_dir / "verdicts").glob("*.json")}
    for path in (out_dir / RUNS).glob("*/manifest.json"):
        name, run_id = path.parent.name, _run_id(path)
        if run_id and run_id not in judged and run_id[: -_ID_LENGTH - 1] == name:
            yield Interrupted(name, run_id[-_ID_LENGTH:], path.parent, path.stat().st_mtime)


def _run_id(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_bytes())["run_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _reopen(runs: Path, run: Interrupted) -> None:
    """A run that failed or was aborted is in the making again, and what says so is gone; so is one that was
    finished and has no outcome.
    """
    try:
        with FileLock(runs / f"{run.name}.{LOCK}", blocking=False):
            failed = run.directory.name.endswith(FAILED)
            lost = run.directory.name == run.name and _session_of(runs, run.name) != run.session_id
            aborted = run.directory.name != run.name and _session_of(runs, run.name) == run.session_id
            if not failed and not lost and not aborted:
                return
            for suffix in (FAILURE, ABORT_NOTE):
                for note in run.directory.glob(f"{PARTS}/*{suffix}"):
                    note.unlink()
            run.directory.rename(runs / f"{run.name}.{PARTIAL}-{run.session_id}")
            (runs / f"{run.name}.{OUTCOME}").unlink(missing_ok=True)
    except Timeout as error:
        raise OutputError(f"{run.directory}: another session is playing this run") from error
    except OSError as error:
        raise OutputError(
            f"{run.directory}: cannot be resumed: {error.strerror}: {error.filename}"
        ) from error
