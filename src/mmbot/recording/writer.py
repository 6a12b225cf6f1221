"""A recording while it is made: a folder of zstd files, a manifest, and a scenario that plays it.

    recording.json              what it holds: instruments, files with their hashes, gaps; `status`
    recording.yaml              the scenario: mmbot run --scenario recording --scenarios DIR --data DIR
    frames_20260101_001.zst     `<recv_ns> <payload>` a line, exactly as received

Lines are kept in memory until `take` hands them over, and `write` appends them as one whole zstd frame: what
was written can be read at any time, and a process that dies loses what it had not yet written. The two may
run in different threads. A file ends with its UTC day, or when it is longer than `file_bytes`.

A write that fails (disk full, file size limit) is undone: the file is cut back to the last whole frame, and
the recording stops with an OutputError. What was cut off by force is made whole by `recording.mending`.
"""

import contextlib
import datetime as dt
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import zstandard

from mmbot.errors import OutputError
from mmbot.model.events import MarketEvent
from mmbot.model.instrument import Instrument
from mmbot.recording.gaps import Gaps
from mmbot.recording.manifest import MANIFEST, SCHEMA, RecordedFile, RecordingManifest, scenario
from mmbot.units import DAY, Ns

FILE_BYTES = 256 << 20
_WAITING_BYTES = 256 << 20
"""Lines in memory, at most: minutes of a busy market."""


class Block(NamedTuple):
    """Lines of one UTC day, one after the other."""

    lines: bytes
    frames: int
    first_ns: Ns
    last_ns: Ns


class RecordingWriter:
    """One recording, from its first line to `finish`."""

    def __init__(
        self,
        folder: Path,
        *,
        kind: Literal["recorded", "synthetic"],
        source: str,
        instruments: list[Instrument],
        file_bytes: int = FILE_BYTES,
        seed: int = 1,
        config: dict[str, Any] | None = None,
    ) -> None:
        """Makes the folder. `seed`, `config`: what a replay of it is to be played with. Raises OutputError
        if there is a recording in it, or it cannot be written.
        """
        self._folder = folder
        self._facts = (kind, source, instruments)
        self._played_with = (seed, config or {})
        self._file_bytes = file_bytes
        self._file: _FrameFile | None = None
        self._files: list[RecordedFile] = []
        self._lines: list[bytes] = []
        self._waiting_bytes = 0
        self._first_ns = self._last_ns = Ns(0)
        self._sealed: list[Block] = []
        self._gaps = Gaps()
        with _explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        if (folder / MANIFEST).exists():
            raise OutputError(f"{folder}: there is a recording in it, expected another folder")
        self._state("recording", "")

    def add(self, recv_ns: Ns, payload: bytes) -> None:
        """Keep a line. Raises OutputError for one that no reader could read back, and when 256 MiB wait."""
        if b"\n" in payload:
            raise OutputError(f"{self._folder}: a payload had a line break, expected JSON on one line")
        if recv_ns < self._last_ns:
            raise OutputError(f"{self._folder}: received at {recv_ns}, expected at least {self._last_ns}")
        if self._lines and recv_ns // DAY != self._last_ns // DAY:
            self._seal()
        if not self._lines:
            self._first_ns = recv_ns
        line = b"%d %s\n" % (recv_ns, payload)
        self._lines.append(line)
        self._last_ns = recv_ns
        self._waiting_bytes += len(line)
        if self._waiting_bytes > _WAITING_BYTES:
            raise OutputError(f"{self._folder}: {self._waiting_bytes} bytes wait; is the disk stuck?")

    def saw(self, events: Iterable[MarketEvent]) -> None:
        """What the lines said, for the list of gaps."""
        for event in events:
            self._gaps.add(event)

    def take(self) -> list[Block]:
        """The lines since the last time; they must be written next."""
        self._seal()
        blocks, self._sealed = self._sealed, []
        self._waiting_bytes = 0
        return blocks

    def write(self, blocks: list[Block]) -> None:
        """Append lines to the files. Raises OutputError; what had been written before can be read."""
        for block in blocks:
            day = block.first_ns // DAY
            if self._file is not None and (self._file.day != day or self._file.bytes >= self._file_bytes):
                self._close_file()
            if self._file is None:
                name = f"frames_{_date(day)}_{len(self._files) + 1:03}.zst"
                self._file = _FrameFile(self._folder / name, day)
            self._file.append(block)

    def finish(self, status: Literal["complete", "failed"], reason: str = "") -> RecordingManifest:
        """Write what is left, and the manifest and scenario of the whole. Raises OutputError."""
        self.write(self.take())
        self._close_file()
        return self._state(status, reason)

    def abandon(self, reason: str) -> None:
        """After an OutputError: close the file, and say in the manifest what can still be said."""
        with contextlib.suppress(OutputError):
            self._close_file()
        with contextlib.suppress(OutputError):
            self._state("failed", reason)

    def _seal(self) -> None:
        if self._lines:
            block = Block(b"".join(self._lines), len(self._lines), self._first_ns, self._last_ns)
            self._sealed.append(block)
            self._lines = []

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()
            if file.frames:
                self._files.append(file.facts())
            self._state("recording", "")

    def _state(self, status: Literal["recording", "complete", "failed"], reason: str) -> RecordingManifest:
        kind, source, instruments = self._facts
        files, gaps = list(self._files), self._gaps.found()
        manifest = RecordingManifest(
            SCHEMA, kind, source, status, reason, instruments, files, gaps, *self._played_with
        )
        write_manifest(self._folder, manifest)
        return manifest


def write_manifest(folder: Path, manifest: RecordingManifest) -> None:
    """The manifest, and the scenario of a recording that is over. Raises OutputError."""
    texts = {MANIFEST: msgspec.json.format(msgspec.json.encode(manifest), indent=1)}
    if manifest.status != "recording" and manifest.files:
        texts["recording.yaml"] = scenario(manifest).encode()
    for name, text in texts.items():
        partial = folder / f"{name}.partial"
        with _explained(folder / name):
            try:
                partial.write_bytes(text)
                partial.replace(folder / name)
            finally:
                partial.unlink(missing_ok=True)


class _FrameFile:
    """One zstd file, which only ever grows by whole frames."""

    def __init__(self, path: Path, day: int) -> None:
        self._path = path
        self.day = day
        self.bytes = self.frames = 0
        self._first_ns = self._last_ns = 0
        self._digest = hashlib.sha256()
        self._compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
        with _explained(path):
            self._number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def append(self, block: Block) -> None:
        frame = self._compressor.compress(block.lines)
        try:
            _write_whole(self._number, frame)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._number, self.bytes)
                os.lseek(self._number, self.bytes, os.SEEK_SET)
            raise OutputError(f"{self._path}: cannot be written: {error.strerror}") from error
        self._digest.update(frame)
        self.bytes += len(frame)
        self._first_ns = self._first_ns or block.first_ns
        self._last_ns = block.last_ns
        self.frames += block.frames

    def close(self) -> None:
        with _explained(self._path):
            try:
                if self.frames:
                    os.fsync(self._number)
                else:
                    self._path.unlink()
            finally:
                os.close(self._number)

    def facts(self) -> RecordedFile:
        sha256 = self._digest.hexdigest()
        return RecordedFile(self._path.name, self.bytes, self.frames, self._first_ns, self._last_ns, sha256)


def _write_whole(number: int, data: bytes) -> None:
    """A write may be short before it fails: the next one says why."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(number, rest) :]


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def _date(day: int) -> str:
    return (dt.date(1970, 1, 1) + dt.timedelta(days=day)).strftime("%Y%m%d")
