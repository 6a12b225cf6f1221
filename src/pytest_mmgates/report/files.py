"""Files that are there whole or not at all."""

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from pytest_mmgates.errors import OutputError


def write_atomically(files: Mapping[Path, str | None]) -> None:
    """Write all of them beside their places, then move all into place: a failure leaves every old file as it
    was. None: what is there goes.
    """
    fresh: dict[Path, Path] = {}
    try:
        for path, text in files.items():
            if path.is_dir():
                raise IsADirectoryError(0, "is a directory", str(path))
            if text is None:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh[path] = path.with_name(f".{path.name}.{os.getpid()}")
            fresh[path].write_text(text, encoding="utf-8", newline="\n")
        for path, written in fresh.items():
            written.replace(path)
        for path in files.keys() - fresh.keys():
            path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}: {error.filename}") from error
    finally:
        for written in fresh.values():
            written.unlink(missing_ok=True)


def pages(path: Path, asked: Collection[str], **made: Callable[[], str]) -> dict[Path, str | None]:
    """A report in the formats that were asked for, of those that can be made; `path` is that of any."""
    return {
        path.with_suffix(f".{name}"): render() if name in asked else None for name, render in made.items()
    }
