"""One engine run per scenario and session, however many rules and workers ask for it.

    OUT/runs/shadow-demo/                     the run directory, complete
    OUT/runs/shadow-demo.lock                 held by the worker that makes the run
    OUT/runs/shadow-demo.locks/<part>.lock    held by the worker that plays the part
    OUT/runs/shadow-demo.outcome.json         of which session it is, and how it ended
    OUT/runs/shadow-demo.partial-<session>/   while it is being made; moved into place when it has ended
    OUT/runs/shadow-demo.failed/              what a failed run left, for looking into

Decided: an older good run is replaced whole or not at all. A run is finished when its rows have been read and
believed. Whoever comes second waits at the lock, then reads the outcome: a finished run is loaded, a failed
one repeats its message. A session never takes over a run of another session.

A run in parts is played by whoever is there: the worker that holds the lock and those that would wait for it
each take the next part that nobody has taken, until none is left. The one with the lock then waits for the
parts of the others, plays again what a killed worker left, and puts them together. A part that failed is
played by nobody again and ends the run.
"""

import json
import shutil
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_mmgates.errors import MmgatesError, OutputError
from pytest_mmgates.loader import PARTS, is_tallied, keep_tally, load, load_tallied
from pytest_mmgates.options import Options
from pytest_mmgates.parts import write_whole_manifest
from pytest_mmgates.report.files import write_atomically
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.sut import drive, is_user_error, load_callable, parts_of
from pytest_mmgates.units import NS_PER_S, Dimension, parse_duration


@dataclass(frozen=True, slots=True)
class RunSpec:
    """Which run a test needs. `duration` is set where a marker overrides it; it then is part of the run's
    name.
    """

    step: str
    scenario: str
    duration: str = ""

    @property
    def name(self) -> str:
        return f"{self.scenario}-{self.duration}" if self.duration else self.scenario

    def __str__(self) -> str:
        return f"{self.step}-{self.name}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `error` is one line; `detail` is the traceback of a bug."""

    run_id: str
    error: str | None = None
    detail: str | None = None


class RunFailedError(MmgatesError):
    """A run that failed before, in this process or another: the same message again."""


class RunStore:
    """The runs of one session, in one process."""

    def __init__(self, options: Options, session_id: str) -> None:
        self._options = options
        self._session_id = session_id
        self._loaded: dict[RunSpec, RunLog] = {}

    def run(self, spec: RunSpec) -> RunLog:
        """The finished run, made now if this session has none yet."""
        if spec not in self._loaded:
            outcome = self._make_once(spec)
            if outcome.error is not None:
                raise RunFailedError(outcome.detail or outcome.error)
            self._loaded[spec] = load_tallied(self.directory(spec), run_id=outcome.run_id)
        return self._loaded[spec]

    def finished(self, spec: RunSpec) -> RunLog | str | None:
        """What this session has of the run: its log, one line that says why not, or None if it never ran."""
        outcome = self._outcome(spec)
        if outcome is None:
            return None
        if outcome.error is not None:
            return outcome.error
        try:
            return self.run(spec)
        except MmgatesError as error:
            return str(error)

    def run_id(self, spec: RunSpec) -> str:
        return f"{spec}-{self._session_id}"

    def directory(self, spec: RunSpec) -> Path:
        return self._options.out_dir / "runs" / str(spec)

    def _beside(self, spec: RunSpec, suffix: str) -> Path:
        return self._options.out_dir / "runs" / f"{spec}.{suffix}"

    def _partial(self, spec: RunSpec) -> Path:
        return self._beside(spec, f"partial-{self._session_id}")

    def _outcome(self, spec: RunSpec) -> Outcome | None:
        """The outcome of this session's run; another session's counts for nothing."""
        outcome = _read_outcome(self._beside(spec, "outcome.json"))
        return outcome if outcome and outcome.run_id == self.run_id(spec) else None

    def _make_once(self, spec: RunSpec) -> Outcome:
        path = self._beside(spec, "lock")
        with _lock(path, blocking=False) as leads:
            if leads:
                return self._outcome(spec) or self._make(spec)
        self._help(spec)
        with _lock(path):
            return self._outcome(spec) or self._make(spec)

    def _help(self, spec: RunSpec) -> None:
        """Play parts of a run that another worker makes. What goes wrong it learns from the files."""
        try:
            parts = self._parts(spec)
        except Exception:  # noqa: BLE001 - the other worker asked for the same, and reports what came of it
            return
        self._play_free_parts(spec, parts)

    def _make(self, spec: RunSpec) -> Outcome:
        """Make the run, or end it. A bug is raised here, and leaves its traceback in the outcome for the
        others.
        """
        self._clear_other_sessions(spec)
        with ExitStack() as locks:
            try:
                parts = self._parts(spec)
                outcome = self._make_of_parts(spec, parts, locks) if parts else self._make_whole(spec)
            except Exception as error:
                outcome = self._end(spec, _failure(self.run_id(spec), error))
                if outcome.detail:
                    raise
                return outcome
            return self._end(spec, outcome)

    def _make_whole(self, spec: RunSpec) -> Outcome:
        self._play(spec, self._partial(spec), None)
        return Outcome(self.run_id(spec))

    def _make_of_parts(self, spec: RunSpec, parts: Sequence[str], locks: ExitStack) -> Outcome:
        """All locks of parts are held until the outcome is written, so that nobody begins one after that."""
        self._play_free_parts(spec, parts)
        for name in parts:
            locks.enter_context(_lock(self._part_lock(spec, name)))
        for name in parts:
            failed = self._failed_part(spec, parts) or self._play_part(spec, name)
            if failed:
                return failed
        write_whole_manifest(self._partial(spec), parts)
        return Outcome(self.run_id(spec))

    def _play_free_parts(self, spec: RunSpec, parts: Sequence[str]) -> None:
        """One part after the other that no other worker has, until the run is over or none is left."""
        for name in parts:
            with _lock(self._part_lock(spec, name), blocking=False) as free:
                if self._outcome(spec) or self._failed_part(spec, parts):
                    return
                if free:
                    self._play_part(spec, name)

    def _play_part(self, spec: RunSpec, name: str) -> Outcome | None:
        """Play a part that has not been played yet; its lock is held. The outcome if it failed."""
        directory = self._partial(spec) / PARTS / name
        if is_tallied(directory):
            return None
        try:
            self._play(spec, directory, name)
        except Exception as error:  # noqa: BLE001 - the worker that makes the run reports it
            failure = _failure(self.run_id(spec), error)
            failed = replace(failure, error=f"part {name}: {failure.error}")
            _write_outcome(self._part_failure(spec, name), failed)
            return failed
        return None

    def _failed_part(self, spec: RunSpec, parts: Sequence[str]) -> Outcome | None:
        outcomes = (_read_outcome(self._part_failure(spec, name)) for name in parts)
        return next((outcome for outcome in outcomes if outcome), None)

    def _part_lock(self, spec: RunSpec, name: str) -> Path:
        return self._beside(spec, "locks") / f"{name}.lock"

    def _part_failure(self, spec: RunSpec, name: str) -> Path:
        return self._partial(spec) / PARTS / f"{name}.failure.json"

    def _play(self, spec: RunSpec, run_dir: Path, part: str | None) -> None:
        """Drive the system under test and read what it wrote. What a killed worker left goes first."""
        if run_dir.exists():
            shutil.rmtree(run_dir)
        run_dir.parent.mkdir(parents=True, exist_ok=True)
        request = self._request(spec, run_dir, part)
        drive(load_callable("mmgates_sut", self._options.sut), request)
        keep_tally(load(run_dir, run_id=self.run_id(spec)))

    def _parts(self, spec: RunSpec) -> tuple[str, ...]:
        if not self._options.parts:
            return ()
        names = load_callable("mmgates_parts", self._options.parts)
        return parts_of(names, self._request(spec, self._partial(spec), None))

    def _end(self, spec: RunSpec, outcome: Outcome) -> Outcome:
        """Move the directory to where it is to be looked for, then say so."""
        partial, failed = self._partial(spec), self._beside(spec, "failed")
        if outcome.error is None:
            _move(partial, self.directory(spec))
        else:
            _move(partial, failed)
            outcome = replace(outcome, error=outcome.error.replace(str(partial), str(failed)))
        _write_outcome(self._beside(spec, "outcome.json"), outcome)
        return outcome

    def _clear_other_sessions(self, spec: RunSpec) -> None:
        mine = self._partial(spec)
        for left in mine.parent.glob(f"{spec}.partial-*"):
            if left != mine:
                shutil.rmtree(left)

    def _request(self, spec: RunSpec, run_dir: Path, part: str | None) -> dict[str, object]:
        options = self._options
        marked = parse_duration(spec.duration).base(Dimension.TIME) / NS_PER_S if spec.duration else None
        return {
            "step": spec.step,
            "scenario": spec.scenario,
            "part": part,
            "run_id": self.run_id(spec),
            "run_dir": str(run_dir),
            "data_dir": None if options.data_dir is None else str(options.data_dir),
            "duration_s": options.duration_s if marked is None else marked,
            "seed": options.seed,
            "config": [str(path) for path in options.config],
        }


@contextmanager
def _lock(path: Path, *, blocking: bool = True) -> Iterator[bool]:
    """Hold the lock of a file; false where another process holds it and nobody wants to wait."""
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=blocking)
    except Timeout:
        yield False
        return
    except OSError as error:
        reason = f"{error.strerror}: {error.filename}"
        raise OutputError(f"--mmgates-out cannot be written: {reason}") from error
    try:
        yield True
    finally:
        lock.release()


def _read_outcome(path: Path) -> Outcome | None:
    try:
        return Outcome(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _write_outcome(path: Path, outcome: Outcome) -> None:
    write_atomically({path: json.dumps(asdict(outcome))})


def _failure(run_id: str, error: Exception) -> Outcome:
    """One line for people; a bug also keeps its traceback."""
    text = " ".join(str(error).split())
    if is_user_error(error):
        return Outcome(run_id, text)
    return Outcome(run_id, f"{type(error).__name__}: {text}", "".join(traceback.format_exception(error)))


def _move(source: Path, target: Path) -> None:
    """Replace a directory whole. A run that failed before it made its directory leaves nothing to move."""
    if not source.is_dir():
        return
    old = target.with_name(f"{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    source.rename(target)
    shutil.rmtree(old, ignore_errors=True)
