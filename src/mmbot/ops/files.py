"""Files that are there whole or not at all."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from mmbot.errors import OutputError


def write_atomically(files: Mapping[Path, bytes]) -> None:
    """Write all of them beside their places, then move all into place. If one cannot be moved, those that
    were are put back as they were. Modes stay, links are followed. Raises OutputError.
    """
    places = {path.resolve(): content for path, content in files.items()}
    fresh: dict[Path, Path] = {}
    moved: dict[Path, bytes | None] = {}
    try:
        for path, content in places.items():
            fresh[path] = _written_beside(path, content)
        for path, ready in fresh.items():
            before = path.read_bytes() if path.exists() else None
            ready.replace(path)
            moved[path] = before
    except OSError as error:
        for path, content_before in moved.items():
            if content_before is None:
                path.unlink()
            else:
                _written_beside(path, content_before).replace(path)
        raise OutputError(f"{error.filename}: cannot be written: {error.strerror}") from error
    finally:
        for ready in fresh.values():
            ready.unlink(missing_ok=True)


def _written_beside(path: Path, content: bytes) -> Path:
    """A complete copy on the disk, with the mode of the file that it will replace."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ready = path.with_name(f".{path.name}.{os.getpid()}")
    with ready.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        shutil.copymode(path, ready)
    return ready
