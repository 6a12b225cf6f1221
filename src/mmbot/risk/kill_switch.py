"""Kill switch: quoting is allowed only while everything that could forbid it was asked and said no.

It fails closed: what cannot be read counts as a no. Once it is off it stays off; only a new start, after an
operator has taken the marker away, turns it on again. Dead man: a second process counts the bot's heartbeats,
and acts when they stop.
"""

from mmbot.units import SECOND


class KillSwitch:
    """Whether this run may still create orders. `reason` is why not, once it may not."""

    __slots__ = ("reason",)

    def __init__(self) -> None:
        self.reason: str | None = None

    @property
    def off(self) -> bool:
        return self.reason is not None

    def press(self, reason: str) -> bool:
        """Forbid from now on; returns whether that is news. The first reason stays."""
        news = self.reason is None
        if news:
            self.reason = reason
        return news


class DeadMan:
    """Heartbeats of a bot, as seen by its guard. A beat counts when its number moves: a clock can jump, and a
    file can be touched by anybody.
    """

    __slots__ = ("_last_ns", "_number", "_patience_ns")

    def __init__(self, patience_s: float, now_ns: int) -> None:
        """`now_ns` is monotonic, like every later one. A bot that never beats is dead after `patience_s`."""
        self._patience_ns = round(patience_s * SECOND)
        self._number: int | None = None
        self._last_ns = now_ns

    def heard(self, number: int | None, now_ns: int) -> None:
        """What the heartbeat says now; None where it cannot be read, which is no beat."""
        if number is not None and number != self._number:
            self._number = number
            self._last_ns = now_ns

    def dead(self, now_ns: int) -> bool:
        return now_ns - self._last_ns > self._patience_ns
