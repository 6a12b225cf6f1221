"""Are running bots on the configuration that their files hold now? Ask each, wait, and compare hashes.

What a bot should report is worked out from its own list of files and its scenario, not from those that were
changed: its settings carry the scenario's overlay. A bot that ends meanwhile is on no configuration any more;
one that refuses, reports another hash, does not answer in time, or lives where nobody here can ask it, is a
problem, and said so.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mmbot.clock import Stopwatch
from mmbot.errors import ConfigError
from mmbot.runtime.running import Status, read_status
from mmbot.units import SECOND

_POLL_S = 0.02


class Outcome(StrEnum):
    """`GONE`: the process was dead before it was asked; `ENDED`: the run ended while it was waited for."""

    IN_FORCE = "in_force"
    ENDED = "ended"
    GONE = "gone"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Found:
    """A status file and what it says."""

    path: Path
    status: Status

    @property
    def line(self) -> str:
        """For people, before it is asked."""
        return f"{self.status.run_id} (process {self.status.pid}): would be asked to reload"


@dataclass(frozen=True, slots=True)
class Report:
    """What came of asking one bot. None is what is not known."""

    run_id: str
    pid: int | None
    outcome: Outcome
    expected_sha256: str | None
    reported_sha256: str | None
    reason: str | None = None

    @property
    def line(self) -> str:
        """For people."""
        who = f"{self.run_id} (process {self.pid})"
        if self.outcome is Outcome.IN_FORCE:
            return f"{who}: reports config_sha256 {self.reported_sha256}, as expected"
        if self.outcome is Outcome.FAILED:
            return (
                f"{who}: reports config_sha256 {self.reported_sha256}, expected {self.expected_sha256}: "
                f"{self.reason}"
            )
        return f"{who}: {self.reason}"


def using(folder: Path, files: Sequence[Path]) -> list[Found | Report]:
    """Bots that announced themselves and whose configuration comes from any of these files, by name; a status
    file that cannot be read is a failed report: it may be such a bot.
    """
    wanted = {str(path.resolve()) for path in files}
    found: list[Found | Report] = []
    for path in sorted(folder.glob("*.json")):
        try:
            status = read_status(path)
        except ConfigError as error:
            found.append(Report(path.stem, None, Outcome.FAILED, None, None, str(error)))
            continue
        if status is not None and not wanted.isdisjoint(status.config):
            found.append(Found(path, status))
    return found


def reload_all(
    bots: Sequence[Found | Report], wait_s: float, stopwatch: Stopwatch, pause: Callable[[float], None]
) -> list[Report]:
    """Ask all of them, then wait for each, so long together. Files of dead processes are removed."""
    asked = [_ask(bot) if isinstance(bot, Found) else bot for bot in bots]
    give_up_ns = stopwatch() + round(wait_s * SECOND)
    reports = []
    for one in asked:
        while isinstance(one, _Asked):
            verdict = _answer(one)
            if verdict is None and stopwatch() >= give_up_ns:
                verdict = one.failed(read_status(one.bot.path), f"no answer within {wait_s:g} s")
            if verdict is None:
                pause(_POLL_S)
            else:
                one = verdict  # noqa: PLW2901 (asked until it is a report)
        reports.append(one)
    return reports


@dataclass(frozen=True, slots=True)
class _Asked:
    """A bot that was asked and has not answered. `answers`: how many it had given before."""

    bot: Found
    expected_sha256: str
    answers: int

    def report(self, status: Status, outcome: Outcome, reason: str | None = None) -> Report:
        before = self.bot.status
        return Report(before.run_id, before.pid, outcome, self.expected_sha256, status.config_sha256, reason)

    def failed(self, status: Status | None, reason: str) -> Report:
        return self.report(status or self.bot.status, Outcome.FAILED, reason)


def _ask(bot: Found) -> _Asked | Report:
    status = bot.status
    if not status.here:
        return _not_asked(status, f"runs on {status.host}, where it cannot be asked from here")
    if not status.alive:
        bot.path.unlink(missing_ok=True)
        gone = "its process is gone; its status file was removed"
        return Report(status.run_id, status.pid, Outcome.GONE, None, None, gone)
    try:
        expected = status.sources.load()[1].sha256()
        status.ask()
    except ConfigError as error:
        return _not_asked(status, f"its files hold no configuration: {error}")
    except OSError as error:
        return _not_asked(status, f"could not be signalled: {error.strerror}")
    return _Asked(bot, expected, status.answers)


def _not_asked(status: Status, reason: str) -> Report:
    return Report(status.run_id, status.pid, Outcome.FAILED, None, status.config_sha256, reason)


def _answer(asked: _Asked) -> Report | None:
    """None: not yet."""
    status = read_status(asked.bot.path)
    if status is None:
        return asked.report(asked.bot.status, Outcome.ENDED, "its run ended")
    if status.answers > asked.answers:
        if status.config_sha256 == asked.expected_sha256:
            return asked.report(status, Outcome.IN_FORCE)
        if status.answer is not None and status.answer.refused is not None:
            return asked.failed(status, f"refused: {status.answer.refused}")
    if not status.alive:
        return asked.failed(status, "its process died while it was asked")
    return None


def facts(reports: Sequence[Report]) -> Iterator[dict[str, object]]:
    """For the audit log."""
    for one in reports:
        yield {
            "run_id": one.run_id,
            "pid": one.pid,
            "outcome": one.outcome.value,
            "expected_sha256": one.expected_sha256,
            "reported_sha256": one.reported_sha256,
            "reason": one.reason,
        }
