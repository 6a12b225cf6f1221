"""One engine run per scenario and session, however many rules and workers ask for it.

    OUT/runs/shadow-demo/                  the run directory, complete
    OUT/runs/shadow-demo.lock              held while a worker makes the run
    OUT/runs/shadow-demo.outcome.json      of which session it is, and how it ended
    OUT/runs/shadow-demo.partial-<run_id>  while it is being made; moved into place when it has ended
    OUT/runs/shadow-demo.failed            what a failed run left, for looking into

Decided: an older good run is replaced whole or not at all. Whoever comes second waits at the lock, then reads
the outcome: a finished run is loaded, a failed one repeats its message. A session never takes over a run of
another session.
"""

import json
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from pytest_mmgates.errors import MmgatesError, OutputError
from pytest_mmgates.loader import load
from pytest_mmgates.options import Options
from pytest_mmgates.report.files import write_atomically
from pytest_mmgates.runlog import RunLog
from pytest_mmgates.sut import drive, is_user_error, load_sut
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
            self._loaded[spec] = load(self.directory(spec), run_id=outcome.run_id)
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

    def _outcome(self, spec: RunSpec) -> Outcome | None:
        """The outcome of this session's run; another session's counts for nothing."""
        try:
            outcome = Outcome(**json.loads(self._beside(spec, "outcome.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
        return outcome if outcome.run_id == self.run_id(spec) else None

    def _make_once(self, spec: RunSpec) -> Outcome:
        with self._lock(spec):
            return self._outcome(spec) or self._make(spec)

    @contextmanager
    def _lock(self, spec: RunSpec) -> Iterator[None]:
        path = self._beside(spec, "lock")
        lock = FileLock(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:
            reason = f"{error.strerror}: {error.filename}"
            raise OutputError(f"--mmgates-out cannot be written: {reason}") from error
        try:
            yield
        finally:
            lock.release()

    def _make(self, spec: RunSpec) -> Outcome:
        """Run the system under test. A bug is raised here, and leaves its traceback in the outcome for the
        others.
        """
        partial = self._beside(spec, f"partial-{self._session_id}")
        for left in partial.parent.glob(f"{spec}.partial-*"):
            shutil.rmtree(left)
        try:
            drive(load_sut(self._options.sut), self._request(spec, partial))
            _move(partial, self.directory(spec))
        except Exception as error:
            _move(partial, self._beside(spec, "failed"))
            outcome = self._write(spec, _failure(self.run_id(spec), error))
            if outcome.detail:
                raise
            return outcome
        return self._write(spec, Outcome(self.run_id(spec)))

    def _request(self, spec: RunSpec, run_dir: Path) -> dict[str, object]:
        options = self._options
        marked = parse_duration(spec.duration).base(Dimension.TIME) / NS_PER_S if spec.duration else None
        return {
            "step": spec.step,
            "scenario": spec.scenario,
            "run_id": self.run_id(spec),
            "run_dir": str(run_dir),
            "data_dir": None if options.data_dir is None else str(options.data_dir),
            "duration_s": options.duration_s if marked is None else marked,
            "seed": options.seed,
            "config": [str(path) for path in options.config],
        }

    def _write(self, spec: RunSpec, outcome: Outcome) -> Outcome:
        write_atomically({self._beside(spec, "outcome.json"): json.dumps(asdict(outcome))})
        return outcome


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
