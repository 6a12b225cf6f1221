"""A place that all machines reach: a folder, or a bucket, by fsspec.

Decided: what a worker wrote goes to a folder of that worker's own, so that one that was given up for dead and
is not writes over nobody. Only a folder that a summary names is whole.
"""

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mmgates.errors import OutputError, RunlogError
from pytest_mmgates.rows import ELSEWHERE, rows_elsewhere

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


def put(directory: Path, place: str) -> str:
    """Copy a run directory; where to. Raises OutputError."""
    target = f"{place}/{platform.node()}-{os.getpid()}"
    try:
        system, root = _opened(target)
        if system.exists(root):
            system.rm(root, recursive=True)
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                name = f"{root}/{path.relative_to(directory).as_posix()}"
                system.makedirs(name.rpartition("/")[0], exist_ok=True)
                system.put_file(str(path), name)
    except Exception as error:
        raise OutputError(f"{target}: cannot be written: {_told(error)}") from error
    return target


def fetch_rows(directory: Path) -> None:
    """Make a run directory whole whose rows are elsewhere. Raises RunlogError."""
    place = rows_elsewhere(directory)
    if place is None:
        return
    try:
        system, root = _opened(place)
        for name in system.find(root):
            path = directory / name.removeprefix(root).lstrip("/")
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                system.get_file(name, str(path))
    except Exception as error:
        raise RunlogError(f"{place}: cannot be read: {_told(error)}") from error
    (directory / ELSEWHERE).unlink()


def _opened(place: str) -> "tuple[AbstractFileSystem, str]":
    import fsspec  # noqa: PLC0415 (an extra)

    system, root = fsspec.url_to_fs(place)
    return system, root


def _told(error: Exception) -> str:
    """In one line, whatever the library of a store raises."""
    missing = ": install mmbot[cluster]" if isinstance(error, ImportError) else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{missing}"
