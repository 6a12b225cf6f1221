"""Scenarios: which market a run plays, for how long, and what its market needs changed in the configuration.

`scenarios/<name>.yaml`. `kind: recorded` lists feeds, each an instrument and its capture files (relative to
the data directory; the files of a feed, a day each for example, are one tape). `kind: synthetic` describes a
market for the generator, or with `symbols` several that differ in name and seed alone (or lists feeds, which
were recorded from such a market):

    market:
      start_ns: 1767225600000000000
      instrument: {venue: bybit_linear, quote: USDT, ...}    # without symbol and base
      settings: {duration_s: 259210}                         # without symbol
      symbols:
        SYNTH01USDT: {base: SYNTH01, seed: 101}
        SYNTH02USDT: {base: SYNTH02, seed: 102}

`kind: live` names a venue to connect to:

    live:
      venue: bybit_linear
      symbols: [BTCUSDT, ETHUSDT]
      depth: 50
      host: testnet

Its market is whatever happens; instruments come from the venue.

`parts`, a list of `symbol` and `day`, cuts a run into independent ones: one a symbol, one a UTC day, or one
for each of both, each with a position and orders of its own. It belongs to the scenario, so that what is
judged does not depend on how many processes play it. `config` is an overlay over config.yaml; the report
prints what it changed.

`stretches` are named pieces of the market, each a scenario of its own, NAME@STRETCH: what the steps of the
workflow play, so that none sees another's market:

    stretches:
      shadow: {duration: 60m}
      soak: {begin: 24h, duration: 72h}

Decided: one begins with the first snapshot received `begin` after the market's own start or later, because
there the book can be picked up, and a market that does not hold the whole of it is an error when it is
opened. A stretch is never shortened, and nothing is played twice.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
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


_AT = "@"
"""Between the name of a scenario and that of its stretch."""

_MADE_OF = {"recorded": [["feeds"]], "synthetic": [["market"], ["feeds"]], "live": [["live"]]}
"""What a scenario of each kind is made of."""


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
        if self.settings.symbol != self.instrument.key:
            raise ValueError(f"market symbol was {self.settings.symbol}, expected {self.instrument.key}")


class LiveSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A venue to connect to. `host`: as `mmbot record --host` takes it; `depth` is of the book.

    `orders_per_s`: what the venue takes of the account in a second, creates, amends and cancels each. Bybit
    takes 10 of derivatives, of VIP accounts 20 to 60: https://bybit-exchange.github.io/docs/v5/rate-limit
    """

    venue: str
    symbols: list[str]
    depth: int
    host: str
    orders_per_s: int = 10

    def __post_init__(self) -> None:
        if self.orders_per_s < 1:
            raise ValueError(f"live orders_per_s was {self.orders_per_s}, expected at least 1")
        if not self.symbols or len(set(self.symbols)) != len(self.symbols):
            raise ValueError(f"live symbols were {self.symbols}, expected at least one, each once")


class _OwnSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one of several symbols has to itself."""

    base: str
    seed: int


class _SharedSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A market of several symbols, as written."""

    instrument: dict[str, Any]
    start_ns: int
    settings: dict[str, Any]
    symbols: dict[str, _OwnSpec]


class Stretch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A piece of a market: how long it is, and how long after the market's start it begins; without `begin`,
    with the market.
    """

    duration: str
    begin: str | None = None

    def __post_init__(self) -> None:
        parse_duration(self.duration)
        if self.begin is not None:
            parse_duration(self.begin)

    @property
    def begin_ns(self) -> Ns:
        return Ns(0) if self.begin is None else parse_duration(self.begin)

    @property
    def text(self) -> str:
        """`72h from 24h on`."""
        return f"{self.duration} from {self.begin or 'the start'} on"


class _Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a scenario is, as written and as meant."""

    title: str
    kind: Literal["recorded", "synthetic", "live"]
    duration: str
    seed: int
    feeds: list[FeedSpec] = []
    live: LiveSpec | None = None
    parts: list[Literal["symbol", "day"]] = []
    config: dict[str, Any] = {}
    stretches: dict[str, Stretch] = {}


class _Written(_Facts, frozen=True, kw_only=True):
    """A scenario file. The market is read one symbol at a time."""

    market: dict[str, Any] | None = None


class Scenario(_Facts, frozen=True, kw_only=True):
    """One scenario: feeds of a recording, or generated markets, one for each symbol."""

    markets: list[SyntheticSpec] = []
    stretch: Stretch | None = None
    """What of the market it is; None: all of it."""

    @property
    def duration_ns(self) -> Ns:
        return parse_duration(self.duration)

    @property
    def instruments(self) -> list[Instrument]:
        """In the order of the file."""
        return [feed.instrument for feed in self.feeds] + [market.instrument for market in self.markets]


def base_of(name: str) -> str:
    """The scenario that a stretch is of: `demo-14d@soak` -> `demo-14d`."""
    return name.partition(_AT)[0]


def stretch_name(base: str, stretch: str) -> str:
    return f"{base}{_AT}{stretch}"


def load_scenario(name: str, folder: Path) -> tuple[Scenario, Document]:
    """The scenario, or a stretch of one, and its config overlay. Raises ConfigError naming file, line and
    key.
    """
    base, at, stretch = name.partition(_AT)
    scenario, document = _load_whole(base, folder)
    return (_stretched(scenario, stretch, document) if at else scenario), document.section("config")


def _stretched(scenario: Scenario, name: str, document: Document) -> Scenario:
    if name not in scenario.stretches:
        known = ", ".join(scenario.stretches) or "none"
        raise ConfigError(f"{document.name}: no stretch {name!r}; there are: {known}")
    stretch = scenario.stretches[name]
    title = f"{scenario.title}: {stretch.text}"
    return msgspec.structs.replace(
        scenario, title=title, duration=stretch.duration, stretch=stretch, stretches={}
    )


def _load_whole(name: str, folder: Path) -> tuple[Scenario, Document]:
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
        raise ConfigError(f"{path}: no such scenario; there are: {known}")
    document = load(path)
    written = document.convert(_Written)
    try:
        parse_duration(written.duration)
    except ValueError as error:
        raise ConfigError(f"{document.where(('duration',))}: {error}") from error
    there = {
        "feeds": bool(written.feeds),
        "market": written.market is not None,
        "live": written.live is not None,
    }
    if [name for name, given in there.items() if given] not in _MADE_OF[written.kind]:
        raise ConfigError(
            f"{path}: kind was {written.kind}: expected feeds for recorded, market (or feeds that were"
            " recorded from one) for synthetic, live for live, and none of the others"
        )
    if written.kind == "live" and written.parts:
        raise ConfigError(f"{document.where(('parts',))}: parts: a live market cannot be cut into parts")
    if written.stretches and (written.kind == "live" or "day" in written.parts):
        where = f"{document.where(('stretches',))}: stretches"
        raise ConfigError(f"{where}: expected none of a live market, and none beside parts by day")
    facts = {name: getattr(written, name) for name in _Facts.__struct_fields__}
    scenario = Scenario(**facts, markets=[] if written.market is None else list(_markets(document)))
    _check_instruments(scenario, document)
    return scenario, document


def _markets(document: Document) -> Iterator[SyntheticSpec]:
    """The market as written, or one for each of its symbols. Raises ConfigError."""
    market = document.data["market"]
    if "symbols" not in market:
        yield document.convert(SyntheticSpec, ("market",))
        return
    shared = document.convert(_SharedSpec, ("market",))
    _check_shared(document, shared)
    for symbol, own in shared.symbols.items():
        yield _own(document, shared, symbol, own)


def _own(document: Document, shared: _SharedSpec, symbol: str, own: _OwnSpec) -> SyntheticSpec:
    """One symbol's market; each of its values keeps the line on which it was written."""
    market = {
        "instrument": {**shared.instrument, "symbol": symbol, "base": own.base},
        "start_ns": shared.start_ns,
        "settings": {**shared.settings, "symbol": f"{shared.instrument.get('venue')}:{symbol}"},
        "seed": own.seed,
    }
    origins = {**document.origins, ("market",): document.where(("market", "symbols", symbol))}
    return Document({"market": market}, origins, document.name).convert(SyntheticSpec, ("market",))


def _check_shared(document: Document, shared: _SharedSpec) -> None:
    """What each symbol has to itself is not shared, and no two are the same market."""
    if not shared.symbols:
        where = document.where(("market", "symbols"))
        raise ConfigError(f"{where}: market.symbols: was empty, expected SYMBOL: {{base: ..., seed: ...}}")
    for path in (("instrument", "symbol"), ("instrument", "base"), ("settings", "symbol")):
        if path[1] in getattr(shared, path[0]):
            full = ("market", *path)
            raise ConfigError(f"{document.where(full)}: {'.'.join(full)}: was shared, expected under symbols")
    first: dict[int, str] = {}
    for symbol, own in shared.symbols.items():
        if first.setdefault(own.seed, symbol) != symbol:
            where = document.where(("market", "symbols", symbol))
            raise ConfigError(
                f"{where}: market.symbols.{symbol}: seed was {own.seed} as of {first[own.seed]}:"
                " the same market twice"
            )


def _check_instruments(scenario: Scenario, document: Document) -> None:
    """Each instrument is there once, and where parts are named by symbol, each symbol."""
    twice = _twice(instrument.key for instrument in scenario.instruments)
    if twice:
        raise ConfigError(f"{document.where(('feeds',))}: feeds: an instrument was listed twice")
    where = f"{document.where(('parts',))}: parts: {', '.join(scenario.parts)}"
    if _twice(scenario.parts):
        raise ConfigError(f"{where}: expected each once")
    twice = _twice(instrument.symbol for instrument in scenario.instruments)
    if "symbol" in scenario.parts and twice:
        raise ConfigError(f"{where}, but {twice} is a symbol of several venues: their parts have one name")


def _twice(names: Iterable[str]) -> str | None:
    """A name that comes more than once."""
    return next((name for name, count in Counter(names).items() if count > 1), None)
