"""One run, or one part of one, played and watched: what every process does that plays, also a worker of a
cluster.

It drives the system under test by a request, judges the batches by the rules that watch it, and leaves beside
the rows what they add up to.
"""

import shutil
from collections.abc import Iterator, Mapping
from enum import Enum, auto
from functools import partial
from pathlib import Path

from pytest_mmgates.alerting.naming import news_of
from pytest_mmgates.errors import RunlogError
from pytest_mmgates.gatefile import Gate
from pytest_mmgates.loader import keep_tally, keep_watch, load
from pytest_mmgates.report.files import write_atomically
from pytest_mmgates.rows import read_manifest
from pytest_mmgates.sut import CHECKPOINT, drive, load_callable
from pytest_mmgates.watch.again import batches_again
from pytest_mmgates.watch.watch import Watch

_HALT_NOTE = ".halt.txt"
ABORT_NOTE = ".abort.txt"


def play(sut: str, request: Mapping[str, object], watch: Watch, judge: "WatchJudge", *, resume: bool) -> None:
    """Drive the system under test and read what it wrote. What a killed process left in the directory is gone
    on with where that was asked for and can be, else it goes first.
    """
    run_dir = Path(str(request["run_dir"]))
    left = left_in(run_dir) if resume else Left.NOTHING
    if run_dir.exists() and left is Left.NOTHING:
        shutil.rmtree(run_dir)
    run_dir.parent.mkdir(parents=True, exist_ok=True)
    if left is Left.ENDED:
        with watch.silent():
            for feed, lines in batches_again(run_dir, watch):
                judge.batch(feed, lines)
    else:
        goes_on = left is Left.INTERRUPTED
        kept = partial(_kept, run_dir, watch) if goes_on else None
        drive(load_callable("mmgates_sut", sut), {**request, "resume": goes_on}, judge, kept)
    watch.finish()
    keep_watch(run_dir, watch.records)
    keep_tally(load(run_dir, run_id=str(request["run_id"])))


class HaltNotes:
    """What parts of one run tell each other: that one of them was halted by a stop rule, or the session
    aborted, and why.
    """

    def __init__(self, directory: Path, part: str | None) -> None:
        self._directory = directory
        self._part = part

    def leave(self, reason: str) -> None:
        if self._part is not None:
            write_atomically({self._directory / f"{self._part}{_HALT_NOTE}": reason})

    def other(self) -> str | None:
        """Why another part was halted. A note of this part's own is that of a worker that was killed over it:
        the part is played again, to the same end.
        """
        if self._part is None:
            return None
        others = (name for name in halted_parts(self._directory) if name != self._part)
        return next((f"part {name} was halted" for name in others), None)

    def abort(self, reason: str) -> None:
        """The session is over for all of them."""
        if self._part is not None:
            write_atomically({self._directory / f"{self._part}{ABORT_NOTE}": reason})

    def aborted(self) -> str | None:
        if self._part is None:
            return None
        note = next(self._directory.glob(f"*{ABORT_NOTE}"), None)
        return None if note is None else f"the end of part {note.name.removesuffix(ABORT_NOTE)}"


def halted_parts(directory: Path) -> list[str]:
    """Parts that were halted by a stop rule of their own."""
    return sorted(path.name.removesuffix(_HALT_NOTE) for path in directory.glob(f"*{_HALT_NOTE}"))


class Left(Enum):
    """What a process that died left of a run."""

    NOTHING = auto()
    INTERRUPTED = auto()
    ENDED = auto()
    """All of it was played, and not yet read."""


def left_in(run_dir: Path) -> Left:
    """Nothing, where there is nothing to go on with."""
    if (run_dir / CHECKPOINT).is_file():
        return Left.INTERRUPTED
    try:
        status = read_manifest(run_dir).status
    except RunlogError:
        return Left.NOTHING
    return Left.ENDED if status in ("complete", "halted") else Left.NOTHING


def _kept(run_dir: Path, watch: Watch) -> Iterator[tuple[str, bytes]]:
    """The rows of an interrupted run once more, for the watch to see what it had seen. What rules held then
    was told then.
    """
    with watch.silent():
        yield from batches_again(run_dir, watch)
    watch.restart()


class WatchJudge:
    """Judges the batches of one run, or part of a run: by the rules of its gate, and by what became of other
    parts. `rolls_back`: a run of two arms returns to its baseline before it ends.
    """

    rolls_back = False
    done: str | None = None
    """A run lasts as long as it was asked for."""

    def __init__(self, gate: Gate | None, watch: Watch, others: HaltNotes) -> None:
        self._gate = gate
        self._watch = watch
        self._others = others
        self._said_ns = 0

    def batch(self, feed: str, lines: bytes) -> str | None:
        watch, others = self._watch, self._others
        watch.batch(feed, lines)
        if watch.halt_reason is not None:
            others.leave(watch.halt_reason)
        return watch.halt_reason or others.other()

    def says(self) -> list[dict[str, object]] | None:
        if self._watch.looked_ns <= self._said_ns:
            return None
        self._said_ns = self._watch.looked_ns
        return self._watch.says()

    def aborted(self) -> str | None:
        return self._others.aborted()

    def news(self) -> list[dict[str, object]]:
        gate = self._gate
        return [] if gate is None else [news_of(gate, change) for change in self._watch.take_changes()]
