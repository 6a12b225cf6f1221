"""The cache of columns: made once, by one, whole or not at all."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.mmbot.builders import KEY, START_NS, confirmed

from mmbot.errors import RecordingError
from mmbot.recording.builder import ColumnsBuilder
from mmbot.recording.cache import cached


def filling(log: Path, count: int = 3) -> Callable[[ColumnsBuilder], None]:
    """Writes so many rows, and a line that says so."""

    def fill(builder: ColumnsBuilder) -> None:
        with log.open("a") as file:
            file.write("made\n")
        for number in range(count):
            builder.add([confirmed(START_NS + number)])

    return fill


def test_columns_are_made_once(tmp_path: Path):
    for _ in range(2):
        columns = cached(tmp_path, ["a", "b"], filling(tmp_path / "log"))
        assert list(columns.events(KEY)) == [confirmed(START_NS + number) for number in range(3)]
    assert (tmp_path / "log").read_text() == "made\n"


def test_other_facts_are_other_columns(tmp_path: Path):
    for facts in (["a", "b"], ["b", "a"], ["a"], ["a", "b", ""]):
        cached(tmp_path, facts, filling(tmp_path / "log"))
    assert (tmp_path / "log").read_text() == "made\n" * 4


def test_what_a_process_left_that_died_is_made_anew(tmp_path: Path):
    cached(tmp_path, ["a"], filling(tmp_path / "log"))
    (folder,) = (path for path in (tmp_path / "columns").iterdir() if path.is_dir())
    folder.rename(folder.with_suffix(".partial"))
    assert len(cached(tmp_path, ["a"], filling(tmp_path / "log", 2))) == 2
    assert [path.suffix for path in (tmp_path / "columns").iterdir() if path.is_dir()] == [""]


def test_an_error_leaves_nothing_behind(tmp_path: Path):
    def fill(builder: ColumnsBuilder) -> None:
        builder.add([confirmed(START_NS)])
        raise RecordingError("x.gz:7: torn")

    with pytest.raises(RecordingError, match=r"x.gz:7: torn"):
        cached(tmp_path, ["a"], fill)
    assert not [path for path in (tmp_path / "columns").iterdir() if path.is_dir()]


CHILD = """
import sys
from pathlib import Path

from mmbot.model.events import Confirmed
from mmbot.recording.cache import cached

def fill(builder):
    with Path(sys.argv[2]).open("a") as file:
        file.write("made\\n")
    for number in range(200_000):
        builder.add([Confirmed("bybit_linear:SYNTHUSDT", number)])

cached(Path(sys.argv[1]), ["a"], fill)
"""


def test_two_processes_at_once_make_it_once(tmp_path: Path):
    command = [sys.executable, "-c", CHILD, tmp_path / "cache", tmp_path / "log"]
    workers = [subprocess.Popen(command) for _ in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    assert (tmp_path / "log").read_text() == "made\n"
