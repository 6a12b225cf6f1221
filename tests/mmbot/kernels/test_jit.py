"""Compiled code is kept by the sources that it was compiled from."""

import subprocess
import sys
from pathlib import Path

import mmbot.kernels

PRINT_CACHE = "import numba, mmbot.kernels._jit; print(numba.config.CACHE_DIR)"


def folder(package: Path) -> str:
    """Where a process that imports this copy of the kernels keeps their code."""
    done = subprocess.run(
        [sys.executable, "-c", PRINT_CACHE], cwd=package, capture_output=True, text=True, check=True
    )
    return Path(done.stdout.strip()).name


def test_an_edited_constant_finds_no_old_code(tmp_path: Path) -> None:
    copy = tmp_path / "mmbot" / "kernels"
    copy.mkdir(parents=True)
    (tmp_path / "mmbot" / "__init__.py").write_text("", encoding="utf-8")
    for path in Path(mmbot.kernels.__path__[0]).glob("*.py"):
        (copy / path.name).write_bytes(path.read_bytes())
    before = folder(tmp_path)
    layout = copy / "layout.py"
    layout.write_text(
        layout.read_text(encoding="utf-8").replace("RING = 1024", "RING = 2048"), encoding="utf-8"
    )

    assert folder(tmp_path) != before
