"""What a worker must have as the driver has it: code, libraries, and the files of the project."""

from collections.abc import Iterable
from pathlib import Path

from mmcluster import ClusterError, common_facts, file_fact
from pytest_mmgates.options import Options

_LIBRARIES = ("numpy", "numba", "msgspec", "scipy", "distributed")
"""Whose versions can change a number, or what travels."""


def project_facts(options: Options, files: Iterable[Path]) -> dict[str, str]:
    """Of this process, to be found on every worker. `files`: besides those that the ini `mmgates_source`
    names. Raises ClusterError.
    """
    bot = options.sut.partition(":")[0].partition(".")[0]
    facts = common_facts((bot, "pytest_mmgates", "mmcluster"), (bot, *_LIBRARIES))
    own = (path for pattern in options.source for path in _found(options.root, pattern) if path.is_file())
    for path in dict.fromkeys([*sorted(own), *files]):
        name, sha256 = file_fact(from_here(path))
        facts[name] = sha256
    return facts


def _found(root: Path, pattern: str) -> list[Path]:
    """Raises ClusterError for nothing: what was meant is not held against the workers'."""
    paths = list(root.glob(pattern))
    if not paths:
        raise ClusterError(f"ini mmgates_source: nothing in {root} is {pattern!r}, expected file or folder")
    return paths


def from_here(path: Path) -> str:
    """A path as a worker finds it, in its own copy of the working directory. Raises ClusterError."""
    here = Path.cwd()
    if not path.is_relative_to(here):
        raise ClusterError(f"{path}: lies outside of {here}, expected to be started in the project's folder")
    return path.relative_to(here).as_posix()
