"""A checkpoint: everything that a replay needs to go on behind a moment as if it had never stopped.

    RUN_DIR/checkpoint.bin      one line of JSON (`Header`), then the state, zstd-compressed

The state is a pickle of the run's plain objects: engine, books, venue, messages on their way, random
generators, digests, the place in the tape. What belongs to a process (mapped columns, compiled kernels and
their memory, clocks) is left out by name and taken from the run that was opened to go on; the memory of the
kernels is copied beside it.

Decided: a pickle runs what it names, so one is only read from the run's own directory, behind a header that
names that run, the code that wrote it (a hash of its source), configuration and market, and a hash of the
state: other code is refused, nothing is migrated. The newest checkpoint counts, there is no other; it is
replaced whole (`files.write_durably`) after the rows that it counts are on the disk, and goes when the run
has ended.
"""

import contextlib
import fcntl
import hashlib
import io
import os
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from mmbot.errors import ConfigError, OutputError
from mmbot.files import write_durably
from mmbot.runtime import provenance

SCHEMA = 1
NAME = "checkpoint.bin"
_MAX_HEADER_BYTES = 1 << 20


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`ts_ns`: the tick at which the run goes on. `facts` must be those of the run that is opened to go on,
    `request` is how to open it. `feeds`: bytes of each feed's file that are older than the checkpoint.
    """

    schema: int = SCHEMA
    run_id: str
    ts_ns: int
    facts: dict[str, str]
    request: dict[str, Any]
    feeds: dict[str, int]
    state_bytes: int = 0
    state_sha256: str = ""


def code_facts() -> dict[str, str]:
    """What a pickle depends on, beside the classes that it names."""
    host = provenance.host()
    return {
        "code": provenance.source_sha256(),
        "python": str(host["python"]),
        "numpy": str(host["numpy"]),
    }


def save(directory: Path, header: Header, state: Mapping[str, Any], owned: Mapping[str, object]) -> None:
    """Write the checkpoint of a run, durably. `owned`: what is left out, by name. Raises OutputError."""
    pickled = io.BytesIO()
    _Pickler(pickled, owned).dump(dict(state))
    packed = zstandard.compress(pickled.getbuffer(), 1)
    header = msgspec.structs.replace(
        header, state_bytes=len(packed), state_sha256=hashlib.sha256(packed).hexdigest()
    )
    try:
        write_durably(directory / NAME, msgspec.json.encode(header), b"\n", packed)
    except OSError as error:
        raise OutputError(f"{directory / NAME}: cannot be written: {error.strerror}") from error


def read(directory: Path) -> tuple[Header, bytes]:
    """The checkpoint of a run, its state still packed. Raises ConfigError for a directory that has none, and
    for one that is not whole.
    """
    path = directory / NAME
    try:
        with path.open("rb") as file:
            line, packed = file.readline(_MAX_HEADER_BYTES), file.read()
    except FileNotFoundError as error:
        raise ConfigError(f"{directory}: {_why_none(directory)}: nothing to resume") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        header = msgspec.json.decode(line, type=Header)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: is no checkpoint that this code reads: {error}") from error
    if header.schema != SCHEMA:
        raise ConfigError(f"{path}: schema was {header.schema}, expected {SCHEMA}")
    if len(packed) != header.state_bytes or hashlib.sha256(packed).hexdigest() != header.state_sha256:
        raise ConfigError(f"{path}: its state is not what was written: damaged, and refused")
    return header, packed


def restored(packed: bytes, owned: Mapping[str, object]) -> dict[str, Any]:
    """The state, with what this process owns in the places that were left out."""
    state: dict[str, Any] = _Unpickler(io.BytesIO(zstandard.decompress(packed)), owned).load()
    return state


@contextlib.contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """One process at a time plays into a run directory; the system lets go of it when that one dies. Raises
    ConfigError.
    """
    try:
        opened = os.open(directory, os.O_RDONLY)
    except OSError as error:
        raise ConfigError(f"{directory}: is no directory of a run: {error.strerror}") from error
    try:
        _lock(opened, directory)
        yield
    finally:
        os.close(opened)


def _lock(opened: int, directory: Path) -> None:
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConfigError(f"{directory}: cannot be resumed: another process is playing this run") from error


def resumes(directory: Path) -> list[dict[str, Any]]:
    """What the manifest says of earlier times that the run was resumed. Raises ConfigError."""
    path = directory / "manifest.json"
    try:
        found: list[dict[str, Any]] = msgspec.json.decode(path.read_bytes())["resumes"]
    except (OSError, msgspec.DecodeError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: was no manifest of a run that can be resumed: {error}") from error
    return found


def forget(directory: Path) -> None:
    """The run has ended: there is nothing to go on with."""
    (directory / NAME).unlink(missing_ok=True)


def check_same(directory: Path, header: Header, facts: Mapping[str, str]) -> None:
    """Raise ConfigError for the first fact that is another than when the checkpoint was written."""
    for name, expected in header.facts.items():
        if facts[name] != expected:
            raise ConfigError(
                f"{directory}: cannot be resumed: {name} is {facts[name]}, its checkpoint was written "
                f"with {expected}"
            )


def _why_none(directory: Path) -> str:
    try:
        status = msgspec.json.decode((directory / "manifest.json").read_bytes())["status"]
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return "is no directory of a run"
    if status == "running":
        return "the run was interrupted before its first checkpoint, or writes none"
    return f"the run is {status}"


class _Pickler(pickle.Pickler):
    """Leaves out what a process owns."""

    def __init__(self, file: io.BytesIO, owned: Mapping[str, object]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._names = {id(thing): name for name, thing in owned.items()}

    def persistent_id(self, obj: Any) -> str | None:
        return self._names.get(id(obj))


class _Unpickler(pickle.Unpickler):
    """Puts in what this process owns."""

    def __init__(self, file: io.BytesIO, owned: Mapping[str, object]) -> None:
        super().__init__(file)
        self._owned = owned

    def persistent_load(self, pid: Any) -> Any:
        return self._owned[pid]
