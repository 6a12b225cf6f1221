"""Raw frames from a recording: `<receive time> <payload>` a line, plain, gzip or zstd.

The receive time is since the epoch, in ns (19 digits) or us (16 digits). A venue's downloadable archive has
none: a bare JSON line is stamped with the message's own `ts` (ms). Every error says file and line; a torn
file is an error, because a gate on half a market would be a gate on another market.
"""

import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import zstandard

from mmbot.errors import RecordingError
from mmbot.units import MS, US, Ns

_ARCHIVE_TS = re.compile(rb'"ts":(\d{13})\b')


class Frame(NamedTuple):
    """One received message and where it stands, for error messages."""

    path: Path
    line: int
    recv_ns: Ns
    payload: bytes


def frames(paths: Iterable[Path]) -> Iterator[Frame]:
    """Frames of several files as one stream. Raises RecordingError; receive times never run backwards."""
    previous = 0
    for path in paths:
        for number, line in _lines(path):
            recv_ns, payload = _split(path, number, line)
            if recv_ns < previous:
                raise RecordingError(
                    f"{path}:{number}: receive time was {recv_ns}, expected at least {previous}"
                )
            previous = recv_ns
            yield Frame(path, number, recv_ns, payload)


def sha256(paths: Iterable[Path]) -> str:
    """Hash over the raw bytes of the files, in order. Raises RecordingError."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise RecordingError(f"{path}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with path.open("rb") as raw, _decompressed(path, raw) as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    raise RecordingError(
                        f"{path}:{number}: last line was torn ({len(line)} bytes, no line end)"
                    )
                yield number, line[:-1]
    except OSError as error:  # gzip reports a wrong magic number or checksum this way too
        reason = error.strerror or error
        raise RecordingError(f"{path}:{number + 1}: cannot be read: {reason}") from error
    except (EOFError, zlib.error, zstandard.ZstdError) as error:
        raise RecordingError(
            f"{path}:{number + 1}: compressed file was truncated or corrupt: {error}"
        ) from error


def _decompressed(path: Path, raw: IO[bytes]) -> IO[bytes] | gzip.GzipFile | io.BufferedReader:
    if path.suffix == ".gz":
        return gzip.open(raw)
    if path.suffix == ".zst":
        return io.BufferedReader(_WholeZstd(raw))
    return raw


class _WholeZstd(io.RawIOBase):
    """Zstd frames, one behind the other, to the end of the last; the library reads a torn one in silence, and
    of several only the first.
    """

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._decoder = zstandard.ZstdDecompressor().decompressobj()
        self._pending = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # narrower than Buffer, as io passes it
        while not self._pending:
            block = self._decoder.unused_data or self._raw.read(1 << 17)
            if not block:
                if not self._decoder.eof:
                    raise EOFError("no end of stream")
                return 0
            if self._decoder.eof:
                self._decoder = zstandard.ZstdDecompressor().decompressobj()
            self._pending = self._decoder.decompress(block)
        taken = self._pending[: len(buffer)]
        self._pending = self._pending[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)


def _split(path: Path, number: int, line: bytes) -> tuple[Ns, bytes]:
    if line.startswith(b"{"):
        stamp = _ARCHIVE_TS.search(line)
        if stamp is None:
            raise RecordingError(f"{path}:{number}: line had neither a receive time nor a ts of 13 digits")
        return Ns(int(stamp[1]) * MS), line
    head, space, payload = line.partition(b" ")
    if not space or not head.isdigit() or len(head) not in (16, 19):
        shown = line[:40].decode("utf-8", "backslashreplace")
        raise RecordingError(f"{path}:{number}: line was {shown!r}, expected '<16 or 19 digits> <JSON>'")
    return Ns(int(head) * (US if len(head) == 16 else 1)), payload  # noqa: PLR2004 (digits of us and ns stamps)
