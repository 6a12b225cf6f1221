"""Derived files of the tests lie in a folder of their own, made once per worker; the console script, in this
process.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.mmbot.builders import Command, scenario_file

from mmbot.cli import main


@pytest.fixture(scope="session", autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMBOT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def mmbot(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """The console script in this process: exit code, stdout, stderr. It stands in an empty folder."""
    scenario_file(tmp_path / "scenarios")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mmbot", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    return run
