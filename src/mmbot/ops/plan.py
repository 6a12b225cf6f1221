"""What a run would be told: the merged configuration of a scenario, and the arithmetic of its instruments.

A price for the arithmetic is the market's own: where a generated market starts, the first book of a
recording. A recording that is not at hand has none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmbot.config.economics import Economics, economics
from mmbot.config.scenario import Scenario, load_scenario
from mmbot.config.settings import Settings, load_config, settings_of
from mmbot.config.strict_yaml import Document
from mmbot.model.events import BookSnapshot
from mmbot.runtime.tape import TapeFeed, cache_folder, open_tape


@dataclass(frozen=True, slots=True)
class Plan:
    """One scenario with the configuration it would run on."""

    scenario: str
    document: Document
    settings: Settings
    economics: tuple[Economics, ...]


def plan(name: str, scenarios: Path, config: Sequence[Path], data: Path | None) -> Plan:
    """Raises ConfigError and RecordingError."""
    scenario, overlay = load_scenario(name, scenarios)
    document = load_config(config, overlay)
    settings = settings_of(document)
    prices = dict(first_prices(scenario, name, data))
    return Plan(
        name,
        document,
        settings,
        tuple(economics(settings, one, prices.get(one.key)) for one in scenario.instruments),
    )


def first_prices(scenario: Scenario, name: str, data: Path | None) -> Iterator[tuple[str, float]]:
    """Instrument and price, of those that are known."""
    if scenario.kind == "synthetic":
        for market in scenario.markets:
            yield market.instrument.key, market.instrument.price(market.settings.start_price_ticks)
    elif data is not None:
        for feed in open_tape(scenario, name, data, cache_folder()).feeds:
            mid_ticks = _first_mid_ticks(feed)
            if mid_ticks is not None:
                yield feed.instrument.key, feed.instrument.price(mid_ticks)


def _first_mid_ticks(feed: TapeFeed) -> float | None:
    """Middle of the first book with two sides."""
    for event in feed.events():
        if isinstance(event, BookSnapshot) and event.bids and event.asks:
            return (max(tick for tick, _ in event.bids) + min(tick for tick, _ in event.asks)) / 2
    return None
