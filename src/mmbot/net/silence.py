"""When a connection that says nothing counts as dead: half of the limit is waited for, then it is pinged, and
the other half is waited for an answer. Sans-IO: times are of a steady clock.
"""

from mmbot.errors import TransportError
from mmbot.units import SECOND


class Silence:
    """Of one connection after the other. A ping is sent at most once for half of the limit."""

    def __init__(self, limit_s: float) -> None:
        self._limit_ns = round(limit_s * SECOND)
        self._heard_ns = self._pinged_ns = 0

    def begins(self, now_ns: int) -> None:
        """A connection was opened."""
        self._heard_ns = self._pinged_ns = now_ns

    def broken(self, now_ns: int) -> None:
        """Something came, a pong included."""
        self._heard_ns = now_ns

    def ping_due(self, now_ns: int) -> bool:
        """Ping now? Raises TransportError for a connection that has been silent for too long."""
        silent_ns = now_ns - self._heard_ns
        if self._pinged_ns > self._heard_ns:
            if silent_ns >= self._limit_ns and now_ns - self._pinged_ns >= self._limit_ns // 2:
                raise TransportError(f"nothing was received for {silent_ns / SECOND:.1f} s", "lost")
        elif silent_ns >= self._limit_ns // 2:
            self._pinged_ns = now_ns
            return True
        return False
