"""The rows of a run directory as batches once more: for a watch that has to see again what it had seen.

Rows come as they would from a bot that writes every 10 seconds of its time, the step at which rules look:
all feeds of one step, then those of the next. So every look is made with the rows that it was made with.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import msgspec

from pytest_mmgates.errors import RunlogError
from pytest_mmgates.rows import feed_files, open_feed, read_resumes
from pytest_mmgates.watch.watch import Watch
from pytest_mmgates.watchrules import STEP_NS

_CLOCKS = {"pipeline_ticks": "ts_ns", "fills": "recv_ns", "samples": "ts_ns", "events": "ts_ns"}


class _Stamp(msgspec.Struct):
    ts_ns: int
    recv_ns: int = 0


def batches_again(directory: Path, watch: Watch) -> Iterator[tuple[str, bytes]]:
    """The rows of a run that was interrupted. The watch is told where another process began to play it.
    Raises RunlogError for a row without a time.
    """
    restarts = deque(read_resumes(directory))
    feeds = [_steps(directory, feed, clock) for feed, clock in _CLOCKS.items()]
    for number, feed, lines in heapq.merge(*feeds, key=itemgetter(0)):
        while restarts and number * STEP_NS >= restarts[0]:
            restarts.popleft()
            watch.restart()
        yield feed, lines


def _steps(directory: Path, feed: str, clock: str) -> Iterator[tuple[int, str, bytes]]:
    """One feed: number of the step, name, lines."""
    decoder = msgspec.json.Decoder(_Stamp)
    for path in feed_files(directory, feed):
        with open_feed(path) as file:
            try:
                numbered = ((getattr(decoder.decode(line), clock) // STEP_NS, line) for line in file)
                for number, lines in groupby(numbered, key=itemgetter(0)):
                    yield number, feed, b"".join(line for _, line in lines)
            except msgspec.MsgspecError as error:
                raise RunlogError(f"{path}: corrupt row: {error}") from error
