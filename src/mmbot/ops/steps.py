"""A step of the release workflow is a pytest run of its own: `mmbot prep` is `pytest -m prep`."""

import subprocess
import sys
from collections.abc import Sequence


def run_step(step: str, arguments: Sequence[str]) -> int:
    """Pytest's exit code: 0 = every check is green. It prints for itself, into the same terminal."""
    command = [sys.executable, "-m", "pytest", "-m", step, *arguments]
    return subprocess.run(command, check=False).returncode  # noqa: S603 (no shell; each argument is one word)
