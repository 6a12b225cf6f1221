"""Runs of a foreign bot, written to disk and loaded."""

import importlib.util
import sys
from pathlib import Path

import pytest

from pytest_mmgates.cli import main
from pytest_mmgates.gatefile import read_gate
from pytest_mmgates.loader import load

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def foreign_bot():
    """The module that the plugin tests use as their bot: it writes run directories without importing the
    plugin.
    """
    spec = importlib.util.spec_from_file_location("foreign_bot", ROOT / "tests" / "plugin" / "foreign_bot.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make_run(foreign_bot, tmp_path):
    """`make_run(minutes=5)`: a run with these settings, loaded."""

    def make(**settings):
        directory = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        foreign_bot.write_run(directory, settings)
        return load(directory)

    return make


@pytest.fixture
def shadow_gate():
    return read_gate(ROOT / "gates" / "shadow.yaml", shown_as="gates/shadow.yaml")


@pytest.fixture
def mmgates(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The console script in this process: exit code, stdout, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mmgates", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run
