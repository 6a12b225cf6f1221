"""Bybit through a door that can only cancel: lists the open orders of an account and cancels our own.

It shares nothing with the connector that trades: its own connection, its own time, no order log, no budget
but the venue's answers, and no way to create an order. For whoever cleans up when the bot cannot. Orders are
cancelled one by one by our id, never all of an account: somebody else may trade it too.

A venue that refuses the address (HTTP 403, 10018) wants no traffic for 10 minutes, and more of it would only
make them longer: until they are over every question fails here, without a call.
"""

from collections.abc import Callable
from typing import NamedTuple

from mmbot.errors import RemoteProtocolError
from mmbot.model.account import Outcome
from mmbot.model.orders import OwnPrefix, is_own
from mmbot.net.http import HttpClient
from mmbot.units import SECOND, Ns
from mmbot.venues.bybit.budget import BAN_NS
from mmbot.venues.bybit.codec import Category
from mmbot.venues.bybit.orders import CLOCK_REFUSED, IP_LIMITED, cancel_request, rest_answers, rest_reply
from mmbot.venues.bybit.queries import Ask, Query, owner, page, server_ns
from mmbot.venues.bybit.signing import rest_headers
from mmbot.venues.clock_offset import ClockOffset
from mmbot.venues.credentials import Credentials

RECV_WINDOW_MS = 5_000
_HTTP_OK, _HTTP_FORBIDDEN = 200, 403
_SETTLED_IN: dict[Category, tuple[str, ...]] = {"linear": ("USDT", "USDC"), "inverse": ("",), "spot": ("",)}
"""A list of linear orders has to name a coin; the others take all at once."""


class OpenOrder(NamedTuple):
    """`symbol` as the venue writes it."""

    symbol: str
    client_id: str


class CancelOnly:
    """Own orders of one category: client ids that begin with a prefix of ours and end with a number."""

    def __init__(
        self,
        http: HttpClient,
        credentials: Credentials,
        category: Category,
        own_prefix: OwnPrefix,
        clock: Callable[[], Ns],
        *,
        banned_until_ns: int = 0,
    ) -> None:
        """`banned_until_ns`: of a ban that somebody else at this address has met."""
        self._banned_until_ns = banned_until_ns
        self._http = http
        self._credentials = credentials
        self._category = category
        self._own_prefix = own_prefix
        self._clock = clock
        self._offset = ClockOffset()
        self._time_known = False

    async def uid(self) -> int:
        """Whose key this is, by the venue. Raises TransportError and RemoteProtocolError."""
        query = Query(Ask.KEY)
        return owner(query, rest_reply(await self._get(query)))

    async def own_orders(self) -> list[OpenOrder]:
        """All that are open. Raises TransportError and RemoteProtocolError, and then nothing is known."""
        found: list[OpenOrder] = []
        for coin in _SETTLED_IN[self._category]:
            query = Query(Ask.OPEN_ORDERS, self._category, settle=coin)
            while True:
                answer = page(query, rest_reply(await self._get(query)))
                found += [
                    OpenOrder(row.symbol, row.order_link_id)
                    for row in answer.orders
                    if is_own(row.order_link_id, self._own_prefix)
                ]
                if not answer.cursor:
                    break
                query = Query(Ask.OPEN_ORDERS, self._category, settle=coin, cursor=answer.cursor)
        return found

    async def cancel(self, order: OpenOrder) -> str | None:
        """Ask once; None when the venue took it, else what it said. Whether the order is gone, only the next
        list says. Raises TransportError and RemoteProtocolError.
        """
        request = cancel_request(self._category, order.symbol, order.client_id)
        headers = await self._signed(request.body) | {"Content-Type": "application/json"}
        reply = await self._http.request(
            "POST", request.operation.path, body=request.body.encode(), headers=headers
        )
        self._judge_status(reply.status)
        [answer] = rest_answers(request, reply.status, reply.body, self._clock())
        self._judge_code(answer.code)
        return None if answer.outcome is Outcome.ACCEPTED else f"{answer.code} {answer.reason}".strip()

    async def _get(self, query: Query) -> bytes:
        headers = await self._signed(query.parameters)
        target = f"{query.path}?{query.parameters}" if query.parameters else query.path
        reply = await self._http.get(target, headers)
        self._judge_status(reply.status)
        if reply.status != _HTTP_OK:
            raise RemoteProtocolError(f"{self._http.base_url}{query.path}: HTTP status was {reply.status}")
        found = rest_reply(reply.body)
        self._judge_code(found.code)
        if found.code:
            raise RemoteProtocolError(f"{self._http.base_url}{query.path}: {found.code} {found.reason}")
        return reply.body

    def _judge_status(self, status: int) -> None:
        """Raises RemoteProtocolError for a refused address."""
        if status == _HTTP_FORBIDDEN:
            self._ban()

    def _judge_code(self, code: int) -> None:
        """The same for a retCode; a refused time is asked for anew."""
        if code in IP_LIMITED:
            self._ban()
        if code == CLOCK_REFUSED:
            self._offset.forget()
            self._time_known = False

    def _ban(self) -> None:
        self._banned_until_ns = self._clock() + BAN_NS
        self._raise_if_banned()

    def _raise_if_banned(self) -> None:
        if self._clock() < self._banned_until_ns:
            raise RemoteProtocolError(
                f"{self._http.base_url}: this address is banned: nothing is sent for {BAN_NS // SECOND} s"
            )

    async def _signed(self, payload: str) -> dict[str, str]:
        self._raise_if_banned()
        if not self._time_known:
            await self._ask_time()
        timestamp_ms = self._offset.server_ms(self._clock())
        return rest_headers(self._credentials, timestamp_ms, RECV_WINDOW_MS, payload)

    async def _ask_time(self) -> None:
        query, sent_ns = Query(Ask.TIME), self._clock()
        reply = await self._http.get(query.path)
        self._judge_status(reply.status)
        self._offset.sample(sent_ns, server_ns(query, rest_reply(reply.body)), self._clock())
        self._time_known = True
