"""A step of the release workflow is a pytest run of its own: `mmbot prep` is `pytest -m prep`, and
`mmbot run --mode soak` is `pytest -m soak`. Exit code and verdict are pytest's.
"""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from mmbot.errors import ConfigError

_KILLED = 128
"""A process that a signal ended leaves this much more than the signal's number, as a shell would say it."""


class _Verdict(msgspec.Struct, frozen=True):
    label: str
    reason: str | None = None


def run_step(step: str, arguments: Sequence[str]) -> int:
    """Pytest's exit code: 0 = every check is green. It prints for itself, into the same terminal."""
    command = [sys.executable, "-m", "pytest", "-m", step, *arguments]
    with subprocess.Popen(command) as process, _passed_on(process):  # noqa: S603 (no shell; each argument is one word)
        ended = process.wait()
    return _KILLED - ended if ended < 0 else ended


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
