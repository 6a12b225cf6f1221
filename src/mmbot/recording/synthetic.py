"""A synthetic recording: the generator's events, straight into columns.

The columns hold what a Bybit session would read from the frames of this market (a test encodes them and reads
them back). There is no raw file whose hash could name the tape: its name is a hash of everything that made
it, which are settings, instrument, seed, start, and the versions of generator, columns and numpy, whose draws
may differ from version to version.
"""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mmbot.errors import RecordingError
from mmbot.model.instrument import Instrument
from mmbot.recording.builder import ColumnsBuilder
from mmbot.recording.cache import cached
from mmbot.recording.columns import Columns
from mmbot.recording.importer import CODEC_VERSION, open_session
from mmbot.sim.market import MarketSettings, SyntheticMarket
from mmbot.units import Ns

GENERATOR_VERSION = 2
"""Raise it when the generator tells another market: old recordings are then left alone."""


def synthetic_columns(
    settings: MarketSettings, instrument: Instrument, *, seed: int, start_ns: Ns, cache: Path
) -> tuple[Columns, str]:
    """Columns and hash of a generated market, from the cache or made now. One process makes it, others wait.

    Raises ConfigError or RecordingError for an instrument that no recording could be of, RecordingError for a
    market that does not fit columns, OutputError for a cache that cannot be written.
    """
    open_session([instrument])  # knows venues and grids
    versions = (GENERATOR_VERSION, CODEC_VERSION, np.__version__)
    facts = msgspec.json.encode([settings, _made_from(instrument), seed, start_ns, versions])
    name = hashlib.sha256(facts).hexdigest()

    def generate(builder: ColumnsBuilder) -> None:
        try:
            for event in SyntheticMarket(settings, seed, start_ns).events():
                builder.add((event,))
        except OverflowError as error:
            raise RecordingError(
                f"{instrument.key}: a generated price or size did not fit 32 bits"
            ) from error

    return cached(cache, [name], generate), name


def _made_from(instrument: Instrument) -> dict[str, Any]:
    """What of an instrument may shape a market: not the sizes that its venue takes from us."""
    facts: dict[str, Any] = msgspec.to_builtins(instrument)
    return {name: value for name, value in facts.items() if name not in ("min_lots", "max_lots")}
