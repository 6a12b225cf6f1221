"""Requests: what we asked of the venue and it has not answered, by client id, oldest first.

One at most for an order: a create is answered before its cancel may be sent.
"""

NEVER_NS = 1 << 62


class Requests:
    """Of one symbol. `due_ns` is when the oldest becomes overdue."""

    __slots__ = ("_sent", "_timeout_ns", "due_ns")

    def __init__(self, timeout_ns: int) -> None:
        self._timeout_ns = timeout_ns
        self._sent: dict[str, int] = {}
        self.due_ns = NEVER_NS

    def reconfigure(self, timeout_ns: int) -> None:
        """For those that wait already, too."""
        self._timeout_ns = timeout_ns
        self._next()

    def sent(self, now_ns: int, client_id: str) -> None:
        if not self._sent:
            self.due_ns = now_ns + self._timeout_ns
        self._sent[client_id] = now_ns

    def answered(self, client_id: str) -> int | None:
        """When it was sent; None where nothing waited: the venue acted unasked, or was given up on."""
        sent_ns = self._sent.pop(client_id, None)
        if sent_ns is not None:
            self._next()
        return sent_ns

    def overdue(self, now_ns: int) -> list[tuple[str, int]]:
        """Client id and sending time of those that waited too long. They are given up: each is told once."""
        late: list[tuple[str, int]] = []
        while self.due_ns <= now_ns:
            client_id = next(iter(self._sent))
            late.append((client_id, self._sent.pop(client_id)))
            self._next()
        return late

    def _next(self) -> None:
        oldest_ns = next(iter(self._sent.values()), None)
        self.due_ns = NEVER_NS if oldest_ns is None else oldest_ns + self._timeout_ns
