"""Feeds of a run: one JSON line per row, one file per feed and UTC day, append-only.

Every line starts with what is constant over the run (run_id, arm, data_kind), so that a line cut out of its
file still says where it is from. In a run of several arms, ticks and fills name their own. Lines are written
in batches; a batch is handed back as the very bytes that went to disk.

A day that has closed is also kept compressed, beside its JSON lines (`close_days`). A row that comes after
that (a fill is of the day on which the venue matched it) takes the compressed file away until the day is
closed again: it is never behind the rows.
"""

import contextlib
import datetime as dt
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import IO

import msgspec

from mmbot.errors import OutputError
from mmbot.files import compress_beside, sync_directory
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

    def __init__(
        self,
        directory: Path,
        *,
        run_id: str,
        arm: str,
        data_kind: str,
        written: Mapping[str, int] | None = None,
        at_once: bool = False,
    ) -> None:
        """`written`: bytes by file of a run that goes on, as `sync` returned them. `at_once`: rows are with
        the system when `write` returns, and a process that is killed from then on loses nothing of them; a
        tick is never there without the fills and events that its position rests on.
        """
        self._directory = directory
        self._head = msgspec.json.encode({"run_id": run_id, "arm": arm, "data_kind": data_kind})[:-1] + b","
        self._own_arm_head = msgspec.json.encode({"run_id": run_id, "data_kind": data_kind})[:-1] + b","
        self._encode = msgspec.json.Encoder().encode_lines
        self._files: dict[tuple[str, int], IO[bytes]] = {}
        self._written = dict(written or {})
        self._at_once = at_once

    @property
    def begun(self) -> bool:
        """Whether any of the files is there."""
        return bool(self._files or self._written)

    def write(self, rows: Sequence[Row]) -> list[Batch]:
        """Append rows; returns the bytes per feed and day."""
        found: list[tuple[tuple[str, int], bytes]] = []
        for kind, feed in _FEEDS.items():
            mine = [row for row in rows if type(row) is kind]
            found += [((feed, day), self._lines(of_day)) for day, of_day in _by_day(mine)]
        for key, lines in sorted(found, key=_is_of_ticks):
            self._append(key, lines)
        return [(feed, lines) for (feed, _), lines in found]

    def _lines(self, rows: list[Row]) -> bytes:
        """JSON lines with the constants in front; the arm is none where rows have their own."""
        own_arm = bool(rows) and getattr(rows[0], "arm", msgspec.UNSET) is not msgspec.UNSET
        lines, head = self._encode(rows), self._own_arm_head if own_arm else self._head
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

    def sync(self) -> dict[str, int]:
        """Have everything on the disk; returns how many bytes each file of the run holds, by name."""
        with self._writing():
            for key, file in self._files.items():
                file.flush()
                os.fsync(file.fileno())
                self._written[_name(*key)] = file.tell()
            sync_directory(self._directory)
        return dict(self._written)

    def close_days(self, now_ns: int) -> None:
        """Compress every file of an earlier day that is not yet, or no longer. Call it after `sync`."""
        with self._writing():
            for key in [key for key in self._files if key[1] < now_ns // _DAY_NS]:
                self._files.pop(key).close()
            today = _stamp(now_ns // _DAY_NS)
            for path in (self._directory / name for name in self._written):
                if path.stem.rpartition("_")[2] < today and not compressed(path).exists():
                    compress_beside(path, compressed(path))

    def close(self) -> None:
        """Close every file, whatever becomes of another."""
        with self._writing(), contextlib.ExitStack() as files:
            for file in self._files.values():
                files.callback(file.close)

    def _append(self, key: tuple[str, int], lines: bytes) -> None:
        with self._writing(key[0]):
            file = self._files.get(key)
            if file is None:
                path = self._directory / _name(*key)
                compressed(path).unlink(missing_ok=True)
                file = self._files[key] = path.open("ab")
            file.write(lines)
            if self._at_once:
                file.flush()

    @contextlib.contextmanager
    def _writing(self, feed: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            what = f"feed {feed}" if feed else "feed"
            raise OutputError(f"{self._directory}: {what} cannot be written: {error.strerror}") from error


def _is_of_ticks(found: tuple[tuple[str, int], bytes]) -> bool:
    return found[0][0] == _FEEDS[TickRow]


def compressed(path: Path) -> Path:
    """Where the same rows lie compressed."""
    return path.with_name(f"{path.name}.zst")


def _name(feed: str, day: int) -> str:
    return f"{feed}_{_stamp(day)}.jsonl"


def _stamp(day: int) -> str:
    """Days since the epoch -> `20260131`."""
    return f"{dt.datetime.fromtimestamp(day * _DAY_S, dt.UTC):%Y%m%d}"
