"""For the whole repository: pytest's own plugin tester, and clean runs without our plugin.

With `-p no:mmgates` the plugin's ini key in pyproject.toml stays known, and `--strict-config` clean.
"""

import pytest

pytest_plugins = ["pytester"]


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    if not pluginmanager.hasplugin("mmgates"):
        parser.addini("mmgates_sut", "system under test of pytest_mmgates, which is not loaded", default="")
