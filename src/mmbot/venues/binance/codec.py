"""Binance market data on the wire: spot, USD-M and COIN-M futures.

A combined-stream frame, as recorded:
    {"stream":"nexousdt@depth@100ms","data":{"e":"depthUpdate","E":1721749183710,"s":"NEXOUSDT","U":134180600,
     "u":134180600,"b":[["1.18800000","169.66000000"]],"a":[]}}
A REST depth reply lies between the frames, bare (`{"lastUpdateId":...}`) or as `{"_rest":url,"body":{...}}`.
Keys that are not named here are ignored: the 2026 messages carry extra ones (`ps`, `st`).
"""

from typing import Any

import msgspec

from mmbot.errors import RemoteProtocolError

WireLevel = tuple[str, str]


class Snapshot(msgspec.Struct):
    lastUpdateId: int  # noqa: N815 (the wire's name)
    bids: list[WireLevel]
    asks: list[WireLevel]
    T: int | None = None


class DepthUpdate(msgspec.Struct):
    """`pu` only on futures; `T` (matching engine) only on futures, `E` is when the message was made."""

    E: int
    s: str
    U: int
    u: int
    b: list[WireLevel]
    a: list[WireLevel]
    pu: int | None = None
    T: int | None = None


class TradeMessage(msgspec.Struct):
    """`m` true: the buyer was the maker, so the taker sold. `X` (futures): only MARKET prints come from the
    book.
    """

    s: str
    p: str
    q: str
    T: int
    m: bool
    X: str = "MARKET"


class BookTicker(msgspec.Struct):
    u: int
    s: str
    b: str
    B: str
    a: str
    A: str
    T: int | None = None


class Symbol(msgspec.Struct):
    s: str | None = None


class _Envelope(msgspec.Struct):
    """Every kind of line in one shape; which fields are present says what it is."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    lastUpdateId: int | None = None  # noqa: N815 (the wire's name)
    rest: str = msgspec.field(name="_rest", default="")
    body: msgspec.Raw = msgspec.Raw()
    sent: msgspec.Raw = msgspec.field(name="_sent", default=msgspec.Raw())


Frame = Snapshot | DepthUpdate | TradeMessage | BookTicker | Symbol

_envelope = msgspec.json.Decoder(_Envelope)
_snapshot = msgspec.json.Decoder(Snapshot)
_decoders: dict[str, msgspec.json.Decoder[Any]] = {
    "depth": msgspec.json.Decoder(DepthUpdate),
    "bookTicker": msgspec.json.Decoder(BookTicker),
    "trade": msgspec.json.Decoder(TradeMessage),
    "aggTrade": msgspec.json.Decoder(TradeMessage),
}
_other = msgspec.json.Decoder(Symbol)


def decode(payload: bytes) -> tuple[str, Frame]:
    """One frame -> (kind, message). Kind is the stream's name without its symbol: `depth`, `trade`,
    `aggTrade`, `bookTicker`, `snapshot:<SYMBOL or empty>`, or another stream's (as a bare Symbol).

    Raises RemoteProtocolError for anything else, malformed JSON included.
    """
    try:
        envelope = _envelope.decode(payload)
        if envelope.stream:
            kind = envelope.stream.split("@")[1] if "@" in envelope.stream else envelope.stream
            return kind, _decoders.get(kind, _other).decode(envelope.data)
        if envelope.lastUpdateId is not None:
            return "snapshot:", _snapshot.decode(payload)
        if "/depth?" in envelope.rest:
            return f"snapshot:{_query_symbol(envelope.rest)}", _snapshot.decode(envelope.body)
        if envelope.rest or envelope.sent:
            return "note", Symbol()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"frame was not a Binance message: {error}") from error
    raise RemoteProtocolError(
        "frame was JSON without stream, lastUpdateId or _rest; expected a Binance message"
    )


def _query_symbol(url: str) -> str:
    for pair in url.partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        if name == "symbol":
            return value
    return ""
