"""Raw files -> columns, once: frames through the venue's own session, then the cache.

Nothing is judged here but wholeness. Gaps, duplicates and crossed books pass on as events; a corrupt line, a
frame of another symbol or a stream without any snapshot is an error with file and line.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from mmbot.errors import RecordingError, RemoteProtocolError
from mmbot.model.events import MarketEvent
from mmbot.model.instrument import Instrument
from mmbot.recording.builder import ColumnsBuilder
from mmbot.recording.cache import cached
from mmbot.recording.columns import Columns
from mmbot.recording.reader import frames, sha256
from mmbot.units import Ns
from mmbot.venues.binance.session import VENUES as BINANCE_VENUES
from mmbot.venues.binance.session import BinanceSession
from mmbot.venues.bybit.session import BybitSession

CODEC_VERSION = 3
"""Raise it when a codec, a session or the column layout changes what comes out: old caches are then left
alone.
"""


BYBIT_VENUES = ("bybit_linear", "bybit_spot", "bybit_inverse")


class Session(Protocol):
    """A venue's market-data session, sans-IO."""

    def receive(self, payload: bytes, recv_ns: Ns) -> list[MarketEvent]: ...


def open_session(instrument: Instrument, trade_stream: str = "trade") -> Session:
    """The session that reads this instrument's venue. Raises RecordingError for a venue that we have no codec
    for.
    """
    if instrument.venue in BINANCE_VENUES:
        return BinanceSession([instrument], trade_stream)
    if instrument.venue in BYBIT_VENUES:
        return BybitSession([instrument], None)
    known = ", ".join((*BINANCE_VENUES, *BYBIT_VENUES))
    raise RecordingError(f"venue was {instrument.venue!r}, expected one of {known}")


def columns_of(
    paths: Sequence[Path], instrument: Instrument, cache: Path, trade_stream: str = "trade"
) -> tuple[Columns, str]:
    """Columns and raw hash of the files, from the cache or made now. One process imports, others wait for it.

    Raises RecordingError for a recording that cannot be read, OutputError for a cache that cannot be written.
    """
    raw_hash = sha256(paths)
    facts = (
        raw_hash,
        instrument.key,
        instrument.tick_size,
        instrument.lot_size,
        trade_stream,
        str(CODEC_VERSION),
    )
    session = open_session(instrument, trade_stream)
    return cached(cache, facts, functools.partial(_import, paths, instrument.key, session)), raw_hash


def _import(paths: Sequence[Path], key: str, session: Session, builder: ColumnsBuilder) -> None:
    for frame in frames(paths):
        try:
            builder.add(session.receive(frame.payload, frame.recv_ns))
        except RemoteProtocolError as error:
            raise RecordingError(f"{frame.path}:{frame.line}: {error}") from error
    if not builder.snapshots:
        names = ", ".join(path.name for path in paths)
        raise RecordingError(
            f"{names}: no book snapshot in {builder.frames} frames of {key}; a book cannot be built"
        )
