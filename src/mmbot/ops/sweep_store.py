"""Finished shards of a sweep on the disk: a line each, so that a sweep that was stopped goes on.

Lines are written as shards finish, in whichever order. A line that is not whole, the last of a process that
was killed, is cut off; its shard is played again. One process at a time writes.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from filelock import FileLock, Timeout

from mmbot.calibration.block_sums import SUMS, Blocks
from mmbot.errors import ConfigError, OutputError
from mmbot.ops.files import write_atomically


class Kept(msgspec.Struct, frozen=True):
    """A finished shard."""

    shard: str
    digest: str
    seconds: float
    worker: str
    blocks: Blocks


class _Head(msgspec.Struct, frozen=True):
    sha256: str


class SweepStore:
    """The folder of one sweep, claimed from `__enter__` to `__exit__`."""

    def __init__(self, folder: Path, content: dict[str, Any], sha256: str, *, again: bool) -> None:
        """`again`: what another sweep of this name left is thrown away."""
        self._folder = folder
        self._content = content
        self._sha256 = sha256
        self._again = again
        self._lock = FileLock(folder / ".lock")
        self._lines = folder / "shards.jsonl"

    def __enter__(self) -> Self:
        """Raises ConfigError for a folder that holds another sweep or is in use, OutputError for one that
        cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise ConfigError(f"{self._folder}: a sweep is being played into it") from error
        except OSError as error:
            raise OutputError(f"{self._folder}: cannot be written: {error.strerror}") from error
        try:
            self._claim()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def kept(self) -> Iterator[Kept]:
        """One after the other, as they were written. Raises ConfigError for a line that is none of ours."""
        if not self._lines.exists():
            return
        decoder = msgspec.json.Decoder(Kept)
        with self._lines.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    kept = decoder.decode(line)
                    if any(len(row) != len(SUMS) for row in kept.blocks.values()):
                        raise msgspec.ValidationError(f"a row of sums was not of {len(SUMS)} numbers")
                except msgspec.DecodeError as error:
                    raise ConfigError(f"{self._lines}:{number}: was no finished shard: {error}") from error
                yield kept

    def keep(self, shard: Kept) -> None:
        """It is on the disk when this returns. Raises OutputError."""
        try:
            with self._lines.open("ab") as lines:
                lines.write(msgspec.json.encode(shard) + b"\n")
                lines.flush()
                os.fsync(lines.fileno())
        except OSError as error:
            raise OutputError(f"{self._lines}: cannot be written: {error.strerror}") from error

    def _claim(self) -> None:
        head = self._folder / "sweep.json"
        found = self._found(head)
        if found not in (None, self._sha256):
            if not self._again:
                raise ConfigError(
                    f"{head}: is of another sweep, {str(found)[:12]}, expected {self._sha256[:12]}: settings,"
                    " market, seeds, blocks or code changed; --again to throw it away, or another --name"
                )
            self._lines.unlink(missing_ok=True)
        if found != self._sha256:
            content = {"sha256": self._sha256, **self._content}
            text = msgspec.json.format(msgspec.json.encode(content), indent=1)
            write_atomically({head: text + b"\n"})
        self._cut_torn_line()

    def _found(self, head: Path) -> str | None:
        """The hash of the sweep that is there, if one is."""
        if not head.exists():
            return None
        try:
            return msgspec.json.decode(head.read_bytes(), type=_Head).sha256
        except msgspec.DecodeError as error:
            if self._again:
                return "not readable"
            raise ConfigError(f"{head}: was no sweep: {error}; --again to throw it away") from error

    def _cut_torn_line(self) -> None:
        if not self._lines.exists():
            return
        with self._lines.open("rb+") as lines:
            end = lines.seek(0, os.SEEK_END)
            while end:
                start = max(end - 65_536, 0)
                lines.seek(start)
                at = lines.read(end - start).rfind(b"\n")
                if at >= 0:
                    end = start + at + 1
                    break
                end = start
            lines.truncate(end)
