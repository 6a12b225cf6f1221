"""The order log on disk: what is about to leave is written first, and a create is on the disk before it does.

    orders-000001.log      numbered files, each with a checkpoint at its head; the newest one counts
    orders-000001.torn     bytes of writes that were cut off, moved out of the file of that number

The folder's account is claimed before (`runtime.account_folder`): one process writes here at a time.

A failed write (disk full, size limit, broken disk) raises before the caller could send anything, and the log
takes nothing more: only a new start, which reads what is really there, may go on.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from mmbot.errors import OutputError
from mmbot.execution.order_log import LogContent, encoded, head, must_sync, read
from mmbot.execution.order_records import LifecycleState, Record
from mmbot.model.orders import OwnPrefix
from mmbot.runtime.disk import Disk, Folder

ROTATE_BYTES = 16 << 20
KEPT_FILES = 8


class OrderLogFile:
    """`content` is what the newest file held when it was opened (None for a new log); `torn_bytes` counts
    what was cut off from it. Raises OutputError when it cannot be written or holds the orders of another
    prefix, RecordingError when it cannot be read.
    """

    def __init__(
        self,
        directory: Path,
        own_prefix: OwnPrefix,
        *,
        rotate_bytes: int = ROTATE_BYTES,
        disk: Disk | None = None,
    ) -> None:
        """`disk`: the machine's own unless said otherwise."""
        self._directory = directory
        self._own_prefix = own_prefix
        self._rotate_bytes = rotate_bytes
        self._file: int | None = None
        self._failure: str | None = None
        self.content: LogContent | None = None
        self.torn_bytes = 0
        try:
            self._disk = disk or Folder(directory)
            self._open()
        except OSError as error:
            self.close()
            raise self._unwritable(error) from error
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
        disk, numbers = self._disk, self._numbers()
        name = _name(max(numbers, default=0) + 1)
        unfinished = name.removesuffix(".log") + ".new"
        old, self._file = self._file, None
        try:
            self._file = disk.create(unfinished)
            self._length, self._lines = 0, 2
            self._write(head(self._own_prefix, state))
            self._sync()
            disk.rename(unfinished, name)
            disk.sync_names()
            for gone in sorted(numbers)[: max(len(numbers) + 1 - KEPT_FILES, 0)]:
                disk.remove(_name(gone))
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            if old is not None:
                disk.close(old)

    def close(self) -> None:
        if self._file is not None:
            self._disk.close(self._file)
            self._file = None
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
        name = _name(max(numbers))
        content = read(self._disk.read(name), str(self._directory / name))
        if not _marks(content.own_prefix) <= _marks(self._own_prefix):
            raise OutputError(
                f"{self._directory / name}: holds orders of {content.own_prefix!r}, "
                f"expected {self._own_prefix!r}"
            )
        self.content, self._lines, self._length = content, content.lines, content.length
        self._file = self._disk.append_to(name)
        if content.torn:
            self._cut_off(self._file, name, content)

    def _cut_off(self, file: int, name: str, content: LogContent) -> None:
        """Move the torn tail beside the log; kept before it is cut, so that a crash here loses nothing."""
        disk = self._disk
        beside = disk.append_to(name.removesuffix(".log") + ".torn")
        try:
            rest = memoryview(content.torn)
            while rest:
                rest = rest[disk.write(beside, rest) :]
            disk.sync(beside)
        finally:
            disk.close(beside)
        disk.truncate(file, content.length)
        disk.sync(file)
        self.torn_bytes = len(content.torn)

    def _write(self, lines: bytes) -> None:
        """All of it: the system may take a part and fail at the rest."""
        rest, file = memoryview(lines), self._opened
        try:
            while rest:
                rest = rest[self._disk.write(file, rest) :]
        except OSError as error:
            raise self._unwritable(error) from error
        self._length += len(lines)

    def _sync(self) -> None:
        try:
            self._disk.sync(self._opened)
        except OSError as error:
            raise self._unwritable(error) from error

    @property
    def _opened(self) -> int:
        if self._file is None:
            raise self._unwritable(OSError("it is not open"))
        return self._file

    def _numbers(self) -> list[int]:
        names = (name for name in self._disk.names() if name.startswith("orders-") and name.endswith(".log"))
        return [int(name[len("orders-") : -len(".log")]) for name in names]

    def _raise_if_failed(self) -> None:
        if self._failure is not None:
            raise OutputError(f"{self._directory}: order log takes nothing more: {self._failure}")

    def _unwritable(self, error: OSError) -> OutputError:
        self._failure = error.strerror or str(error)
        return OutputError(f"{self._directory}: order log cannot be written: {self._failure}")


def _marks(prefix: OwnPrefix) -> set[str]:
    return {prefix} if isinstance(prefix, str) else set(prefix)


def _name(number: int) -> str:
    return f"orders-{number:06d}.log"
