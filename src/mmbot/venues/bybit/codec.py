"""Bybit v5 public frames: bytes <-> wire structs <-> events. No state but the number grids, no I/O, no clock.

Two topics carry what we trade on. `orderbook.{depth}.{symbol}`
(https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook), a real delta:

    {"topic":"orderbook.50.BTCUSDT","ts":1789299658933,"type":"delta","data":{"s":"BTCUSDT","b":[["77140.3","0"],
    ["77139.8","0"],["76200","0.002114"],["76181.8","0.003835"]],"a":[["77141.2","0"],["77928","0.002492"]],
    "u":3734359,"seq":2189232166},"cts":1789299658878}

`publicTrade.{symbol}` (https://bybit-exchange.github.io/docs/v5/websocket/public/trade), a real print:

    {"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1786310819681,"data":[{"T":1786310819680,"s":"BTCUSDT",
    "S":"Sell","v":"0.004","p":"65114.20","L":"MinusTick","i":"a9188a0a-82bc-50de-be60-03eedbe3cdd7","BT":false,
    "RPI":false,"seq":753843954913}]}

Measured on captures, and kept by the encoder: spot (every depth) and futures of depth 1 put `ts` before
`type`, other futures books after it; futures write prices and sizes with all places of their step
("65114.20"), spot strips trailing zeros ("76200"); a deleted level has size "0". The decoder reads keys by
name and ignores those it does not know.

Two kinds of print are no `Trade`, since neither took from the displayed book. A block trade (`BT`) is
negotiated off the book. An RPI print filled a hidden retail-price-improvement order: "RPI orders are not in
the book", so letting such a print eat a displayed queue would fill our simulated orders with size that never
reached them. Each becomes a `Confirmed`, before its price is read: an off-book print may be off the grid.
`RPI` is missing from frames older than the feature, and missing means that the print was none.

Anything else that does not fit is a RemoteProtocolError that says what was found.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, NoReturn

import msgspec

from mmbot.errors import ConfigError, RemoteProtocolError
from mmbot.model.events import BookDelta, BookSnapshot, Confirmed, Level, Trade
from mmbot.model.instrument import Instrument, Side, formatter, parser
from mmbot.units import MS, Lots, Ns, Ticks

Category = Literal["linear", "spot", "inverse"]
TickDirection = Literal["PlusTick", "ZeroPlusTick", "MinusTick", "ZeroMinusTick"]

_CATEGORIES: dict[str, Category] = {
    "bybit_linear": "linear",
    "bybit_spot": "spot",
    "bybit_inverse": "inverse",
}
_SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
_WORDS: dict[Side, Literal["Buy", "Sell"]] = {Side.BUY: "Buy", Side.SELL: "Sell"}
_OPS = ("subscribe", "unsubscribe", "ping", "pong")
_SHOWN_BYTES = 120

_Count = Annotated[int, msgspec.Meta(ge=1)]
_Decimal = Annotated[str, msgspec.Meta(max_length=32)]
_WireLevel = tuple[_Decimal, _Decimal]


def category(instrument: Instrument) -> Category:
    """The venue name of an instrument says which public stream carries it."""
    found = _CATEGORIES.get(instrument.venue)
    if found is None:
        raise ConfigError(f"venue was {instrument.venue!r}, expected one of {', '.join(_CATEGORIES)}")
    return found


class _Head(msgspec.Struct, frozen=True, gc=False):
    """What tells the kinds of frame apart. Tickers, klines and acks are read no further than this."""

    topic: str | None = None
    type: str | None = None
    ts: int | None = None
    cts: _Count | None = None
    data: msgspec.Raw = msgspec.Raw()
    op: str | None = None
    success: bool | None = None
    ret_msg: str | None = None
    req_id: str | None = None
    sent: msgspec.Raw | msgspec.UnsetType = msgspec.field(name="_sent", default=msgspec.UNSET)
    rest: msgspec.Raw | msgspec.UnsetType = msgspec.field(name="_rest", default=msgspec.UNSET)


class _BookData(msgspec.Struct, frozen=True, gc=False):
    s: str
    b: list[_WireLevel]
    a: list[_WireLevel]
    u: _Count
    seq: int


class _FuturesPrint(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One print in the key order of linear and inverse."""

    T: _Count
    s: str
    S: Literal["Buy", "Sell"]
    v: _Decimal
    p: _Decimal
    L: TickDirection | None
    i: str
    BT: bool
    RPI: bool
    seq: int


class _SpotPrint(msgspec.Struct, frozen=True, gc=False):
    """One print in the key order of spot, which has no tick direction."""

    i: str
    T: _Count
    p: _Decimal
    v: _Decimal
    S: Literal["Buy", "Sell"]
    seq: int
    s: str
    BT: bool
    RPI: bool


class WirePrint(msgspec.Struct, frozen=True, gc=False):
    """One print as decoded, of any category: what we read, by name."""

    T: _Count
    s: str
    S: Literal["Buy", "Sell"]
    v: _Decimal
    p: _Decimal
    i: str
    BT: bool
    RPI: bool = False

    @property
    def off_book(self) -> bool:
        return self.BT or self.RPI


class _TypeFirst(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    topic: str
    type: str
    ts: int
    data: _BookData | Sequence[_FuturesPrint]
    cts: int | None = None


class _TsFirst(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    topic: str
    ts: int
    type: str
    data: _BookData | Sequence[_SpotPrint]
    cts: int | None = None


class BookFrame(msgspec.Struct, frozen=True, gc=False):
    """`orderbook.{depth}.{symbol}`. `venue_ms` is the matching engine's `cts`, else `ts`."""

    symbol: str
    depth: int
    is_snapshot: bool
    venue_ms: int
    bids: list[_WireLevel]
    asks: list[_WireLevel]
    update_id: int
    seq: int


class TradesFrame(msgspec.Struct, frozen=True, gc=False):
    """`publicTrade.{symbol}`, prints ascending in time."""

    symbol: str
    prints: list[WirePrint]


class AliveFrame(msgspec.Struct, frozen=True, gc=False):
    """Another topic, an accepted request or a pong: the connection lives, and no more is read from it."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What the venue says to a request: an ack or a pong. `req_id` is ours again; spot may leave it out."""

    op: str
    success: bool
    req_id: str
    ret_msg: str


class NoteFrame(msgspec.Struct, frozen=True, gc=False):
    """A recorder's note in a capture (`{"_sent": ...}`, `{"_rest": ...}`): the venue did not send it."""


Frame = BookFrame | TradesFrame | AliveFrame | NoteFrame

_head = msgspec.json.Decoder(_Head)
_book_data = msgspec.json.Decoder(_BookData)
_prints = msgspec.json.Decoder(Annotated[list[WirePrint], msgspec.Meta(min_length=1)])
_encoder = msgspec.json.Encoder()


def decode(payload: bytes) -> Frame:
    """One websocket message -> what kind of frame it is, with the parts we use."""
    try:
        head = _head.decode(payload)
        if head.sent is not msgspec.UNSET or head.rest is not msgspec.UNSET:
            return NoteFrame()
        if head.op is not None:
            return _answer(head, payload)
        return _topic(head, payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(
            f"frame was {_shown(payload)}, expected a Bybit v5 message: {error}"
        ) from error


def answer(payload: bytes) -> Answer | None:
    """The answer that a message is, accepted or refused; None for any other. `decode` refuses refusals."""
    try:
        head = _head.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if head.op is None:
        return None
    return Answer(head.op, head.success is not False, head.req_id or "", head.ret_msg or "")


def _answer(head: _Head, payload: bytes) -> AliveFrame:
    """Acks repeat `op`; a pong says `"op":"ping"` on linear, inverse and spot, `"op":"pong"` elsewhere
    (https://bybit-exchange.github.io/docs/v5/ws/connect). A real pong:

    {"success":true,"ret_msg":"pong","conn_id":"d967ikkn0ine3iqmjc30-koqj","req_id":"p1","op":"ping"}
    """
    if head.op not in _OPS:
        _refuse(payload, f"op one of {', '.join(_OPS)}")
    if head.success is False:
        raise RemoteProtocolError(f"{head.op} was refused by the venue: {head.ret_msg}")
    return AliveFrame()


def _topic(head: _Head, payload: bytes) -> Frame:
    if head.topic is None:
        _refuse(payload, "a topic or an op")
    kind, _, rest = head.topic.partition(".")
    if kind == "publicTrade":
        return _trades_frame(head, rest, payload)
    depth, _, symbol = rest.partition(".")
    if kind == "orderbook" and depth.isdecimal():  # orderbook.rpi.{symbol} is another topic
        return _book_frame(head, int(depth), symbol, payload)
    return AliveFrame()


def _book_frame(head: _Head, depth: int, symbol: str, payload: bytes) -> BookFrame:
    """`ts` is the push system's time, `cts` the matching engine's, comparable with `T` of trades."""
    if head.type not in ("snapshot", "delta"):
        _refuse(payload, "type snapshot or delta")
    data = _book_data.decode(head.data)
    venue_ms = head.ts if head.cts is None else head.cts
    if venue_ms is None or venue_ms < 1:
        _refuse(payload, "cts or ts")
    if data.s != symbol:
        raise RemoteProtocolError(f"symbol was {data.s!r}, expected {symbol!r} as in topic {head.topic}")
    return BookFrame(symbol, depth, head.type == "snapshot", venue_ms, data.b, data.a, data.u, data.seq)


def _trades_frame(head: _Head, symbol: str, payload: bytes) -> TradesFrame:
    if head.type != "snapshot":
        _refuse(payload, "type snapshot")
    prints = _prints.decode(head.data)
    for one in prints:
        if one.s != symbol:
            raise RemoteProtocolError(f"symbol was {one.s!r}, expected {symbol!r} as in topic {head.topic}")
    return TradesFrame(symbol, prints)


def _refuse(payload: bytes, expected: str) -> NoReturn:
    raise RemoteProtocolError(f"frame was {_shown(payload)}, expected {expected}")


def _shown(payload: bytes) -> str:
    return repr(payload[:_SHOWN_BYTES]) + (f" ({len(payload)} bytes)" if len(payload) > _SHOWN_BYTES else "")


class Print(msgspec.Struct, frozen=True, gc=False):
    """A trade and what Bybit says beside it. `direction` goes to futures only; spot has none."""

    trade: Trade
    trade_id: str
    seq: int
    direction: TickDirection


class Codec:
    """The number grids of one instrument, both ways: wire text <-> ticks and lots, exactly."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self._spot = category(instrument) == "spot"
        self._ticks = parser(instrument.tick_size, f"{instrument.key} price")
        self._lots = parser(instrument.lot_size, f"{instrument.key} size")
        self._price = formatter(instrument.tick_size, stripped=self._spot)
        self._size = formatter(instrument.lot_size, stripped=self._spot)

    def book(self, frame: BookFrame, recv_ns: Ns) -> BookSnapshot | BookDelta:
        kind = BookSnapshot if frame.is_snapshot else BookDelta
        bids, asks = self._levels(frame.bids), self._levels(frame.asks)
        if frame.is_snapshot and not all(lots for _, lots in bids + asks):
            raise RemoteProtocolError(
                f"{self.instrument.key} snapshot {frame.update_id} had a level of size 0"
            )
        return kind(self.instrument.key, Ns(frame.venue_ms * MS), recv_ns, bids, asks, frame.update_id)

    def trades(self, frame: TradesFrame, recv_ns: Ns) -> list[Trade | Confirmed]:
        """One event per print: a `Trade`, or a `Confirmed` for a print off the book."""
        return [
            Confirmed(self.instrument.key, recv_ns) if one.off_book else self._trade(one, recv_ns)
            for one in frame.prints
        ]

    def encode_book(self, event: BookSnapshot | BookDelta, *, depth: int, seq: int, ts_ms: int) -> bytes:
        """The `orderbook.{depth}` frame that decodes to this event; `ts_ms` is when the venue pushed it."""
        data = _BookData(
            self.instrument.symbol, self._wire(event.bids), self._wire(event.asks), event.update_id, seq
        )
        topic = f"orderbook.{depth}.{self.instrument.symbol}"
        word = "snapshot" if isinstance(event, BookSnapshot) else "delta"
        cts = _whole_ms(event.exch_ns)
        if self._spot or depth == 1:
            return _encoder.encode(_TsFirst(topic, ts_ms, word, data, cts))
        return _encoder.encode(_TypeFirst(topic, word, ts_ms, data, cts))

    def encode_trades(self, prints: Sequence[Print], *, ts_ms: int) -> bytes:
        """One frame of `publicTrade`."""
        topic = f"publicTrade.{self.instrument.symbol}"
        if self._spot:
            spot = [self._spot_print(one) for one in prints]
            return _encoder.encode(_TsFirst(topic, ts_ms, "snapshot", spot))
        futures = [self._futures_print(one) for one in prints]
        return _encoder.encode(_TypeFirst(topic, "snapshot", ts_ms, futures))

    def _levels(self, levels: list[_WireLevel]) -> list[Level]:
        ticks, lots = self._ticks, self._lots
        found = [(ticks(price), lots(size)) for price, size in levels]
        if not all(tick for tick, _ in found):
            raise RemoteProtocolError(f"{self.instrument.key} book had a level at price 0")
        return found

    def _trade(self, one: WirePrint, recv_ns: Ns) -> Trade:
        tick, lots = self._ticks(one.p), self._lots(one.v)
        if not tick or not lots:
            raise RemoteProtocolError(
                f"{self.instrument.key} trade was {one.v} at {one.p}, expected more than zero"
            )
        exch_ns = Ns(one.T * MS)
        return Trade(self.instrument.key, exch_ns, recv_ns, _SIDES[one.S], Ticks(tick), Lots(lots))

    def _wire(self, levels: Sequence[Level]) -> list[_WireLevel]:
        price, size = self._price, self._size
        return [(price(tick), size(lots) if lots else "0") for tick, lots in levels]

    def _futures_print(self, one: Print) -> _FuturesPrint:
        trade = one.trade
        return _FuturesPrint(
            T=_whole_ms(trade.exch_ns),
            s=self.instrument.symbol,
            S=_WORDS[trade.side],
            v=self._size(trade.lots),
            p=self._price(trade.tick),
            L=one.direction,
            i=one.trade_id,
            BT=False,
            RPI=False,
            seq=one.seq,
        )

    def _spot_print(self, one: Print) -> _SpotPrint:
        trade = one.trade
        return _SpotPrint(
            i=one.trade_id,
            T=_whole_ms(trade.exch_ns),
            p=self._price(trade.tick),
            v=self._size(trade.lots),
            S=_WORDS[trade.side],
            seq=one.seq,
            s=self.instrument.symbol,
            BT=False,
            RPI=False,
        )


def _whole_ms(exch_ns: Ns) -> int:
    """Bybit stamps in milliseconds; a finer time would be lost on the wire."""
    ms, rest = divmod(exch_ns, MS)
    if rest:
        raise ValueError(f"exch_ns was {exch_ns}, expected whole milliseconds")
    return ms
