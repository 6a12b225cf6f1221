"""A step of the release workflow is a pytest run of its own: `mmbot prep` is `pytest -m prep`, and
`mmbot run --mode soak` is `pytest -m soak`. Exit code and verdict are pytest's.
"""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from mmbot.errors import ConfigError, OutputError

_KILLED = 128
"""A process that a signal ended leaves this much more than the signal's number, as a shell would say it."""


class _Verdict(msgspec.Struct, frozen=True):
    label: str
    reason: str | None = None


def run_step(step: str, arguments: Sequence[str], log: Path | None = None) -> int:
    """Pytest's exit code: 0 = every check is green. It prints for itself, into this terminal or a file."""
    command = [sys.executable, "-m", "pytest", "-m", step, *arguments]
    with _told_to(log) as told:
        process = subprocess.Popen(command, stdout=told, stderr=told)  # noqa: S603 (no shell; one word each)
        with process, _passed_on(process):
            ended = process.wait()
    return _KILLED - ended if ended < 0 else ended


@contextlib.contextmanager
def _told_to(log: Path | None) -> Iterator[IO[bytes] | None]:
    """Where a session prints; None: where this process does. Raises OutputError."""
    if log is None:
        yield None
        return
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        file = log.open("wb")
    except OSError as error:
        raise OutputError(f"{error.filename}: cannot be written: {error.strerror}") from error
    with file:
        yield file


def judged_step(step: str, arguments: Sequence[str], artifacts: Path) -> tuple[int, str]:
    """Exit code, and the verdict that the step wrote of its own gate, in one line."""
    path = artifacts / "verdicts" / f"{step}.json"
    before = _read(path)
    code = run_step(step, arguments)
    after = _read(path)
    if after is None or after == before:
        return code, f"{step}: no verdict: pytest ended with {code} before it wrote {path}"
    try:
        verdict = msgspec.json.decode(after, type=_Verdict)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: was no verdict: {error}") from error
    reason = f": {verdict.reason}" if verdict.reason else ""
    return code, f"{step}: {verdict.label}{reason} ({path})"


@contextlib.contextmanager
def _passed_on(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """SIGTERM goes on to the process, which ends in its own way. Ctrl-C it has heard from the terminal, as
    everybody there.
    """

    def told(number: int, _: object) -> None:
        process.send_signal(number)

    before = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, told),
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
