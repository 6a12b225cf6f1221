"""A scenario opened: the market that a run will play, per instrument, from columns; all of it or a part."""

import datetime as dt
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from mmbot.config.scenario import FeedSpec, Scenario, Stretch, SyntheticSpec
from mmbot.errors import ConfigError, RecordingError
from mmbot.model.instrument import Instrument
from mmbot.model.notes import Happened, Note
from mmbot.recording.columns import Columns, EventReader
from mmbot.recording.importer import columns_of, timing
from mmbot.recording.manifest import made_by_us
from mmbot.recording.synthetic import synthetic_columns
from mmbot.sim.market import SyntheticMarket
from mmbot.units import DAY, HOUR, Ns


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

    def events(self) -> EventReader:
        return EventReader(self.columns, self.instrument.key)


@dataclass(frozen=True, slots=True)
class Tape:
    """What is played. `kind` is recorded or synthetic and goes into every row made from it."""

    kind: str
    feeds: list[TapeFeed]
    timing: list[tuple[Ns, Note]] = field(default_factory=list)
    """What a bot knew of itself and its machine while the market was recorded, in time order."""

    @property
    def first_ns(self) -> int:
        """The first moment at which every instrument has data; of a bot's recording, its first tick."""
        return self._told(Happened.BEGAN) or max(feed.columns.meta.first_ns for feed in self.feeds)

    @property
    def last_ns(self) -> int:
        """The last moment at which every instrument still has data; of a bot's recording, its run's end."""
        return self._told(Happened.ENDED) or min(feed.columns.meta.last_ns for feed in self.feeds)

    def _told(self, what: Happened) -> int | None:
        return next((note.at_ns for _, note in self.timing if note.mmbot is what), None)


def held_ns(scenario: Scenario, tape: Tape) -> int:
    """How much of a market can be played: to the end of the tape, of a stretch as long as it is."""
    return tape.last_ns - tape.first_ns if scenario.stretch is None else scenario.duration_ns


def cache_folder() -> Path:
    """Where derived files lie: $MMBOT_CACHE, else mmbot in the user's cache folder."""
    base = os.environ.get("MMBOT_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmbot"


@dataclass(frozen=True, slots=True)
class Part:
    """What is played by itself: one symbol (`venue:SYMBOL`) or all, one UTC day (`YYYY-MM-DD`) or all.

    A day starts with the first snapshot received in it, because there the book can be picked up, and ends
    where the next one starts; the first day starts with the tape.
    """

    symbol: str | None = None
    day: str | None = None

    @property
    def name(self) -> str:
        """`SYNTH01USDT-20260102`, a name for a folder."""
        symbol = None if self.symbol is None else self.symbol.partition(":")[2]
        day = None if self.day is None else self.day.replace("-", "")
        return re.sub(r"[^\w-]", "_", "-".join(filter(None, (symbol, day))))


def parts_of(scenario: Scenario, name: str, data: Path | None, cache: Path) -> list[Part]:
    """The parts in a fixed order, by symbol, then by day; a scenario without `parts` has none.

    The days of a generated market are read off its settings, and nothing is generated; those of a recording
    are in it. Raises RecordingError.
    """
    if not scenario.parts:
        return []
    symbols: list[str | None] = [None]
    if "symbol" in scenario.parts:
        symbols = [instrument.key for instrument in scenario.instruments]
    if "day" not in scenario.parts:
        return [Part(symbol) for symbol in symbols]
    if scenario.markets:
        days = {symbol: _generated_days(scenario) for symbol in symbols}
    else:
        days = {symbol: _recorded_days(_feeds(scenario, name, data, cache, symbol)) for symbol in symbols}
    return [Part(symbol, _name(day)) for symbol in symbols for day in days[symbol]]


def open_tape(
    scenario: Scenario, name: str, data: Path | None, cache: Path, part: Part | None = None
) -> Tape:
    """Import or generate what the scenario names, of it only what the part needs.

    Raises ConfigError for a part that is none, RecordingError for data that is missing or cannot be read.
    """
    if scenario.kind == "live":
        raise ConfigError(
            f"scenario {name}: is live, and was opened for a replay: expected --mode shadow or live"
        )
    part = part or Part()
    feeds = _feeds(scenario, name, data, cache, part.symbol)
    if scenario.stretch is not None:
        feeds = _cut(feeds, scenario, scenario.stretch, name)
    if part.day is not None:
        days = _generated_days(scenario) if scenario.markets else _recorded_days(feeds)
        start_ns, stop_ns = _span(days, part.day, name)
        feeds = [replace(feed, columns=feed.columns.cut(start_ns, stop_ns)) for feed in feeds]
    return Tape(scenario.kind, feeds, _timing(scenario, data))


def _cut(feeds: list[TapeFeed], scenario: Scenario, stretch: Stretch, name: str) -> list[TapeFeed]:
    """From the stretch's begin on. Raises RecordingError for a market that does not hold all of it."""
    first_ns = max(feed.columns.meta.first_ns for feed in feeds)
    start_ns = scenario.markets[0].start_ns if scenario.markets else first_ns
    last_ns = min(feed.columns.meta.last_ns for feed in feeds)
    cut = feeds
    if stretch.begin_ns:
        begin_ns = start_ns + stretch.begin_ns
        try:
            cut = [replace(feed, columns=feed.columns.cut(begin_ns, None)) for feed in feeds]
        except ValueError:
            cut = []
    if not cut or last_ns - max(feed.columns.meta.first_ns for feed in cut) < scenario.duration_ns:
        hours = (last_ns - start_ns) / HOUR
        raise RecordingError(
            f"scenario {name}: the market ends {hours:.1f} h after its start, expected {stretch.text}:"
            " no tape is looped"
        )
    return cut


def _timing(scenario: Scenario, data: Path | None) -> list[tuple[Ns, Note]]:
    """Of the one recording that the scenario is made from, if a bot made it."""
    if data is None or not scenario.feeds:
        return []
    paths = [data / file for file in scenario.feeds[0].files]
    return timing(paths) if made_by_us(paths[0]) else []


def _feeds(
    scenario: Scenario, name: str, data: Path | None, cache: Path, symbol: str | None
) -> list[TapeFeed]:
    """The feed of one symbol, or all."""
    keys = [instrument.key for instrument in scenario.instruments]
    if symbol not in (None, *keys):
        raise ConfigError(f"scenario {name}: symbol was {symbol}, expected one of {', '.join(keys)}")

    def wanted(spec: FeedSpec | SyntheticSpec) -> bool:
        return symbol in (None, spec.instrument.key)

    if scenario.markets:
        return [_generated(spec, cache) for spec in filter(wanted, scenario.markets)]
    if data is None:
        raise RecordingError(
            f"scenario {name}: needs recorded data; name its folder with --data or --mmgates-data"
        )
    return [_recorded(spec, name, data, cache) for spec in filter(wanted, scenario.feeds)]


def _generated_days(scenario: Scenario) -> list[int]:
    """Days since the epoch; all symbols of a generated market have the same."""
    spec = scenario.markets[0]
    market = SyntheticMarket(spec.settings, spec.seed, Ns(spec.start_ns))
    return [spec.start_ns // DAY, *(midnight_ns // DAY for midnight_ns in market.midnights)]


def _recorded_days(feeds: list[TapeFeed]) -> list[int]:
    """Days since the epoch: that on which the tape starts, and each on which every feed got a snapshot."""
    first = max(feed.columns.meta.first_ns for feed in feeds) // DAY
    snapshots = [{place.recv_ns // DAY for place in feed.columns.meta.snapshots[1:]} for feed in feeds]
    return [first, *sorted(day for day in set.intersection(*snapshots) if day > first)]


def _span(days: list[int], day: str, name: str) -> tuple[int | None, int | None]:
    """From where to where a day's part reaches: the first starts and the last ends with the tape."""
    names = [_name(number) for number in days]
    if day not in names:
        raise ConfigError(f"scenario {name}: day was {day}, expected one of {', '.join(names)}")
    index = names.index(day)
    start_ns = days[index] * DAY if index else None
    return start_ns, days[index + 1] * DAY if index + 1 < len(days) else None


def _name(day: int) -> str:
    """Days since the epoch -> `2026-01-31`."""
    return (dt.date(1970, 1, 1) + dt.timedelta(days=day)).isoformat()


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
