"""Code with a latency tape, written into folders of its own."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.pytest_mmgates.perflab import foreign_tape

from pytest_mmgates.perflab import Code

TAPE = {"door": "foreign:open_tape", "ticks": 40}
Written = Callable[..., Code]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Code with that name, in a folder of its own."""

    def write(name: str, **how: Any) -> Code:
        root = tmp_path / name
        root.mkdir()
        (root / "foreign.py").write_text(foreign_tape.text(**how))
        return Code(name, root, Path(sys.executable))

    return write
