"""The code of the baseline: archived when it is locked, unpacked where it is to run.

Decided: the archive is used wherever it lies beside the lock, commit or no commit, so that a shallow clone
and a rewritten history run the same bytes as everybody else. Without it the commit is archived again, which
must give the hash that was locked. `rung` says which of the two it was.
"""

import hashlib
import io
import lzma
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from pytest_mmgates.baseline.lockfile import Source
from pytest_mmgates.errors import BaselineError

_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Where the baseline's code lies, and how it was had."""

    root: Path
    rung: str


def git(root: Path, *arguments: str) -> bytes:
    """What git printed, or BaselineError with its own words."""
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_TIMEOUT_S)  # noqa: S603 (no shell)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BaselineError(f"git {arguments[0]}: {error}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise BaselineError(f"git {arguments[0]}: {said[-1]}")
    return done.stdout


def head_of(root: Path) -> tuple[str, str]:
    """Hash and time of the commit that is checked out."""
    commit, at = git(root, "show", "--no-patch", "--format=%H %cI", "HEAD").decode().split()
    return commit, at


def changed_paths(root: Path, paths: tuple[str, ...]) -> list[str]:
    """Which of these paths differ from the commit, or are not in it."""
    status = git(root, "status", "--porcelain", "--untracked-files=all", "--", *paths).decode()
    return [line[3:] for line in status.splitlines()]


def archive(root: Path, commit: str, paths: tuple[str, ...]) -> bytes:
    """A tar of these paths at that commit: the same bytes whenever it is asked for."""
    return git(root, "archive", "--format=tar", commit, "--", *paths)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def compressed(tar: bytes) -> bytes:
    return lzma.compress(tar, preset=6)


def unpack(source: Source, folder: Path, root: Path, into: Path) -> Unpacked:
    """The code of a lock that lies in `folder`, of the project at `root`. What is unpacked already is used
    again if it is still that code: compiled kernels lie beside it. BaselineError.
    """
    tar, rung = _tar(source, folder, root)
    if sha256(tar) != source.sha256:
        raise BaselineError(f"{rung}: sha256 was {sha256(tar)[:12]}, expected {source.sha256[:12]} as locked")
    target = into / source.sha256[:16]
    with tarfile.open(fileobj=io.BytesIO(tar)) as content:
        if not _holds(target, content):
            shutil.rmtree(target, ignore_errors=True)
            _write(content, target)
    return Unpacked(target, rung)


def _write(content: tarfile.TarFile, target: Path) -> None:
    """Folders and files, and nothing outside the target. By hand, because `extractall` has no safe way before
    Python 3.11.4.
    """
    for member in content.getmembers():
        path = target / member.name
        file = content.extractfile(member) if member.isfile() else None
        if member.isdir():
            continue
        if file is None or not path.resolve().is_relative_to(target.resolve()):
            raise BaselineError(f"{member.name}: is no file of an archive of code")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.read())


def _tar(source: Source, folder: Path, root: Path) -> tuple[bytes, str]:
    path = folder / source.archive
    if path.is_file():
        try:
            return lzma.decompress(path.read_bytes()), f"archive {source.archive}"
        except (OSError, lzma.LZMAError) as error:
            raise BaselineError(f"{path}: cannot be unpacked: {error}") from error
    try:
        return archive(root, source.commit, source.paths), f"commit {source.commit[:12]}"
    except BaselineError as error:
        raise BaselineError(f"no archive {path}, and {error}") from error


def _holds(target: Path, content: tarfile.TarFile) -> bool:
    """Whether every file of the archive lies there as it is in it."""
    for member in content:
        if not member.isfile():
            continue
        path, file = target / member.name, content.extractfile(member)
        if file is None or not path.is_file() or path.read_bytes() != file.read():
            return False
    return True
