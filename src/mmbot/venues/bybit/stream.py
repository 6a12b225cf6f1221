"""What we say on a public Bybit v5 connection, and when it counts as dead. Sans-IO: times come in.

Rules of the venue (https://bybit-exchange.github.io/docs/v5/ws/connect): a ping as JSON every 20 s; requests
carry a `req_id` and acks repeat it (spot acks may leave it out); acks name no topic, so one request is open
at a time. A request that is refused is our mistake and ends the run: the venue does not have what we want.

A book that broke is asked for anew: unsubscribe and subscribe of its topic give a fresh snapshot
(https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook); REST cannot seed a book of 50 or 200
levels, since its `u` is that of the 1000-level stream. The first time at once, then after a rising wait,
until the book has stood for five minutes: a market with too few levels would make us ask for ever.

Silence: anything received is a sign of life. When nothing came for half of `silence_s` we ping, and when
nothing came then either until `silence_s` was over, the connection is lost. An idle market answers the ping;
a machine that stood still for a while pings first and does not blame the venue. A topic whose snapshot does
not come within `answer_s` after its ack, and a request without an ack, lose the connection too.
"""

from collections import deque
from collections.abc import Sequence

import msgspec

from mmbot.errors import ConfigError, LocalProtocolError, RemoteProtocolError, TransportError
from mmbot.model.events import BookSnapshot, BookTrouble, MarketEvent, Trouble
from mmbot.model.instrument import Instrument
from mmbot.model.notes import Happened, Note, sent
from mmbot.net.backoff import Backoff
from mmbot.net.intake import Intake, Record
from mmbot.units import SECOND, Ns
from mmbot.venues.bybit.codec import answer
from mmbot.venues.bybit.session import ARGS_A_REQUEST, BybitSession, topics

_ARGS_LENGTH = 21_000
"""Characters of all topics of a connection: https://bybit-exchange.github.io/docs/v5/ws/connect"""
_STANDS_NS = 300 * SECOND


class StreamSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds. `silence_s` is what `md_cache.invalidate_on_ws_gap_ms` says of the book."""

    ping_every_s: float = 20.0
    silence_s: float = 5.0
    answer_s: float = 5.0


class _Request(msgspec.Struct, frozen=True):
    op: str
    args: list[str]


class PublicStream:
    """The conversation of one connection: books and trades of instruments of one category."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        depth: int,
        intake: Intake,
        settings: StreamSettings,
        seed: int,
    ) -> None:
        """Raises ConfigError for more topics than a connection takes."""
        self._topics = topics(instruments, depth)
        length = sum(len(topic) + 3 for topic in self._topics)
        if length > _ARGS_LENGTH:
            raise ConfigError(
                f"topics of {len(instruments)} instruments were {length} characters, expected at most "
                f"{_ARGS_LENGTH} on a Bybit connection"
            )
        self._books = {
            instrument.key: _BookTopic(f"orderbook.{depth}.{instrument.symbol}", seed + index)
            for index, instrument in enumerate(instruments)
        }
        self._intake = intake
        self._ping_ns, self._silence_ns, self._answer_ns = (
            round(seconds * SECOND)
            for seconds in (settings.ping_every_s, settings.silence_s, settings.answer_s)
        )
        self._up = False
        self._req_id = 0
        self._waiting: deque[_Request] = deque()
        self._open: _Request | None = None
        self._open_until_ns = 0
        self._heard_ns = self._pinged_ns = 0
        self._outgoing: list[bytes] = []

    def connected(self, recv_ns: Ns, now_ns: int) -> None:
        self._intake.note(recv_ns, Note(Happened.CONNECTED))
        self._up = True
        self._open = None
        self._outgoing.clear()
        starts = range(0, len(self._topics), ARGS_A_REQUEST)
        self._waiting = deque(
            _Request("subscribe", self._topics[start : start + ARGS_A_REQUEST]) for start in starts
        )
        for book in self._books.values():
            book.asked(anew=False)
        self._heard_ns = self._pinged_ns = now_ns
        self._next_request(recv_ns, now_ns)

    def received(self, recv_ns: Ns, payload: bytes, now_ns: int) -> None:
        self._heard_ns = now_ns
        try:
            events = self._intake.take(recv_ns, payload)
        except RemoteProtocolError:
            self._answered(recv_ns, payload, now_ns)  # a refusal of ours is our mistake
            raise
        for event in events:
            self._book_event(event, recv_ns, now_ns)
        if not payload.startswith(b'{"topic"'):  # what starts so is no answer, and is nearly everything
            self._answered(recv_ns, payload, now_ns)

    def alive(self, now_ns: int) -> None:
        self._heard_ns = now_ns

    def due(self, recv_ns: Ns, now_ns: int) -> None:
        silent_ns = now_ns - self._heard_ns
        if self._pinged_ns > self._heard_ns and silent_ns >= self._silence_ns:
            unanswered_ns = now_ns - self._pinged_ns
            if unanswered_ns >= self._silence_ns // 2:
                raise TransportError(f"nothing was received for {silent_ns / SECOND:.1f} s", "lost")
        if self._open is not None and now_ns >= self._open_until_ns:
            raise TransportError(f"{self._open.op} of {', '.join(self._open.args)}: no ack came", "lost")
        for book in self._books.values():
            if book.until_ns is not None and now_ns >= book.until_ns:
                raise TransportError(f"{book.topic}: no snapshot came", "lost")
            if book.resync_at_ns is not None and now_ns >= book.resync_at_ns:
                self._ask_anew(book)
        half_silent = silent_ns >= self._silence_ns // 2 and self._pinged_ns <= self._heard_ns
        if half_silent or now_ns - self._pinged_ns >= self._ping_ns:
            self._pinged_ns = now_ns
            self._say("ping", None, recv_ns)
        self._next_request(recv_ns, now_ns)

    def outgoing(self) -> list[bytes]:
        out, self._outgoing = self._outgoing, []
        return out

    def lost(self, recv_ns: Ns, reason: str) -> None:
        self._open = None
        self._up = False
        self._waiting.clear()
        self._outgoing.clear()
        for book in self._books.values():
            book.forgotten()
        self._intake.note(recv_ns, Note(Happened.LOST, reason))

    def unreachable(self, recv_ns: Ns, reason: str) -> None:
        self._intake.note(recv_ns, Note(Happened.UNREACHABLE, reason))

    def resync(self, symbol: str, now_ns: int) -> None:
        """Somebody wants the whole book of `venue:SYMBOL`: it is asked for when next something is due. A new
        connection brings it by itself.
        """
        if self._up:
            self._books[symbol].broke(now_ns)

    def _book_event(self, event: MarketEvent, recv_ns: Ns, now_ns: int) -> None:
        if isinstance(event, BookSnapshot):
            book = self._books[event.symbol]
            if book.came(now_ns):
                self._intake.note(recv_ns, Note(Happened.RESUBSCRIBED, book.topic))
        elif isinstance(event, BookTrouble) and event.trouble.breaks_book:
            book = self._books[event.symbol]
            book.broke(now_ns, whole=event.trouble in (Trouble.DEPTH, Trouble.CROSSED))
            if book.resync_at_ns is not None and now_ns >= book.resync_at_ns:
                self._ask_anew(book)
                self._next_request(recv_ns, now_ns)

    def _answered(self, recv_ns: Ns, payload: bytes, now_ns: int) -> None:
        ack = answer(payload)
        if ack is None or self._open is None or ack.op != self._open.op:
            return
        if ack.req_id not in (str(self._req_id), ""):
            return
        if not ack.success:
            raise LocalProtocolError(f"{ack.op} of {', '.join(self._open.args)} was refused: {ack.ret_msg}")
        if ack.op == "subscribe":
            for book in self._books.values():
                if book.topic in self._open.args:
                    book.acked(now_ns + self._answer_ns)
        self._open = None
        self._next_request(recv_ns, now_ns)

    def _ask_anew(self, book: "_BookTopic") -> None:
        book.asked(anew=True)
        self._waiting.append(_Request("unsubscribe", [book.topic]))
        self._waiting.append(_Request("subscribe", [book.topic]))

    def _next_request(self, recv_ns: Ns, now_ns: int) -> None:
        if self._open is None and self._waiting:
            self._open = self._waiting.popleft()
            self._open_until_ns = now_ns + self._answer_ns
            self._req_id += 1
            self._say(self._open.op, self._open.args, recv_ns, str(self._req_id))

    def _say(self, op: str, args: list[str] | None, recv_ns: Ns, req_id: str = "ping") -> None:
        """Our requests stand in the recording as what they are."""
        message = {"req_id": req_id, "op": op} | ({} if args is None else {"args": args})
        request = msgspec.json.encode(message)
        self._intake.record(recv_ns, sent(request))
        self._outgoing.append(request)


def public_talk(
    instruments: Sequence[Instrument], depth: int, record: Record, settings: StreamSettings, seed: int
) -> tuple[Intake, PublicStream]:
    """What comes in on one connection, and the conversation on it. Raises like PublicStream."""
    intake = Intake(record, BybitSession(instruments, depth).receive)
    return intake, PublicStream(instruments, depth, intake, settings, seed)


class _BookTopic:
    """Where one book topic stands: asked for, acknowledged, there, broken."""

    __slots__ = ("_anew", "_came_ns", "_expected", "_waited", "_waits", "resync_at_ns", "topic", "until_ns")

    def __init__(self, topic: str, seed: int) -> None:
        self.topic = topic
        self.until_ns: int | None = None
        """A snapshot must come until then."""
        self.resync_at_ns: int | None = None
        """It broke and is asked for anew at this time."""
        self._waits = Backoff(seed)
        self._came_ns = 0
        self._waited = False
        self._expected = self._anew = False

    def asked(self, *, anew: bool) -> None:
        """A request for it is on its way."""
        self._expected, self._anew = True, anew
        self.resync_at_ns = None

    def acked(self, until_ns: int) -> None:
        if self._expected:
            self.until_ns = until_ns

    def came(self, now_ns: int) -> bool:
        """A snapshot; was it one that we had asked for anew?"""
        self.until_ns, self._came_ns = None, now_ns
        anew = self._expected and self._anew
        self._expected = False
        return anew

    def broke(self, now_ns: int, *, whole: bool = False) -> None:
        """It cannot be believed. `whole`: what broke it may be the very snapshot that was asked for."""
        if self._expected and not whole:
            return
        if self.resync_at_ns is not None:
            return
        self._expected, self.until_ns = False, None
        if now_ns - self._came_ns >= _STANDS_NS:
            self._waited = False
            self._waits.reset()
        self.resync_at_ns = now_ns + (self._waits.next_ns() if self._waited else 0)
        self._waited = True

    def forgotten(self) -> None:
        """The connection is gone."""
        self.until_ns = self.resync_at_ns = None
        self._expected = False
