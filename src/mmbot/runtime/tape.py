"""A scenario opened: the market that a run will play, per instrument, from columns."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmbot.config.scenario import FeedSpec, Scenario
from mmbot.errors import ConfigError, RecordingError
from mmbot.model.events import MarketEvent
from mmbot.model.instrument import Instrument
from mmbot.recording.columns import Columns
from mmbot.recording.importer import columns_of
from mmbot.recording.synthetic import synthetic_recording
from mmbot.units import Ns


@dataclass(frozen=True, slots=True)
class TapeFeed:
    """One instrument's market. `exchange_clock`: whether the venue's stamps are on our clock."""

    instrument: Instrument
    columns: Columns
    files: list[str]
    sha256: str
    exchange_clock: bool

    def events(self) -> Iterator[MarketEvent]:
        return self.columns.events(self.instrument.key)


@dataclass(frozen=True, slots=True)
class Tape:
    """What is played. `kind` is recorded or synthetic and goes into every row made from it."""

    kind: str
    feeds: list[TapeFeed]

    @property
    def last_ns(self) -> int:
        """The last moment at which every instrument still has data."""
        return min(feed.columns.meta.last_ns for feed in self.feeds)


def cache_folder() -> Path:
    """Where derived files lie: $MMBOT_CACHE, else mmbot in the user's cache folder."""
    base = os.environ.get("MMBOT_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmbot"


def open_tape(scenario: Scenario, name: str, data: Path | None, cache: Path) -> Tape:
    """Import or generate what the scenario names. Raises ConfigError or RecordingError."""
    if scenario.market is not None:
        market = scenario.market
        if market.settings.symbol != market.instrument.key:
            found = market.settings.symbol
            raise ConfigError(f"scenario {name}: market symbol was {found}, expected {market.instrument.key}")
        path = synthetic_recording(
            market.settings, market.instrument, seed=market.seed, start_ns=Ns(market.start_ns), cache=cache
        )
        columns, raw_hash = columns_of([path], market.instrument, cache)
        return Tape(
            "synthetic", [TapeFeed(market.instrument, columns, [path.name], raw_hash, exchange_clock=True)]
        )
    if data is None:
        raise RecordingError(
            f"scenario {name}: needs recorded data; name its folder with --data or --mmgates-data"
        )
    return Tape(scenario.kind, [_recorded(spec, name, data, cache) for spec in scenario.feeds])


def _recorded(spec: FeedSpec, name: str, data: Path, cache: Path) -> TapeFeed:
    paths = [data / file for file in spec.files]
    for path in paths:
        if not path.is_file():
            raise RecordingError(f"scenario {name}: {path}: no such capture; is the data folder right?")
    columns, raw_hash = columns_of(paths, spec.instrument, cache, spec.trade_stream)
    return TapeFeed(spec.instrument, columns, spec.files, raw_hash, spec.exchange_clock == "recorded")
