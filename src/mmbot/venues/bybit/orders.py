"""Orders to Bybit v5: commands -> the JSON of create, amend and cancel, single or in batches; answers ->
outcomes.

https://bybit-exchange.github.io/docs/v5/order/create-order, .../amend-order, .../cancel-order,
.../batch-place, .../batch-amend, .../batch-cancel; /v5/websocket/trade/guideline. REST and websocket take
the same object:

    POST /v5/order/create        {"category":"linear","symbol":"BTCUSDT","side":"Buy",...}
    {"reqId":"1","header":{"X-BAPI-TIMESTAMP":"1711001595207","X-BAPI-RECV-WINDOW":"5000"},"op":"order.create",
     "args":[{"category":"linear","symbol":"BTCUSDT","side":"Buy",...}]}

and answer with the same content, called `result` or `data`. An accepted request is no fact about the order;
its reports are. A batch has two parallel lists, `result.list` and `retExtInfo.list`, one entry an order: its
own retCode 0 does not mean that the orders went in.

Which outcome a retCode proves (https://bybit-exchange.github.io/docs/v5/error): the venue's business codes
(110xxx, 170xxx) and its gateway's (10001 parameter ... 10006 rate) say that nothing happened. UNKNOWN, to be
looked up, are time-outs and internal errors; *duplicates* too, because an id of ours is used once, so a
duplicate means that the venue has seen this very request; and every code that is not known here.

An amend's `qty` is the whole size of the order, what has filled included; an amend that changes nothing is
refused by the venue (10001). Batches are of at most 10, the smaller of what the pages say.
Quotes are one-way orders without leverage: positionIdx and isLeverage keep the venue's defaults. Text is put
together from parts that are made once an instrument; a client id is checked, so that none can leave
its quotes.
"""

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TypeVar

import msgspec

from mmbot.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from mmbot.model.account import Asked, Outcome, RequestAnswer
from mmbot.model.commands import AmendOrder, CancelOrder, OrderBatch, OrderCommand, SubmitOrder
from mmbot.model.instrument import Instrument, Side, formatter
from mmbot.units import Ns
from mmbot.venues.bybit.codec import Category, category

T = TypeVar("T")

MOST_IN_BATCH = 10
_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
_WORDS = {Side.BUY: "Buy", Side.SELL: "Sell"}


class Operation(StrEnum):
    """One kind of request: the last part of its path, and of its websocket op."""

    CREATE = "create"
    AMEND = "amend"
    CANCEL = "cancel"
    CREATE_BATCH = "create-batch"
    AMEND_BATCH = "amend-batch"
    CANCEL_BATCH = "cancel-batch"

    @property
    def asked(self) -> Asked:
        return Asked(self.value.removesuffix("-batch"))

    @property
    def cancels(self) -> bool:
        return self.asked is Asked.CANCEL

    @property
    def batch(self) -> bool:
        return self.value.endswith("-batch")

    @property
    def path(self) -> str:
        return f"/v5/order/{self.value}"


class OrderRequest(msgspec.Struct, frozen=True, gc=False):
    """One request about some orders of one instrument, not yet signed; `body` is its JSON object."""

    operation: Operation
    category: Category
    symbol: str
    """The instrument's key."""
    client_ids: tuple[str, ...]
    body: str

    def ws_message(self, req_id: str, timestamp_ms: int, recv_window_ms: int) -> str:
        """`req_id` at most 36 characters, never used before on the connection."""
        return (
            f'{{"reqId":"{req_id}","header":{{"X-BAPI-TIMESTAMP":"{timestamp_ms}",'
            f'"X-BAPI-RECV-WINDOW":"{recv_window_ms}"}},"op":"order.{self.operation.value}",'
            f'"args":[{self.body}]}}'
        )

    def answered(self, outcome: Outcome, code: int, reason: str, recv_ns: Ns) -> list[RequestAnswer]:
        """The same answer about each of its orders."""
        asked = self.operation.asked
        return [
            RequestAnswer(self.symbol, client_id, asked, outcome, code, reason, recv_ns)
            for client_id in self.client_ids
        ]


class _Writer:
    """Texts of one instrument's orders."""

    __slots__ = ("_create", "_named", "_price", "_size", "category")

    def __init__(self, instrument: Instrument) -> None:
        self.category = category(instrument)
        self._price: Callable[[int], str] = formatter(instrument.tick_size, stripped=True)
        self._size: Callable[[int], str] = formatter(instrument.lot_size, stripped=True)
        symbol = f'"symbol":"{instrument.symbol}",'
        self._named = f'{symbol}"orderLinkId":"'
        self._create = {
            (side, post_only): f'{symbol}"side":"{word}","orderType":"Limit",'
            f'"timeInForce":"{"PostOnly" if post_only else "GTC"}","qty":"'
            for side, word in _WORDS.items()
            for post_only in (True, False)
        }

    def fields(self, order: OrderCommand) -> str:
        """One order without braces. Raises LocalProtocolError for what the venue's rules do not allow."""
        client_id = order.client_id
        if _CLIENT_ID.fullmatch(client_id) is None:
            raise LocalProtocolError(
                f"client id was {client_id!r}, expected 1 to 36 letters, digits, dashes and underscores"
            )
        if isinstance(order, CancelOrder):
            return f'{self._named}{client_id}"'
        if order.tick < 1 or order.lots < 1:
            raise LocalProtocolError(
                f"order {client_id} was {order.lots} lots at tick {order.tick}, expected more than zero"
            )
        size, price = self._size(order.lots), self._price(order.tick)
        if isinstance(order, AmendOrder):
            return f'{self._named}{client_id}","qty":"{size}","price":"{price}"'
        head = self._create[order.side, order.post_only]
        return f'{head}{size}","price":"{price}","orderLinkId":"{client_id}"'


class OrderWriter:
    """Commands about any of these instruments -> requests."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._writers = {one.key: _Writer(one) for one in instruments}
        if len(self._writers) != len(instruments):
            raise ConfigError("an account was given an instrument twice")

    def request(self, message: OrderCommand | OrderBatch) -> OrderRequest:
        """Raises LocalProtocolError for a command that breaks the venue's rules."""
        writer = self._writers.get(message.symbol)
        if writer is None:
            raise LocalProtocolError(
                f"command was for {message.symbol}, expected one of {', '.join(self._writers)}"
            )
        if isinstance(message, OrderBatch):
            return _batch(writer, message)
        operation = Operation(_ASKED[type(message)])
        body = f'{{"category":"{writer.category}",{writer.fields(message)}}}'
        return OrderRequest(operation, writer.category, message.symbol, (message.client_id,), body)


def cancel_request(category: Category, symbol: str, client_id: str) -> OrderRequest:
    """A cancel for who knows no instrument; `symbol` as the venue writes it. Raises LocalProtocolError for an
    id that no order of ours has.
    """
    if _CLIENT_ID.fullmatch(client_id) is None:
        raise LocalProtocolError(
            f"client id was {client_id!r}, expected letters, digits, dashes and underscores"
        )
    body = f'{{"category":"{category}","symbol":"{symbol}","orderLinkId":"{client_id}"}}'
    return OrderRequest(Operation.CANCEL, category, symbol, (client_id,), body)


def _batch(writer: _Writer, batch: OrderBatch) -> OrderRequest:
    orders = batch.orders
    kinds = {type(order) for order in orders}
    if len(kinds) != 1 or len(orders) > MOST_IN_BATCH or {order.symbol for order in orders} != {batch.symbol}:
        raise LocalProtocolError(
            f"batch was {len(orders)} orders of {len(kinds)} kinds, expected 1 to {MOST_IN_BATCH} "
            f"of one kind, all of {batch.symbol}"
        )
    operation = Operation(f"{_ASKED[kinds.pop()]}-batch")
    listed = ",".join(f"{{{writer.fields(order)}}}" for order in orders)
    body = f'{{"category":"{writer.category}","request":[{listed}]}}'
    client_ids = tuple(order.client_id for order in orders)
    return OrderRequest(operation, writer.category, batch.symbol, client_ids, body)


_ASKED: dict[type[OrderCommand], Asked] = {
    SubmitOrder: Asked.CREATE,
    AmendOrder: Asked.AMEND,
    CancelOrder: Asked.CANCEL,
}
RATE_LIMITED = frozenset({10006, 10429})
IP_LIMITED = frozenset({10018, 10403})
CLOCK_REFUSED = 10002
CREDENTIALS_REFUSED = frozenset({10003, 10004, 10005, 10007, 10008, 10009, 10010, 10027, 33004})
_GATEWAY = frozenset({10001, CLOCK_REFUSED, 10017, 10019, 10024, 10028, 10029, 10404, 100028})
_REFUSED = _GATEWAY | RATE_LIMITED | IP_LIMITED | CREDENTIALS_REFUSED
_DUPLICATES = frozenset({10014, 20006, 110030, 110072, 170141})
_TIMED_OUT = frozenset({10000, 10016, 170001, 170007, 170032, 170146, 170147})
_BUSINESS = (range(110_000, 111_000), range(170_000, 180_000))


def outcome(code: int) -> Outcome:
    """What a retCode proves about the request that it answers."""
    if code == 0:
        return Outcome.ACCEPTED
    if code in _DUPLICATES or code in _TIMED_OUT:
        return Outcome.UNKNOWN
    if code in _REFUSED or any(code in codes for codes in _BUSINESS):
        return Outcome.REFUSED
    return Outcome.UNKNOWN


class Reply(msgspec.Struct, frozen=True, gc=False):
    """An answer as it came, by websocket or REST, with the content of either under one name."""

    code: int
    reason: str
    content: msgspec.Raw
    extra: msgspec.Raw


class _Named(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    order_link_id: str = ""


class _NamedList(msgspec.Struct, frozen=True, gc=False):
    list: list[_Named]


class _Code(msgspec.Struct, frozen=True, gc=False):
    code: int
    msg: str = ""


class _Codes(msgspec.Struct, frozen=True, gc=False):
    list: list[_Code]


class _RestReply(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    ret_code: int
    ret_msg: str
    result: msgspec.Raw = msgspec.Raw(b"{}")
    ret_ext_info: msgspec.Raw = msgspec.Raw(b"{}")


_rest_reply = msgspec.json.Decoder(_RestReply)
_named = msgspec.json.Decoder(_Named)
_named_list = msgspec.json.Decoder(_NamedList)
_codes = msgspec.json.Decoder(_Codes)


def rest_reply(body: bytes) -> Reply:
    """Raises RemoteProtocolError for a body that is no Bybit v5 reply."""
    try:
        found = _rest_reply.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"reply was {body[:120]!r}, expected a Bybit v5 one: {error}") from error
    return Reply(found.ret_code, found.ret_msg, found.result, found.ret_ext_info)


def answers(request: OrderRequest, reply: Reply, recv_ns: Ns) -> list[RequestAnswer]:
    """One answer about each order of the request, in its order. Raises RemoteProtocolError for a reply that
    does not fit the request; its outcome is then UNKNOWN.
    """
    if reply.code != 0 or not request.operation.batch:
        if reply.code == 0:
            _same(_read(_named, reply.content, request).order_link_id, request.client_ids[0])
        return request.answered(outcome(reply.code), reply.code, reply.reason, recv_ns)
    named = _read(_named_list, reply.content, request).list
    codes = _read(_codes, reply.extra, request).list
    if not len(named) == len(codes) == len(request.client_ids):
        raise RemoteProtocolError(
            f"batch was answered with {len(named)} orders and {len(codes)} codes, "
            f"expected {len(request.client_ids)} of both"
        )
    for one, client_id in zip(named, request.client_ids, strict=True):
        _same(one.order_link_id, client_id)
    accepted = request.answered(Outcome.ACCEPTED, 0, reply.reason, recv_ns)
    return [
        msgspec.structs.replace(one, outcome=outcome(code.code), code=code.code, reason=code.msg)
        for one, code in zip(accepted, codes, strict=True)
    ]


_HTTP_OK = 200
_HTTP_TIMEOUT = 408
_HTTP_CLIENT_ERROR = range(400, 500)


def rest_answers(request: OrderRequest, status: int, body: bytes, recv_ns: Ns) -> list[RequestAnswer]:
    """The same for an HTTP answer: 4xx stopped at the gateway, 5xx and 408 prove nothing. Raises like
    `answers`.
    """
    if status == _HTTP_OK:
        return answers(request, rest_reply(body), recv_ns)
    refused = status in _HTTP_CLIENT_ERROR and status != _HTTP_TIMEOUT
    found = Outcome.REFUSED if refused else Outcome.UNKNOWN
    return request.answered(found, 0, f"HTTP {status}", recv_ns)


def _read(decoder: msgspec.json.Decoder[T], content: msgspec.Raw, request: OrderRequest) -> T:
    try:
        return decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(
            f"answer to {request.operation} was {bytes(content)[:120]!r}: {error}"
        ) from error


def _same(found: str, expected: str) -> None:
    """A failed order of a batch may come back nameless."""
    if found not in ("", expected):
        raise RemoteProtocolError(f"answer was about order {found[:40]!r}, expected {expected!r}")
