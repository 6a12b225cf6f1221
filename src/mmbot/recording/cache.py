"""The cache of columns: a folder for each recording, named after everything that it was made from."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock

from mmbot.errors import OutputError
from mmbot.recording.builder import ColumnsBuilder
from mmbot.recording.columns import Columns


def cached(cache: Path, facts: Sequence[str], fill: Callable[[ColumnsBuilder], None]) -> Columns:
    """Columns of these facts, from the cache or made now. One process makes them, others wait for it.

    A folder appears under its name only when it is complete. Raises OutputError for a cache that cannot be
    written, RecordingError for one that cannot be read, and what `fill` raises.
    """
    folder = cache / "columns" / hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]
    if not folder.is_dir():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.with_suffix(".lock")):
                if not folder.is_dir():
                    _make(folder, fill)
        except OSError as error:
            raise OutputError(
                f"{folder.parent}: columnar cache cannot be written: {error.strerror}"
            ) from error
    return Columns.load(folder)


def _make(folder: Path, fill: Callable[[ColumnsBuilder], None]) -> None:
    """Under the lock: a partial folder that is already there was left by a process that died."""
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        builder = ColumnsBuilder(partial)
        fill(builder)
        builder.finish()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
