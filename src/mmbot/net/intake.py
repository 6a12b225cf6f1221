"""From the socket to whoever consumes: recorded first, then read, then handed over in bounded numbers.

The socket's callback never waits. A consumer that falls too far behind loses what it did not take, is told so
like of a lost connection, and starts again from fresh books: old market data is worth nothing.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from mmbot.errors import RemoteProtocolError, TransportError
from mmbot.model.events import MarketEvent
from mmbot.model.notes import Note
from mmbot.units import Ns

Record = Callable[[Ns, bytes], None]
"""Takes every line, exactly as received."""
LONGEST = 50_000
"""Events that wait at most: some ten seconds of a busy market."""


class Batch(NamedTuple):
    """What came since the last time, in order."""

    events: list[MarketEvent]
    notes: list[tuple[Ns, Note]]


class Intake:
    """The one door for what comes in, of one session."""

    def __init__(
        self, record: Record, read: Callable[[bytes, Ns], list[MarketEvent]], longest: int = LONGEST
    ) -> None:
        """`read`: the session that reads the lines."""
        self._record = record
        self._read = read
        self._longest = longest
        self._events: list[MarketEvent] = []
        self._notes: list[tuple[Ns, Note]] = []
        self.arrived = asyncio.Event()
        """Something can be taken."""

    def take(self, recv_ns: Ns, payload: bytes) -> list[MarketEvent]:
        """A line came; returns what it says. Raises RemoteProtocolError for one that cannot be read, and
        TransportError when the consumer is too far behind; both have been recorded, but for a message of
        several lines, which no recording could give back.
        """
        if b"\n" in payload:
            raise RemoteProtocolError(f"message was {payload[:120]!r}, expected JSON on one line")
        self._record(recv_ns, payload)
        events = self._read(payload, recv_ns)
        self._events += events
        self.arrived.set()
        waiting = len(self._events)
        if waiting > self._longest:
            self._events.clear()
            raise TransportError(f"the consumer fell {waiting} events behind; they were dropped", "lost")
        return events

    def note(self, recv_ns: Ns, note: Note) -> None:
        """Something happened to the connection: recorded, read and handed over like a frame."""
        payload = note.encoded()
        self._record(recv_ns, payload)
        self._events += self._read(payload, recv_ns)
        self._notes.append((recv_ns, note))
        self.arrived.set()

    def record(self, recv_ns: Ns, line: bytes) -> None:
        """A line that says nothing to the session, such as a request of ours."""
        self._record(recv_ns, line)

    def drain(self) -> Batch:
        """Take all that waits; never waits itself."""
        batch = Batch(self._events, self._notes)
        self._events, self._notes = [], []
        self.arrived.clear()
        return batch
