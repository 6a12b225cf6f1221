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
from mmbot.model.notes import OF_A_BOT, Happened, Note, noted
from mmbot.recording.builder import ColumnsBuilder
from mmbot.recording.cache import cached
from mmbot.recording.columns import Columns
from mmbot.recording.manifest import recorded_together
from mmbot.recording.reader import frames, sha256
from mmbot.units import Ns
from mmbot.venues.binance.session import VENUES as BINANCE_VENUES
from mmbot.venues.binance.session import BinanceSession
from mmbot.venues.bybit.session import BybitSession

CODEC_VERSION = 5
"""Raise it when a codec, a session or the column layout changes what comes out: old caches are then left
alone.
"""


BYBIT_VENUES = ("bybit_linear", "bybit_spot", "bybit_inverse")


class Session(Protocol):
    """A venue's market-data session, sans-IO."""

    def receive(self, payload: bytes, recv_ns: Ns) -> list[MarketEvent]: ...


def open_session(instruments: Sequence[Instrument], trade_stream: str = "trade") -> Session:
    """The session that reads these instruments of one venue. Raises RecordingError for a venue that we have
    no codec for.
    """
    venue = instruments[0].venue
    if venue in BINANCE_VENUES:
        return BinanceSession(instruments, trade_stream)
    if venue in BYBIT_VENUES:
        return BybitSession(instruments, None)
    known = ", ".join((*BINANCE_VENUES, *BYBIT_VENUES))
    raise RecordingError(f"venue was {venue!r}, expected one of {known}")


def columns_of(
    paths: Sequence[Path], instrument: Instrument, cache: Path, trade_stream: str = "trade"
) -> tuple[Columns, str]:
    """Columns and raw hash of the files, from the cache or made now. One process imports, others wait for it.

    Raises RecordingError for a recording that cannot be read, OutputError for a cache that cannot be written.
    """
    raw_hash = sha256(paths)
    together = recorded_together(paths[0], instrument)
    grids = (fact for one in together for fact in (one.key, one.tick_size, one.lot_size))
    facts = (raw_hash, instrument.key, *grids, trade_stream, str(CODEC_VERSION))
    session = open_session(together, trade_stream)
    return cached(cache, facts, functools.partial(_import, paths, instrument.key, session)), raw_hash


def _import(paths: Sequence[Path], key: str, session: Session, builder: ColumnsBuilder) -> None:
    """Frames of other instruments on the same connection say nothing of this one. A frame that cannot be read
    is an error, unless its recorder could not read it either: then it noted the connection as lost.
    """
    refused: RecordingError | None = None
    for frame in frames(paths):
        if refused is not None and not _gave_up(frame.payload):
            raise refused
        refused = None
        try:
            events = session.receive(frame.payload, frame.recv_ns)
        except RemoteProtocolError as error:
            refused = RecordingError(f"{frame.path}:{frame.line}: {error}")
            refused.__cause__ = error
        else:
            builder.add(event for event in events if event.symbol == key)
    if refused is not None:
        raise refused
    if not builder.snapshots:
        names = ", ".join(path.name for path in paths)
        raise RecordingError(
            f"{names}: no book snapshot in {builder.frames} frames of {key}; a book cannot be built"
        )


def timing(paths: Sequence[Path]) -> list[tuple[Ns, Note]]:
    """What a bot that recorded these files noted of itself. Raises RecordingError."""
    found = []
    for frame in frames(paths):
        note = noted(frame.payload)
        if note is not None and note.mmbot in OF_A_BOT:
            found.append((frame.recv_ns, note))
    return found


def _gave_up(payload: bytes) -> bool:
    note = noted(payload)
    return note is not None and note.mmbot is Happened.LOST
