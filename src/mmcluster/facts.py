"""What has to be the same on every worker, by names that say how it is found out:

    python             3.11.9
    machine            Linux x86_64: floats of another one may differ in their last bits
    version numpy      2.4.6, as it is installed
    source mmbot       hash over every module of the package (or the one module) as it lies on the disk
    file config.yaml   hash of a file, by its path below the working directory

The driver states them, each worker finds out the same names for itself: files whenever it is asked, since
they are read anew by every task, all else once in the life of its process, since what it has imported stays.
"""

import functools
import hashlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from mmcluster.errors import ClusterError

NONE = "none"
"""Of what is not there."""


def common_facts(packages: Iterable[str], distributions: Iterable[str]) -> dict[str, str]:
    """Of this process: interpreter, machine, the source of packages, versions of what is installed."""
    names = [
        "python",
        "machine",
        *(f"source {name}" for name in packages),
        *(f"version {name}" for name in distributions),
    ]
    return {name: found(name) for name in names}


def file_fact(path: str) -> tuple[str, str]:
    """Name and hash of a file below the working directory; ClusterError where it is not there."""
    name = f"file {path}"
    sha256 = _sha256_of_file(path)
    if sha256 == NONE:
        raise ClusterError(f"{path}: no such file, expected one that every worker has too")
    return name, sha256


def found(name: str) -> str:
    """One fact of this process; `none` for a package, version or file that is not there."""
    kind, _, what = name.partition(" ")
    if kind not in _FINDERS:
        raise ClusterError(f"fact was {name!r}, expected one of {', '.join(_FINDERS)}")
    return _FINDERS[kind](what)


def first_difference(expected: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Name, what it is here, what was expected, of the first fact that differs."""
    here = ((name, found(name), value) for name, value in expected.items())
    return next((one for one in here if one[1] != one[2]), None)


@functools.cache
def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return NONE


@functools.cache
def _source(package: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return NONE
    folder = Path(spec.origin).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")) if spec.submodule_search_locations else [Path(spec.origin)]:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _sha256_of_file(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return NONE


_FINDERS: dict[str, Callable[[str], str]] = {
    "python": lambda _: platform.python_version(),
    "machine": lambda _: f"{platform.system()} {platform.machine()}",
    "version": _version,
    "source": _source,
    "file": _sha256_of_file,
}
