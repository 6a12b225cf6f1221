"""Feeds of a run: one JSON line per row, one file per feed and UTC day, append-only.

Every line starts with what is constant over the run (run_id, arm, data_kind), so that a line cut out of its
file still says where it is from. Lines are written in batches; a batch is handed back as the very bytes that
went to disk.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import IO

import msgspec

from mmbot.errors import OutputError
from mmbot.model.records import EventRow, FillRow, Row, SampleRow, TickRow, TraceRow
from mmbot.units import SECOND

Batch = tuple[str, bytes]
"""(feed name, JSONL bytes)."""

_FEEDS: dict[type, str] = {
    TickRow: "pipeline_ticks",
    FillRow: "fills",
    SampleRow: "samples",
    EventRow: "events",
    TraceRow: "trace",
}
_IN_ORDER = (TickRow, TraceRow)
"""Written at ticks: they stand in time order."""
_DAY_S = 86_400
_DAY_NS = _DAY_S * SECOND


def _day(row: Row) -> int:
    return row.ts_ns // _DAY_NS


def _by_day(rows: list[Row]) -> Iterator[tuple[int, list[Row]]]:
    """Runs of rows of one day; nearly always all of them are."""
    if rows and type(rows[0]) in _IN_ORDER and _day(rows[0]) == _day(rows[-1]):
        yield _day(rows[0]), rows
        return
    for day, of_day in groupby(rows, key=_day):
        yield day, list(of_day)


class FeedWriter:
    """Writes the feeds of one run directory. Raises OutputError when the directory cannot be written."""

    def __init__(self, directory: Path, *, run_id: str, arm: str, data_kind: str) -> None:
        self._directory = directory
        self._head = msgspec.json.encode({"run_id": run_id, "arm": arm, "data_kind": data_kind})[:-1] + b","
        self._encode = msgspec.json.Encoder().encode_lines
        self._files: dict[tuple[str, int], IO[bytes]] = {}

    def write(self, rows: Sequence[Row]) -> list[Batch]:
        """Append rows; returns the bytes per feed and day."""
        batches: list[Batch] = []
        for kind, feed in _FEEDS.items():
            mine = [row for row in rows if type(row) is kind]
            for day, of_day in _by_day(mine):
                batches.append((feed, self._append((feed, day), self._lines(of_day))))
        return batches

    def _lines(self, rows: list[Row]) -> bytes:
        """JSON lines with the constants in front."""
        lines, head = self._encode(rows), self._head
        # one byte is found 30 times as fast as two, and is enough where rows hold no other brace
        whole = lines.replace(b"{", head)
        if len(whole) == len(lines) + len(rows) * (len(head) - 1):
            return whole
        # line breaks in values are escaped, so each of these starts a row
        return (b"\n" + lines).replace(b"\n{", b"\n" + head)[1:]

    def touch(self, now_ns: int) -> None:
        """Create the day's files of every feed but the trace, which is a sample: an empty feed means nothing
        happened, a missing one means nothing is known.
        """
        for kind, feed in _FEEDS.items():
            if kind is not TraceRow:
                self._append((feed, now_ns // _DAY_NS), b"")

    def flush(self) -> None:
        """Hand everything to the system: a process that is killed from here on loses nothing of it."""
        try:
            for file in self._files.values():
                file.flush()
        except OSError as error:
            raise OutputError(f"{self._directory}: feed cannot be written: {error.strerror}") from error

    def close(self) -> None:
        try:
            for file in self._files.values():
                file.close()
        except OSError as error:
            raise OutputError(f"{self._directory}: feed cannot be written: {error.strerror}") from error

    def _append(self, key: tuple[str, int], lines: bytes) -> bytes:
        try:
            file = self._files.get(key)
            if file is None:
                day = dt.datetime.fromtimestamp(key[1] * _DAY_S, dt.UTC)
                path = self._directory / f"{key[0]}_{day:%Y%m%d}.jsonl"
                file = self._files[key] = path.open("ab")
            file.write(lines)
        except OSError as error:
            raise OutputError(
                f"{self._directory}: feed {key[0]} cannot be written: {error.strerror}"
            ) from error
        return lines
