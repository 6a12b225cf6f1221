"""`edge/feeds/`: the feeds of one named soak run, where dataset and daily look for them.

    edge/feeds/manifest.json                     of the run: which one it is, how it ended
    edge/feeds/fills_YYYYMMDD.jsonl
    edge/feeds/pipeline_ticks_YYYYMMDD.jsonl
    edge/feeds/trace_YYYYMMDD.jsonl                   where anything was traced

Decided: a file of a run that was played whole is hard-linked (no second gigabyte; what is published stays
when the run directory is replaced by the next session), or copied where the file system cannot link. Files of
a run in parts that share a day are merged in time order, rows as they are. The folder is replaced whole, and
only by a run that has ended, halted or not: its manifest says which.
"""

import heapq
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import msgspec

from pytest_mmgates.errors import OutputError
from pytest_mmgates.rows import feed_files, open_feed
from pytest_mmgates.runlog import RunLog

FEEDS = ("fills", "pipeline_ticks", "trace")


class _Stamp(msgspec.Struct):
    """By when a row was known, as its file is ordered."""

    ts_ns: int
    recv_ns: int = 0


def publish(run: RunLog, target: Path) -> None:
    """Replace the folder by the run's feeds. Raises OutputError."""
    fresh, old = (target.with_name(f".{target.name}.{suffix}") for suffix in ("fresh", "old"))
    try:
        for left in (fresh, old):
            shutil.rmtree(left, ignore_errors=True)
        fresh.mkdir(parents=True)
        shutil.copyfile(run.directory / "manifest.json", fresh / "manifest.json")
        for name, sources in _files(run).items():
            _write(sources, fresh / name)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}: {error.filename}") from error


def _files(run: RunLog) -> dict[str, list[Path]]:
    """Files by name, in the order of the parts."""
    found: dict[str, list[Path]] = {}
    for one in run.parts or (run,):
        for feed in FEEDS:
            for path in feed_files(one.directory, feed):
                found.setdefault(path.name.removesuffix(".zst"), []).append(path)
    return found


def _write(sources: list[Path], target: Path) -> None:
    if len(sources) > 1:
        _merge(sources, target)
        return
    try:
        if sources[0].name == target.name:
            os.link(sources[0], target)
            return
    except OSError:
        pass  # a file system that cannot link
    with open_feed(sources[0]) as rows, target.open("wb") as copy:
        shutil.copyfileobj(rows, copy)


def _merge(sources: Iterable[Path], target: Path) -> None:
    with ExitStack() as files:
        rows = [_stamped(files.enter_context(open_feed(path))) for path in sources]
        out = files.enter_context(target.open("wb"))
        out.writelines(line for _, line in heapq.merge(*rows, key=lambda row: row[0]))


def _stamped(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    decoder = msgspec.json.Decoder(_Stamp)
    for line in file:
        stamp = decoder.decode(line)
        yield stamp.recv_ns or stamp.ts_ns, line
