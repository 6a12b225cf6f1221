"""The recorded data of a worker: the same bytes as the driver's, wherever they lie."""

import functools
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pytest_mmgates.errors import RunlogError

DATA = "MMGATES_DATA"
"""Environment variable of a worker: its own folder of captures. Without it, the path that the driver has."""
_BLOCK = 1 << 20
_ABSENT = "no such file"


def hashes(data_dir: Path, names: Iterable[str]) -> dict[str, str]:
    """By name below the folder; those that are not there are left to whoever reads them."""
    found = {name: _hash(data_dir / name) for name in names}
    return {name: sha256 for name, sha256 in found.items() if sha256 != _ABSENT}


def data_of_worker(drivers: str | None, expected: Mapping[str, str]) -> str | None:
    """The folder to read; raises RunlogError for a file that is another here."""
    folder = os.environ.get(DATA) or drivers
    for name, sha256 in expected.items():
        found = _hash(Path(folder or "") / name)
        if found != sha256:
            raise RunlogError(f"data {name} was {found} in {folder} of the worker, expected {sha256}")
    return folder


def _hash(path: Path) -> str:
    try:
        stat = path.stat()
        return _sha256(path, stat.st_size, stat.st_mtime_ns)
    except OSError:
        return _ABSENT


@functools.cache
def _sha256(path: Path, _size: int, _changed_ns: int) -> str:
    """Read once, as long as it does not change."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
