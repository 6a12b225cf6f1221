"""A scenario opened: the market that a run will play, per instrument, from columns; all of it or a part."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmbot.config.scenario import FeedSpec, Scenario, SyntheticSpec
from mmbot.errors import RecordingError
from mmbot.model.events import MarketEvent
from mmbot.model.instrument import Instrument
from mmbot.recording.columns import Columns
from mmbot.recording.importer import columns_of
from mmbot.recording.synthetic import synthetic_columns
from mmbot.units import Ns


@dataclass(frozen=True, slots=True)
class TapeFeed:
    """One instrument's market. `exchange_clock`: whether the venue's stamps are on our clock.

    `files` are those of a recording; a generated market has none. `sha256`: of their bytes, or of everything
    that the market was generated from.
    """

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


@dataclass(frozen=True, slots=True)
class Part:
    """What is played by itself: one symbol (`venue:SYMBOL`) or all, one UTC day (`YYYY-MM-DD`) or all."""

    symbol: str | None = None
    day: str | None = None

    @property
    def name(self) -> str:
        """`SYNTH01USDT-20260102`, a name for a folder."""
        symbol = None if self.symbol is None else self.symbol.partition(":")[2]
        day = None if self.day is None else self.day.replace("-", "")
        return re.sub(r"[^\w-]", "_", "-".join(filter(None, (symbol, day))))


def parts_of(scenario: Scenario, name: str, data: Path | None, cache: Path) -> list[Part]:  # noqa: ARG001
    """The parts in a fixed order, by symbol; a scenario without `parts` has none. Nothing is generated."""
    if "symbol" not in scenario.parts:
        return []
    return [Part(symbol=instrument.key) for instrument in scenario.instruments]


def open_tape(
    scenario: Scenario, name: str, data: Path | None, cache: Path, part: Part | None = None
) -> Tape:
    """Import or generate what the scenario names, of it only what the part needs.

    Raises RecordingError for data that is missing or cannot be read.
    """

    def wanted(spec: FeedSpec | SyntheticSpec) -> bool:
        return part is None or part.symbol in (None, spec.instrument.key)

    if scenario.kind == "synthetic":
        markets = filter(wanted, scenario.markets)
        return Tape(scenario.kind, [_generated(spec, cache) for spec in markets])
    if data is None:
        raise RecordingError(
            f"scenario {name}: needs recorded data; name its folder with --data or --mmgates-data"
        )
    return Tape(
        scenario.kind, [_recorded(spec, name, data, cache) for spec in filter(wanted, scenario.feeds)]
    )


def _generated(spec: SyntheticSpec, cache: Path) -> TapeFeed:
    columns, made_of = synthetic_columns(
        spec.settings, spec.instrument, seed=spec.seed, start_ns=Ns(spec.start_ns), cache=cache
    )
    return TapeFeed(spec.instrument, columns, [], made_of, exchange_clock=True)


def _recorded(spec: FeedSpec, name: str, data: Path, cache: Path) -> TapeFeed:
    paths = [data / file for file in spec.files]
    for path in paths:
        if not path.is_file():
            raise RecordingError(f"scenario {name}: {path}: no such capture; is the data folder right?")
    columns, raw_hash = columns_of(paths, spec.instrument, cache, spec.trade_stream)
    return TapeFeed(spec.instrument, columns, spec.files, raw_hash, spec.exchange_clock == "recorded")
