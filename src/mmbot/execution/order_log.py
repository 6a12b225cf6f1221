r"""Codec of the order log: records <-> lines. One line is one record:

    <crc32, 8 hex digits> <number> <kind> <JSON>\n

The checksum is over everything behind it up to the line's end; numbers run by one within a file, from 1. A
file begins with a `schema` line and a `state` line, the checkpoint from which the records behind it go on.

Reading is strict. A line has to be spelled exactly as it would be written, so that nothing is dropped or
coerced in silence. What stands behind the last line end is a write that was cut off: it is handed back as the
torn tail, and whatever it was about never left. Anything else that is wrong is corruption, an error with its
offset, the last line included: its line end was written last, so it was whole once.
"""

import zlib
from collections.abc import Iterable
from typing import Any

import msgspec

from mmbot.errors import RecordingError
from mmbot.execution.order_records import (
    Agreed,
    AmendSent,
    CancelSent,
    Checked,
    CreateSent,
    Doubted,
    LifecycleState,
    Opened,
    Record,
    Restarted,
)
from mmbot.model.account import Execution, OrderAbsent, OrderReport, RequestAnswer
from mmbot.model.events import Funding
from mmbot.model.orders import OwnPrefix

SCHEMA = 2
_CRC_DIGITS = 8


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """First line of a file: its schema, and whose orders it is about."""

    schema: int
    own_prefix: OwnPrefix


_KINDS: dict[str, type[Any]] = {
    "schema": Schema,
    "state": LifecycleState,
    "create": CreateSent,
    "amend": AmendSent,
    "cancel": CancelSent,
    "checked": Checked,
    "doubted": Doubted,
    "restarted": Restarted,
    "opened": Opened,
    "agreed": Agreed,
    "report": OrderReport,
    "execution": Execution,
    "answer": RequestAnswer,
    "absent": OrderAbsent,
    "funding": Funding,
}
_KIND_OF = {kind: name.encode() for name, kind in _KINDS.items()}
_ENCODER = msgspec.json.Encoder()
_DECODERS = {name.encode(): msgspec.json.Decoder(kind) for name, kind in _KINDS.items()}

Line = Record | Schema | LifecycleState


class LogContent(msgspec.Struct, frozen=True):
    """What a file holds: `length` bytes of whole lines, `lines` of them, and behind them a torn tail."""

    own_prefix: OwnPrefix
    state: LifecycleState
    records: list[Record]
    lines: int
    length: int
    torn: bytes


def encoded(records: Iterable[Line], first: int) -> bytes:
    """Lines, the first of them with that number."""
    return b"".join(_line(number, record) for number, record in enumerate(records, start=first))


def head(own_prefix: OwnPrefix, state: LifecycleState) -> bytes:
    """What a file begins with: two lines."""
    return encoded([Schema(SCHEMA, own_prefix), state], 1)


def must_sync(records: Iterable[Record]) -> bool:
    """Whether these have to be on the disk before anything else happens: a create or an amend is
    about to leave.
    """
    return any(type(record) in (CreateSent, AmendSent) for record in records)


def read(content: bytes, where: str) -> LogContent:
    """A whole file. Raises RecordingError for corruption, another schema, or a file that has no state."""
    length = content.rfind(b"\n") + 1
    lines: list[Line] = []
    offset = 0
    for number, text in enumerate(content[:length].splitlines(keepends=True), start=1):
        lines.append(_parsed(text, number, f"{where}: offset {offset}"))
        offset += len(text)
    if len(lines) < 2 or not (isinstance(lines[0], Schema) and isinstance(lines[1], LifecycleState)):  # noqa: PLR2004
        raise RecordingError(f"{where}: expected an order log, which begins with schema and state")
    if lines[0].schema != SCHEMA:
        raise RecordingError(f"{where}: schema was {lines[0].schema}, expected {SCHEMA}")
    records: list[Record] = []
    for line in lines[2:]:
        if isinstance(line, Schema | LifecycleState):
            raise RecordingError(f"{where}: a second {type(line).__name__}, expected one, at the beginning")
        records.append(line)
    return LogContent(lines[0].own_prefix, lines[1], records, len(lines), length, content[length:])


def _line(number: int, record: Line) -> bytes:
    body = b"%d %b %b" % (number, _KIND_OF[type(record)], _ENCODER.encode(record))
    return b"%08x %b\n" % (zlib.crc32(body), body)


def _parsed(text: bytes, number: int, where: str) -> Line:
    crc, _, body = text[:-1].partition(b" ")
    found = b"%08x" % zlib.crc32(body)
    if crc != found:
        raise RecordingError(f"{where}: checksum was {crc[:_CRC_DIGITS]!r}, expected {found!r}")
    numbered, _, rest = body.partition(b" ")
    if numbered != b"%d" % number:
        raise RecordingError(f"{where}: line number was {numbered!r}, expected {number}")
    kind, _, json = rest.partition(b" ")
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise RecordingError(f"{where}: kind was {kind!r}, expected one of {', '.join(_KINDS)}")
    try:
        record: Line = decoder.decode(json)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordingError(f"{where}: {kind.decode()} record: {error}") from None
    if _line(number, record) != text:
        raise RecordingError(f"{where}: {kind.decode()} record is not spelled as it is written")
    return record
