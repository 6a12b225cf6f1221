"""For the whole repository: pytest's own plugin tester, and clean runs without our plugin.

With `-p no:mmgates` the plugin's ini keys in pyproject.toml stay known, and `--strict-config` clean.
"""

from pathlib import Path

import pytest

STEPS = ("prep", "shadow", "soak", "dataset", "ab", "lock", "daily", "ci", "rehearsal")

pytest_plugins = ["pytester"]


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    if not pluginmanager.hasplugin("mmgates"):
        doors = ("sut", "parts", "files", "tape", "dataset", "daily", "experiment", "rollout")
        for key in (f"mmgates_{door}" for door in doors):
            parser.addini(key, "of pytest_mmgates, which is not loaded", default="")
        for key in ("mmgates_config", "mmgates_source"):
            parser.addini(key, "of pytest_mmgates, which is not loaded", type="linelist", default=[])


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`pytest -m shadow` asks for a step of the workflow: do not read all tests only to deselect them."""
    step = config.option.markexpr.strip() in STEPS
    return True if step and config.rootpath / "tests" in collection_path.parents else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Slow tests run on purpose: `-m slow`, or when one is named."""
    if "slow" in config.option.markexpr or any("::" in argument for argument in config.args):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
