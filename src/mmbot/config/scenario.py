"""Scenarios: which market a run plays, for how long, and what its market needs changed in the configuration.

`scenarios/<name>.yaml`. `kind: recorded` lists feeds, each an instrument and its capture files (relative to
the data directory); `kind: synthetic` describes a market for the generator. `config` is an overlay over
config.yaml; the report prints what it changed.
"""

from pathlib import Path
from typing import Any, Literal

import msgspec

from mmbot.config.strict_yaml import Document, load
from mmbot.errors import ConfigError
from mmbot.model.instrument import Instrument
from mmbot.sim.market import MarketSettings
from mmbot.units import MS, Ns, parse_duration

_FIRST_NS, _LAST_NS = 10**18, 9 * 10**18
"""Receive times that a recording can hold: 19 digits, 63 bits."""


class FeedSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One instrument of a recording. `exchange_clock`: `recorded` where the venue's stamps and ours are one
    clock (then the venue acts at its own stamps), `unsynchronised` where they are not (then it acts one
    modelled market-data latency before we receive).
    """

    instrument: Instrument
    files: list[str]
    exchange_clock: Literal["recorded", "unsynchronised"]
    trade_stream: Literal["trade", "aggTrade"] = "trade"


class SyntheticSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A generated market: instrument, generator parameters, seed, and the virtual time at which it starts."""

    instrument: Instrument
    start_ns: int
    seed: int
    settings: MarketSettings

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed was {self.seed}, expected at least 0")
        if self.start_ns % MS or not _FIRST_NS <= self.start_ns <= _LAST_NS:
            raise ValueError(f"start_ns was {self.start_ns}, expected whole milliseconds of 19 digits, ns")


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One scenario file."""

    title: str
    kind: Literal["recorded", "synthetic"]
    duration: str
    seed: int
    feeds: list[FeedSpec] = []
    market: SyntheticSpec | None = None
    config: dict[str, Any] = {}

    @property
    def duration_ns(self) -> Ns:
        return parse_duration(self.duration)


def load_scenario(name: str, folder: Path) -> tuple[Scenario, Document]:
    """The scenario and its config overlay. Raises ConfigError naming file, line and key."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
        raise ConfigError(f"{path}: no such scenario; there are: {known}")
    document = load(path)
    scenario = document.convert(Scenario)
    try:
        parse_duration(scenario.duration)
    except ValueError as error:
        raise ConfigError(f"{document.where(('duration',))}: {error}") from error
    if (scenario.kind == "synthetic") != (scenario.market is not None) or (
        scenario.kind == "recorded"
    ) != bool(scenario.feeds):
        raise ConfigError(
            f"{path}: kind was {scenario.kind}: expected feeds for recorded, market for synthetic, not both"
        )
    keys = [feed.instrument.key for feed in scenario.feeds]
    if len(set(keys)) != len(keys):
        raise ConfigError(f"{document.where(('feeds',))}: feeds: an instrument was listed twice")
    return scenario, document.section("config")
