"""The C floor, called from here; `floor.c` says what it is. Compiled anew on every start."""

import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tests.bench.workload import ANSWER_NS, MS, ORDER_NS, Asked, Columns, Outcome, asked, load, report, timed

_MARGIN = 4096
"""Room for quotes beyond the prices of the tape, in ticks."""
_MOST_FILLS = 1 << 16
_COMPILE = ("cc", "-O3", "-march=native", "-shared", "-fPIC")
_ADDRESS = ctypes.c_void_p


class _Tape(ctypes.Structure):
    _fields_ = (
        ("rows", ctypes.c_int64),
        *((name, _ADDRESS) for name in ("exch_ns", "recv_ns", "kind", "tick", "lots")),
        ("base", ctypes.c_int),
    )


class _Fill(ctypes.Structure):
    _fields_ = (
        ("recv_ns", ctypes.c_int64),
        ("side", ctypes.c_int),
        ("tick", ctypes.c_int),
        ("lots", ctypes.c_int),
    )


Play = Callable[..., int]


def compiled(folder: Path) -> Play:
    """Compile, load, and say what the arguments are."""
    library = folder / "floor.so"
    subprocess.run([*_COMPILE, "-o", library, Path(__file__).with_name("floor.c")], check=True)
    play = ctypes.CDLL(str(library)).play
    times = [ctypes.c_int64] * 3
    play.argtypes = [_Tape, ctypes.c_int, *times, ctypes.c_int, _ADDRESS, ctypes.POINTER(_Fill)]
    return play


def replay(play: Play, columns: Columns, what: Asked) -> tuple[float, Outcome]:
    """One replay."""
    prices = columns["tick"][columns["tick"] > 0]
    base = int(prices.min()) - _MARGIN
    span = int(prices.max()) + _MARGIN - base + 1
    names = ("exch_ns", "recv_ns", "kind", "tick", "lots")
    tape = _Tape(len(columns["kind"]), *(columns[name].ctypes.data for name in names), base)
    counts, fills = np.zeros(5, np.int64), (_Fill * _MOST_FILLS)()
    times = (what.tick_ms * MS, ORDER_NS, ANSWER_NS)
    cpu_s, failed = timed(lambda: play(tape, span, *times, what.order_lots, counts.ctypes.data, fills))
    if failed:
        raise MemoryError
    ticks, orders, cancels, position_lots, filled = counts.tolist()
    found = [(fill.recv_ns, fill.side, fill.tick, fill.lots) for fill in fills[:filled]]
    return cpu_s, Outcome(ticks, orders, cancels, position_lots, found)


def main() -> None:
    """Measure in this process and say so in one line."""
    what = asked(["floor"])
    columns = load(what.columns)
    version = subprocess.run(["cc", "--version"], check=True, capture_output=True, text=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        play = compiled(Path(folder))
        runs = [replay(play, columns, what) for _ in range(what.repeat)]
    report(what, len(columns["kind"]) - 1, runs, {"cc": version.splitlines()[0]})


if __name__ == "__main__":
    main()
