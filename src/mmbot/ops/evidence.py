"""What a step of the workflow left behind, and what that is worth now.

    OUT/workflow/shadow.json        the record of the last session of a step, written when it ended
    OUT/verdicts/shadow.json        its verdict, as the gates wrote it

The record says which file held the verdict and the hash of its bytes, the code and the inputs that it was
found with, and which command made it. It has a digest over itself. A verdict counts only beside its record,
and only as long as it is that file, this code and these inputs: whoever edits, copies or tears one of them
gets no green from it.

Decided: code is every module of the bot as it lies on the disk, not the commit, so that a commit to the docs
takes no evidence away. An input in YAML is what it says, not how it is spelled: a comment changes nothing.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from mmbot.config.strict_yaml import load
from mmbot.errors import ConfigError
from mmbot.ops.files import write_atomically
from mmbot.ops.workflow import Task
from mmbot.units import HOUR, SECOND

FOLDER = "workflow"
_SCHEMA = 1
_PASS = "PASS"  # noqa: S105 (a verdict)
_SYNTHETIC = "synthetic"
_TOLD = 12
"""Digits of a hash that people read."""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of one session. `evidence`: from the folder of artifacts; its hash is None where there was no file.
    `checks`: pytest items by outcome. `inputs`: hash of each file, by its path from the working directory.
    """

    task: str
    ended_ns: int
    command: str
    verdict: str
    label: str
    reason: str | None
    data_kind: str | None
    evidence: str
    evidence_sha256: str | None
    checks: dict[str, int]
    code: dict[str, Any]
    inputs: dict[str, str]
    stands_for: list[str] = []
    """Artifacts that say no more than that the step could not be played."""
    schema: int = _SCHEMA
    digest: str = ""

    @property
    def own_digest(self) -> str:
        facts = msgspec.to_builtins(msgspec.structs.replace(self, digest=""))
        return hashlib.sha256(msgspec.json.encode(facts, order="sorted")).hexdigest()


class State(StrEnum):
    """What a step stands at. Only the first is green."""

    ACCEPTED = "accepted"
    NOT_ACCEPTED = "not accepted"
    STALE = "stale"
    NOT_BELIEVED = "not believed"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Standing:
    """A task and what it stands at; `why` where it is not accepted. `record` is None where there is none to
    be believed.
    """

    task: Task
    state: State
    why: str
    record: Record | None
    age_ns: int | None

    @property
    def accepted(self) -> bool:
        return self.state is State.ACCEPTED

    @property
    def label(self) -> str:
        """The verdict as it was found; SYNTHETIC where its market was."""
        return "" if self.record is None else self.record.label

    @property
    def is_synthetic(self) -> bool:
        return self.record is not None and self.record.data_kind == _SYNTHETIC


def record_path(task: str, out: Path) -> Path:
    return out / FOLDER / f"{task}.json"


def found(
    task: Task, out: Path, checks: Mapping[str, int], ended: int, failure: str | None = None
) -> dict[str, Any]:
    """Verdict, label, reason and data kind of a session that ended with exit code `ended`: what its file
    says, and not green where a check or the session was not. A lock has no verdict but its checks. `failure`
    is what the first red check said: the reason where no file gives one.
    """
    content, unread = _document(out / task.evidence)
    red = {name: count for name, count in checks.items() if name != "passed" and count}
    kind = content.get("data_kind") or content.get("market", {}).get("data_kind")
    verdict = str(content.get("verdict") or (_PASS if content else "NO_DATA"))
    reason = content.get("reason") or content.get("failure") or _of_rules(content, verdict)
    reason = reason or (unread and (failure or unread))
    if verdict == _PASS and (red or ended):
        told = ", ".join(f"{count} {name}" for name, count in red.items())
        verdict, reason = "FAIL", told or f"pytest ended with {ended}"
    label = f"{verdict} (SYNTHETIC)" if kind == _SYNTHETIC else verdict
    return {"verdict": verdict, "label": label, "reason": reason, "data_kind": kind}


def _of_rules(content: Mapping[str, Any], verdict: str) -> str | None:
    """The first rule that is why a verdict is not green, and what it says."""
    for rule in content.get("rules", ()):
        if verdict != _PASS and rule.get("verdict") == verdict:
            return f"{rule['rule']}: {rule.get('reason') or rule.get('value')}"
    return None


def keep(
    task: Task,
    out: Path,
    *,
    said: Mapping[str, Any],
    checks: Mapping[str, int],
    command: str,
    inputs: Iterable[Path],
    code: Mapping[str, Any],
    now_ns: int,
    stands_for: Iterable[str] = (),
) -> Record:
    """Write the record of a session that ended now. `said`: as `found` returns it. Raises OutputError, and
    ConfigError for an input that cannot be read.
    """
    record = Record(
        task=task.name,
        ended_ns=now_ns,
        command=command,
        evidence=task.evidence,
        evidence_sha256=_sha256(out / task.evidence),
        checks=dict(checks),
        code=dict(code),
        inputs={str(path): meaning(path) for path in inputs},
        stands_for=list(stands_for),
        **said,
    )
    record = msgspec.structs.replace(record, digest=record.own_digest)
    write_atomically({record_path(task.name, out): msgspec.json.format(msgspec.json.encode(record)) + b"\n"})
    return record


def standing(task: Task, out: Path, *, source_sha256: str, now_ns: int) -> Standing:
    """What a task stands at. Nothing is written, and nothing is raised for what cannot be read."""
    path = record_path(task.name, out)
    if not path.is_file():
        return _without_record(task, out, path)
    try:
        record = msgspec.json.decode(path.read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        return Standing(task, State.NOT_BELIEVED, f"{path}: torn, or no record: {error}", None, None)
    wrong = _not_believed(task, out, path, record)
    if wrong:
        return Standing(task, State.NOT_BELIEVED, wrong, None, None)
    age_ns = now_ns - record.ended_ns
    state, why = _judged(task, out, record, source_sha256, age_ns)
    return Standing(task, state, why, record, age_ns)


def _judged(task: Task, out: Path, record: Record, source_sha256: str, age_ns: int) -> tuple[State, str]:
    """Of a record that is believed."""
    if record.verdict != _PASS:
        return State.NOT_ACCEPTED, record.reason or record.label
    stale = _stale(task, record, source_sha256, age_ns)
    if stale:
        return State.STALE, stale
    lost = [pattern for pattern, files in task.found(out) if not files]
    return (State.NOT_ACCEPTED, f"artifact {lost[0]} is not there") if lost else (State.ACCEPTED, "")


def _without_record(task: Task, out: Path, path: Path) -> Standing:
    if (out / task.evidence).is_file():
        why = f"{out / task.evidence}: is there, but no session recorded it in {path}"
        return Standing(task, State.NOT_BELIEVED, why, None, None)
    return Standing(task, State.NOT_RUN, "", None, None)


def _not_believed(task: Task, out: Path, path: Path, record: Record) -> str | None:
    """Why the record, or the verdict beside it, is not what a session wrote."""
    if record.schema != _SCHEMA:
        return f"{path}: schema was {record.schema}, expected {_SCHEMA}"
    if record.task != task.name:
        return f"{path}: is the record of {record.task}, expected of {task.name}"
    if record.digest != record.own_digest:
        found, expected = record.digest[:_TOLD], record.own_digest[:_TOLD]
        return f"{path}: was edited: digest was {found}, it hashes to {expected}"
    there = _sha256(out / record.evidence)
    if there == record.evidence_sha256:
        return None
    if there is None:
        return f"{out / record.evidence}: is gone"
    expected = "none" if record.evidence_sha256 is None else record.evidence_sha256[:_TOLD]
    what = f"{out / record.evidence}: sha256 was {there[:_TOLD]}, expected {expected}"
    return f"{what}: edited, or of another session"


def _stale(task: Task, record: Record, source_sha256: str, age_ns: int) -> str | None:
    if record.code.get("source_sha256") != source_sha256:
        return f"found with other code, of commit {str(record.code.get('commit') or 'unknown')[:_TOLD]}"
    for name, expected in record.inputs.items():
        try:
            now = meaning(Path(name))
        except ConfigError as error:
            return str(error)
        if now != expected:
            return f"{name} has changed since"
    if task.good_for_ns is not None and age_ns > task.good_for_ns:
        return f"{age_text(age_ns)} old, good for {age_text(task.good_for_ns)}"
    return None


def meaning(path: Path) -> str:
    """Hash of what a file says: of YAML its data, of anything else its bytes. Raises ConfigError."""
    if path.suffix == ".yaml":
        content = msgspec.json.encode(load(path).data, order="sorted")
    else:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    return hashlib.sha256(content).hexdigest()


def age_text(ns: int) -> str:
    """`12 s`, `35 min`, `7.0 h`, `3.2 d`; a step that is later than now says so."""
    if ns < 0:
        return f"{age_text(-ns)} in the future"
    for unit, size in (("d", 24 * HOUR), ("h", HOUR)):
        if ns >= 2 * size:
            return f"{ns / size:.1f} {unit}"
    return f"{ns // SECOND // 60} min" if ns >= 120 * SECOND else f"{ns // SECOND} s"


def moment_text(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // SECOND, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _document(path: Path) -> tuple[dict[str, Any], str | None]:
    """The JSON of a file, or why there is none."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}, f"{path}: no verdict was written"
    except (OSError, ValueError) as error:
        return {}, f"{path}: no verdict: {error}"
    return (content, None) if isinstance(content, dict) else ({}, f"{path}: no verdict: was no mapping")


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
