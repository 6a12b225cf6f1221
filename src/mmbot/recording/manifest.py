"""What a recording says of itself, and the scenario that plays it."""

import math
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from mmbot.errors import RecordingError
from mmbot.model.instrument import Instrument
from mmbot.recording.gaps import Gap
from mmbot.units import SECOND
from mmbot.venues.binance.hosts import TRADE_STREAM

MANIFEST = "recording.json"
SCHEMA = 1


class RecordedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file: `sha256` is of its bytes, times are receive times of its first and last line."""

    name: str
    bytes: int
    frames: int
    first_ns: int
    last_ns: int
    sha256: str


class RecordingManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`kind` says whose market it was and is never guessed. `status` is `recording` while it is made, and
    stays so where it was cut off by force. `seed` and `config` are of the bot that traded meanwhile, if one
    did: its scenario's overlay.
    """

    schema: int
    kind: Literal["recorded", "synthetic"]
    source: str
    status: Literal["recording", "complete", "failed"]
    reason: str
    instruments: list[Instrument]
    files: list[RecordedFile]
    gaps: list[Gap]
    seed: int = 1
    config: dict[str, Any] = {}


def read_manifest(folder: Path) -> RecordingManifest:
    """Raises RecordingError for a folder that is no recording."""
    path = folder / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=RecordingManifest)
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path}: was no manifest of a recording: {error}") from error


def made_by_us(path: Path) -> bool:
    """Is this a file of a recording that our recorder made?"""
    return (path.parent / MANIFEST).is_file() and path.name.startswith("frames_")


def recorded_together(path: Path, instrument: Instrument) -> list[Instrument]:
    """The instruments whose frames a file holds: those of the recording that it belongs to, else this one.

    Raises RecordingError if a recording has the file, and not the instrument.
    """
    if not made_by_us(path):
        return [instrument]
    manifest = read_manifest(path.parent)
    keys = [one.key for one in manifest.instruments]
    if instrument.key not in keys:
        raise RecordingError(f"{path}: the recording is of {', '.join(keys)}, expected {instrument.key}")
    return [instrument if one.key == instrument.key else one for one in manifest.instruments]


def scenario(manifest: RecordingManifest) -> str:
    """The recording as a scenario file. Clocks of venue and recorder are two: unsynchronised."""
    names = [file.name for file in manifest.files]
    length_s = (manifest.files[-1].last_ns - manifest.files[0].first_ns) / SECOND
    facts: dict[str, Any] = {
        "title": f"{manifest.source}, {length_s / 60:.1f} min",
        "kind": manifest.kind,
        "duration": f"{max(1, math.ceil(length_s))}s",
        "seed": manifest.seed,
        "feeds": [
            {
                "instrument": msgspec.to_builtins(instrument),
                "files": list(names),  # of its own: YAML would write an anchor for a shared one
                "exchange_clock": "unsynchronised",
                **({"trade_stream": TRADE_STREAM} if instrument.venue.startswith("binance_") else {}),
            }
            for instrument in manifest.instruments
        ],
    }
    if manifest.config:
        facts["config"] = manifest.config
    return yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)
