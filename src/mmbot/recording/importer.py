"""Raw files -> columns, once: frames through the venue's own session, then the cache.

Nothing is judged here but wholeness. Gaps, duplicates and crossed books pass on as events; a corrupt line, a
frame of another symbol or a stream without any snapshot is an error with file and line.
"""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from filelock import FileLock

from mmbot.errors import OutputError, RecordingError, RemoteProtocolError
from mmbot.model.events import MarketEvent
from mmbot.model.instrument import Instrument
from mmbot.recording.columns import Columns, ColumnsBuilder
from mmbot.recording.reader import frames, sha256
from mmbot.units import Ns
from mmbot.venues.binance.session import VENUES as BINANCE_VENUES
from mmbot.venues.binance.session import BinanceSession
from mmbot.venues.bybit.session import BybitSession

CODEC_VERSION = 2
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
    parts = (
        raw_hash,
        instrument.key,
        instrument.tick_size,
        instrument.lot_size,
        trade_stream,
        str(CODEC_VERSION),
    )
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
    folder = cache / "columns" / key
    if folder.is_dir():
        return Columns.load(folder), raw_hash
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not folder.is_dir():
                _save(_import(paths, instrument, trade_stream), folder)
    except OSError as error:
        raise OutputError(f"{folder.parent}: columnar cache cannot be written: {error.strerror}") from error
    return Columns.load(folder), raw_hash


def _save(columns: Columns, folder: Path) -> None:
    partial = folder.with_suffix(f".partial-{os.getpid()}")
    partial.mkdir()
    try:
        columns.save(partial)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _import(paths: Sequence[Path], instrument: Instrument, trade_stream: str) -> Columns:
    session = open_session(instrument, trade_stream)
    builder = ColumnsBuilder()
    count = 0
    for frame in frames(paths):
        try:
            builder.add(session.receive(frame.payload, frame.recv_ns))
        except RemoteProtocolError as error:
            raise RecordingError(f"{frame.path}:{frame.line}: {error}") from error
        except OverflowError as error:
            raise RecordingError(f"{frame.path}:{frame.line}: a price or size did not fit 32 bits") from error
        count += 1
    if not builder.snapshots:
        names = ", ".join(path.name for path in paths)
        raise RecordingError(
            f"{names}: no book snapshot in {count} frames of {instrument.key}; a book cannot be built"
        )
    return builder.build(count)
