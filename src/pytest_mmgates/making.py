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

Decided: a session that is told to end (SIGTERM, Ctrl-C) ends for all of its workers. The one that plays
writes an aborted outcome before it lets go of the lock, so that who waits for it reports the reason and
nobody plays the run again; what was written stays in the making, for `--mmgates-resume`.

A run in parts is played by whoever is there: the worker that holds the lock and those that would wait for it
each take the next part that nobody has taken, until none is left. The one with the lock then waits for the
parts of the others, plays again what a killed worker left, and puts them together. A part that failed is
played by nobody again and ends the run.

On a cluster (`--mmgates-cluster`) its workers play them, and this process alone hands them out and takes what
comes back (`pytest_mmgates.cluster`); a part that has been played lies where it lies otherwise, so nothing
else changes.

Each part is watched by itself, its windows begin with it. When a stop rule fires in one of them the run is
over for all: the part is halted and leaves a note, parts in play elsewhere see the note at their next batch
and are halted too, no other part is begun. The whole is then what was played; which parts that is depends on
who played, its verdict (FAIL, by the rule that fired) does not.
"""

import json
import shutil
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from mmcluster import Failed
from pytest_mmgates.baseline import in_force
from pytest_mmgates.baseline.compare import compare, lock_of
from pytest_mmgates.baseline.lockfile import Lock
from pytest_mmgates.cluster.driver import play_shards
from pytest_mmgates.cluster.of_run import ShardsOfRun
from pytest_mmgates.cluster.shard import Shard, Summary
from pytest_mmgates.dataset import path_of
from pytest_mmgates.ending import waiting
from pytest_mmgates.errors import OutputError, Suspended, SutError
from pytest_mmgates.gatefile import Gate, read_gate
from pytest_mmgates.loader import (
    PARTS,
    is_tallied,
    keep_comparison,
    keep_summary,
    load_tallied,
)
from pytest_mmgates.options import Options
from pytest_mmgates.parts import write_whole_manifest
from pytest_mmgates.playing import HaltNotes, WatchJudge, halted_parts, play
from pytest_mmgates.progress import Progress
from pytest_mmgates.report.files import write_atomically
from pytest_mmgates.rows import read_markets
from pytest_mmgates.steps import DAILY, DATASET
from pytest_mmgates.sut import is_user_error, load_callable, parts_of
from pytest_mmgates.units import NS_PER_S, Dimension, parse_duration
from pytest_mmgates.watch.watch import Watch

RUNS = "runs"
LOCK = "lock"
PARTIAL = "partial"
FAILED = "failed"
OUTCOME = "outcome.json"
FAILURE = ".failure.json"


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
    """How a run ended. `error` is one line; `detail` is a bug's traceback; `made` is a dataset's file.
    `aborted`: the session was told to end, and what there is of the run stays where it was made.
    """

    run_id: str
    error: str | None = None
    detail: str | None = None
    made: str = ""
    aborted: bool = False


class Making:
    """How this session makes one run, seen from one of its processes."""

    def __init__(self, options: Options, session_id: str, spec: RunSpec, progress: Progress) -> None:
        self._options = options
        self._progress = progress
        self._tell = progress.line
        self._spec = spec
        self.run_id = f"{spec}-{session_id}"
        self.directory = options.out_dir / RUNS / str(spec)
        self._partial = self._beside(f"{PARTIAL}-{session_id}")

    def outcome(self) -> Outcome | None:
        """The outcome of this session's run; another session's counts for nothing."""
        outcome = _read_outcome(self._beside(OUTCOME))
        return outcome if outcome and outcome.run_id == self.run_id else None

    def make_once(self) -> Outcome:
        """The outcome of the run, made now if this session has none yet."""
        path = self._beside(LOCK)
        with _lock(path, blocking=False) as leads:
            if leads:
                return self.outcome() or self._make()
        self._help()
        with _lock(path, what=self.run_id):
            return self.outcome() or self._make()

    def _beside(self, suffix: str) -> Path:
        return self.directory.with_name(f"{self.directory.name}.{suffix}")

    def _help(self) -> None:
        """Play parts of a run that another worker makes. What goes wrong it learns from the files."""
        try:
            parts = self._parts()
        except Exception:  # noqa: BLE001 - the other worker asked for the same, and reports what came of it
            return
        self._play_free_parts(parts)

    def _make(self) -> Outcome:
        """Make the run, or end it. A bug is raised here, and leaves its traceback in the outcome for the
        others.
        """
        self._clear_other_sessions()
        with ExitStack() as locks:
            try:
                parts = self._parts()
                outcome = self._make_of_parts(parts, locks) if parts else self._make_whole()
            except Exception as error:
                outcome = self._end(_failure(self.run_id, error))
                if outcome.detail:
                    raise
                return outcome
            return self._end(outcome)

    def _make_whole(self) -> Outcome:
        lock = lock_of(self._options, self._spec.scenario) if self._spec.step == "ci" else None
        self._play(self._partial, None)
        if lock is not None:
            self._compare(lock)
        return Outcome(self.run_id)

    def _compare(self, lock: Lock) -> None:
        """Hold the run that was just played against the locked baseline."""
        path = self._options.gates_dir / f"{in_force.GATE}.yaml"
        gate = in_force.with_locked(read_gate(path, shown_as=self._options.shown(path)), self._options)
        run = load_tallied(self._partial, run_id=self.run_id)
        request = self._request(self._partial, None)
        keep_comparison(self._partial, compare(self._options, lock, gate, request, run))

    def _make_of_parts(self, parts: Sequence[str], locks: ExitStack) -> Outcome:
        """All locks of parts are held until the outcome is written, so that nobody begins one after that."""
        if self._options.cluster is None:
            self._play_free_parts(parts)
        else:
            self._play_on_cluster(parts, self._options.cluster)
        for name in parts:
            locks.enter_context(_lock(self._part_lock(name), what=f"part {name} of {self.run_id}"))
        for name in parts:
            aborted = self.outcome()
            if aborted:
                return aborted
            halted = halted_parts(self._partial / PARTS)
            if halted and name not in halted:
                continue
            failed = self._failed_part(parts) or self._play_part(name)
            if failed:
                return failed
        self._put_together([name for name in parts if is_tallied(self._partial / PARTS / name)])
        return Outcome(self.run_id)

    def _put_together(self, played: Sequence[str], /) -> None:
        """What says that these parts are one."""
        write_whole_manifest(self._partial, played)

    def _play_free_parts(self, parts: Sequence[str]) -> None:
        """One part after the other that no other worker has, until the run is over or none is left."""
        for name in parts:
            with _lock(self._part_lock(name), blocking=False) as free:
                if self.outcome() or self._failed_part(parts) or halted_parts(self._partial / PARTS):
                    return
                if free:
                    self._play_part(name)

    def _play_part(self, name: str) -> Outcome | None:
        """Play a part that has not been played yet; its lock is held. The outcome if it failed."""
        directory = self._partial / PARTS / name
        if is_tallied(directory):
            return None
        try:
            self._play(directory, name)
        except Exception as error:  # noqa: BLE001 - the worker that makes the run reports it
            failure = _failure(self.run_id, error)
            failed = replace(failure, error=f"part {name}: {failure.error}")
            _write_outcome(self._part_failure(name), failed)
            return failed
        return None

    def _play_on_cluster(self, parts: Sequence[str], address: str) -> None:
        """Those that are not played yet, until one fails or is halted. What they came to lies where it lies
        of parts that were played here.
        """
        folder = self._partial / PARTS
        wanted = [name for name in parts if not is_tallied(folder / name)]
        if not wanted or halted_parts(folder) or self._failed_part(parts):
            return
        folder.mkdir(parents=True, exist_ok=True)
        whole = self._request(self._partial, wanted[0])
        scenario = self._options.file_of(str(whole["scenario"]))
        shards = ShardsOfRun(self._options, folder, self._gate_file, scenario, whole)
        with (
            self._told_if_aborted(HaltNotes(folder, None)),
            waiting(f"the shards of {self.run_id}"),
            closing(
                play_shards(
                    address,
                    (self._shard(shards, name) for name in wanted),
                    len(wanted),
                    shards.facts(),
                    self._progress,
                )
            ) as ends,
        ):
            for name, end in ends:
                if isinstance(end, Failed):
                    error = f"part {name}: {end.error}; replay: {self._replay(name)}"
                    _write_outcome(self._part_failure(name), Outcome(self.run_id, error, end.detail))
                    return
                self._take(name, end)
                if end.halted is not None:
                    return

    def _shard(self, shards: ShardsOfRun, name: str) -> Shard:
        request = self._request(self._partial / PARTS / name, name)
        return shards.shard(name, request, candidate=self._is_candidate(name))

    def _is_candidate(self, _part: str | None, /) -> bool:
        """Whether a part is watched as arm B of an experiment."""
        return False

    def _take(self, name: str, summary: Summary) -> None:
        """What came back of a part."""
        for line in summary.said:
            self._tell(f"{name}: {line}")
        folder = self._partial / PARTS
        if summary.halted is not None:
            HaltNotes(folder, name).leave(summary.halted)
        if summary.rows is not None:
            shutil.rmtree(folder / name, ignore_errors=True)
            keep_summary(folder / name, summary.files, summary.rows)

    def _replay(self, part: str) -> str:
        """The command that plays a part by itself, here."""
        alone = replace(self._options, asked_parts=(part,))
        return alone.rerun(self._spec.step, self._spec.scenario)

    def _failed_part(self, parts: Sequence[str]) -> Outcome | None:
        outcomes = (_read_outcome(self._part_failure(name)) for name in parts)
        return next((outcome for outcome in outcomes if outcome), None)

    def _part_lock(self, name: str) -> Path:
        return self._beside("locks") / f"{name}.lock"

    def _part_failure(self, name: str) -> Path:
        return self._partial / PARTS / f"{name}{FAILURE}"

    def _play(self, run_dir: Path, part: str | None) -> None:
        gate = self._gate(part)
        watch = self._watch(gate, run_dir)
        others = HaltNotes(self._partial / PARTS, part)
        judge = self._judge(run_dir, gate, watch, others)
        with self._told_if_aborted(others):
            play(self._options.sut, self._request(run_dir, part), watch, judge, resume=self._options.resume)

    @contextmanager
    def _told_if_aborted(self, others: "HaltNotes") -> Iterator[None]:
        """Nobody begins the run anew that this process was told to leave: the outcome is there before any
        lock is free.
        """
        try:
            yield
        except (Suspended, KeyboardInterrupt) as ended:
            reason = str(ended) or f"ABORTED by an interrupt: run {self.run_id}"
            others.abort(reason)
            _write_outcome(self._beside(OUTCOME), Outcome(self.run_id, reason, aborted=True))
            raise

    @property
    def _watched_arm(self) -> str | None:
        """Whose ticks and fills are watched; None: all."""
        return None

    def _judge(self, _run_dir: Path, gate: Gate | None, watch: Watch, others: "HaltNotes", /) -> "WatchJudge":
        """Of the batches of a run."""
        return WatchJudge(gate, watch, others)

    @property
    def _gate_file(self) -> Path:
        """The stop rules of a run are those of the gate file named like its step: whoever else judges it,
        they belong to the run.
        """
        return self._options.gates_dir / f"{self._spec.step}.yaml"

    def _gate(self, _part: str | None, /) -> Gate | None:
        path = self._gate_file
        return read_gate(path, shown_as=self._options.shown(path)) if path.is_file() else None

    def _watch(self, gate: Gate | None, run_dir: Path) -> Watch:
        stop, warn = (gate.stop, gate.warn) if gate else ((), ())
        return Watch(stop, warn, lambda: read_markets(run_dir), self._tell, self._watched_arm)

    def _parts(self) -> tuple[str, ...]:
        """Those to play, in their order: all, or the ones that were asked for."""
        asked = self._options.asked_parts
        found: tuple[str, ...] = ()
        if self._options.parts and self._spec.step != in_force.GATE:
            names = load_callable("mmgates_parts", self._options.parts)
            found = parts_of(names, self._request(self._partial, None))
        wrong = [name for name in asked if name not in found]
        if wrong:
            there = ", ".join(found) or "none"
            raise SutError(f"--mmgates-part: no part {wrong[0]!r} in {self._spec.scenario}: there is {there}")
        return tuple(name for name in found if not asked or name in asked)

    def _end(self, outcome: Outcome) -> Outcome:
        """Move the directory to where it is to be looked for, then say so."""
        if outcome.aborted:
            return outcome
        made, failed = self._partial, self._beside(FAILED)
        if outcome.error is None:
            _move(made, self.directory)
        else:
            _move(made, failed)
            outcome = replace(outcome, error=outcome.error.replace(str(made), str(failed)))
        _write_outcome(self._beside(OUTCOME), outcome)
        return outcome

    def _clear_other_sessions(self) -> None:
        mine = self._partial
        for left in mine.parent.glob(f"{self._spec}.{PARTIAL}-*"):
            if left != mine:
                shutil.rmtree(left)

    def _request(self, run_dir: Path, part: str | None) -> dict[str, object]:
        options, spec = self._options, self._spec
        marked = parse_duration(spec.duration).base(Dimension.TIME) / NS_PER_S if spec.duration else None
        return {
            "step": spec.step,
            "scenario": spec.scenario,
            "part": part,
            "run_id": self.run_id,
            "run_dir": str(run_dir),
            "data_dir": None if options.data_dir is None else str(options.data_dir),
            "duration_s": options.duration_s if marked is None else marked,
            "seed": options.seed,
            "config": [str(path) for path in options.config_of(spec.step)],
            "live": options.is_live(spec.scenario),
            "host": options.host if options.is_live(spec.scenario) else None,
            "status_port": options.status_port,
            "running_dir": str(options.out_dir / "running"),
        }


class DocumentMaking:
    """How this session makes the dataset or the facts that it judges, seen from one of its processes: whoever
    comes second waits at the lock, and reads the outcome.
    """

    def __init__(self, options: Options, session_id: str, spec: RunSpec) -> None:
        self._options = options
        self._step = spec.step
        self._id = f"{spec}-{session_id}"
        self._beside = options.out_dir / "runs" / str(spec)

    def outcome(self) -> Outcome | None:
        """The outcome of this session's; another session's counts for nothing."""
        outcome = _read_outcome(self._beside.with_suffix(".outcome.json"))
        return outcome if outcome and outcome.run_id == self._id else None

    def make_once(self) -> Outcome:
        """The outcome, made now if this session has none yet. A bug is raised here."""
        with _lock(self._beside.with_suffix(".lock")):
            return self.outcome() or self._make()

    def _make(self) -> Outcome:
        door, named = f"mmgates_{self._step}", {DATASET: self._options.dataset, DAILY: self._options.daily}
        try:
            made = load_callable(door, named[self._step])(self._request())
            outcome = Outcome(self._id, made=path_of(door, made))
        except Exception as error:
            outcome = self._end(_failure(self._id, error))
            if outcome.detail:
                raise
            return outcome
        return self._end(outcome)

    def _end(self, outcome: Outcome) -> Outcome:
        _write_outcome(self._beside.with_suffix(".outcome.json"), outcome)
        return outcome

    def _request(self) -> dict[str, object]:
        options = self._options
        if self._step == DAILY:
            return {"date": options.date, "out_dir": str(options.out_dir)}
        return {
            "from": options.from_moment,
            "to": options.to_moment,
            "interval_s": options.interval_s,
            "feeds": [str(path) for path in options.feeds],
            "out_dir": str(options.out_dir),
        }


@contextmanager
def _lock(path: Path, *, blocking: bool = True, what: str = "") -> Iterator[bool]:
    """Hold the lock of a file; false where another process holds it and nobody wants to wait. `what` is
    waited for. Raises Suspended when the process is told to end meanwhile.
    """
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with waiting(what or path.name):
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
