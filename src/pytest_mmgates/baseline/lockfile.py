"""`gates/baselines/NAME.locked.json`: the baseline that a change is held against.

    gates/baselines/demo.locked.json     committed; read by every pull-request gate
    gates/baselines/demo.source.tar.xz   the code of that commit, for whoever cannot check it out

Decided: the file is trusted only as a whole. `digest` is over everything else in it, so that an edited figure
is an error and not another baseline; an edit on purpose is `mmgates baseline unlock` and a new lock, and both
stand in `history`. Unknown keys are errors. Times in it are for reading: what is compared is played here.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import msgspec

from pytest_mmgates.errors import BaselineError
from pytest_mmgates.perflab.instructions import Instructions
from pytest_mmgates.tables import DURATIONS

SCHEMA = 1
BASELINES = "baselines"
Kind = Literal["pull-request", "release"]


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The code. `sha256` is of `git archive --format=tar COMMIT -- PATHS`, kept compressed in `archive`."""

    commit: str
    committed_at: str
    paths: tuple[str, ...]
    archive: str
    sha256: str


class Market(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What it was played on."""

    scenario: str
    scenario_sha256: str
    data_kind: str
    data_sha256: str
    duration_min: float
    seed: int
    tick_count: int


class GateFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A gate file as it was: the rules of it that have a verdict, in canonical text."""

    sha256: str
    rules: tuple[str, ...]


class AcceptedProof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same code against itself: what noise alone does. `z_rms` is 1 or less where the error bars can be
    believed, `factors` are by what those of line and tail would have to be multiplied. `profile` is what
    each tick of the tape cost, in ns, a text of numbers a stage; `machine` is the fingerprint of where.
    """

    z_rms: float
    factors: tuple[float, float]
    floor: float
    profile: dict[str, str]
    machine: str
    seconds: float
    rounds: int

    def costs_ns(self) -> dict[str, list[float]]:
        """By stage, of each tick."""
        return {stage: [float(word) for word in text.split()] for stage, text in self.profile.items()}


class InstructionProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Instructions of the first ticks of the tape, a text of numbers a stage; `market` is the tape's sha256.
    They compare with none that were counted under other `conditions`.
    """

    conditions: dict[str, str]
    market: str
    counts: dict[str, str]
    seconds: float

    @classmethod
    def of(cls, found: Instructions) -> "InstructionProfile":
        counts = {stage: " ".join(map(str, counts)) for stage, counts in found.counts.items()}
        return cls(dict(found.conditions), found.sha256, counts, round(found.seconds, 1))

    def counted(self) -> Instructions:
        counts = {stage: [int(word) for word in text.split()] for stage, text in self.counts.items()}
        return Instructions(self.conditions, self.market, counts, self.seconds)


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the file's history. `digest` is that of the file before."""

    action: Literal["lock", "unlock"]
    commit: str
    reason: str | None
    digest: str | None


class Lock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. `stages`, `tick_total` and `md_cache` are those of `stage_budgets.json`, informational;
    `gates` are all gate files by path.
    """

    schema: int
    name: str
    kind: Kind
    status: Literal["locked", "unlocked"]
    source: Source
    market: Market
    config_files: tuple[str, ...]
    config_sha256: str
    run_digest: str
    gates: dict[str, GateFile]
    stages: dict[str, dict[str, float | None]]
    tick_total: dict[str, float | None]
    md_cache: dict[str, Any]
    machine: dict[str, str | int | None]
    tape: dict[str, Any] | None
    proof: AcceptedProof | None
    proof_absent: str | None
    without_ab: str | None
    recipe: tuple[str, ...]
    history: tuple[Event, ...]
    instructions: InstructionProfile | None = None
    instructions_absent: str | None = "this lock is older than the counting of instructions"
    digest: str = ""

    @property
    def commit(self) -> str:
        return self.source.commit

    def rules_of(self, gate_file: str) -> tuple[str, ...]:
        found = self.gates.get(gate_file)
        return found.rules if found else ()


def lock_path(gates_dir: Path, name: str) -> Path:
    return gates_dir / BASELINES / f"{name}.locked.json"


def encoded_lock(lock: Lock) -> str:
    """The text of the file, with the digest of the rest."""
    content = msgspec.to_builtins(lock)
    content["digest"] = digest_of(content)
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def digest_of(content: dict[str, Any]) -> str:
    """sha256 over the canonical JSON of everything but the digest itself."""
    rest = {key: value for key, value in content.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_lock(path: Path, *, shown_as: str) -> Lock:
    """The lock, locked or not, or BaselineError in one line."""
    content = _content(path, shown_as)
    if content.get("schema") != SCHEMA:
        raise BaselineError(f"{shown_as}: schema was {content.get('schema')!r}, expected {SCHEMA}")
    found, expected = content.get("digest"), digest_of(content)
    if found != expected:
        raise BaselineError(
            f"{shown_as}: was edited: its digest is {str(found)[:12]}, its content gives {expected[:12]};"
            " take back the edit, or `mmgates baseline unlock` and lock anew"
        )
    try:
        lock = msgspec.convert(content, Lock)
    except msgspec.ValidationError as error:
        raise BaselineError(f"{shown_as}: {error}") from error
    _check_stages(lock, shown_as)
    return lock


def read_locked(path: Path, *, shown_as: str) -> Lock:
    """The lock in force, or BaselineError."""
    lock = read_lock(path, shown_as=shown_as)
    if lock.status != "locked":
        reason = lock.history[-1].reason if lock.history else None
        raise BaselineError(f"{shown_as}: is unlocked: {reason}; expected a lock: `mmgates baseline lock`")
    return lock


def _content(path: Path, shown_as: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise BaselineError(f"{shown_as}: no such baseline: `mmgates baseline lock` makes one") from error
    except (OSError, ValueError) as error:
        raise BaselineError(f"{shown_as}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise BaselineError(f"{shown_as}: found {type(content).__name__}, expected an object")
    return content


def _check_stages(lock: Lock, shown_as: str) -> None:
    """The stages of the pipeline, all of them and no other."""
    found = (*lock.stages, "tick_total")
    missing = [stage for stage in DURATIONS if stage not in found]
    unknown = [stage for stage in found if stage not in DURATIONS]
    if missing or unknown:
        had = f"has {', '.join(unknown)}, which is no stage of the pipeline" if unknown else ""
        lacks = f"lacks {', '.join(missing)}" if missing else ""
        raise BaselineError(f"{shown_as}: stages: {'; '.join(text for text in (lacks, had) if text)}")
