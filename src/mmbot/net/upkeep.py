"""What is decided about one connection that is kept up. Sans-IO: the shell (`net.line`) has the socket and
the clocks, a simulation has others. `now_ns` is the steady clock; `recv_ns` stamps.
"""

from typing import Protocol

from mmbot.errors import RemoteProtocolError, TransportError
from mmbot.net.backoff import LONGEST_NS, Backoff
from mmbot.units import Ns


class Conversation(Protocol):
    """What is said on a connection, and when it is over."""

    def connected(self, recv_ns: Ns, now_ns: int) -> None: ...

    def received(self, recv_ns: Ns, payload: bytes, now_ns: int) -> None:
        """Raises RemoteProtocolError or TransportError to give the connection up."""

    def alive(self, now_ns: int) -> None:
        """A ping or pong of the protocol itself came."""

    def due(self, recv_ns: Ns, now_ns: int) -> None:
        """What the time makes us say. Raises TransportError to give the connection up."""

    def outgoing(self) -> list[bytes]:
        """What is to be sent now; each is returned once. An empty text is a ping of the protocol itself."""

    def lost(self, recv_ns: Ns, reason: str) -> None:
        """A connection ended. Told before anything else can come."""

    def unreachable(self, recv_ns: Ns, reason: str) -> None:
        """A try to connect failed."""


class Socket(Protocol):
    """An open connection."""

    def send(self, payload: bytes) -> None:
        """Raises TransportError for one that is closed."""

    def ping(self) -> None: ...

    def give_up(self, reason: str) -> None:
        """Begin to close it."""


class Upkeep:
    """One connection after the other, and the conversation on them."""

    def __init__(self, talk: Conversation, backoff: Backoff) -> None:
        self._talk = talk
        self._backoff = backoff
        self._socket: Socket | None = None

    @property
    def open(self) -> bool:
        """A connection stands."""
        return self._socket is not None

    def opened(self, socket: Socket, recv_ns: Ns, now_ns: int) -> None:
        self._socket = socket
        self._talk.connected(recv_ns, now_ns)
        self.flush()

    def received(self, recv_ns: Ns, payload: bytes, now_ns: int) -> None:
        try:
            self._talk.received(recv_ns, payload, now_ns)
            self.flush()
        except (RemoteProtocolError, TransportError) as error:
            self.lost(recv_ns, str(error))

    def alive(self, now_ns: int) -> None:
        self._talk.alive(now_ns)

    def look(self, recv_ns: Ns, now_ns: int) -> None:
        """Say what is due."""
        try:
            self._talk.due(recv_ns, now_ns)
            self.flush()
        except TransportError as error:
            self.lost(recv_ns, str(error))

    def flush(self) -> None:
        """Send what the conversation wants sent. Raises TransportError."""
        socket = self._socket
        if socket is None:
            return
        for message in self._talk.outgoing():
            if message:
                socket.send(message)
            else:
                socket.ping()

    def lost(self, recv_ns: Ns, reason: str) -> None:
        """The connection is over: told once, for the first reason."""
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.give_up(reason)
            self._talk.lost(recv_ns, reason)

    def dropped(self) -> None:
        """Nobody runs it any more: what is left of the connection is the shell's to close."""
        self._socket = None

    def unreachable(self, recv_ns: Ns, reason: str) -> None:
        self._talk.unreachable(recv_ns, reason)

    def wait_ns(self, lasted_ns: int) -> Ns:
        """How long to wait before the next try, after one that lasted so long."""
        if lasted_ns > LONGEST_NS:
            self._backoff.reset()
        return self._backoff.next_ns()
