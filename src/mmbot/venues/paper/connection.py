"""One websocket of a client, sans-IO: what it asked for, and what waits to be sent to it."""

from typing import Any

import msgspec

from mmbot.venues.paper.faults import Faults, Kind
from mmbot.venues.paper.wire import Row, encoded

MOST_ARGS_CHARACTERS = 21_000
MOST_WAITING = 20_000
"""Frames that may wait for a client: half an hour of a busy book."""


class Connection:
    """`outbox` is emptied by whoever owns the socket; `closing` asks them to close it. `category` is empty
    for a socket of an account.
    """

    def __init__(self, kind: Kind, conn_id: str, faults: Faults, category: str = "") -> None:
        self.kind = kind
        self.category = category
        self.conn_id = conn_id
        self.faults = faults
        self.outbox: list[bytes] = []
        self.topics: dict[str, None] = {}
        self.closing = False
        self._held: list[bytes] = []

    def answer(self, row: Row) -> None:
        """An ack, a pong, a reply."""
        if not self.faults.now.silent:
            self.outbox.append(encoded(row))

    def data(self, topic: str, frame: bytes) -> None:
        """A frame of a topic. A client that leaves too many unread is cut off."""
        if len(self.outbox) >= MOST_WAITING:
            self.closing = True
        elif not self.faults.now.silent:
            self.outbox += self.faults.frames(self.kind, topic, frame, self._held)


def request(text: str | bytes) -> Row | None:
    """A client's message; None for what is no JSON object."""
    try:
        found: Any = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) else None


def topics_asked(message: Row) -> list[str]:
    args = message.get("args")
    return [str(arg) for arg in args] if isinstance(args, list) else []
