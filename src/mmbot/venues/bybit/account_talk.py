"""All that we say to Bybit about one account, sans-IO: two conversations and the requests of REST.

The rules are in `account`, `private_stream` and `order_entry`; here they are one: what is to be sent by REST
comes out signed, and what came of it goes back in. Whoever has sockets and clocks runs it
(`account_connector`).
`recv_ns` is wall time, `now_ns` the steady clock.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from mmbot.errors import RemoteProtocolError, TransportError
from mmbot.model.commands import OrderBatch, OrderCommand
from mmbot.model.instrument import Instrument
from mmbot.model.notes import rest_answer, rest_failure
from mmbot.units import MS, Ns
from mmbot.venues.bybit.account import AccountSession, AccountSettings
from mmbot.venues.bybit.budget import Budget, BudgetSettings, retry_after_ns
from mmbot.venues.bybit.order_entry import OrderEntry
from mmbot.venues.bybit.orders import OrderRequest, OrderWriter
from mmbot.venues.bybit.private_stream import ConnectionSettings, PrivateStream, login
from mmbot.venues.bybit.queries import Query
from mmbot.venues.bybit.signing import rest_headers
from mmbot.venues.clock_offset import ClockOffset
from mmbot.venues.credentials import Credentials


class AccountConnectorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: AccountSettings = AccountSettings()
    budget: BudgetSettings = BudgetSettings()
    connections: ConnectionSettings = ConnectionSettings()


class Asking(NamedTuple):
    """A query that is due, as a GET."""

    query: Query
    sent_ns: Ns
    target: str
    headers: Mapping[str, str] | None


class Posting(NamedTuple):
    """An order request that goes by REST, as a POST."""

    request: OrderRequest
    target: str
    body: bytes
    headers: Mapping[str, str]


class AccountTalk:
    """One account, the given instruments of it. `stream` and `entry` are conversations of connections."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        credentials: Credentials,
        record: Callable[[Ns, bytes], None],
        settings: AccountConnectorSettings,
        *,
        recv_ns: Ns,
        since_ns: Ns,
    ) -> None:
        """`record` takes every websocket message and every answer of REST. `since_ns`: executions from then
        on are not known yet. Raises ConfigError for instruments that are none of Bybit's.
        """
        self._record = record
        self._credentials = credentials
        self._window_ms = settings.account.recv_window_ms
        self._offset = ClockOffset()
        budget = Budget(settings.budget)
        self.session = AccountSession(
            instruments, settings.account, self._offset, budget, now_ns=recv_ns, since_ns=since_ns
        )
        hello = login(credentials, self._offset)
        self.stream = PrivateStream(self.session, hello, settings.connections, record)
        self.entry = OrderEntry(
            OrderWriter(instruments),
            self.session,
            hello,
            self._offset,
            budget,
            settings.connections,
            record,
            recv_window_ms=self._window_ms,
            req_id_prefix=f"{recv_ns // MS:x}",
        )

    def send(self, message: OrderCommand | OrderBatch, recv_ns: Ns, now_ns: int) -> Posting | None:
        """Put it on the trade connection, or return what is to go by REST now. Raises LocalProtocolError for
        what breaks the venue's rules.
        """
        request = self.entry.send(message, recv_ns, now_ns)
        if request is None:
            return None
        headers = self._signed(recv_ns, request.body) | {"Content-Type": "application/json"}
        return Posting(request, request.operation.path, request.body.encode(), headers)

    def posted(
        self, posting: Posting, status: int, headers: Mapping[str, str], body: bytes, recv_ns: Ns
    ) -> None:
        self._record(recv_ns, rest_answer(_posted(posting), status, body))
        self.entry.rest_answered(posting.request, status, dict(headers), body, recv_ns)

    def post_failed(self, posting: Posting, error: TransportError, recv_ns: Ns) -> None:
        self._record(recv_ns, rest_failure(_posted(posting), str(error)))
        self.entry.rest_failed(posting.request, str(error), recv_ns, arrived=error.phase != "connect")

    def asking(self, recv_ns: Ns) -> list[Asking]:
        """To be sent now; each is answered, or failed, once."""
        return [self._asking(query, recv_ns) for query in self.session.queries(recv_ns)]

    def answered(
        self, asking: Asking, status: int, headers: Mapping[str, str], body: bytes, recv_ns: Ns
    ) -> None:
        """An answer that cannot be used counts as none."""
        self._record(recv_ns, rest_answer(f"GET {asking.target}", status, body))
        try:
            self.session.answered(
                asking.query,
                status,
                body,
                sent_ns=asking.sent_ns,
                now_ns=recv_ns,
                retry_ns=retry_after_ns(headers),
            )
        except RemoteProtocolError:
            self.session.failed(asking.query, recv_ns)

    def ask_failed(self, asking: Asking, error: TransportError, recv_ns: Ns) -> None:
        self._record(recv_ns, rest_failure(f"GET {asking.target}", str(error)))
        self.session.failed(asking.query, recv_ns)

    def _asking(self, query: Query, recv_ns: Ns) -> Asking:
        parameters = query.parameters
        headers = self._signed(recv_ns, parameters) if query.signed else None
        return Asking(query, recv_ns, f"{query.path}?{parameters}" if parameters else query.path, headers)

    def _signed(self, recv_ns: Ns, payload: str) -> dict[str, str]:
        timestamp_ms = self._offset.server_ms(recv_ns)
        return rest_headers(self._credentials, timestamp_ms, self._window_ms, payload)


def _posted(posting: Posting) -> str:
    """How the record names a request about orders."""
    return f"POST {posting.target} {','.join(posting.request.client_ids)}"
