"""What travels: a shard to a worker, its summary back. Built-in types, a few kilobytes, no logs."""

from typing import Any

import msgspec

CALL = "pytest_mmgates.cluster.worker:play_shard"


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a run, with all that it is played by.

    Texts of configurations travel, because one may exist with the driver alone (a variant of an experiment,
    an override in somebody's home). Scenario, gate and the project's other files are read where the worker
    runs, and were found to be the same there.
    """

    part: str
    sut: str
    request: dict[str, Any]
    """As the system under test takes it, but for what is the worker's own: directories and configuration."""
    config: list[tuple[str, str]]
    """Name and text of each file, in their order."""
    gate: str | None
    """Whose rules watch it: a path below the working directory."""
    candidate: bool
    """Whether it is arm B of an experiment, which the rules of safety watch."""
    captures: dict[str, str]
    """Hashes of the files below the data directory that it reads."""
    directory: str | None
    """Where it is played; None: in a scratch folder of the worker."""
    place: str | None
    """Below which its run directory is kept; None: where it was played."""
    resume: bool


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a shard came to."""

    files: dict[str, str]
    """Text by name: manifest, watch and tally."""
    said: list[str]
    """What rules said of themselves while it was played."""
    halted: str | None
    """By which stop rule of its own."""
    rows: str | None
    """Where its run directory is kept; None: where it was played."""
