"""The red button: feature flags back to recorded values, in the files that have the last word on them.

Everything is worked out and checked on texts first: the changed files are merged and validated, and each flag
must have its target value, or nothing is written. Then all files are replaced at once, and read back. Both
the intention and what came of it are in the audit log, with the hash of the effective configuration.

Then every running bot that uses these files is asked to read them again (`ops.reloads`), and must report the
hash that its files now stand for. Files that were changed while a bot stays on its old settings are a failed
rollback: the audit log says so, and so does the exit code of `mmbot rollback`. The hash of the files is
without a scenario's overlay: what `mmbot config show` prints for them.
"""

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mmbot import audit
from mmbot.clock import pause, stopwatch
from mmbot.config.edit import rewritten, written_values
from mmbot.config.flags import FLAGS, Flag, text
from mmbot.config.settings import Settings, load_settings, merged, settings_of
from mmbot.config.snapshot import Snapshot, Spelled
from mmbot.config.strict_yaml import parse, read
from mmbot.errors import ConfigError
from mmbot.ops import reloads
from mmbot.ops.files import write_atomically


class Values(StrEnum):
    """Which values to restore: those before the snapshot, those it released, or the registry's safe ones."""

    PREVIOUS = "previous"
    NEW = "new"
    REGISTRY = "registry"


@dataclass(frozen=True, slots=True)
class Change:
    """One flag to be set. `old` and `new` as written."""

    flag: str
    key: str
    file: str
    line: int
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Rollback:
    """Worked out and checked. `unknown`: flags that the snapshot has no value for; they stay as they are."""

    changes: tuple[Change, ...]
    unknown: tuple[str, ...]
    before: Mapping[Path, str]
    after: Mapping[Path, str]
    config_sha256: str

    @property
    def diff(self) -> str:
        """Of all files, as `diff -u` writes it."""
        return "".join(
            line
            for path, old in self.before.items()
            for line in difflib.unified_diff(
                old.splitlines(keepends=True),
                self.after[path].splitlines(keepends=True),
                str(path),
                str(path),
                n=1,
            )
        )


def targets(values: Values, snapshot: Snapshot | None) -> dict[str, Spelled]:
    """The value to restore by key. Raises ConfigError where the snapshot has none at all."""
    if values is Values.REGISTRY:
        return {flag.key: Spelled(flag.rollback, text(flag.rollback)) for flag in FLAGS}
    if snapshot is None:
        raise ConfigError(f"--values {values}: expected a snapshot")
    if values is Values.NEW:
        return {flag.key: flag.new for flag in snapshot.flags}
    found = {flag.key: flag.previous for flag in snapshot.flags if flag.previous is not None}
    if not found:
        raise ConfigError(
            "the snapshot is the first and has no previous values: expected --values new or --values registry"
        )
    return found


def work_out(wanted: Mapping[str, Spelled], config: Sequence[Path]) -> Rollback:
    """What has to be changed in these files, base first. Raises ConfigError; writes nothing."""
    before = {path: read(path) for path in config}
    document = merged([parse(content, str(path)) for path, content in before.items()])
    settings = settings_of(document)
    known = [flag for flag in FLAGS if flag.key in wanted]
    to_set = [flag for flag in known if flag.of(settings) != wanted[flag.key].value]
    changes, after = [], {}
    for path, content in before.items():
        mine = [flag for flag in to_set if document.file(flag.path) == str(path)]
        places = written_values(content, str(path))
        changes += [
            Change(
                flag.name,
                flag.key,
                str(path),
                places[flag.path].line,
                places[flag.path].text,
                wanted[flag.key].text,
            )
            for flag in mine
        ]
        after[path] = rewritten(content, {flag.path: wanted[flag.key].text for flag in mine}, str(path))
    result = settings_of(merged([parse(content, str(path)) for path, content in after.items()]))
    _check(result, known, wanted)
    unknown = tuple(flag.name for flag in FLAGS if flag.key not in wanted)
    return Rollback(tuple(changes), unknown, before, after, result.sha256())


def _check(settings: Settings, flags: Sequence[Flag], wanted: Mapping[str, Spelled]) -> None:
    """A state in between is refused: every flag has its target, or this raises ConfigError."""
    for flag in flags:
        found, target = flag.of(settings), wanted[flag.key]
        if found != target.value or type(found) is not type(flag.default):
            raise ConfigError(f"{flag.key}: would be {found}, expected {target.value} from {target.text!r}")


def apply(rollback: Rollback, log: Path, now_ns: int) -> None:
    """Replace the files and record it. Raises ConfigError if a file has changed since it was worked out, and
    OutputError where something cannot be written; no file is changed then.
    """
    with audit.locked(log):
        for path, content in rollback.before.items():
            if read(path) != content:
                raise ConfigError(f"{path}: was changed meanwhile; expected nobody else at it: try again")
        facts = _facts(rollback)
        audit.append(log, "rollback_begun", facts, now_ns)
        changed = {
            path: content for path, content in rollback.after.items() if content != rollback.before[path]
        }
        write_atomically({path: content.encode() for path, content in changed.items()})
        found = load_settings(list(rollback.after)).sha256()
        audit.append(log, "rollback_done", {**facts, "found_config_sha256": found}, now_ns)
    if found != rollback.config_sha256:
        raise ConfigError(f"config_sha256 was {found} after the rollback, expected {rollback.config_sha256}")


def ask_running(
    rollback: Rollback, folder: Path, log: Path, wait_s: float, now_ns: int
) -> list[reloads.Report]:
    """Have the files in force in every bot that runs on them; records what each reported. Raises OutputError
    where the log cannot be written.
    """
    bots = reloads.using(folder, list(rollback.after))
    reports = reloads.reload_all(bots, wait_s, stopwatch, pause)
    if reports:
        failed = any(one.outcome is reloads.Outcome.FAILED for one in reports)
        facts = {"config_sha256": rollback.config_sha256, "bots": list(reloads.facts(reports))}
        with audit.locked(log):
            audit.append(log, "reload_failed" if failed else "reload_verified", facts, now_ns)
    return reports


def _facts(rollback: Rollback) -> dict[str, object]:
    """What the audit log holds of it."""
    return {
        "changes": [
            {
                "flag": one.flag,
                "key": one.key,
                "file": one.file,
                "line": one.line,
                "old": one.old,
                "new": one.new,
            }
            for one in rollback.changes
        ],
        "files": [
            {"path": str(path), "old_sha256": _sha256(old), "new_sha256": _sha256(rollback.after[path])}
            for path, old in rollback.before.items()
        ],
        "config_sha256": rollback.config_sha256,
    }


def _sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
