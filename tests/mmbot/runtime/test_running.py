"""A bot says that it runs, answers SIGHUP with what came of it, and is gone from the folder when it ends."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import REPO, run_request, scenario_file

from mmbot.errors import ConfigError, OutputError
from mmbot.runtime.run import Run
from mmbot.runtime.running import Status, announced, read_status


@pytest.fixture(autouse=True)
def _hangup() -> Iterator[None]:
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(autouse=True)
def last(tmp_path: Path) -> Path:
    path = tmp_path / "last.yaml"
    path.write_text("{}\n")
    return path


def opened(folder: Path) -> Run:
    scenario_file(folder / "scenarios", config={"telemetry": {"sample_interval_s": 1}})
    return Run(run_request(folder, config=[REPO / "config.yaml", folder / "last.yaml"]))


def status_of(folder: Path) -> Status:
    status = read_status(folder / "running" / "run.json")
    assert status is not None
    return status


def test_a_running_bot_says_who_it_is_and_what_is_in_force(tmp_path: Path, last: Path):
    run = opened(tmp_path)
    with announced(run, tmp_path / "running"):
        status = status_of(tmp_path)
        for _ in run:
            pass
    assert (status.pid, status.here, status.alive) == (os.getpid(), True, True)
    assert status.config == [str(REPO / "config.yaml"), str(last)]
    assert status.config_sha256 == run.settings.sha256() == status.sources.load()[1].sha256()
    assert status.answer is None
    assert list((tmp_path / "running").iterdir()) == []


def test_it_answers_the_signal_with_what_came_of_it(tmp_path: Path, last: Path):
    run = opened(tmp_path)
    with announced(run, tmp_path / "running"):
        batches = iter(run)
        next(batches)
        last.write_text("pipeline: {enabled: false}\n")
        status_of(tmp_path).ask()
        next(_until_answered(batches, tmp_path, 1))
        taken = status_of(tmp_path)
        last.write_text("pipeline: {deadline_ms: -1}\n")
        status_of(tmp_path).ask()
        next(_until_answered(batches, tmp_path, 2))
        refused = status_of(tmp_path)
    assert taken.answer is not None
    assert (taken.answer.refused, taken.config_sha256) == (None, taken.answer.found_sha256)
    assert refused.answer is not None
    assert "pipeline.deadline_ms: was -1" in str(refused.answer.refused)
    assert refused.config_sha256 == taken.config_sha256 == run.settings.sha256()
    assert not run.settings.pipeline.enabled


def _until_answered(batches: Iterator[Any], folder: Path, answers: int) -> Iterator[None]:
    for _ in batches:
        if status_of(folder).answers == answers:
            yield


def test_files_that_changed_before_it_said_so_are_read_again(tmp_path: Path, last: Path):
    run = opened(tmp_path)
    last.write_text("pipeline: {enabled: false}\n")
    with announced(run, tmp_path / "running"):
        for _ in run:
            pass
    assert run.counts.orders == 0


def test_the_signal_of_one_who_read_an_old_file_does_no_harm(tmp_path: Path, last: Path):
    with announced(opened(tmp_path), tmp_path / "running"):
        status = status_of(tmp_path)
    status.ask()
    assert last.exists()


def test_another_process_of_the_same_number_is_not_it(tmp_path: Path):
    with announced(opened(tmp_path), tmp_path / "running"):
        status = status_of(tmp_path)
    assert not msgspec.structs.replace(status, process_started_s=status.process_started_s - 60).alive
    elsewhere = msgspec.structs.replace(status, host="elsewhere")
    assert (elsewhere.here, elsewhere.alive) == (False, False)


def test_a_run_that_fails_leaves_no_file(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), announced(opened(tmp_path), tmp_path / "running"):
        raise ZeroDivisionError
    assert list((tmp_path / "running").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{}", b'{"schema": "x"}', b"\xff"])
def test_a_file_that_is_no_status_is_named(tmp_path: Path, content: bytes):
    path = tmp_path / "run.json"
    assert read_status(path) is None
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"run\.json: was no status of a running bot"):
        read_status(path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "running").write_text("a file")
    with (
        pytest.raises(OutputError, match="cannot be written"),
        announced(opened(tmp_path), tmp_path / "running"),
    ):
        pass
