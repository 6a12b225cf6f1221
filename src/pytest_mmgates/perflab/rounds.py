"""Rounds: two fresh processes, baseline and candidate, taking turns on one core over the same tape.

One lane plays round after round on a core of its own; lanes run side by side. Who starts, and where blocks
begin, is drawn per round from the seed. Address layout and hash seed vary from process to process, on
purpose: they average out over rounds, and in no other way.
"""

import json
import os
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from pytest_mmgates.errors import MmgatesError
from pytest_mmgates.perflab.estimate import Floats

BLOCK_TICKS = 10
WARM_PASSES, PASSES = 1, 3
DOOR = "door"
"""Key of a tape request that is the plugin's: `package.module:callable` of the code's latency tape."""
WORKER = Path(__file__).with_name("worker.py")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""A library that starts threads would have them fight for the one core."""


class PerfError(MmgatesError):
    """A latency comparison that cannot be made: code that does not run, sides that play different tapes.
    `code`: the name of the one that does not run, None for another reason.
    """

    def __init__(self, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Code:
    """Code under test: a folder with its packages (or their `src`), and the interpreter that runs it."""

    name: str
    root: Path
    python: Path


@dataclass(frozen=True, slots=True)
class Side:
    """What a worker is told. `pipe`: to read and to write its turns; `core`: None = anywhere."""

    root: str
    door: str
    tape: Mapping[str, Any]
    core: int | None = None
    pipe: tuple[int, int] | None = None
    leads: bool = True
    seed: int = 0
    block: int = BLOCK_TICKS
    warm: int = WARM_PASSES
    passes: int = PASSES
    clock: str = "time"


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """What a pair of processes took: costs in ns, shape [ticks, stages]. `changed_ticks`: ticks on which the
    sides decided different things; `began_s`, `seconds`: on the session's own stopwatch.
    """

    stages: tuple[str, ...]
    sha256: str
    kind: str
    baseline: Floats
    candidate: Floats
    changed_ticks: int
    baseline_led: bool
    core: int
    began_s: float
    seconds: float


def now_s() -> float:
    """Seconds of a clock that only runs forward."""
    return time.monotonic()


class Pairs:
    """Starts pairs of workers, and ends those that still run when it is closed."""

    def __init__(self, baseline: Code, candidate: Code, tape: Mapping[str, Any], seed: int) -> None:
        """Raises PerfError for a tape request without a door."""
        if DOOR not in tape:
            raise PerfError(f"tape request had keys {sorted(tape)}, expected {DOOR!r} among them")
        self._codes = baseline, candidate
        self._door = str(tape[DOOR])
        self._tape = {key: value for key, value in tape.items() if key != DOOR}
        self._seed = seed
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self.closed = False

    def close(self) -> None:
        """End what runs; nothing is started any more."""
        with self._lock:
            self.closed = True
            for process in self._running:
                process.kill()

    def play(self, index: int, core: int) -> Round:
        """The round with that number. Raises PerfError for a side that fails."""
        draw = np.random.default_rng((self._seed, index))
        leads, blocks = bool(draw.integers(2)), int(draw.integers(1 << 30))
        began_s = now_s()
        ours, theirs = os.pipe(), os.pipe()
        shared = {"core": core, "seed": blocks}
        a, b = self._told(
            {**shared, "pipe": (ours[0], theirs[1]), "leads": leads},
            {**shared, "pipe": (theirs[0], ours[1]), "leads": not leads},
        )
        _same_tape(self._codes, a, b)
        return Round(
            stages=tuple(a["stages"]),
            sha256=a["sha256"],
            kind=a["kind"],
            baseline=np.array(a["costs"]),
            candidate=np.array(b["costs"]),
            changed_ticks=sum(x != y for x, y in zip(a["outputs"], b["outputs"], strict=True)),
            baseline_led=leads,
            core=core,
            began_s=began_s,
            seconds=now_s() - began_s,
        )

    def count(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What does not depend on the machine, of baseline and candidate."""
        a, b = self._told({"clock": "counts"}, {"clock": "counts"})
        _same_tape(self._codes, a, b)
        return a, b

    def _told(self, *hows: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What both sides tell, each told how; who leads is started first. Of two that fail, the one that did
        so first is heard.
        """
        order = sorted(range(len(hows)), key=lambda side: not hows[side].get("leads"))
        with ExitStack() as stack:
            try:
                started = {
                    side: stack.enter_context(self._working(self._codes[side], hows[side])) for side in order
                }
            finally:
                for end in {end for how in hows for end in how.get("pipe", ())}:
                    os.close(end)
            workers = [started[side] for side in sorted(order)]
            told = [worker.process.communicate()[0] for worker in workers]
            failed = [worker for worker in workers if worker.process.returncode]
            if failed:
                first = min(failed, key=lambda worker: _only_left_alone(worker.words()))
                raise PerfError(first.words(), first.code.name)
            return [json.loads(text) for text in told]

    @contextmanager
    def _working(self, code: Code, how: Mapping[str, Any]) -> Iterator["_Worker"]:
        """A worker, ended at the latest with the context."""
        with tempfile.TemporaryFile("w+") as said:
            process = self._started(code, how, said)
            try:
                yield _Worker(code, process, said)
            finally:
                process.kill()
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()
                with self._lock:
                    self._running.discard(process)

    def _started(self, code: Code, how: Mapping[str, Any], said: IO[str]) -> "subprocess.Popen[str]":
        side = Side(root=str(code.root.resolve()), door=self._door, tape=self._tape, **how)
        command = [str(code.python), "-I", str(WORKER), json.dumps(asdict(side))]
        with self._lock:
            if self.closed:
                raise PerfError("closed")
            try:
                process = subprocess.Popen(  # noqa: S603 (the interpreter that the caller names)
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    text=True,
                    pass_fds=side.pipe or (),
                    env={**os.environ, **ONE_THREAD},
                )
            except OSError as error:
                raise PerfError(f"{code.name}: {code.python}: {error.strerror}") from error
            self._running.add(process)
        return process


@dataclass(frozen=True, slots=True, eq=False)
class _Worker:
    code: Code
    process: subprocess.Popen[str]
    said: IO[str]

    def words(self) -> str:
        """The last line of its error output, with the name of its code."""
        self.said.seek(0)
        lines = self.said.read().strip().splitlines() or [f"ended with {self.process.returncode}"]
        return f"{self.code.name} ({self.code.root}): {lines[-1]}"


def _only_left_alone(words: str) -> bool:
    """A side that ended because its partner did has nothing to say about why."""
    return words.endswith(("the other side ended", "Broken pipe"))


def _same_tape(codes: tuple[Code, Code], a: Mapping[str, Any], b: Mapping[str, Any]) -> None:
    for what in ("stages", "sha256"):
        if a[what] != b[what]:
            raise PerfError(
                f"{what} of the tape: {codes[1].name} had {b[what]}, expected {a[what]} of {codes[0].name}"
            )


class Lanes:
    """Plays rounds on every core until it is closed or the time is up. A context manager."""

    def __init__(
        self, pairs: Pairs, cores: Sequence[int], deadline_s: float | None, most_rounds: int
    ) -> None:
        self._pairs = pairs
        self._deadline_s = deadline_s
        self._done: queue.Queue[Round | Exception] = queue.Queue()
        self._numbers: Iterator[int] = iter(range(most_rounds))
        self._numbering = threading.Lock()
        self._most_rounds = most_rounds
        self._threads = [threading.Thread(target=self._lane, args=(core,), daemon=True) for core in cores]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._pairs.close()
        for thread in self._threads:
            thread.join()

    def rounds(self) -> Iterator[Round]:
        """As they are done, until the last one or the deadline. Raises what a lane met."""
        for _ in range(self._most_rounds):
            try:
                done = self._done.get(timeout=self._left_s())
            except queue.Empty:
                return
            if isinstance(done, Exception):
                raise done
            yield done

    def _left_s(self) -> float | None:
        return None if self._deadline_s is None else max(self._deadline_s - now_s(), 0.0)

    def _lane(self, core: int) -> None:
        while not self._pairs.closed:
            with self._numbering:
                number = next(self._numbers, None)
            if number is None:
                return
            try:
                self._done.put(self._pairs.play(number, core))
            except Exception as error:  # noqa: BLE001 (raised by whoever waits for the round)
                if not self._pairs.closed:
                    self._done.put(error)
                return


def cores() -> list[int]:
    """Cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


Record = Callable[[Round], None]
