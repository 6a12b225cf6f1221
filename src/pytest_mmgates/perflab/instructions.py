"""Instructions in place of time: what valgrind's callgrind counts of each stage, tick by tick.

Counts do not depend on who else uses the machine, so a stored one can be compared with one of today; they are
not time, so they are a second opinion (`--mmgates-instructions`) and, where the baseline's code cannot be run
any more, a provisional verdict: +3 % of time read +3 to +6 % of instructions, and a change of memory layout
that cost 4.5 % of time none at all.

No extension of the interpreter is needed: callgrind starts a new count whenever the process calls `getppid`,
and the clock that the code reads between its stages calls it (`worker.Marks`). What a reading costs by itself
is measured the same way, and taken off.

The same code gives the same counts because everything that moves them is held or redrawn:

* valgrind lays out the address space itself, so the kernel's randomisation has no part in it; the hash seed
  is fixed;
* memory comes from the C library with caches that never overflow (`PYTHONMALLOC`, `tcache_count`): CPython's
  own allocator takes more steps or fewer depending on where a page of its begins;
* the interpreter's cache of methods is drawn anew in each pass (`worker`), and of each tick and stage the
  least of the passes counts;
* C libraries and numpy choose code by what the processor can do: both are told to choose the plainest.

A profile is compared only under the conditions that it was made under: the same build of the interpreter, C
library, numpy and valgrind, and the same choices.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_mmgates.perflab.estimate import Floats, statistics
from pytest_mmgates.perflab.rounds import DOOR, ONE_THREAD, WORKER, Code, PerfError, Side, now_s

Counts = npt.NDArray[np.int64]
VALGRIND = "valgrind"
PASSES = 6
_TIMEOUT_S = 1_800
_MARK = "getppid"
_CALLGRIND = (
    "--command-line-only=yes",
    "--quiet",
    "--tool=callgrind",
    f"--dump-before={_MARK}",
    "--combine-dumps=yes",
    "--dump-line=no",
)
_PLAIN_C = "AVX2,AVX,AVX512F,AVX512VL,AVX_Fast_Unaligned_Load,ERMS,FSRM,FMA,BMI2,MOVBE,LZCNT,RTM"
"""Names of glibc 2.33 and later; it ignores those that it does not know."""


@dataclass(frozen=True, slots=True)
class Instructions:
    """What was counted: by stage, instructions of each counted tick. `conditions`: what the counts rest on;
    `sha256`: the tape's market.
    """

    conditions: Mapping[str, str]
    sha256: str
    counts: Mapping[str, Sequence[int]]
    seconds: float


def valgrind_version() -> str | None:
    """Of the one on the path; None where there is none that runs."""
    if shutil.which(VALGRIND) is None:
        return None
    done = subprocess.run([VALGRIND, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 (no shell)
    return done.stdout.strip() or None


def conditions(code: Code) -> dict[str, str]:
    """What counts made here rest on. Raises PerfError, also where there is no valgrind."""
    version = valgrind_version()
    if version is None:
        raise PerfError(f"{VALGRIND} is not installed: instructions cannot be counted")
    side = Side(root=str(code.root), door="", tape={}, clock="conditions")
    told: dict[str, str] = _told(code, [str(code.python), "-I"], side, None)
    return {**told, "valgrind": version, "pins": " ".join(f"{key}={text}" for key, text in _pins().items())}


def count_instructions(code: Code, tape: Mapping[str, Any]) -> Instructions:
    """Play the tape's first ticks under callgrind: a minute of one core, more where others use it; 80 MB of
    dumps for that long.

    `tape` is a request with its `door`. Raises PerfError for code that does not run under valgrind, and where
    what was counted does not fit what was played.
    """
    began_s = now_s()
    here = conditions(code)
    request = {key: value for key, value in tape.items() if key != DOOR}
    root = str(code.root.resolve())
    side = Side(root=root, door=str(tape[DOOR]), tape=request, clock="marks", passes=PASSES)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "callgrind.out"
        under = [VALGRIND, *_CALLGRIND, f"--callgrind-out-file={file}", str(code.python), "-s", "-P"]
        told = _told(code, under, side, _environment())
        counted = _by_stage(code, told, list(_totals(file)))
    counts = {stage: counted[:, column].tolist() for column, stage in enumerate(told["stages"])}
    return Instructions(here, told["sha256"], counts, now_s() - began_s)


def count_both(baseline: Code, candidate: Code, tape: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """By stage, baseline and candidate, sums over the counted ticks. Raises PerfError."""
    with ThreadPoolExecutor(2) as pool:
        a, b = pool.map(count_instructions, (baseline, candidate), (tape, tape))
    return sums(a, b)


def sums(a: Instructions, b: Instructions) -> dict[str, tuple[float, float]]:
    """Of the same stages, over the counted ticks."""
    return {stage: (float(sum(a.counts[stage])), float(sum(b.counts[stage]))) for stage in a.counts}


def differing(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The first condition that is not as it was; empty where all are."""
    for name in {**then, **now}:
        if then.get(name) != now.get(name):
            return f"{name} was {then.get(name)}, is {now.get(name)}"
    return ""


def changes(then: Sequence[int], now: Sequence[int]) -> tuple[float, float]:
    """How much dearer one stage became, as shares: the change read at the p95, and that of the tail; the very
    statistics that are taken of times.
    """
    a, b = np.array(then, np.float64), np.array(now, np.float64)
    line, tail = np.expm1(statistics(a[None], b[None], np.sqrt(a * b))[0])
    return float(line), float(tail)


def _pins() -> dict[str, str]:
    """Of the environment, all that counts rest on."""
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    chosen = sorted({*simd.get("found", ()), *simd.get("not found", ())})
    plain = ",".join(f"-{name}" for name in _PLAIN_C.split(","))
    return {
        "PYTHONHASHSEED": "0",
        "PYTHONMALLOC": "malloc",
        "GLIBC_TUNABLES": f"glibc.malloc.tcache_count=65535:glibc.cpu.hwcaps={plain}",
        "NPY_DISABLE_CPU_FEATURES": ",".join(chosen),
    }


def _environment() -> dict[str, str]:
    """The interpreter hears nothing else: its own variables are left out."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith("PYTHON")}
    return {**kept, **ONE_THREAD, **_pins()}


def _told(code: Code, launcher: Sequence[str], side: Side, environment: Mapping[str, str] | None) -> Any:
    """What one worker tells, started so. Raises PerfError with its last words."""
    command = [*launcher, str(WORKER), json.dumps(asdict(side))]
    try:
        done = subprocess.run(  # noqa: S603 (the interpreter that the caller names)
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise PerfError(f"{code.name} ({code.root}): did not end within {_TIMEOUT_S} s") from error
    except OSError as error:
        raise PerfError(f"{code.name}: {launcher[0]}: {error.strerror}") from error
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("==")]
        raise PerfError(f"{code.name} ({code.root}): {(words or [f'ended with {done.returncode}'])[-1]}")
    return json.loads(done.stdout)


def _totals(file: Path) -> Iterator[int]:
    """Of each dump, the instructions since the one before."""
    with file.open(errors="replace") as lines:
        for line in lines:
            if line.startswith("totals: "):
                yield int(line.split()[1])


def _by_stage(code: Code, told: Mapping[str, Any], totals: Sequence[int]) -> Counts:
    """Shape [ticks, stages]: of each, the least of the passes, without the readings within.

    A dump is made before a mark: it holds what ran since the mark before. So the first of any row of marks
    belongs to nothing, and what follows the last mark of all is one dump more.
    """
    a_pass = told["alone"] + sum(told["readings"])
    if len(totals) != PASSES * a_pass + 1:
        raise PerfError(
            f"{code.name}: callgrind wrote {len(totals)} counts, expected {PASSES * a_pass + 1}: does its"
            f" code call {_MARK}, or fork?"
        )
    dumps = np.array(totals[:-1], np.float64).reshape(PASSES, a_pass)
    reading = dumps[:, 1 : told["alone"]].min()
    least = np.full((len(told["readings"]), len(told["stages"])), np.inf)
    at = told["alone"]
    for tick, (readings, spans) in enumerate(zip(told["readings"], told["spans"], strict=True)):
        between = dumps[:, at + 1 : at + readings] - reading
        within = _within(code, told["stages"], spans, readings - 1)
        least[tick] = (between @ within).min(axis=0)
        at += readings
    counts: Counts = np.maximum(least, 1.0).round().astype(np.int64)
    return counts


def _within(code: Code, stages: Sequence[str], spans: Sequence[int], count: int) -> Floats:
    """Shape [spans, stages]: 1 for each span between readings that is part of a stage."""
    for stage, bits in zip(stages, spans, strict=True):
        if not 0 < bits < 1 << count:
            raise PerfError(f"{code.name}: {stage} is no difference of readings of the tape's clock")
    return np.array([[bits >> span & 1 for bits in spans] for span in range(count)], np.float64)
