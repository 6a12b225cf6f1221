"""Where a run came from: code, host, libraries. Facts only; what cannot be read is null."""

import functools
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import numpy as np


def code() -> dict[str, str | bool | None]:
    """Package version, and commit and dirtiness if the package runs from a git checkout."""
    commit = _git("rev-parse", "HEAD")
    status = _git("status", "--porcelain") if commit else None
    return {
        "version": importlib.metadata.version("mmbot"),
        "commit": commit,
        "dirty": None if status is None else bool(status),
    }


def host() -> dict[str, str | int | None]:
    """Interpreter, numpy, platform and number of CPUs; no names of machines or people."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
    }


@functools.cache
def source_sha256() -> str:
    """Hash over every module of the package as it lies on the disk, by name: what runs, committed or not."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _git(*arguments: str) -> str | None:
    folder = Path(__file__).parent
    try:
        done = subprocess.run(  # noqa: S603 (fixed arguments)
            ["git", "-C", str(folder), *arguments],  # noqa: S607 (the user's own git)
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
