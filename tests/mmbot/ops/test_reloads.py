"""Every bot on these files is asked and held to the hash that its own files stand for; the rest is said."""

import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from tests.mmbot.builders import REPO, scenario_file

from mmbot.ops.reloads import Found, Outcome, Report, facts, reload_all, using
from mmbot.runtime.reload import Sources
from mmbot.runtime.running import Answer, Status, read_status
from mmbot.units import SECOND


class Bot:
    """A process that takes SIGHUP and does nothing, and a status file in its name."""

    def __init__(self, folder: Path, run_id: str) -> None:
        self._folder = folder
        self.path = folder / "running" / f"{run_id}.json"
        waits = (
            "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); print(flush=True); signal.pause()"
        )
        self.process = subprocess.Popen([sys.executable, "-c", waits], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.process.stdout.readline()
        scenario_file(folder / "scenarios", config={"pipeline": {"deadline_ms": 300}})
        self.config = folder / "config.yaml"
        self.config.write_text((REPO / "config.yaml").read_text())
        facts: dict[str, Any] = {
            "schema": 1,
            "run_id": run_id,
            "host": platform.node(),
            "pid": self.process.pid,
            "process_started_s": psutil.Process(self.process.pid).create_time(),
            "run_directory": str(folder),
            "config": [str(self.config)],
            "scenario": "short",
            "scenarios": str(folder / "scenarios"),
            "config_sha256": "0" * 64,
        }
        self.write(Status(**facts))

    @property
    def expected(self) -> str:
        return Sources((self.config,), "short", self._folder / "scenarios").load()[1].sha256()

    def write(self, status: Status) -> None:
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_bytes(msgspec.json.encode(status))

    def answer(self, sha256: str, refused: str | None = None) -> None:
        status = read_status(self.path)
        assert status is not None
        answer = Answer(status.answers + 1, refused, sha256)
        self.write(msgspec.structs.replace(status, config_sha256=sha256, answer=answer))

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def bot(tmp_path: Path) -> Any:
    started = Bot(tmp_path, "run-a")
    yield started
    started.end()


class Waiting:
    """Time that passes by waiting; what happens after so many waits."""

    def __init__(self, *happens: Callable[[], None]) -> None:
        self._happens = list(happens)
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns

    def pause(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND)
        if self._happens:
            self._happens.pop(0)()


def asked(bot: Bot, *happens: Callable[[], None]) -> Report:
    waiting = Waiting(*happens)
    bots = using(bot.path.parent, [bot.config])
    (report,) = reload_all(bots, 1.0, waiting, waiting.pause)
    return report


def test_a_bot_that_reports_the_hash_of_its_own_files_and_scenario_is_on_them(bot: Bot):
    report = asked(bot, lambda: None, lambda: bot.answer(bot.expected))
    assert (report.outcome, report.reported_sha256) == (Outcome.IN_FORCE, bot.expected)
    assert bot.expected in report.line


def test_the_right_hash_from_before_it_was_asked_does_not_count(bot: Bot):
    bot.answer(bot.expected)
    report = asked(bot)
    assert (report.outcome, report.reported_sha256) == (Outcome.FAILED, bot.expected)
    assert "no answer within 1 s" in report.line


def test_another_hash_is_not_enough(bot: Bot):
    report = asked(bot, lambda: bot.answer("1" * 64))
    assert (report.outcome, report.reported_sha256) == (Outcome.FAILED, "1" * 64)
    assert f"expected {bot.expected}" in report.line


def test_a_refusal_is_told_at_once_with_its_reason(bot: Bot):
    report = asked(bot, lambda: bot.answer("0" * 64, "cannot change while running: sim.seed"))
    assert report.outcome is Outcome.FAILED
    assert "refused: cannot change while running: sim.seed" in report.line


def test_a_run_that_ends_meanwhile_is_on_nothing(bot: Bot):
    report = asked(bot, bot.path.unlink)
    assert (report.outcome, report.reason) == (Outcome.ENDED, "its run ended")


def test_a_process_that_dies_meanwhile_has_failed(bot: Bot):
    def killed() -> None:
        bot.process.kill()
        bot.process.wait()

    report = asked(bot, killed)
    assert (report.outcome, report.reason) == (Outcome.FAILED, "its process died while it was asked")


def test_the_file_of_a_dead_process_is_removed(bot: Bot):
    bot.process.kill()
    bot.process.wait()
    report = asked(bot)
    assert report.outcome is Outcome.GONE
    assert "its process is gone" in report.line
    assert not bot.path.exists()


def test_a_bot_on_another_machine_cannot_be_asked(bot: Bot):
    status = read_status(bot.path)
    assert status is not None
    bot.write(msgspec.structs.replace(status, host="elsewhere"))
    report = asked(bot)
    assert report.outcome is Outcome.FAILED
    assert "runs on elsewhere" in report.line
    assert bot.path.exists()


def test_files_that_hold_no_configuration_for_it_are_named(bot: Bot):
    bot.config.write_text("pipeline: [\n")
    report = asked(bot)
    assert report.outcome is Outcome.FAILED
    assert "its files hold no configuration" in report.line


def test_only_bots_on_these_files_are_asked(bot: Bot, tmp_path: Path):
    assert using(bot.path.parent, [tmp_path / "other.yaml"]) == []
    assert using(tmp_path / "nowhere", [bot.config]) == []
    (found,) = using(bot.path.parent, [tmp_path / "." / "config.yaml"])
    assert isinstance(found, Found)
    assert "would be asked" in found.line


def test_a_status_that_cannot_be_read_may_be_a_bot(tmp_path: Path):
    path = tmp_path / "run-x.json"
    path.write_text("{")
    (report,) = reload_all(using(tmp_path, []), 1.0, Waiting(), Waiting().pause)
    assert (report.outcome, report.run_id) == (Outcome.FAILED, "run-x")
    assert "was no status of a running bot" in report.line


def test_the_log_has_all_of_it(bot: Bot):
    report = asked(bot, lambda: bot.answer("1" * 64))
    (fact,) = facts([report])
    assert fact == {
        "run_id": "run-a",
        "pid": bot.process.pid,
        "outcome": "failed",
        "expected_sha256": bot.expected,
        "reported_sha256": "1" * 64,
        "reason": "no answer within 1 s",
    }
