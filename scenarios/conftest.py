"""Without the plugin (`-p no:mmgates`) there is nothing to run here, and collection stays clean."""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Only what lies in this directory asks; None leaves the answer to others."""
    without_plugin = not config.pluginmanager.hasplugin("mmgates")
    return True if without_plugin and collection_path.suffix == ".py" else None
