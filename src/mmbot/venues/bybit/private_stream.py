"""What we say on a private Bybit v5 connection: auth, subscribe, pings. Sans-IO: times come in.

Rules of the venue (https://bybit-exchange.github.io/docs/v5/ws/connect): the first message is `auth`, whose
`expires` lies in the future by the venue's clock; a ping as JSON every 20 s; with `max_active_time` the venue
closes a private or trade connection that said nothing for so long. Each step waits for its ack, at most
`answer_s`; nothing received for `silence_s`, pongs included, is a lost connection. What the messages say goes
to the account session, which also hears when the stream is up and when it ended.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from mmbot.errors import TransportError
from mmbot.model.account import AccountFault
from mmbot.units import MS, SECOND, Ns
from mmbot.venues.bybit.account import AccountSession
from mmbot.venues.bybit.private import FAST_TOPIC, TOPICS, Ack, Reports, decode
from mmbot.venues.bybit.signing import ws_auth
from mmbot.venues.clock_offset import ClockOffset
from mmbot.venues.credentials import Credentials

_AUTH_VALID_MS = 10_000


class ConnectionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds, of private and trade connections. `max_active_s`: the venue allows 30 to 600. `fast`: also
    listen to the quicker stream of executions, which spot does not have.
    """

    ping_every_s: float = 20.0
    silence_s: float = 30.0
    answer_s: float = 5.0
    max_active_s: int = 60
    fast: bool = False

    def url(self, host: str, path: str) -> str:
        """`host` with its scheme, as in `wss://stream.bybit.com`; `path` is `private` or `trade`."""
        return f"{host}/v5/{path}?max_active_time={self.max_active_s}s"


class Login(Protocol):
    """The first message of a connection, at that time."""

    def __call__(self, now_ns: Ns) -> bytes: ...


def login(credentials: Credentials, clock: ClockOffset) -> Login:
    def message(now_ns: Ns) -> bytes:
        return ws_auth(credentials, clock.server_ms(now_ns) + _AUTH_VALID_MS).encode()

    return message


class Pulse:
    """Pings, and silence that lasted too long, on a steady clock."""

    __slots__ = ("_every_ns", "_heard_ns", "_pinged_ns", "_silence_ns")

    def __init__(self, settings: ConnectionSettings) -> None:
        self._every_ns = round(settings.ping_every_s * SECOND)
        self._silence_ns = round(settings.silence_s * SECOND)
        self._heard_ns = self._pinged_ns = 0

    def begun(self, now_ns: int) -> None:
        self._heard_ns = self._pinged_ns = now_ns

    def heard(self, now_ns: int) -> None:
        self._heard_ns = now_ns

    def ping_due(self, now_ns: int) -> bool:
        """Whether to ping now, which is then done. Raises TransportError after too long a silence that a ping
        did not end: a machine that stood still pings first.
        """
        silent_ns = now_ns - self._heard_ns
        if silent_ns >= self._silence_ns and self._pinged_ns > self._heard_ns:
            raise TransportError(f"nothing was received for {silent_ns / SECOND:.1f} s", "lost")
        due = now_ns - self._pinged_ns >= self._every_ns or (
            silent_ns >= self._silence_ns and self._pinged_ns <= self._heard_ns
        )
        if due:
            self._pinged_ns = now_ns
        return due


class PrivateStream:
    """The conversation of one private connection."""

    def __init__(
        self,
        account: AccountSession,
        login: Login,
        settings: ConnectionSettings,
        record: Callable[[Ns, bytes], None],
    ) -> None:
        """`record` takes every message, exactly as received, before it is read."""
        self._account = account
        self._login = login
        self._topics = [*TOPICS, FAST_TOPIC] if settings.fast else [*TOPICS]
        self._answer_ns = round(settings.answer_s * SECOND)
        self._record = record
        self._pulse = Pulse(settings)
        self._awaited: str | None = None
        """The op whose ack must come next; None when the stream is up."""
        self._until_ns = 0
        self._outgoing: list[bytes] = []

    def connected(self, recv_ns: Ns, now_ns: int) -> None:
        self._pulse.begun(now_ns)
        self._outgoing = [self._login(recv_ns)]
        self._await("auth", now_ns)

    def received(self, recv_ns: Ns, payload: bytes, now_ns: int) -> None:
        """Raises RemoteProtocolError for a message that cannot be read, TransportError for a refusal."""
        self._record(recv_ns, payload)
        self._pulse.heard(now_ns)
        message = decode(payload, self._account.rows, recv_ns)
        if isinstance(message, Reports):
            self._account.reported(message.reports)
        elif isinstance(message, Ack):
            self._acked(message, recv_ns, now_ns)

    def alive(self, now_ns: int) -> None:
        self._pulse.heard(now_ns)

    def due(self, recv_ns: Ns, now_ns: int) -> None:  # noqa: ARG002 (of every conversation)
        if self._awaited is not None and now_ns >= self._until_ns:
            raise TransportError(f"{self._awaited}: no ack came in {self._answer_ns / MS:.0f} ms", "lost")
        if self._pulse.ping_due(now_ns):
            self._outgoing.append(b'{"req_id":"ping","op":"ping"}')

    def outgoing(self) -> list[bytes]:
        out, self._outgoing = self._outgoing, []
        return out

    def lost(self, recv_ns: Ns, reason: str) -> None:
        self._awaited = None
        self._outgoing.clear()
        self._account.lost(reason, recv_ns)

    def unreachable(self, recv_ns: Ns, reason: str) -> None:
        """The account has been stale since the last connection ended."""

    def _acked(self, ack: Ack, recv_ns: Ns, now_ns: int) -> None:
        if ack.op != self._awaited:
            raise TransportError(f"ack was for {ack.op}, expected {self._awaited or 'none'}", "lost")
        if not ack.accepted:
            if ack.op == "auth":
                self._account.trouble(AccountFault.CREDENTIALS, f"auth: {ack.reason}", None, recv_ns)
            raise TransportError(f"{ack.op} was refused: {ack.reason}", "lost")
        if ack.op == "auth":
            subscribe = {"req_id": "topics", "op": "subscribe", "args": self._topics}
            self._outgoing.append(msgspec.json.encode(subscribe))
            self._await("subscribe", now_ns)
        else:
            self._awaited = None
            self._account.subscribed(recv_ns)

    def _await(self, op: str, now_ns: int) -> None:
        self._awaited, self._until_ns = op, now_ns + self._answer_ns
