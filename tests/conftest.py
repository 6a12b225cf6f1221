"""Shared by all tests: where the captures are, a private cache of derived files, one Hypothesis profile."""

from pathlib import Path

import pytest
from hypothesis import settings

CAPTURES = Path(__file__).parents[2] / "shared" / "data"

settings.register_profile("mmbot", deadline=None, print_blob=True)
settings.load_profile("mmbot")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real captures; without it the test is skipped and says why."""
    if not CAPTURES.is_dir():
        pytest.skip(f"no captures at {CAPTURES}")
    return CAPTURES
