"""Orders to Binance USD-M futures: commands -> request parameters, answers -> outcomes. Sans-IO.

https://developers.binance.com/docs/derivatives/usds-margined-futures/trade/rest-api

    POST   /fapi/v1/order        symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTX&quantity=0.001&price=50000
    DELETE /fapi/v1/order        symbol=BTCUSDT&origClientOrderId=mmA-1
    POST   /fapi/v1/batchOrders  batchOrders=[{...},...], at most 5
    DELETE /fapi/v1/batchOrders  symbol=BTCUSDT&origClientOrderIdList=["mmA-1",...], at most 10

all with window, time and signature behind (`signing`). GTX is post-only. A batch is answered in the order of
its request, orders and `{"code","msg"}` mixed; a single order with itself, or with an HTTP error and
`{"code","msg"}`.

What a code proves: -1000, -1001, -1006 and -1007 are the venue's own time-outs and losses, "execution status
unknown"; -4116 is a duplicate client id, and as ours are used once the venue has seen this very request;
these, 408, every 5xx and every code of no known kind are UNKNOWN. All others of the ranges that the venue
documents mean that nothing happened.

A modify (`PUT /fapi/v1/order`) sends the order to the back of its queue, so it is worth no more than cancel
and create, which is what the strategy asks for; it is not here.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TypeVar
from urllib.parse import quote

import msgspec

from mmbot.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from mmbot.model.account import AccountFault, AccountTrouble, Asked, Outcome, RequestAnswer
from mmbot.model.commands import AmendOrder, CancelOrder, OrderBatch, OrderCommand, SubmitOrder
from mmbot.model.instrument import Instrument, Side, formatter
from mmbot.units import SECOND, Ns

T = TypeVar("T")

VENUE = "binance_usdm"
MOST_CREATES = 5
MOST_CANCELS = 10
_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
_WORDS = {Side.BUY: "BUY", Side.SELL: "SELL"}


class Operation(Enum):
    """Method, path, and what is asked."""

    CREATE = ("POST", "/fapi/v1/order", Asked.CREATE)
    CANCEL = ("DELETE", "/fapi/v1/order", Asked.CANCEL)
    CREATE_BATCH = ("POST", "/fapi/v1/batchOrders", Asked.CREATE)
    CANCEL_BATCH = ("DELETE", "/fapi/v1/batchOrders", Asked.CANCEL)

    def __init__(self, method: str, path: str, asked: Asked) -> None:
        self.method = method
        self.path = path
        self.asked = asked

    @property
    def batch(self) -> bool:
        return self in (Operation.CREATE_BATCH, Operation.CANCEL_BATCH)


class OrderRequest(msgspec.Struct, frozen=True, gc=False):
    """One request about some orders of one instrument, not yet signed; `query` is encoded."""

    operation: Operation
    symbol: str
    """The instrument's key."""
    client_ids: tuple[str, ...]
    query: str

    def answered(self, outcome: Outcome, code: int, reason: str, recv_ns: Ns) -> list[RequestAnswer]:
        """The same answer about each of its orders."""
        return [
            RequestAnswer(self.symbol, client_id, self.operation.asked, outcome, code, reason, recv_ns)
            for client_id in self.client_ids
        ]


class _Writer:
    """Texts of one instrument's orders."""

    def __init__(self, instrument: Instrument) -> None:
        if instrument.venue != VENUE:
            raise ConfigError(f"{instrument.key}: venue was {instrument.venue}, expected {VENUE}")
        self.symbol = instrument.symbol
        self._price: Callable[[int], str] = formatter(instrument.tick_size, stripped=True)
        self._size: Callable[[int], str] = formatter(instrument.lot_size, stripped=True)

    def create(self, order: SubmitOrder) -> dict[str, str]:
        client_id = _client_id(order)
        if order.tick < 1 or order.lots < 1:
            raise LocalProtocolError(
                f"order {client_id} was {order.lots} lots at tick {order.tick}, expected more than zero"
            )
        return {
            "symbol": self.symbol,
            "side": _WORDS[order.side],
            "type": "LIMIT",
            "timeInForce": "GTX" if order.post_only else "GTC",
            "quantity": self._size(order.lots),
            "price": self._price(order.tick),
            "newClientOrderId": client_id,
        }


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
        if isinstance(message, AmendOrder):
            raise LocalProtocolError(
                f"amend of {message.client_id}: orders of {message.symbol} are not amended"
            )
        if isinstance(message, OrderBatch):
            return _batch(writer, message)
        if isinstance(message, SubmitOrder):
            operation, query = Operation.CREATE, _query(writer.create(message))
        else:
            named = {"symbol": writer.symbol, "origClientOrderId": _client_id(message)}
            operation, query = Operation.CANCEL, _query(named)
        return OrderRequest(operation, message.symbol, (message.client_id,), query)


def _batch(writer: _Writer, batch: OrderBatch) -> OrderRequest:
    creates = [order for order in batch.orders if isinstance(order, SubmitOrder)]
    cancels = [order for order in batch.orders if isinstance(order, CancelOrder)]
    most = MOST_CREATES if creates else MOST_CANCELS
    one_kind = bool(creates) != bool(cancels)
    if not one_kind or len(batch.orders) > most or {one.symbol for one in batch.orders} != {batch.symbol}:
        raise LocalProtocolError(
            f"batch was {len(creates)} creates and {len(cancels)} cancels, expected 1 to {MOST_CREATES} "
            f"creates or 1 to {MOST_CANCELS} cancels, all of {batch.symbol}"
        )
    client_ids = tuple(order.client_id for order in batch.orders)
    if creates:
        listed = msgspec.json.encode([writer.create(order) for order in creates]).decode()
        return OrderRequest(Operation.CREATE_BATCH, batch.symbol, client_ids, _query({"batchOrders": listed}))
    named = msgspec.json.encode([_client_id(order) for order in cancels]).decode()
    query = _query({"symbol": writer.symbol, "origClientOrderIdList": named})
    return OrderRequest(Operation.CANCEL_BATCH, batch.symbol, client_ids, query)


def _client_id(order: OrderCommand) -> str:
    if _CLIENT_ID.fullmatch(order.client_id) is None:
        raise LocalProtocolError(
            f"client id was {order.client_id!r}, expected 1 to 36 letters, digits, dashes and underscores"
        )
    return order.client_id


def _query(pairs: Mapping[str, str]) -> str:
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs.items())


_TIMED_OUT = frozenset({-1000, -1001, -1006, -1007})
_DUPLICATE = -4116
_DOCUMENTED = (range(-1999, -999), range(-2999, -1999), range(-5999, -3999))
_CLOCK_REFUSED = -1021
_CREDENTIALS_REFUSED = frozenset({-1002, -1022, -2008, -2014, -2015, -2017})


def outcome(code: int) -> Outcome:
    """What an error code proves about its request."""
    refused = code not in _TIMED_OUT and code != _DUPLICATE and any(code in codes for codes in _DOCUMENTED)
    return Outcome.REFUSED if refused else Outcome.UNKNOWN


class _Entry(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """An order, or an error."""

    client_order_id: str | None = None
    code: int | None = None
    msg: str = ""


_one = msgspec.json.Decoder(_Entry)
_many = msgspec.json.Decoder(list[_Entry])
_OK, _TIMEOUT, _FORBIDDEN, _TEAPOT, _TOO_MANY = 200, 408, 403, 418, 429
_CLIENT_ERROR = range(400, 500)
_HTTP_FAULTS = {
    _TOO_MANY: AccountFault.RATE_LIMITED,
    _TEAPOT: AccountFault.BANNED,
    _FORBIDDEN: AccountFault.BANNED,
}


def answers(request: OrderRequest, status: int, body: bytes, recv_ns: Ns) -> list[RequestAnswer]:
    """One answer about each order of the request, in its order. Raises RemoteProtocolError for one that does
    not fit; its outcome is then UNKNOWN.
    """
    if status not in _CLIENT_ERROR and status != _OK:
        return request.answered(Outcome.UNKNOWN, 0, f"HTTP {status}", recv_ns)
    if status == _TIMEOUT or status in _HTTP_FAULTS:
        found = Outcome.UNKNOWN if status == _TIMEOUT else Outcome.REFUSED
        return request.answered(found, 0, f"HTTP {status}", recv_ns)
    if request.operation.batch and status == _OK:
        entries = _read(_many, body)
    else:
        entries = [_read(_one, body)] * len(request.client_ids)  # an error is about all of them
    if len(entries) != len(request.client_ids):
        raise RemoteProtocolError(f"batch had {len(entries)} answers, expected {len(request.client_ids)}")
    blank = request.answered(Outcome.ACCEPTED, 0, "", recv_ns)
    return [_answer(one, entry) for one, entry in zip(blank, entries, strict=True)]


def _answer(accepted: RequestAnswer, entry: _Entry) -> RequestAnswer:
    if entry.code is not None:
        return msgspec.structs.replace(
            accepted, outcome=outcome(entry.code), code=entry.code, reason=entry.msg
        )
    if entry.client_order_id != accepted.client_id:
        raise RemoteProtocolError(
            f"answer was about order {entry.client_order_id!r}, expected {accepted.client_id!r}"
        )
    return accepted


def trouble(status: int, headers: Mapping[str, str], body: bytes, recv_ns: Ns) -> AccountTrouble | None:
    """What an HTTP answer says about the account as a whole; None if nothing. `Retry-After` is in seconds:
    429 asks to wait, 418 is a ban of 2 minutes to 3 days, 403 the firewall.
    """
    retry = {name.lower(): value for name, value in headers.items()}.get("retry-after", "")
    until_ns = Ns(recv_ns + int(retry) * SECOND) if retry.isascii() and retry.isdecimal() else None
    fault, detail = _HTTP_FAULTS.get(status), f"HTTP {status}"
    if fault is None and status in _CLIENT_ERROR:
        fault, detail = _code_fault(body)
    return None if fault is None else AccountTrouble(fault, detail, until_ns, recv_ns)


def _code_fault(body: bytes) -> tuple[AccountFault | None, str]:
    try:
        entry = _one.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None, ""  # `answers` says what is wrong with it
    detail = f"code {entry.code}: {entry.msg}"
    if entry.code == _CLOCK_REFUSED:
        return AccountFault.CLOCK, detail
    return (AccountFault.CREDENTIALS if entry.code in _CREDENTIALS_REFUSED else None), detail


class Used(msgspec.Struct, frozen=True, gc=False):
    """What the venue has counted; None where an answer does not say it. Limits: exchangeInfo.rateLimits."""

    weight_1m: int | None
    orders_10s: int | None
    orders_1m: int | None


def used(headers: Mapping[str, str]) -> Used:
    """From the headers of an answer, whatever their case. Raises RemoteProtocolError for odd ones."""
    found = {name.lower(): value for name, value in headers.items()}

    def count(name: str) -> int | None:
        text = found.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdecimal()):
            raise RemoteProtocolError(f"header {name} was {text[:40]!r}, expected a whole number")
        return int(text)

    return Used(count("x-mbx-used-weight-1m"), count("x-mbx-order-count-10s"), count("x-mbx-order-count-1m"))


def _read(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"answer was {body[:120]!r}, expected an order: {error}") from error
