"""One shard of a sweep: a point on one part of a scenario with one seed, played anywhere, nothing kept.

A worker reads the files of its own checkout: configuration and market must be those that the sweep was made
of, by their hashes, or the shard fails. What comes back is sums over blocks and the run's digest.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import yaml

from mmbot.calibration.block_sums import Blocks, BlockSums
from mmbot.errors import ConfigError
from mmbot.runtime.run import EngineKind, Run, RunRequest
from mmbot.units import MS

CALL = "mmbot.ops.sweep_shard:play"


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """What to play. `overlay` has the last word; `market`: hash of each feed by instrument; `duration_s`
    None: the scenario's own, inf: all of the market.
    """

    scenario: str
    scenarios: str
    config: list[str]
    overlay: dict[str, Any]
    data: str | None
    duration_s: float | None
    part: str | None
    seed: int
    engine: str
    block_ns: int
    config_sha256: str
    market: dict[str, str]


class Played(msgspec.Struct, frozen=True):
    """What came of it."""

    digest: str
    blocks: Blocks


def play(payload: Mapping[str, Any]) -> dict[str, Any]:
    """A task of a cluster: built-in types in and out. Raises MmbotError."""
    found: dict[str, Any] = msgspec.to_builtins(played(msgspec.convert(payload, Shard)))
    return found


def played(shard: Shard) -> Played:
    """Raises ConfigError where files of this machine are not those of the sweep, and what a run raises."""
    with TemporaryDirectory(prefix="mmbot-sweep-") as folder:
        run = opened(shard, Path(folder))
    sums = BlockSums(run.instruments, shard.block_ns, round(run.settings.pipeline.tick_interval_ms * MS))
    for rows in run.unkept():
        sums.rows(rows)
    return Played(run.digest, sums.blocks())


def opened(shard: Shard, folder: Path) -> Run:
    """The run of a shard, checked. `folder` is needed while it is opened."""
    overlay = folder / "point.yaml"
    overlay.write_text(yaml.safe_dump(shard.overlay), encoding="utf-8")
    run = Run(
        RunRequest(
            scenario=shard.scenario,
            scenarios=Path(shard.scenarios),
            config=[*map(Path, shard.config), overlay],
            data=None if shard.data is None else Path(shard.data),
            run_id="sweep",
            directory=folder / "run",
            step="sweep",
            duration_s=shard.duration_s,
            seed=shard.seed,
            engine=EngineKind(shard.engine),
            part=shard.part,
        )
    )
    found = run.settings.sha256()
    if found != shard.config_sha256:
        files = " + ".join(shard.config)
        raise ConfigError(
            f"{files}: config_sha256 was {found[:12]} here, expected {shard.config_sha256[:12]} of the sweep"
        )
    for feed in run.tape.feeds:
        expected = shard.market[feed.instrument.key]
        if feed.sha256 != expected:
            raise ConfigError(
                f"scenario {shard.scenario}: {feed.instrument.key}: data was {feed.sha256[:12]} here,"
                f" expected {expected[:12]} of the sweep"
            )
    return run
