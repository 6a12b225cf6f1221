"""`gates/baselines/acknowledged.yaml`: changes of behaviour that are meant, each with its reason.

    - baseline: demo
      old: 5f0c9a...    # digest of the baseline's decisions, as the gate printed it
      new: 83b1d2...    # digest of the change's
      reason: quote one tick wider while the book is stale

The file is part of the change, so that a reviewer reads the reason beside the code. An entry covers exactly
one pair of digests: the next change of behaviour needs one of its own, and a new lock makes all of them moot.
"""

from pathlib import Path

import yaml

from pytest_mmgates.baseline.lockfile import BASELINES
from pytest_mmgates.errors import BaselineError

ACKNOWLEDGED = "acknowledged.yaml"
_KEYS = ("baseline", "old", "new", "reason")
_DIGEST_LENGTH = 64


def acknowledgement(gates_dir: Path, baseline: str, old: str, new: str) -> str | None:
    """The reason given for this pair of digests, or None. BaselineError for a file that cannot be read."""
    path = gates_dir / BASELINES / ACKNOWLEDGED
    if not path.is_file():
        return None
    entries = _entries(path)
    given = [
        entry["reason"]
        for entry in entries
        if (entry["baseline"], entry["old"], entry["new"]) == (baseline, old, new)
    ]
    return given[-1] if given else None


def _entries(path: Path) -> list[dict[str, str]]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BaselineError(f"{path.name}: cannot be read: {' '.join(str(error).split())}") from error
    if content is None:
        return []
    if not isinstance(content, list):
        raise BaselineError(f"{path.name}: found {type(content).__name__}, expected a list of entries")
    for number, entry in enumerate(content, 1):
        _check(f"{path.name}: entry {number}", entry)
    return content


def _check(where: str, entry: object) -> None:
    if not isinstance(entry, dict) or sorted(entry) != sorted(_KEYS):
        found = ", ".join(map(str, entry)) if isinstance(entry, dict) else type(entry).__name__
        raise BaselineError(f"{where}: found {found}, expected the keys {', '.join(_KEYS)}")
    for key in _KEYS:
        if not isinstance(entry[key], str) or not entry[key].strip():
            raise BaselineError(f"{where}: {key} was {entry[key]!r}, expected text")
    for key in ("old", "new"):
        if len(entry[key]) != _DIGEST_LENGTH:
            raise BaselineError(f"{where}: {key} was {entry[key]!r}, expected the whole digest")
