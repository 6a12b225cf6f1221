"""Files that survive a crash of process or machine: whole or not at all, and on the disk before anybody
relies on them.
"""

import os
from pathlib import Path

import zstandard

_BLOCK_BYTES = 1 << 20


def sync_directory(directory: Path) -> None:
    """Have the names in a directory on the disk, as they are now. Raises OSError."""
    opened = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def write_durably(path: Path, *content: bytes) -> None:
    """Replace a file, whole or not at all: after this it is on the disk, name included. Raises OSError."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        file.writelines(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_directory(path.parent)


def compress_beside(path: Path, target: Path) -> None:
    """Write a zstd copy of a file with a checksum over its content, durably. Raises OSError."""
    partial = target.with_name(f"{target.name}.partial")
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    with path.open("rb") as source, partial.open("wb") as file:
        compressor.copy_stream(source, file, size=path.stat().st_size, read_size=_BLOCK_BYTES)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)
    sync_directory(target.parent)
