"""What an interrupted run wrote and cannot keep: moved out of the feeds, never thrown away. Of a replay that
is all behind its last checkpoint, of a live run the line that it was writing.

    torn/1/pipeline_ticks_20260101.jsonl     what the first resume took off the end of that feed
    torn/2/...                               what the second one did

A tail is on the disk at its new place before it is cut off, so that a crash in between loses nothing: the
next repair finds it at the end of the feed still, and takes it once more.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from mmbot.errors import OutputError
from mmbot.files import sync_directory
from mmbot.telemetry.feeds import compressed

TORN = "torn"
_FEEDS = "*_????????.jsonl"
_BLOCK_BYTES = 1 << 16


def cut_tails(directory: Path, kept: Mapping[str, int]) -> dict[str, int]:
    """Cut every feed back to the bytes that are to be kept of it, by file name; what is not named goes whole.
    Returns the rows that were taken off, by file, a torn one counted.

    Raises OutputError for a feed that is shorter than it was, and for a directory that cannot be written.
    """
    try:
        longer = _longer(directory, kept)
        if not longer:
            return {}
        aside = _next_folder(directory / TORN)
        return {path.name: _cut(path, size, aside / path.name) for path, size in longer}
    except OSError as error:
        raise OutputError(f"{directory}: cannot be repaired: {error.strerror}: {error.filename}") from error


def whole_lines(directory: Path, least: Mapping[str, int]) -> dict[str, int]:
    """How far every feed consists of whole lines, by file name: what a killed process was writing is torn.
    Raises OutputError, also for a feed that has fewer bytes of them than `least` says.
    """
    try:
        whole = {path.name: _last_break(path) for path in directory.glob(_FEEDS)}
    except OSError as error:
        raise OutputError(f"{directory}: cannot be read: {error.strerror}: {error.filename}") from error
    _check_least(directory, whole, least)
    return whole


def _last_break(path: Path) -> int:
    """Bytes up to the last line break."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - _BLOCK_BYTES)
            file.seek(begin)
            found = file.read(end - begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            end = begin
    return 0


def _longer(directory: Path, kept: Mapping[str, int]) -> list[tuple[Path, int]]:
    """Files that hold more than is kept of them. Nothing was changed yet when one turns out too short."""
    there = {path.name: path.stat().st_size for path in directory.glob(_FEEDS)}
    _check_least(directory, there, kept)
    return [
        (directory / name, kept.get(name, 0))
        for name, size in sorted(there.items())
        if size > kept.get(name, 0)
    ]


def _check_least(directory: Path, there: Mapping[str, int], least: Mapping[str, int]) -> None:
    for name, size in least.items():
        if there.get(name, 0) < size:
            raise OutputError(
                f"{directory / name}: holds {there.get(name, 0)} bytes, expected the {size} that its "
                "checkpoint counts: rows were lost, and the run cannot be resumed"
            )


def _next_folder(torn: Path) -> Path:
    number = sum(1 for _ in torn.glob("*")) + 1
    folder = torn / str(number)
    folder.mkdir(parents=True)
    return folder


def _cut(path: Path, size: int, aside: Path) -> int:
    """Move what lies behind `size`. The compressed copy goes first: it is of more rows than will be left."""
    compressed(path).unlink(missing_ok=True)
    with path.open("r+b") as feed, aside.open("xb") as tail:
        feed.seek(size)
        shutil.copyfileobj(feed, tail)
        tail.flush()
        os.fsync(tail.fileno())
        sync_directory(aside.parent)
        feed.truncate(size)
        os.fsync(feed.fileno())
    return _rows(aside)


def _rows(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)
