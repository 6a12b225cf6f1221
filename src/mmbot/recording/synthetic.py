"""A synthetic recording: the generator's events as raw Bybit v5 frames, read back through the same door as a
capture.

The generated file lies in the cache under the hash of everything that made it, with `kind: synthetic` in its
manifest.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
from filelock import FileLock

from mmbot.errors import OutputError
from mmbot.model.events import Trade
from mmbot.model.instrument import Instrument
from mmbot.recording.importer import CODEC_VERSION
from mmbot.recording.writer import write_recording
from mmbot.sim.market import MarketSettings, SyntheticMarket
from mmbot.units import Ns
from mmbot.venues.bybit.feed import BybitFeed

GENERATOR_VERSION = 1
"""Raise it when the generator draws differently: old recordings are then left alone."""


def synthetic_recording(
    settings: MarketSettings, instrument: Instrument, *, seed: int, start_ns: Ns, cache: Path
) -> Path:
    """Path of the raw recording, generated on first use. Raises OutputError for a cache that cannot be
    written.
    """
    facts = msgspec.json.encode([settings, instrument, seed, start_ns, GENERATOR_VERSION, CODEC_VERSION])
    path = cache / "synthetic" / f"{hashlib.sha256(facts).hexdigest()[:32]}.zst"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not (path.is_file() and path.with_suffix(".json").is_file()):
                market = SyntheticMarket(settings, seed, start_ns)
                frames = _frames(market, instrument, settings.depth_levels)
                source = f"mmbot.sim.market version {GENERATOR_VERSION}, seed {seed}"
                write_recording(path, frames, kind="synthetic", source=source, instruments=[instrument])
    except OSError as error:
        raise OutputError(f"{path.parent}: cache cannot be written: {error.strerror}") from error
    return path


def _frames(market: SyntheticMarket, instrument: Instrument, depth: int) -> Iterator[tuple[Ns, bytes]]:
    """Frames as Bybit would push them, each with the moment at which we would have received it."""
    feed = BybitFeed(instrument, depth)
    for event in market.events():
        yield event.recv_ns, feed.trades([event]) if isinstance(event, Trade) else feed.book(event)
