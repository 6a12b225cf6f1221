"""Which session `--mmgates-resume` goes on with: the newest that was interrupted, under its own id.

A session that was killed leaves the directories of its runs in the making, one that failed leaves
`<run>.failed`. Of either only what holds a checkpoint, or was played to its end, can be gone on with. The
session takes the id of the old one, so that its runs keep their run_id, and those that it had finished are
not played again.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_mmgates.errors import OutputError
from pytest_mmgates.loader import PARTS
from pytest_mmgates.making import FAILED, FAILURE, LOCK, OUTCOME, PARTIAL, RUNS, Left, left_in

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
    found = list(_interrupted(runs))
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
        session_id = suffix.removeprefix(f"{PARTIAL}-") if suffix != FAILED else _failed_session(runs, name)
        if left and session_id:
            yield Interrupted(name, session_id, directory, max(one.stat().st_mtime for one in left))


def _failed_session(runs: Path, name: str) -> str | None:
    """Whose run failed, by its outcome."""
    try:
        run_id = json.loads((runs / f"{name}.{OUTCOME}").read_bytes())["run_id"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(run_id)[-_ID_LENGTH:]


def _reopen(runs: Path, run: Interrupted) -> None:
    """A failed run is in the making again, and what says that it failed is gone."""
    try:
        with FileLock(runs / f"{run.name}.{LOCK}", blocking=False):
            if not run.directory.name.endswith(FAILED):
                return
            for failure in run.directory.glob(f"{PARTS}/*{FAILURE}"):
                failure.unlink()
            run.directory.rename(runs / f"{run.name}.{PARTIAL}-{run.session_id}")
            (runs / f"{run.name}.{OUTCOME}").unlink()
    except Timeout as error:
        raise OutputError(f"{run.directory}: another session is playing this run") from error
    except OSError as error:
        raise OutputError(
            f"{run.directory}: cannot be resumed: {error.strerror}: {error.filename}"
        ) from error
