"""A scenario's market behind the paper exchange's sockets: the wiring of `mmbot paper`.

A tape of another venue is served as Bybit's: its inverse contracts under `inverse`, its spot under `spot`,
all else under `linear`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from mmbot.config.scenario import load_scenario
from mmbot.config.settings import load_config, settings_of
from mmbot.model.instrument import Contract, Instrument
from mmbot.runtime.tape import cache_folder, open_tape
from mmbot.units import MS
from mmbot.venues.paper.exchange import PaperExchange
from mmbot.venues.paper.faults import FaultSettings
from mmbot.venues.paper.settings import ApiKey, PaperSettings
from mmbot.venues.paper.tape import Feed

QUOTE_BALANCE, BASE_BALANCE = 100_000.0, 1_000.0
"""What an account holds of each quote and each base coin when it was not told otherwise."""


class PaperRequest(msgspec.Struct, frozen=True):
    """What `mmbot paper` was asked for. `keys`: secrets by API key; `balances`: amounts by coin."""

    scenario: str
    scenarios: Path
    config: Sequence[Path]
    data: Path | None
    keys: Mapping[str, str]
    balances: Mapping[str, float]
    limit_factor: int = 1
    faults: FaultSettings = FaultSettings()


def open_exchange(request: PaperRequest, clock: Callable[[], int]) -> tuple[PaperExchange, str]:
    """The exchange, and the kind of its data: recorded or synthetic. The tape starts when it is opened.

    Raises ConfigError or RecordingError.
    """
    scenario, overlay = load_scenario(request.scenario, request.scenarios)
    settings = settings_of(load_config(list(request.config), overlay))
    tape = open_tape(scenario, request.scenario, request.data, cache_folder())
    feeds = [Feed(served(feed.instrument), feed.events()) for feed in tape.feeds]
    balances = _balances([feed.instrument for feed in feeds]) | dict(request.balances)
    keys = [ApiKey(key, secret, balances) for key, secret in request.keys.items()]
    paper = PaperSettings(queue=settings.sim.queue, limit_factor=request.limit_factor)
    exchange = PaperExchange(feeds, keys, paper, clock() // MS * MS, request.faults)
    return exchange, tape.kind


def served(instrument: Instrument) -> Instrument:
    """The instrument under the name of Bybit's venue that serves it."""
    if instrument.contract is Contract.INVERSE:
        venue = "bybit_inverse"
    else:
        venue = "bybit_spot" if instrument.venue.endswith("spot") else "bybit_linear"
    return msgspec.structs.replace(instrument, venue=venue)


def _balances(instruments: Sequence[Instrument]) -> dict[str, float]:
    base = dict.fromkeys((instrument.base for instrument in instruments), BASE_BALANCE)
    return base | dict.fromkeys((instrument.quote for instrument in instruments), QUOTE_BALANCE)
