"""Feeds of a run: one JSON line per row, one file per feed and UTC day, append-only.

Every line starts with what is constant over the run (run_id, arm, data_kind), so that a line cut out of its
file still says where it is from. Lines are written in batches; a batch is handed back as the very bytes that
went to disk.
"""

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import msgspec

from mmbot.errors import OutputError
from mmbot.model.records import EventRow, FillRow, Row, SampleRow, TickRow
from mmbot.units import SECOND

Batch = tuple[str, bytes]
"""(feed name, JSONL bytes)."""

_FEEDS: dict[type, str] = {
    TickRow: "pipeline_ticks",
    FillRow: "fills",
    SampleRow: "samples",
    EventRow: "events",
}
_DAY_S = 86_400


class FeedWriter:
    """Writes the feeds of one run directory. Raises OutputError when the directory cannot be written."""

    def __init__(self, directory: Path, *, run_id: str, arm: str, data_kind: str) -> None:
        self._directory = directory
        self._head = msgspec.json.encode({"run_id": run_id, "arm": arm, "data_kind": data_kind})[:-1] + b","
        self._encode = msgspec.json.Encoder().encode
        self._files: dict[tuple[str, int], IO[bytes]] = {}

    def write(self, rows: Iterable[Row]) -> list[Batch]:
        """Append rows; returns the bytes per feed and day, in the order of first appearance."""
        batches: dict[tuple[str, int], bytearray] = {}
        head, encode = self._head, self._encode
        for row in rows:
            key = (_FEEDS[type(row)], row.ts_ns // SECOND // _DAY_S)
            lines = batches.get(key)
            if lines is None:
                lines = batches[key] = bytearray()
            lines += head
            lines += memoryview(encode(row))[1:]
            lines += b"\n"
        return [(key[0], self._append(key, bytes(lines))) for key, lines in batches.items()]

    def touch(self, now_ns: int) -> None:
        """Create the day's files of every feed: an empty feed means nothing happened, a missing one means
        nothing is known.
        """
        for feed in _FEEDS.values():
            self._append((feed, now_ns // SECOND // _DAY_S), b"")

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
