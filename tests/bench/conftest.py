"""Benchmarks run on purpose: `pytest -m bench tests/bench`. Their marker is the plugin's, so without it there
is nothing here.
"""

from pathlib import Path

import pytest
from tests.bench.compare import Engine, MissingPeer


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """None leaves the answer to others."""
    without_plugin = not config.pluginmanager.hasplugin("mmgates")
    return True if without_plugin and collection_path.name.startswith("test_") else None


@pytest.fixture(scope="session")
def tape() -> Path:
    """Folder of the reference hour's columns."""
    pytest.importorskip("numba")
    from tests.bench.reference_market import hours  # noqa: PLC0415 (only for who measures)

    return hours(1.0)


def present(*engines: Engine) -> None:
    """Skip, and say so, where an engine is missing."""
    for engine in engines:
        try:
            engine.python()
        except MissingPeer as missing:
            pytest.skip(str(missing))
