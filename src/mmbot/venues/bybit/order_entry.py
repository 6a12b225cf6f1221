"""Order entry at Bybit v5: the trade connection, and REST while it is not up. Sans-IO: times come in.

https://bybit-exchange.github.io/docs/v5/websocket/trade/guideline. The connection logs in like a private one
and answers in its own words: `{"retCode":0,"retMsg":"OK","op":"auth","connId":"..."}`. A request carries a
`reqId` of ours, never used again, and its answer repeats it; an answer without one, or with one that we never
sent, breaks the protocol and ends the connection.

Every order gets one answer, told through the account session: the venue's; REFUSED when the budget has no
room, since nothing was sent; UNKNOWN when the connection ended first, or when `answer_s` went by. An answer
that comes after that is counted and dropped: the order is being looked up already. 10019 says that the
service restarts and takes nothing new: the connection is given up.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from mmbot.errors import RemoteProtocolError, TransportError
from mmbot.model.account import AccountFault, Asked, Outcome
from mmbot.model.commands import OrderBatch, OrderCommand
from mmbot.units import SECOND, Ns
from mmbot.venues.bybit.account import AccountSession
from mmbot.venues.bybit.budget import Budget, limit_state, retry_after_ns
from mmbot.venues.bybit.orders import (
    RATE_LIMITED,
    OrderRequest,
    OrderWriter,
    Reply,
    answers,
    rest_answers,
    rest_reply,
)
from mmbot.venues.bybit.private_stream import ConnectionSettings, Login, Pulse
from mmbot.venues.clock_offset import ClockOffset

_AUTHED = (0, 20001)
_RESTARTING = 10019
_OK, _FORBIDDEN, _TOO_MANY = 200, 403, 429
_EMPTY = msgspec.Raw(b"{}")


class _Message(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Whatever the trade connection says."""

    op: str
    ret_code: int
    ret_msg: str = ""
    req_id: str = ""
    data: msgspec.Raw = _EMPTY
    ret_ext_info: msgspec.Raw = _EMPTY
    header: dict[str, str] = {}


class _Pending(NamedTuple):
    request: OrderRequest
    until_ns: int
    """On the steady clock."""


_message = msgspec.json.Decoder(_Message)


class OrderEntry:
    """The conversation of one trade connection, and its REST fallback."""

    def __init__(
        self,
        writer: OrderWriter,
        account: AccountSession,
        login: Login,
        clock: ClockOffset,
        budget: Budget,
        settings: ConnectionSettings,
        record: Callable[[Ns, bytes], None],
        *,
        recv_window_ms: int,
        req_id_prefix: str,
    ) -> None:
        """`record` takes every message, exactly as received, before it is read. `req_id_prefix`: a short word
        of its own for each process of ours.
        """
        self._writer = writer
        self._account = account
        self._login = login
        self._clock = clock
        self._budget = budget
        self._record = record
        self._window_ms = recv_window_ms
        self._answer_ns = round(settings.answer_s * SECOND)
        self._pulse = Pulse(settings)
        self._prefix = req_id_prefix
        self._requests = 0
        self._pending: dict[str, _Pending] = {}
        self._given_up: set[str] = set()
        self.late_answers = 0
        self.ready = False
        """Logged in: requests go by this connection."""
        self._auth_until_ns: int | None = None
        self._outgoing: list[bytes] = []

    def send(self, message: OrderCommand | OrderBatch, recv_ns: Ns, now_ns: int) -> OrderRequest | None:
        """Put it on the connection, or return what is to go by REST now. As much of a batch as the budget has
        no room for is refused. Raises LocalProtocolError for what breaks the venue's rules.
        """
        request = self._within_budget(message, recv_ns)
        if request is None:
            return None
        self._budget.spend(request, recv_ns, http=not self.ready)
        if request.operation.asked is Asked.CREATE:
            self._account.creating(request.client_ids, recv_ns)
        if not self.ready:
            return request
        self._requests += 1
        req_id = f"{self._prefix}-{self._requests}"
        text = request.ws_message(req_id, self._clock.server_ms(recv_ns), self._window_ms)
        self._pending[req_id] = _Pending(request, now_ns + self._answer_ns)
        self._outgoing.append(text.encode())
        return None

    def rest_answered(
        self, request: OrderRequest, status: int, headers: dict[str, str], body: bytes, recv_ns: Ns
    ) -> None:
        """An HTTP answer. One that cannot be read proves nothing about its orders."""
        try:
            state = limit_state(headers)
            if state is not None:
                self._budget.stated(request.category, request.operation, state, recv_ns)
            found = rest_answers(request, status, body, recv_ns)
            if status == _OK:
                self._codes(request, rest_reply(body), headers, recv_ns)
            elif status == _TOO_MANY:
                self._limited(request, f"HTTP {status}", headers, recv_ns)
        except RemoteProtocolError as error:
            found = request.answered(Outcome.UNKNOWN, 0, str(error), recv_ns)
        if status == _FORBIDDEN:
            self._account.banned(f"HTTP {status}", recv_ns)
        self._account.told(found)

    def rest_failed(self, request: OrderRequest, reason: str, recv_ns: Ns, *, arrived: bool) -> None:
        """No HTTP answer came. `arrived`: the venue may have got it."""
        found = Outcome.UNKNOWN if arrived else Outcome.REFUSED
        self._account.told(request.answered(found, 0, reason, recv_ns))

    def connected(self, recv_ns: Ns, now_ns: int) -> None:
        self._pulse.begun(now_ns)
        self._outgoing = [self._login(recv_ns)]
        self._auth_until_ns = now_ns + self._answer_ns

    def received(self, recv_ns: Ns, payload: bytes, now_ns: int) -> None:
        """Raises RemoteProtocolError for a message that cannot be read, TransportError for one that ends the
        connection.
        """
        self._record(recv_ns, payload)
        self._pulse.heard(now_ns)
        try:
            message = _message.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RemoteProtocolError(
                f"message was {payload[:120]!r}, expected one of order entry: {error}"
            ) from error
        if message.op == "auth":
            self._logged_in(message, recv_ns)
        elif message.op != "pong":
            self._answered(message, recv_ns)

    def alive(self, now_ns: int) -> None:
        self._pulse.heard(now_ns)

    def due(self, recv_ns: Ns, now_ns: int) -> None:
        if self._auth_until_ns is not None and now_ns >= self._auth_until_ns:
            raise TransportError("auth: no ack came", "lost")
        overdue = [req_id for req_id, pending in self._pending.items() if pending.until_ns <= now_ns]
        for req_id in overdue:
            request = self._pending.pop(req_id).request
            self._given_up.add(req_id)
            self._account.told(request.answered(Outcome.UNKNOWN, 0, "no answer in time", recv_ns))
        if self._pulse.ping_due(now_ns):
            self._outgoing.append(b'{"op":"ping"}')

    def outgoing(self) -> list[bytes]:
        out, self._outgoing = self._outgoing, []
        return out

    def lost(self, recv_ns: Ns, reason: str) -> None:
        self.ready = False
        self._auth_until_ns = None
        self._outgoing.clear()
        for pending in self._pending.values():
            self._account.told(pending.request.answered(Outcome.UNKNOWN, 0, reason, recv_ns))
        self._pending.clear()
        self._given_up.clear()

    def unreachable(self, recv_ns: Ns, reason: str) -> None:
        """Orders go by REST meanwhile."""

    def _within_budget(self, message: OrderCommand | OrderBatch, recv_ns: Ns) -> OrderRequest | None:
        """The request, without the orders at its end for which there is no room; these are refused."""
        request = self._writer.request(message)
        wanted = len(request.client_ids)
        room = self._budget.order_room(request.category, request.operation, recv_ns, http=not self.ready)
        if room >= wanted:
            return request
        reason = f"venue's rate limit: room for {room} of {wanted} {request.operation} now"
        refused = request.answered(Outcome.REFUSED, 0, reason, recv_ns)
        self._account.told(refused[room:])
        if not room or not isinstance(message, OrderBatch):
            return None
        return self._writer.request(OrderBatch(message.symbol, message.orders[:room]))

    def _logged_in(self, message: _Message, recv_ns: Ns) -> None:
        if message.ret_code not in _AUTHED:
            self._account.code(message.ret_code, message.ret_msg, recv_ns)
            raise TransportError(f"auth was refused: retCode {message.ret_code} {message.ret_msg}", "lost")
        self._auth_until_ns = None
        self.ready = True

    def _answered(self, message: _Message, recv_ns: Ns) -> None:
        req_id = message.req_id
        if req_id in self._given_up:
            self._given_up.remove(req_id)
            self.late_answers += 1
            return
        pending = self._pending.get(req_id)
        if pending is None or message.op != f"order.{pending.request.operation.value}":
            raise RemoteProtocolError(
                f"answer was to {message.op[:40]!r} {req_id[:40]!r}: retCode {message.ret_code} "
                f"{message.ret_msg[:80]!r}, expected one to a request of ours"
            )
        request = pending.request
        reply = Reply(message.ret_code, message.ret_msg, message.data, message.ret_ext_info)
        found = answers(request, reply, recv_ns)
        state = limit_state(message.header)
        del self._pending[req_id]
        self._account.told(found)
        if state is not None:
            self._budget.stated(request.category, request.operation, state, recv_ns)
        self._codes(request, reply, message.header, recv_ns)
        if reply.code == _RESTARTING:
            raise TransportError(f"retCode {reply.code}: {reply.reason}", "lost")

    def _codes(self, request: OrderRequest, reply: Reply, headers: dict[str, str], recv_ns: Ns) -> None:
        """What an answer says beyond its orders."""
        detail = f"retCode {reply.code}: {reply.reason}"
        if reply.code in RATE_LIMITED:
            self._limited(request, detail, headers, recv_ns)
        elif reply.code:
            self._account.code(reply.code, reply.reason, recv_ns)

    def _limited(self, request: OrderRequest, detail: str, headers: dict[str, str], recv_ns: Ns) -> None:
        """Nothing of this kind until the stated reset or `Retry-After`, and a second at least."""
        state = limit_state(headers)
        reset_ns = self._clock.our_ns(state.reset_ms) if state is not None else recv_ns
        until_ns = Ns(max(reset_ns, recv_ns + retry_after_ns(headers), recv_ns + SECOND))
        self._budget.limited(request.category, request.operation, until_ns)
        self._account.trouble(AccountFault.RATE_LIMITED, detail, until_ns, recv_ns)
