"""The audit log: one JSON line per act, each with the hash of the line before it.

A line that was changed, removed or put in between breaks the chain at the line after it. The log has no
secret in it, so it tells damage and editing, not a forger who writes the whole of it anew. A broken chain
never stops the red button: what is appended hangs on to the last line as it stands, and `broken_line` says
where the break is.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from mmbot.errors import OutputError

_FIRST = "0" * 64


def append(path: Path, action: str, facts: Mapping[str, Any], now_ns: int) -> None:
    """Add one record, on the disk when this returns. Raises OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        lines = content.splitlines()
        before = _sha256(lines[-1]) if lines else _FIRST
        record = {"ts_ns": now_ns, "action": action, **facts, "before_sha256": before}
        torn = b"\n" if content and not content.endswith(b"\n") else b""
        with path.open("ab") as file:
            file.write(torn + msgspec.json.encode(record) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def broken_line(path: Path) -> int | None:
    """The first line (from 1) that does not follow from the one before it; None for a whole log, or none."""
    expected = _FIRST
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else [], start=1):
        try:
            record = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return number
        if record.get("before_sha256") != expected:
            return number
        expected = _sha256(line)
    return None


def _sha256(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
