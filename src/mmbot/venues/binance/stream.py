"""One route of Binance USD-M market data: when it counts as dead. Sans-IO: times come in.

What is streamed stands in the address, so nothing is asked for. A connection is valid for 24 hours
(https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams): it is ended
ten minutes before, on our terms. Silence is watched as on Bybit, with the protocol's own ping: at most one
for half of `silence_s`, far below the ten messages a second that a client may send.

Whichever route is lost, all books are: without trades a queue position cannot be believed either.
"""

from collections.abc import Callable

from mmbot.errors import TransportError
from mmbot.model.events import BookTrouble
from mmbot.model.notes import Happened, Note
from mmbot.net.intake import Intake
from mmbot.net.silence import Silence
from mmbot.units import SECOND, Ns
from mmbot.venues.binance.hosts import Route

_VALID_NS = 24 * 3600 * SECOND - 600 * SECOND
_PING = b""


class RouteStream:
    """The conversation of one route. `wanted` is told which symbols need a snapshot; None: all."""

    def __init__(
        self, route: Route, intake: Intake, silence_s: float, wanted: Callable[[str | None], None]
    ) -> None:
        self._route = route
        self._intake = intake
        self._silence = Silence(silence_s)
        self._wanted = wanted
        self._began_ns = 0
        self._outgoing: list[bytes] = []
        self.flowing = False
        """Something came on this connection: from here on what a snapshot does not have is buffered."""

    def connected(self, recv_ns: Ns, now_ns: int) -> None:
        self._began_ns = now_ns
        self._silence.begins(now_ns)
        self._intake.note(recv_ns, Note(Happened.CONNECTED, self._route))

    def received(self, recv_ns: Ns, payload: bytes, now_ns: int) -> None:
        self._silence.broken(now_ns)
        events = self._intake.take(recv_ns, payload)
        if not self.flowing:
            self.flowing = True
            if self._route == "public":
                self._wanted(None)
        for event in events:
            if isinstance(event, BookTrouble) and event.trouble.breaks_book:
                self._wanted(event.symbol)

    def alive(self, now_ns: int) -> None:
        self._silence.broken(now_ns)

    def due(self, recv_ns: Ns, now_ns: int) -> None:  # noqa: ARG002 (the protocol's)
        if now_ns - self._began_ns >= _VALID_NS:
            raise TransportError("its 24 hours are nearly over", "lost")
        if self._silence.ping_due(now_ns):
            self._outgoing.append(_PING)

    def outgoing(self) -> list[bytes]:
        out, self._outgoing = self._outgoing, []
        return out

    def lost(self, recv_ns: Ns, reason: str) -> None:
        self.flowing = False
        self._outgoing.clear()
        self._intake.note(recv_ns, Note(Happened.LOST, f"{self._route}: {reason}"))
        self._wanted(None)

    def unreachable(self, recv_ns: Ns, reason: str) -> None:
        self._intake.note(recv_ns, Note(Happened.UNREACHABLE, f"{self._route}: {reason}"))
