"""The manifest of a run in parts: what the manifests of its parts say, put together.

Decided: parts of one run agree on everything that a verdict rests on; where they do not, they are no run.
Counts add up. The digest of the whole is a hash over the digests of its parts in their order, so that it is
the same whoever played them. The whole is complete only if every part is.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pytest_mmgates.errors import RunlogError
from pytest_mmgates.loader import PARTS
from pytest_mmgates.report.files import write_atomically
from pytest_mmgates.rows import full_name, read_manifest

_COMMON = ("schema", "run_id", "step", "scenario", "arm", "mode", "clock", "seed", "config_sha256", "code")

Content = dict[str, Any]


def write_whole_manifest(directory: Path, names: Sequence[str]) -> None:
    """Write `manifest.json` over the parts below `directory`, or raise RunlogError."""
    parts = {name: _content(directory / PARTS / name) for name in names}
    write_atomically({directory / "manifest.json": json.dumps(whole_manifest(parts), indent=1) + "\n"})


def whole_manifest(parts: dict[str, Content]) -> Content:
    """The manifest of these parts by name, in their order. What this does not know is the first part's."""
    _check_common(parts)
    first, every = next(iter(parts.values())), list(parts.values())
    status, reason = _ending(parts)
    ends = [part["ended_ns"] for part in every]
    return {
        **first,
        "part": None,
        "status": status,
        "reason": reason,
        "started_ns": min(part["started_ns"] for part in every),
        "ended_ns": None if None in ends else max(ends),
        "data": {
            "kind": first["data"]["kind"],
            "sha256": _hash(part["data"]["sha256"] for part in every),
            "feeds": [feed for part in every for feed in part["data"]["feeds"]],
        },
        "host": _joined([part["host"] for part in every]),
        "models": _joined([part["models"] for part in every]),
        "instruments": list({_key(item): item for part in every for item in part["instruments"]}.values()),
        "counts": _summed([part["counts"] for part in every]),
        "run_digest": _digest(parts),
        "resumes": [
            {**resume, "part": name} for name, part in parts.items() for resume in part.get("resumes", [])
        ],
        "parts": [
            {"name": name, "status": part["status"], "run_digest": part.get("run_digest")}
            for name, part in parts.items()
        ],
    }


def _ending(parts: dict[str, Content]) -> tuple[str, str | None]:
    """Status and reason: those of the first part that is not complete."""
    for name, part in parts.items():
        if part["status"] != "complete":
            return part["status"], f"part {name}: {part['reason']}"
    return "complete", None


def _content(directory: Path) -> Content:
    read_manifest(directory)  # refuses what is none
    content: Content = json.loads((directory / "manifest.json").read_bytes())
    return content


def _check_common(parts: dict[str, Content]) -> None:
    """Refuse two parts that say different things about what they share."""
    said: dict[str, tuple[str, Any]] = {}
    for name, part in parts.items():
        for key, value in _shared(part).items():
            first, expected = said.setdefault(key, (name, value))
            if value != expected:
                raise RunlogError(f"part {name}: {key} was {value}, expected {expected} as in part {first}")


def _shared(part: Content) -> Content:
    return {
        **{key: part.get(key) for key in _COMMON},
        "data kind": part["data"]["kind"],
        **{f"instrument {_key(item)}": item for item in part["instruments"]},
    }


def _key(instrument: Content) -> str:
    return full_name(instrument["venue"], instrument["symbol"])


def _hash(texts: Iterable[str]) -> str:
    return hashlib.sha256("".join(f"{text}\n" for text in texts).encode()).hexdigest()


def _digest(parts: dict[str, Content]) -> str | None:
    """None where a part has none."""
    digests = {name: part.get("run_digest") for name, part in parts.items()}
    if None in digests.values():
        return None
    return _hash(f"{name} {digest}" for name, digest in digests.items())


def _summed(counts: Sequence[Content]) -> Content:
    return {name: sum(one.get(name, 0) for one in counts) for name in _names(counts)}


def _joined(facts: Sequence[Content]) -> Content:
    """Each fact as it is where all parts agree, else every value that it has in some part."""
    values = {name: list(dict.fromkeys(one.get(name) for one in facts)) for name in _names(facts)}
    return {
        name: found[0] if len(found) == 1 else " or ".join(map(str, found)) for name, found in values.items()
    }


def _names(contents: Sequence[Content]) -> dict[str, None]:
    """Every key, in the order of its first appearance."""
    return dict.fromkeys(name for content in contents for name in content)
