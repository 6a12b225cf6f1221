"""What a release stands on besides its configuration: folders, disk, clock, versions; and that no secret lies
in the files that it is made of.

Each question is answered with what was found and what is wrong with it. Nothing is written and nobody is
asked over a network.
"""

import importlib.metadata
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from packaging.requirements import Requirement

from mmbot.units import MS, SECOND

FOLDERS = (
    "baseline",
    "edge/datasets",
    "edge/feeds",
    "edge/reports",
    "md_cache",
    "release",
    "reports/daily",
    "runs",
    "verdicts",
)
"""Below the folder of artifacts: where the steps of the workflow write."""
TICK_BYTES = 600
"""What a tick of a symbol leaves on the disk, rounded up: 490 bytes of its row were measured over 72 h of two
symbols, the rest is fills, samples and a traced tick in five.
"""
RESERVE_BYTES = 1 << 30
"""Free space that a run leaves alone."""
DETECTORS: tuple[dict[str, str | float], ...] = (
    {"name": "KeywordDetector"},
    {"name": "PrivateKeyDetector"},
    {"name": "BasicAuthDetector"},
    {"name": "JwtTokenDetector"},
    {"name": "AWSKeyDetector"},
    {"name": "SlackDetector"},
    {"name": "TelegramBotTokenDetector"},
    {"name": "Base64HighEntropyString", "limit": 4.5},
)
"""Of detect-secrets. Not the one for hexadecimal digits: hashes of data are no secrets, and no venue's key is
hexadecimal.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found; `wrong` says what of it may not be."""

    found: str
    wrong: tuple[str, ...] = ()


def folders(out: Path) -> Finding:
    """Folders that are there or can be made, and can be written to."""
    wrong = [problem for name in FOLDERS if (problem := _cannot_be_written(out / name))]
    return Finding(f"{len(FOLDERS)} folders below {out}", tuple(wrong))


def make_folders(out: Path) -> None:
    """Make those that are missing. Raises OSError."""
    for name in FOLDERS:
        (out / name).mkdir(parents=True, exist_ok=True)


def disk(out: Path, symbols: int, tick_interval_ms: float, soak_s: float) -> Finding:
    """Free space, against what so long a soak of so many symbols writes."""
    ticks = symbols * soak_s * SECOND / (tick_interval_ms * MS)
    needed = int(ticks * TICK_BYTES) + RESERVE_BYTES
    free = shutil.disk_usage(_nearest(out)).free
    soak = f"{soak_s / 3600:g} h of {symbols} symbols, and 1 GiB to spare"
    found = f"{free / 1e9:.1f} GB free for {needed / 1e9:.1f} GB: {soak}"
    return Finding(found, () if free >= needed else (found,))


def clock(now_ns: int, files: Iterable[Path], snapshot_ns: int | None) -> Finding:
    """The time it is, which no file that is read can be younger than, nor the snapshot before."""
    seen = [(path.stat().st_mtime_ns, str(path)) for path in files if path.exists()]
    if snapshot_ns is not None:
        seen.append((snapshot_ns, "the snapshot of the release before"))
    now = _utc(now_ns)
    wrong = [f"it is {now}, and {what} is of {_utc(at_ns)}" for at_ns, what in seen if at_ns > now_ns]
    return Finding(now, tuple(wrong))


def versions(distribution: str) -> Finding:
    """Every installed requirement of a distribution, against what it asks for."""
    try:
        required = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return Finding("", (f"{distribution} is not installed",))
    asked = [one for line in required if (one := Requirement(line)).marker is None or one.marker.evaluate()]
    wrong = [problem for one in asked if (problem := _unmet(one))]
    version = importlib.metadata.version(distribution)
    return Finding(f"{distribution} {version} and {len(asked)} requirements", tuple(wrong))


def secrets(files: Sequence[Path]) -> Finding:
    """Where something looks like a key or a password; never what."""
    # imported here: half a second that no other command needs
    from detect_secrets.core.secrets_collection import SecretsCollection  # noqa: PLC0415
    from detect_secrets.settings import transient_settings  # noqa: PLC0415

    seen = SecretsCollection()
    with transient_settings({"plugins_used": list(DETECTORS), "filters_used": []}):
        for path in files:
            seen.scan_file(str(path))
    wrong = sorted({f"{name}:{one.line_number}: {one.type}" for name, one in seen})
    return Finding(f"{len(files)} files", tuple(wrong))


def _unmet(asked: Requirement) -> str | None:
    try:
        version = importlib.metadata.version(asked.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{asked.name} is not installed, expected {asked.specifier}"
    if asked.specifier.contains(version, prereleases=True):
        return None
    return f"{asked.name} is {version}, expected {asked.specifier}"


def _cannot_be_written(folder: Path) -> str | None:
    there = _nearest(folder)
    if not there.is_dir():
        return f"{there} is no folder"
    return None if os.access(there, os.W_OK | os.X_OK) else f"{there} cannot be written"


def _nearest(path: Path) -> Path:
    """The path, or the nearest one above it that there is."""
    return next(one for one in _upwards(path.resolve()) if one.exists())


def _upwards(path: Path) -> Iterator[Path]:
    yield path
    yield from path.parents


def _utc(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns // SECOND, UTC):%Y-%m-%d %H:%M:%S} UTC"
