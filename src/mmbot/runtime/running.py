"""Who runs: a bot says so in a status file, and takes other settings when it is asked.

`<folder>/<run_id>.json` is there while the bot runs: its process, the files that its configuration comes
from, the hash of the settings in force (with the scenario's overlay, as in its manifest), and what came of
the last reload. Asking is SIGHUP, the signal by which daemons are told to read their files again; the answer
stands in the status file. Two processes never write one file: a run's name is its own.

A process that was killed leaves its file. `alive` tells it from a running one by the time at which the
process was started, since numbers of processes come again, and nobody else must get the signal. A file from
another machine can be read but not judged: its process is unknown here.
"""

import os
import platform
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil

from mmbot.errors import ConfigError, OutputError
from mmbot.runtime.kept_run import KeptRun
from mmbot.runtime.reload import Reload, Sources

SCHEMA = 1
_STARTED_WITHIN_S = 1.0
"""How much two readings of a process's starting time may differ."""


class Answer(msgspec.Struct, frozen=True):
    """What came of the last reload. `number` counts from 1."""

    number: int
    refused: str | None
    found_sha256: str | None


class Status(msgspec.Struct, frozen=True):
    """A status file. Paths are absolute. `status_url`: of the page that shows the run, where it has one.
    `rollout`: the folder of the rollout that it follows, if it does.
    """

    schema: int
    run_id: str
    host: str
    pid: int
    process_started_s: float
    run_directory: str
    config: list[str]
    scenario: str
    scenarios: str
    config_sha256: str
    answer: Answer | None = None
    status_url: str | None = None
    rollout: str | None = None

    @property
    def sources(self) -> Sources:
        return Sources(tuple(map(Path, self.config)), self.scenario, Path(self.scenarios))

    @property
    def here(self) -> bool:
        """Its process would be on this machine."""
        return self.host == platform.node()

    @property
    def alive(self) -> bool:
        """Its process runs on this machine."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.process_started_s) < _STARTED_WITHIN_S
            return self.here and same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    @property
    def answers(self) -> int:
        return 0 if self.answer is None else self.answer.number

    def ask(self) -> None:
        """Ask it to read its files again. Raises OSError for a process that may not be signalled."""
        os.kill(self.pid, signal.SIGHUP)


def read_status(path: Path) -> Status | None:
    """None where there is no such file. Raises ConfigError for a file that is no status."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Status)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: was no status of a running bot: {error}") from error


@contextmanager
def announced(run: KeptRun, folder: Path, status_url: str | None = None) -> Iterator[None]:
    """The bot runs inside: its status file is there, and SIGHUP makes it reload. Main thread only.

    A bot that read its files just before they were changed, and announced itself just after somebody had
    looked for running bots, reloads by itself. Raises OutputError.
    """
    path = folder / f"{run.run_id}.json"
    status = _status(run, status_url)

    def answered(reload: Reload) -> None:
        nonlocal status
        answer = Answer(status.answers + 1, reload.refused, reload.found_sha256)
        status = msgspec.structs.replace(status, config_sha256=reload.in_force_sha256, answer=answer)
        _write(path, status)

    def asked(*_: Any) -> None:
        run.reload(answered)

    signal.signal(signal.SIGHUP, asked)
    _write(path, status)
    try:
        if _changed_meanwhile(run):
            run.reload(answered)
        yield
    finally:
        # who read the file before it went may still send the signal, which would end a process that left it
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        path.unlink(missing_ok=True)


def _changed_meanwhile(run: KeptRun) -> bool:
    try:
        return run.sources.load()[1] != run.settings
    except ConfigError:
        return True


def _status(run: KeptRun, status_url: str | None) -> Status:
    process, sources = psutil.Process(), run.sources
    return Status(
        schema=SCHEMA,
        run_id=run.run_id,
        host=platform.node(),
        pid=process.pid,
        process_started_s=process.create_time(),
        run_directory=str(run.directory.resolve()),
        config=[str(path.resolve()) for path in sources.config],
        scenario=sources.scenario,
        scenarios=str(sources.scenarios.resolve()),
        config_sha256=run.settings.sha256(),
        status_url=status_url,
        rollout=None if run.rollout is None else str(run.rollout.resolve()),
    )


def _write(path: Path, status: Status) -> None:
    """Whole or not at all: a reader never sees half of it."""
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(status), indent=1) + b"\n")
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
