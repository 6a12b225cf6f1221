"""What an order log asks of a disk: a folder of files that are appended to, and what is on them for good.

A file is named by its name in the folder, an open one by a number. All raise OSError; what was written is on
the disk for certain after `sync`, and a name after `sync_names`.
"""

import os
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    def names(self) -> list[str]: ...

    def read(self, name: str) -> bytes: ...

    def create(self, name: str) -> int:
        """Open a new, empty file to append to; one of that name is gone."""

    def append_to(self, name: str) -> int:
        """Open a file to append to; a new one if there is none."""

    def write(self, file: int, content: bytes | memoryview) -> int:
        """Append; returns how many bytes were taken, which may be a part."""

    def sync(self, file: int) -> None: ...

    def truncate(self, file: int, length: int) -> None: ...

    def close(self, file: int) -> None: ...

    def rename(self, name: str, to: str) -> None: ...

    def remove(self, name: str) -> None: ...

    def sync_names(self) -> None: ...


class Folder:
    """A folder of the machine. Raises OSError where it cannot be made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.mkdir(parents=True, exist_ok=True)

    def names(self) -> list[str]:
        return [path.name for path in self._path.iterdir()]

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()

    def create(self, name: str) -> int:
        return os.open(self._path / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)

    def append_to(self, name: str) -> int:
        return os.open(self._path / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, file: int, content: bytes | memoryview) -> int:
        return os.write(file, content)

    def sync(self, file: int) -> None:
        os.fsync(file)

    def truncate(self, file: int, length: int) -> None:
        os.ftruncate(file, length)

    def close(self, file: int) -> None:
        os.close(file)

    def rename(self, name: str, to: str) -> None:
        (self._path / name).rename(self._path / to)

    def remove(self, name: str) -> None:
        (self._path / name).unlink()

    def sync_names(self) -> None:
        directory = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
