"""Files that are there whole or not at all."""

import os
from collections.abc import Mapping
from pathlib import Path

from pytest_mmgates.errors import OutputError


def write_atomically(files: Mapping[Path, str]) -> None:
    """Write all of them beside their places, then move all into place: a failure leaves every old file as it
    was.
    """
    fresh: dict[Path, Path] = {}
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                raise IsADirectoryError(0, "is a directory", str(path))
            fresh[path] = path.with_name(f".{path.name}.{os.getpid()}")
            fresh[path].write_text(text, encoding="utf-8", newline="\n")
        for path, written in fresh.items():
            written.replace(path)
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}: {error.filename}") from error
    finally:
        for written in fresh.values():
            written.unlink(missing_ok=True)
