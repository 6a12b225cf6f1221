"""What happened to a connection, as a line of its own among the frames: `{"mmbot":"lost","detail":"..."}`.

A recording holds frames exactly as received; what became of the connection is told between them, by whoever
received them, in the one shape that no venue uses. A session takes a note like a frame, so that live and in a
replay the same happens at the same place. Requests that we sent stand as `{"_sent":{...}}`, answers of REST
as `{"_rest":url,"body":{...}}`, as in the captures of other recorders.
"""

from enum import StrEnum

import msgspec

from mmbot.errors import RemoteProtocolError

_MARK = b'{"mmbot":'


class Happened(StrEnum):
    CONNECTED = "connected"
    LOST = "lost"
    """From here on nothing that was known is current. Also follows a frame that could not be read."""
    UNREACHABLE = "unreachable"
    RESUBSCRIBED = "resubscribed"
    """A book was asked for anew, and came."""
    BEGAN = "began"
    """A bot that traded meanwhile: its first tick is that of `at_ns`."""
    LATE = "late"
    """How late it was, `latency_ns`."""
    DROPPED = "dropped"
    """Ticks that it left out because it was too late: `ticks` of them from `at_ns` on."""
    HALTED = "halted"
    """It was halted at the tick of `at_ns`, for the reason in `detail`."""
    ENDED = "ended"
    """Its run was over at `at_ns`."""


OF_A_BOT = frozenset({Happened.BEGAN, Happened.LATE, Happened.DROPPED, Happened.HALTED, Happened.ENDED})
"""What is told of a bot, and says nothing of the market."""


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    mmbot: Happened
    detail: str = ""
    latency_ns: int = 0
    at_ns: int = 0
    ticks: int = 0

    def encoded(self) -> bytes:
        return _encoder.encode(self)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Note)


def noted(payload: bytes) -> Note | None:
    """The note that a line is; None for a frame. Raises RemoteProtocolError for a note of no known kind."""
    if not payload.startswith(_MARK):
        return None
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"note was {payload[:120]!r}, expected one of ours: {error}") from error


def sent(request: bytes) -> bytes:
    """A JSON request of ours, as a line."""
    return b'{"_sent":%s}' % request


def rest(url: str, body: bytes) -> bytes:
    """A JSON answer of REST, as a line."""
    return b'{"_rest":%s,"body":%s}' % (_encoder.encode(url), body)


def rest_answer(asked: str, status: int, body: bytes) -> bytes:
    """An HTTP answer whatever it is, as a line: the JSON as it came, or the text if it is none."""
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = _encoder.encode(body.decode("utf-8", "replace"))
    return b'{"_rest":%s,"status":%d,"body":%s}' % (_encoder.encode(asked), status, body)


def rest_failure(asked: str, reason: str) -> bytes:
    """A request that got no answer, as a line."""
    return b'{"_rest":%s,"failed":%s}' % (_encoder.encode(asked), _encoder.encode(reason))
