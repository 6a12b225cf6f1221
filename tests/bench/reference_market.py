"""The reference market: one seeded perpetual, made for measuring speed and for nothing else.

30 messages a second of 6 level changes each, 12 trades a second, a tick of 0.1, a window of 150 ticks a side,
bursty arrivals on a grid of 1 ms, 4 to 9 ms from the venue to us. The same workload as the measurements that
shaped the kernel, drawn anew: here no message names a level twice, as no venue's does, so engines that apply
a message row by row and engines that apply it whole see the same market.

Its columns have the layout of `mmbot.model.market_rows` and are kept as .npy files in the project's cache.
"""

import argparse
import hashlib
import json
import math
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from filelock import FileLock
from numba import njit

from mmbot.model.market_rows import ASK, BID, BUY, LAST, SELL, SNAPSHOT
from mmbot.runtime.tape import cache_folder
from mmbot.units import MS

GENERATOR_VERSION = 1
"""Raise it when the generator draws differently: tapes that were made before are then left alone."""

_START_NS = 1_767_225_600_000_000_000
_START_TICK = 600_000
_SPAN = 400_000
"""Prices that the generator can reach."""
_ROWS_PER_S = 400
_NAMES = ("exch_ns", "recv_ns", "kind", "tick", "lots")

Columns = dict[str, npt.NDArray[np.integer]]


class Parameters(NamedTuple):
    """All that decides the tape. Times in seconds unless named otherwise, prices in ticks."""

    seed: int = 7
    seconds: int = 3600
    window: int = 150
    messages_per_s: float = 42.0
    """Before gaps are rounded to whole milliseconds and bursts thin out: 30 are left."""
    burst_sigma: float = 0.8
    burst_change: float = 0.02
    latency_low_ms: float = 4.0
    latency_high_ms: float = 9.0
    move: float = 0.14
    """Share of messages with a new touch; it moves by a geometric number of ticks."""
    move_stop: float = 1 / 1.9
    move_most: int = 12
    jump: float = 0.004
    """Share of moves that jump, by an exponential number of ticks."""
    jump_mean: float = 20.0
    jump_most: int = 100
    pull: float = 2e-6
    """How strongly the price is drawn back to where it began, per tick."""
    sweep: float = 0.5
    """Share of moves that trades announce."""
    trade: float = 0.20
    trade_more: float = 0.45
    churn_more: float = 0.80
    churn_depth: float = 18.0
    vanish: float = 0.28
    resize: float = 0.6


@njit(cache=True)
def _size(rng):
    """Of a level: heavy-tailed, one to some ten thousand lots."""
    return int(math.exp(rng.normal(5.0, 1.4))) + 1


@njit(cache=True)
def _put(columns, row, times, kind, at, lots):
    exch_ns, recv_ns, kinds, tick, size = columns
    exch_ns[row], recv_ns[row] = times
    kinds[row], tick[row], size[row] = kind, at + _START_TICK - _SPAN // 2, lots
    return row + 1


@njit(cache=True)
def _change(book, changes, side, at, lots):
    """Set a level, unless this message has named it already; `changes` counts a side in its first place."""
    ladder, named = book
    if named[side, at]:
        return False
    ladder[side, at] = lots
    named[side, at] = True
    changes[side, 0] += 1
    changes[side, changes[side, 0]] = at
    return True


@njit(cache=True)
def _flush(columns, row, times, book, changes):
    """Write the message: bids, then asks, the last one marked."""
    ladder, named = book
    for side in (BID, ASK):
        for index in range(1, changes[side, 0] + 1):
            at = changes[side, index]
            row = _put(columns, row, times, side, at, ladder[side, at])
            named[side, at] = False
        changes[side, 0] = 0
    columns[2][row - 1] |= LAST
    return row


@njit(cache=True)
def _fill_up(rng, book, changes, best, p):
    """The book of the first message: dense at the touch, thinner away from it."""
    for side in (BID, ASK):
        away = -1 if side == BID else 1
        for depth in range(p.window):
            if depth == 0 or rng.random() < 0.92 - 0.4 * depth / p.window:
                _change(book, changes, side, best[side] + away * depth, _size(rng))


@njit(cache=True)
def _step(rng, p, best):
    """By how many ticks the touch moves, and whether up."""
    if rng.random() >= p.move:
        return 0, False
    ticks = 1
    while rng.random() > p.move_stop and ticks < p.move_most:
        ticks += 1
    if rng.random() < p.jump:
        ticks = min(ticks + int(rng.exponential(p.jump_mean)), p.jump_most)
    return ticks, rng.random() < 0.5 - (best[BID] - _SPAN // 2) * p.pull


@njit(cache=True)
def _sweep(columns, row, times, book, best, ticks, up):
    """Trades that eat the levels which a move removes."""
    side, away, taker = (ASK, 1, BUY) if up else (BID, -1, SELL)
    for index in range(min(ticks, 4)):
        at = best[side] + away * index
        if book[0][side, at] > 0:
            row = _put(columns, row, times, taker | LAST, at, book[0][side, at])
    return row


@njit(cache=True)
def _run_of_trades(rng, p, columns, row, times, book, changes, best, resting):
    """Trades at the touch, never all of it; the level shrinks by them unless the touch moves anyway."""
    count = 1
    while rng.random() < p.trade_more and count < 8:
        count += 1
    side, taker = (ASK, BUY) if rng.random() < 0.5 else (BID, SELL)
    at = best[side]
    left = book[0][side, at]
    for _ in range(count):
        lots = min(left, int(math.exp(rng.normal(2.5, 1.5))) + 1)
        if lots <= 0 or lots == left:
            break
        row = _put(columns, row, times, taker | LAST, at, lots)
        if resting:
            left -= lots
    if resting:
        _change(book, changes, side, at, left)
    return row


@njit(cache=True)
def _advance(rng, p, book, changes, side, new, ticks):
    """New levels up to the new touch; the far end leaves the window."""
    away = -1 if side == BID else 1
    for index in range(ticks):
        if index == 0 or rng.random() < 0.85:
            _change(book, changes, side, new + away * index, _size(rng))
    for index in range(ticks):
        far = new + away * (p.window + index)
        if book[0][side, far] > 0:
            _change(book, changes, side, far, 0)


@njit(cache=True)
def _retreat(rng, p, book, changes, side, old, ticks):
    """Levels in front of the new touch vanish; the far end comes into the window."""
    away = -1 if side == BID else 1
    for index in range(ticks):
        if book[0][side, old + away * index] > 0:
            _change(book, changes, side, old + away * index, 0)
    new = old + away * ticks
    if book[0][side, new] == 0:
        _change(book, changes, side, new, _size(rng))
    for index in range(ticks):
        if rng.random() < 0.55:
            _change(book, changes, side, old + away * (p.window + index), _size(rng))


@njit(cache=True)
def _move(rng, p, book, changes, best, ticks, up):
    """The touch moves: one side advances, the other retreats."""
    ahead, behind, step = (BID, ASK, ticks) if up else (ASK, BID, -ticks)
    _advance(rng, p, book, changes, ahead, best[ahead] + step, ticks)
    _retreat(rng, p, book, changes, behind, best[behind], ticks)
    best[BID] += step
    best[ASK] += step


@njit(cache=True)
def _churn(rng, p, book, changes, best):
    """Levels appear, change size and vanish, more of them near the touch; the touch itself stays."""
    left = 1
    while rng.random() < p.churn_more and left < 40:
        left += 1
    while left > 0:
        side = BID if rng.random() < 0.5 else ASK
        depth = min(int(rng.exponential(p.churn_depth)), p.window - 1)
        at = best[side] + (-depth if side == BID else depth)
        held = book[0][side, at]
        if depth > 0 and held > 0 and rng.random() < p.vanish:
            lots = 0
        elif held > 0 and rng.random() < p.resize:
            lots = max(1, int(held * (0.6 + 0.8 * rng.random())))
        else:
            lots = _size(rng)
        left -= _change(book, changes, side, at, lots)


@njit(cache=True)
def _generate(rng, p, columns):
    """Fill the columns; returns how many rows there are."""
    book = (np.zeros((2, _SPAN), np.int64), np.zeros((2, _SPAN), np.bool_))
    changes = np.zeros((2, 1024), np.int64)
    best = np.array([_SPAN // 2, _SPAN // 2 + 1])
    exch_ns = _START_NS
    recv_ns = exch_ns + 5 * MS
    row = _put(columns, 0, (exch_ns, recv_ns), SNAPSHOT, _SPAN // 2 - _START_TICK, 0)
    _fill_up(rng, book, changes, best, p)
    row = _flush(columns, row, (exch_ns, recv_ns), book, changes)
    burst = 1.0
    while True:
        if rng.random() < p.burst_change:
            burst = math.exp(rng.normal(0.0, p.burst_sigma))
        gap_ms = rng.exponential(1000.0 / p.messages_per_s / burst)
        exch_ns += int(max(1.0, math.floor(gap_ms + 0.5))) * MS
        if exch_ns > _START_NS + p.seconds * 1000 * MS or row > len(columns[0]) - 2048:
            return row
        latency_ms = rng.uniform(p.latency_low_ms, p.latency_high_ms)
        recv_ns = max(exch_ns + int(latency_ms * MS), recv_ns)
        times = (exch_ns, recv_ns)
        ticks, up = _step(rng, p, best)
        if ticks and rng.random() < p.sweep:
            row = _sweep(columns, row, times, book, best, ticks, up)
        if rng.random() < p.trade:
            row = _run_of_trades(rng, p, columns, row, times, book, changes, best, ticks == 0)
        if ticks:
            _move(rng, p, book, changes, best, ticks, up)
        _churn(rng, p, book, changes, best)
        row = _flush(columns, row, times, book, changes)


def folder_of(parameters: Parameters) -> Path:
    """Folder of the tape's columns, generated on first use."""
    facts = json.dumps([GENERATOR_VERSION, _START_NS, _START_TICK, parameters._asdict()])
    folder = cache_folder() / "bench" / hashlib.sha256(facts.encode()).hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            unfinished = Path(tempfile.mkdtemp(dir=folder.parent))
            try:
                for name, column in generate(parameters).items():
                    np.save(unfinished / f"{name}.npy", column)
                unfinished.rename(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def generate(parameters: Parameters) -> Columns:
    """The tape of these parameters."""
    rows = parameters.seconds * _ROWS_PER_S + 10_000
    dtypes = (np.int64, np.int64, np.uint8, np.int32, np.int32)
    columns = tuple(np.empty(rows, dtype) for dtype in dtypes)
    count = _generate(np.random.default_rng(parameters.seed), parameters, columns)
    return {name: column[:count] for name, column in zip(_NAMES, columns, strict=True)}


def hours(count: float, seed: int = 7) -> Path:
    """Folder of the reference market of so many hours."""
    return folder_of(Parameters(seed=seed, seconds=round(count * 3600)))


def statistics(columns: Columns) -> dict[str, float]:
    """What the tape is like, to be compared with what it was meant to be."""
    kind = columns["kind"] & ~np.uint8(LAST)
    levels, trades = kind <= ASK, (kind == BUY) | (kind == SELL)
    seconds = (int(columns["exch_ns"][-1]) - int(columns["exch_ns"][0])) / 1e9
    messages = int(np.count_nonzero(levels & (columns["kind"] >= LAST)))
    latency_ms = (columns["recv_ns"] - columns["exch_ns"]) / MS
    return {
        "rows": len(kind),
        "messages_per_s": messages / seconds,
        "levels_per_message": int(np.count_nonzero(levels)) / messages,
        "trades_per_s": int(np.count_nonzero(trades)) / seconds,
        "latency_low_ms": float(latency_ms.min()),
        "latency_high_ms": float(latency_ms.max()),
        "tick_low": int(columns["tick"][levels].min()),
        "tick_high": int(columns["tick"][levels].max()),
    }


def main() -> None:
    """Generate a tape and say what it is like."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    folder = hours(asked.hours, asked.seed)
    columns = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _NAMES}
    sys.stdout.write(json.dumps({"folder": str(folder), **statistics(columns)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
