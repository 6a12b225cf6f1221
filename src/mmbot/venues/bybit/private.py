"""Messages of a private Bybit v5 connection -> account reports, acks and pongs.

https://bybit-exchange.github.io/docs/v5/websocket/private/order, .../execution, .../fast-execution,
.../position, .../wallet. What the rows mean says `rows`. An answer names its request's `op`:

    {"success":true,"ret_msg":"","op":"auth","conn_id":"crjtta1qo29j6gv0ald0-56p3o"}
    {"req_id":"7","op":"pong","args":["1675418560633"],"conn_id":"cfcb4ocsvfriu23r3er0-1b"}

A topic that nobody subscribed to, and whatever else does not fit, is a RemoteProtocolError.
"""

from typing import Final

import msgspec

from mmbot.errors import RemoteProtocolError
from mmbot.model.account import AccountReport
from mmbot.units import Ns
from mmbot.venues.bybit.rows import ExecutionRow, OrderRow, PositionRow, RowReader, WalletRow, wallet

_SHOWN_BYTES = 120
_OPS = ("auth", "subscribe", "unsubscribe")

TOPICS: Final = ("order", "execution", "position", "wallet")
"""All instruments and categories in one topic each; never mixed with `order.linear` and its kind."""
FAST_TOPIC: Final = "execution.fast"
"""Earlier than `execution`, without fee; the same `execId` follows there."""


class Ack(msgspec.Struct, frozen=True, gc=False):
    """The answer to `auth` or `subscribe`; acks of private connections come in the order of the requests."""

    op: str
    accepted: bool
    reason: str


class Pong(msgspec.Struct, frozen=True, gc=False):
    """The connection lives."""


class Reports(msgspec.Struct, frozen=True, gc=False):
    """What one message of a topic says about our instruments, in its order; may be nothing."""

    topic: str
    reports: list[AccountReport]


PrivateMessage = Ack | Pong | Reports


class _Head(msgspec.Struct, frozen=True, gc=False):
    topic: str | None = None
    creation_time: int = msgspec.field(name="creationTime", default=0)
    data: msgspec.Raw = msgspec.Raw()
    op: str | None = None
    success: bool | None = None
    ret_msg: str = ""


_head = msgspec.json.Decoder(_Head)
_orders = msgspec.json.Decoder(list[OrderRow])
_executions = msgspec.json.Decoder(list[ExecutionRow])
_positions = msgspec.json.Decoder(list[PositionRow])
_wallets = msgspec.json.Decoder(list[WalletRow])


def decode(payload: bytes, rows: RowReader, recv_ns: Ns) -> PrivateMessage:
    """One websocket message."""
    try:
        head = _head.decode(payload)
        if head.topic is not None:
            return Reports(head.topic, _reports(head, rows, recv_ns))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _odd(payload, f"a Bybit v5 private message: {error}") from error
    if head.op == "pong" or (head.op == "ping" and head.success):
        return Pong()
    if head.op not in _OPS or head.success is None:
        raise _odd(payload, f"a topic, a pong, or an answer to one of {', '.join(_OPS)}")
    return Ack(head.op, head.success, head.ret_msg)


def _reports(head: _Head, rows: RowReader, recv_ns: Ns) -> list[AccountReport]:
    found: list[AccountReport | None]
    match head.topic:
        case "order":
            if head.creation_time < 1:
                raise RemoteProtocolError(f"creationTime was {head.creation_time}, expected milliseconds")
            orders = _orders.decode(head.data)
            found = [rows.order(row, "", head.creation_time, recv_ns) for row in orders]
        case "execution" | "execution.fast":
            found = [rows.execution(row, "", recv_ns) for row in _executions.decode(head.data)]
        case "position":
            found = [rows.position(row, "", recv_ns) for row in _positions.decode(head.data)]
        case "wallet":
            found = [wallet(row, recv_ns) for row in _wallets.decode(head.data)]
        case _:
            expected = ", ".join((*TOPICS, FAST_TOPIC))
            raise RemoteProtocolError(f"topic was {str(head.topic)[:40]!r}, expected one of {expected}")
    return [report for report in found if report is not None]


def _odd(payload: bytes, expected: str) -> RemoteProtocolError:
    more = f" ({len(payload)} bytes)" if len(payload) > _SHOWN_BYTES else ""
    return RemoteProtocolError(f"message was {payload[:_SHOWN_BYTES]!r}{more}, expected {expected}")
