"""Raw frames to a zstd file, one `<recv_ns> <payload>` a line, exactly as received, and a manifest beside it.

The file appears under its name only when it is complete, so that a reader never meets a half-written
recording. For whoever has frames to keep; a synthetic market goes straight to columns.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec
import zstandard

from mmbot.errors import OutputError
from mmbot.model.instrument import Instrument
from mmbot.recording.reader import sha256
from mmbot.units import Ns


class RecordingManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a recording holds and where it came from. `kind` is recorded or synthetic and is never guessed."""

    kind: str
    source: str
    instruments: list[Instrument]
    frames: int
    first_ns: int
    last_ns: int
    sha256: str


def write_recording(
    path: Path, frames: Iterable[tuple[Ns, bytes]], *, kind: str, source: str, instruments: list[Instrument]
) -> RecordingManifest:
    """Write `path` (.zst) and `path.json`. Raises OutputError if the folder cannot be written."""
    partial = path.with_suffix(f".partial-{os.getpid()}")
    count, first, last = 0, 0, 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as raw, zstandard.ZstdCompressor(level=3).stream_writer(raw) as file:
            for recv_ns, payload in frames:
                file.write(b"%d %s\n" % (recv_ns, payload))
                first = first or recv_ns
                last = recv_ns
                count += 1
        manifest = RecordingManifest(kind, source, instruments, count, first, last, sha256([partial]))
        partial.replace(path)
        manifest_path = path.with_suffix(".json")
        manifest_path.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return manifest
