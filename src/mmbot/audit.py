"""An audit log: one JSON line per act, sealed with its own hash and with that of the line before it.

    {"ts_ns": ..., "action": ..., ..., "before_sha256": "<of the line before>", "sha256": "<of this one>"}

A line that was changed is found at that very line; one that was removed or put in between, at the line after
it. The log has no secret in it, so it tells damage and editing, not a forger who writes the whole of it anew.

A line that was not written to its end, because the process died, is nobody's act: the next record moves it
into `<name>.torn` and says how many bytes that were. A broken chain never stops the red button: what is
appended hangs on to the last line as it stands, and `broken_line` says where the break is.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock

from mmbot.errors import ConfigError, OutputError

_FIRST = "0" * 64
_SEAL = b',"sha256":"'


def append(path: Path, action: str, facts: Mapping[str, Any], now_ns: int) -> None:
    """Add one record, on the disk when this returns. Who may not be alone holds `locked`. Raises
    OutputError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        whole, torn = _parted(content)
        if torn:
            _move_aside(path, whole, torn)
            facts = {**facts, "torn_bytes": len(torn)}
        lines = whole.splitlines()
        before = _sha256(lines[-1]) if lines else _FIRST
        record = {"ts_ns": now_ns, "action": action, **facts, "before_sha256": before}
        with path.open("ab") as file:
            file.write(_sealed(msgspec.json.encode(record)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _unwritable(path, error) from error


def broken_line(path: Path) -> int | None:
    """The first line (from 1) that is not as it was written, or does not follow from the one before it; None
    for a whole log, or none. A torn tail is no line.
    """
    expected = _FIRST
    whole, _ = _parted(path.read_bytes() if path.exists() else b"")
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            record = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return number
        if record.get("before_sha256") != expected or _sealed(_unsealed(line)) != line:
            return number
        expected = _sha256(line)
    return None


def records(path: Path) -> list[dict[str, Any]]:
    """What happened, in its order; nothing where there is no log. Raises ConfigError for a log that was
    altered, with its line.
    """
    try:
        broken = broken_line(path)
        whole, _ = _parted(path.read_bytes() if path.exists() else b"")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if broken is not None:
        raise ConfigError(f"{path}:{broken}: the audit log was altered at this line")
    return [msgspec.json.decode(line, type=dict[str, Any]) for line in whole.splitlines()]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One writer at a time, of all processes. Raises OutputError."""
    lock = FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield
    finally:
        lock.release()


def _parted(content: bytes) -> tuple[bytes, bytes]:
    """Whole lines, and what was not written to its end."""
    length = content.rfind(b"\n") + 1
    return content[:length], content[length:]


def _move_aside(path: Path, whole: bytes, torn: bytes) -> None:
    """First kept, then cut off: a kill in between keeps it twice."""
    with path.with_name(f"{path.name}.torn").open("ab") as file:
        file.write(torn + b"\n")
        file.flush()
        os.fsync(file.fileno())
    os.truncate(path, len(whole))


def _sealed(record: bytes) -> bytes:
    """A record as JSON, with its own hash as the last key."""
    return record[:-1] + _SEAL + _sha256(record).encode() + b'"}'


def _unsealed(line: bytes) -> bytes:
    return line.rpartition(_SEAL)[0] + b"}"


def _sha256(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: cannot be written: {error.strerror}")
