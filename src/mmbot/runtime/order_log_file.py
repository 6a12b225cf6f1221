"""The order log on disk: what is about to leave is written first, and a create is on the disk before it does.

    orders-000001.log      numbered files, each with a checkpoint at its head; the newest one counts
    orders-000001.torn     bytes of writes that were cut off, moved out of the file of that number

The folder's account is claimed before (`runtime.account_folder`): one process writes here at a time.

A failed write (disk full, size limit, broken disk) raises before the caller could send anything, and the log
takes nothing more: only a new start, which reads what is really there, may go on.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from mmbot.errors import OutputError
from mmbot.execution.order_log import LogContent, encoded, head, must_sync, read
from mmbot.execution.order_records import LifecycleState, Record

ROTATE_BYTES = 16 << 20
KEPT_FILES = 8


class OrderLogFile:
    """`content` is what the newest file held when it was opened (None for a new log); `torn_bytes` counts
    what was cut off from it. Raises OutputError when it cannot be written or holds the orders of another
    prefix, RecordingError when it cannot be read.
    """

    def __init__(self, directory: Path, own_prefix: str, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        self._directory = directory
        self._own_prefix = own_prefix
        self._rotate_bytes = rotate_bytes
        self._file = -1
        self._failure: str | None = None
        self.content: LogContent | None = None
        self.torn_bytes = 0
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def append(self, records: Sequence[Record]) -> None:
        """Write them; on the disk when this returns, if one of them is a create. Raises OutputError."""
        if not records:
            return
        self._raise_if_failed()
        self._write(encoded(records, self._lines + 1))
        self._lines += len(records)
        if must_sync(records):
            self._sync()

    @property
    def full(self) -> bool:
        """Long enough to begin another file."""
        return self._length >= self._rotate_bytes

    def checkpoint(self, state: LifecycleState) -> None:
        """Begin a new file with this state, and let go of the oldest ones. Raises OutputError."""
        self._raise_if_failed()
        numbers = self._numbers()
        number = max(numbers, default=0) + 1
        path = self._path(number)
        unfinished = path.with_suffix(".new")
        old = self._file
        try:
            self._file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
            self._length, self._lines = 0, 2
            self._write(head(self._own_prefix, state))
            self._sync()
            unfinished.rename(path)
            self._sync_directory()
            for gone in sorted(numbers)[: max(len(numbers) + 1 - KEPT_FILES, 0)]:
                self._path(gone).unlink()
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            if old >= 0:
                os.close(old)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._failure = self._failure or "closed"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> None:
        numbers = self._numbers()
        if not numbers:
            self.checkpoint(LifecycleState(symbols={}, positions={}))
            return
        path = self._path(max(numbers))
        try:
            content = read(path.read_bytes(), str(path))
        except OSError as error:
            raise self._unwritable(error) from error
        if content.own_prefix != self._own_prefix:
            raise OutputError(
                f"{path}: holds orders of {content.own_prefix!r}, expected {self._own_prefix!r}"
            )
        self.content, self._lines, self._length = content, content.lines, content.length
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
            if content.torn:
                self._cut_off(path, content)
        except OSError as error:
            raise self._unwritable(error) from error

    def _cut_off(self, path: Path, content: LogContent) -> None:
        """Move the torn tail beside the log; kept before it is cut, so that a crash here loses nothing."""
        with path.with_suffix(".torn").open("ab") as torn:
            torn.write(content.torn)
            torn.flush()
            os.fsync(torn.fileno())
        os.ftruncate(self._file, content.length)
        os.fsync(self._file)
        self.torn_bytes = len(content.torn)

    def _write(self, lines: bytes) -> None:
        """All of it: the system may take a part and fail at the rest."""
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            raise self._unwritable(error) from error
        self._length += len(lines)

    def _sync(self) -> None:
        try:
            os.fsync(self._file)
        except OSError as error:
            raise self._unwritable(error) from error

    def _sync_directory(self) -> None:
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _numbers(self) -> list[int]:
        return [int(path.stem.removeprefix("orders-")) for path in self._directory.glob("orders-*.log")]

    def _path(self, number: int) -> Path:
        return self._directory / f"orders-{number:06d}.log"

    def _raise_if_failed(self) -> None:
        if self._failure is not None:
            raise OutputError(f"{self._directory}: order log takes nothing more: {self._failure}")

    def _unwritable(self, error: OSError) -> OutputError:
        self._failure = error.strerror or str(error)
        return OutputError(f"{self._directory}: order log cannot be written: {self._failure}")
