"""One side of a measurement, in a process of its own: plays the tape, in turns with a partner, and says on
its standard output, in one line of JSON, what each tick cost.

    python -I worker.py JSON

The interpreter is the code's own, and this file is run by its path: it imports nothing of the plugin, so that
either side is measured by the very same harness, whatever plugin its own folder holds. The keys are those of
`rounds.Side`. The working directory is the code's root, which comes first on `sys.path` (its `src`, where it
has one); code that is found elsewhere is refused.

A sample is what one stage of one tick took, repeated: the mean of the lower half of the repeats (the upper
half is where interrupts and cold caches are), less the readings of the clock within it, whose cost is
measured the same way at each pass. What is told is the least of the measured passes.

`clock`: `time` reads nanoseconds. `counts` counts instead, in a pass of its own for each: the clock that the
code reads between its stages then tells how many bytecodes ran, or how many memory blocks are held.
`marks` counts nothing: under callgrind, every reading of its clock is a mark between two counts
(`instructions`). `conditions` opens no tape, and tells what counts of instructions rest on.
"""

import gc
import importlib
import json
import os
import platform
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any, Self

Clock = Callable[[], int]
_CALIBRATIONS = 200
_COUNTED_TICKS = 200
_LEAST_NS = 1.0
_MARKED_SPAN, _MARKED_TICKS, _MARKED_READINGS = 300, 40, 8
"""Of a tape, the first so many ticks are played for their marks; of the latter two thirds of them, so many
are marked; and so many readings of the clock alone come before.
"""
_BYTES_HEADER, _SIZE_STEP, _LARGEST_SMALL, _POOL_BYTES = 33, 16, 512, 16_384
"""Of CPython's allocator: what a bytes object adds, the step of its size classes, their last, their pools."""


class Bytecodes:
    """Counts bytecodes of all Python code that is called from now on. Its own reading costs some, always the
    same number, which the calibration finds like a clock's cost.
    """

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        return self.count

    def __enter__(self) -> Self:
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_error: object) -> None:
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _arg: object) -> Any:
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode":
            self.count += 1
        return self._trace


class Marks:
    """A clock whose readings callgrind can see: while it is `marking`, each calls `getppid`, which the bot
    has no reason to. The k-th reading since `restart` is 2**k, so that a difference of two has a bit set for
    each span between neighbouring readings that lies within; a sum of differences has those of them all.
    """

    def __init__(self) -> None:
        self.marking = False
        self.count = 0

    def __call__(self) -> int:
        if self.marking:
            os.getppid()
        self.count += 1
        return 1 << (self.count - 1)

    def restart(self, *, marking: bool) -> None:
        self.marking, self.count = marking, 0


class Turns:
    """Hands the core to and fro between two processes. Alone, there is nobody to wait for."""

    def __init__(self, pipe: tuple[int, int] | None, *, leads: bool) -> None:
        self._pipe = pipe
        self._leads = leads

    def wait(self) -> None:
        if self._pipe is not None and not os.read(self._pipe[0], 1):
            raise SystemExit("the other side ended")

    def give(self) -> None:
        if self._pipe is not None:
            os.write(self._pipe[1], b".")

    def meet(self) -> None:
        """Both have come here."""
        self.give()
        self.wait()

    @contextmanager
    def turn(self, block: int) -> Iterator[None]:
        """One block of both sides, in ABBA order."""
        first = (block % 2 == 0) == self._leads
        if not first:
            self.wait()
        yield
        if first:
            self.give()


def main() -> None:
    """Play and tell."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the code prints is not ours
    side = json.loads(sys.argv[1])
    if side["core"] is not None:
        os.sched_setaffinity(0, {side["core"]})
    with told:
        json.dump(_CLOCKS[side["clock"]](side), told)


def _scattered() -> list[bytes]:
    """Blocks of memory that put all that comes after them elsewhere: a random number in each size class of
    the small-object allocator, and some large ones.

    Where objects lie within a page is the same in every process of the same code, whatever the kernel does to
    page addresses, and a change of anything moves it. Whatever that is worth (Mytkowicz et al., "Producing
    wrong data without doing anything obviously wrong!", 2009), it averages out over rounds only where it is
    drawn anew in each.
    """
    draw = random.SystemRandom()
    small = [
        bytes(size - _BYTES_HEADER)
        for size in range(48, _LARGEST_SMALL + 1, _SIZE_STEP)
        for _ in range(draw.randrange(_POOL_BYTES // size))
    ]
    return small + [bytes(draw.randrange(_LARGEST_SMALL, _POOL_BYTES)) for _ in range(draw.randrange(64))]


def _door(side: dict[str, Any]) -> Callable[[dict[str, Any]], Any]:
    root, import_string = Path(side["root"]), side["door"]
    source = root / "src" if (root / "src").is_dir() else root
    os.chdir(root)
    sys.path.insert(0, str(source))
    module_name, _, name = import_string.partition(":")
    module = importlib.import_module(module_name)
    found = Path(module.__file__ or "").resolve()
    if not found.is_relative_to(source.resolve()):
        raise SystemExit(f"{module_name} was found at {found}, expected within {source}")
    door: Callable[[dict[str, Any]], Any] | None = getattr(module, name, None)
    if door is None:
        raise SystemExit(f"{found} has no {name}: this code has no latency tape")
    return door


def _timed(side: dict[str, Any]) -> dict[str, Any]:
    clock: Clock = time.perf_counter_ns
    scattered = _scattered()
    tape = _door(side)({**side["tape"], "clock": clock})
    turns = Turns(side["pipe"], leads=side["leads"])
    least = [[float("inf")] * len(tape.stages) for _ in range(tape.ticks)]
    outputs: list[str] = [""] * tape.ticks
    for number in range(-side["warm"], side["passes"]):
        turns.meet()
        gc.collect()
        gc.freeze()
        cost = _reading_cost(clock)
        edges = _edges(tape.ticks, side["block"], side["seed"], number)
        for block, (first, stop) in enumerate(pairwise(edges)):
            with turns.turn(block):
                steps = tape.step(first, stop)
                for tick, (output, repeats) in enumerate(steps, first):
                    if outputs[tick] not in ("", output):
                        raise SystemExit(f"tick {tick} decided otherwise than in an earlier pass")
                    outputs[tick] = output
                    if number >= 0:
                        sample = _sample(repeats, tape.readings, cost)
                        least[tick] = list(map(min, least[tick], sample))
        gc.unfreeze()
    turns.meet()
    del scattered
    return {**_facts(tape), "outputs": outputs, "costs": least}


def _counted(side: dict[str, Any]) -> dict[str, Any]:
    """By what is counted: the sum over the first ticks, by stage. Counting costs a hundred times the work."""
    door = _door(side)
    request = {**side["tape"], "repeats": 1}
    counter = Bytecodes()
    tape = door({**request, "clock": counter})
    with counter:
        bytecodes = _sums(tape, counter)
    blocks: Clock = sys.getallocatedblocks
    tape = door({**request, "clock": blocks})
    gc.collect()
    gc.disable()
    return {**_facts(tape), "bytecodes": bytecodes, "blocks": _sums(tape, blocks)}


def _marked(side: dict[str, Any]) -> dict[str, Any]:
    """Where the marks lie: by counted tick, how many readings it had, and by stage the spans between them
    that are part of it, as bits. The ticks are played in several passes, `_MARKED_READINGS` of the clock
    alone before the first of each.
    """
    clock = Marks()
    tape = _door(side)({**side["tape"], "repeats": 1, "clock": clock})
    marked = _marked_ticks(tape.ticks)
    passes = []
    for _ in range(side["passes"]):
        _redraw_method_cache()
        passes.append(list(_marked_pass(tape, clock, marked)))
    if any(one != passes[0] for one in passes):
        raise SystemExit("passes read the clock differently: the same ticks must do the same work")
    readings, spans = zip(*passes[0], strict=True)
    return {**_facts(tape), "alone": _MARKED_READINGS, "readings": readings, "spans": spans}


def _marked_ticks(ticks: int) -> range:
    """The first third warms up: the interpreter takes that long to settle on its bytecodes."""
    stop = min(ticks, _MARKED_SPAN)
    first = stop // 3
    return range(first, stop, -(-(stop - first) // _MARKED_TICKS))


def _redraw_method_cache() -> None:
    """The interpreter finds methods in a cache of 4,096 places, by the address of the name and the version
    of the type. Two in one place make every tick dearer, by up to a tenth of a short stage; which two is
    luck, and new with any edit. All types get new versions here, so that it is drawn anew; the least of some
    passes had none of it.
    """
    import ctypes  # noqa: PLC0415 (a timed process imports nothing that it does not need)

    ctypes.pythonapi.PyType_Modified(ctypes.py_object(object))


def _marked_pass(tape: Any, clock: Marks, marked: range) -> Iterator[tuple[int, tuple[int, ...]]]:
    for tick in range(marked.start):
        tape.step(tick, tick + 1)
    gc.collect()
    gc.freeze()
    gc.disable()
    clock.restart(marking=True)
    for _ in range(_MARKED_READINGS):
        clock()
    for tick in range(marked.start, marked.stop):
        clock.restart(marking=tick in marked)
        [(_, repeats)] = tape.step(tick, tick + 1)
        if clock.marking:
            yield clock.count, tuple(repeats[0])
    clock.restart(marking=False)
    gc.enable()
    gc.unfreeze()


def _conditions(_side: dict[str, Any]) -> dict[str, str]:
    import importlib.metadata  # noqa: PLC0415 (a timed process imports nothing that it does not need)

    try:
        numpy = importlib.metadata.version("numpy")
    except importlib.metadata.PackageNotFoundError:
        numpy = "none"
    return {
        "interpreter": f"{platform.python_implementation()} {' '.join(sys.version.split())}",
        "libc": " ".join(platform.libc_ver()),
        "machine": platform.machine(),
        "numpy": numpy,
    }


def _sums(tape: Any, clock: Clock) -> list[float]:
    cost = _reading_cost(clock)
    ticks = [repeats[0] for _, repeats in tape.step(0, min(_COUNTED_TICKS, tape.ticks))]
    totals = [sum(column) for column in zip(*ticks, strict=True)]
    return [total - reads * cost * len(ticks) for total, reads in zip(totals, tape.readings, strict=True)]


def _facts(tape: Any) -> dict[str, Any]:
    return {"stages": list(tape.stages), "sha256": tape.sha256, "kind": tape.kind}


def _edges(ticks: int, block: int, seed: int, number: int) -> list[int]:
    """Where blocks begin: the first is shorter by an amount that both sides draw alike for each pass, so that
    no tick is always the first after a hand-over.
    """
    first = 1 + (seed * 7919 + (number + 8) * 104_729) % block
    return [0, *range(first, ticks, block), ticks]


def _sample(repeats: list[tuple[int, ...]], readings: tuple[int, ...], cost: float) -> list[float]:
    return [
        max(_lower_mean(column) - reads * cost, _LEAST_NS)
        for column, reads in zip(zip(*repeats, strict=True), readings, strict=True)
    ]


def _lower_mean(values: tuple[int, ...] | list[int]) -> float:
    lower = sorted(values)[: max(len(values) // 2, 1)]
    return sum(lower) / len(lower)


def _reading_cost(clock: Clock) -> float:
    """What one reading adds to a time that is read on both ends."""
    steps: list[int] = []
    for _ in range(_CALIBRATIONS):
        t0 = clock()
        t1 = clock()
        t2 = clock()
        t3 = clock()
        steps += (t1 - t0, t2 - t1, t3 - t2)
    return _lower_mean(steps)


_CLOCKS = {"time": _timed, "counts": _counted, "marks": _marked, "conditions": _conditions}

if __name__ == "__main__":
    main()
