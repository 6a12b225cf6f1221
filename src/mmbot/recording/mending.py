"""A recording that was cut off by force, made whole again: nothing is thrown away, nothing is skipped.

What stands behind the last whole zstd frame of a file is moved into `<file>.torn`. Anything else that is
wrong is corruption and an error with file and offset. Files, hashes and gaps of the manifest are then read
off the files.
"""

import os
from pathlib import Path

import msgspec
import zstandard

from mmbot.errors import OutputError, RecordingError, RemoteProtocolError
from mmbot.recording.gaps import Gaps
from mmbot.recording.importer import open_session
from mmbot.recording.manifest import RecordedFile, RecordingManifest, read_manifest
from mmbot.recording.reader import frames, sha256
from mmbot.recording.writer import write_manifest
from mmbot.venues.binance.hosts import TRADE_STREAM

_BLOCK = 1 << 17


def mend(folder: Path) -> tuple[RecordingManifest, int]:
    """The manifest of the whole, and how many bytes were moved aside. One that is over stays as it is.

    Raises RecordingError for a folder that is no recording or is corrupt, OutputError if it cannot be
    written.
    """
    manifest = read_manifest(folder)
    if manifest.status != "recording":
        return manifest, 0
    paths = sorted(folder.glob("frames_*.zst"))
    moved = sum(mend_file(path) for path in paths)
    paths = [path for path in paths if path.stat().st_size]
    gaps = Gaps()
    files = _read_off(manifest, paths, gaps)
    manifest = msgspec.structs.replace(
        manifest, status="failed", reason="cut off, and mended", files=files, gaps=gaps.found()
    )
    write_manifest(folder, manifest)
    return manifest, moved


def mend_file(path: Path) -> int:
    """Move what is behind the last whole frame aside; returns how many bytes. Raises as `mend` does."""
    try:
        whole = _whole_bytes(path)
        with path.open("r+b") as file:
            file.seek(whole)
            torn = file.read()
            if torn:
                with path.with_name(f"{path.name}.torn").open("ab") as aside:
                    aside.write(torn)
                    aside.flush()
                    os.fsync(aside.fileno())
                file.truncate(whole)
    except OSError as error:
        raise OutputError(f"{path}: cannot be mended: {error.strerror}") from error
    return len(torn)


def _whole_bytes(path: Path) -> int:
    """Where the last whole frame ends. Raises RecordingError for bytes that are no zstd, OSError."""
    end = position = 0
    decoder = zstandard.ZstdDecompressor().decompressobj()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            while block:
                try:
                    decoder.decompress(block)
                except zstandard.ZstdError as error:
                    raise RecordingError(f"{path}: corrupt in the frame at byte {end}: {error}") from error
                if not decoder.eof:
                    position += len(block)
                    break
                position += len(block) - len(decoder.unused_data)
                end, block = position, decoder.unused_data
                decoder = zstandard.ZstdDecompressor().decompressobj()
    return end


def _read_off(manifest: RecordingManifest, paths: list[Path], gaps: Gaps) -> list[RecordedFile]:
    """Facts of each file, and the gaps, by reading all of them once."""
    session = open_session(manifest.instruments, TRADE_STREAM)
    stamps: dict[Path, tuple[int, int, int]] = {}
    for frame in frames(paths):
        count, first_ns, _ = stamps.get(frame.path, (0, frame.recv_ns, 0))
        stamps[frame.path] = count + 1, first_ns, frame.recv_ns
        try:
            for event in session.receive(frame.payload, frame.recv_ns):
                gaps.add(event)
        except RemoteProtocolError:
            continue  # kept as received; the note behind it says so
    return [
        RecordedFile(
            name=path.name,
            bytes=path.stat().st_size,
            frames=count,
            first_ns=first_ns,
            last_ns=last_ns,
            sha256=sha256([path]),
        )
        for path, (count, first_ns, last_ns) in stamps.items()
    ]
