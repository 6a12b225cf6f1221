"""Message throttle of one venue: creates and cancels a second, the last of them for cancels alone.

Counted over a rolling second, so that no second, wherever it begins, holds more than the limit; that is how
Bybit counts (https://bybit-exchange.github.io/docs/v5/rate-limit). Every order counts, in a batch or not: the
strictest reading of the venues' rules.
"""

from collections import deque

import msgspec

from mmbot.model.commands import Room
from mmbot.units import SECOND


class ThrottleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of these `messages_per_s`, `reserved_for_cancels` are never spent on creates."""

    messages_per_s: int
    reserved_for_cancels: int


class Throttle:
    """What was sent in the last second, and who waits.

    A symbol that had to wait is served before those that come after it: what it is owed is kept from them
    until it was served or needs it no more. Owed creates never hold back a cancel.
    """

    __slots__ = ("_limit", "_owed", "_reserved", "_sent", "_used")

    def __init__(self, settings: ThrottleSettings) -> None:
        self.reconfigure(settings)
        self._sent: deque[tuple[int, int]] = deque()
        """(when, messages), oldest first."""
        self._used = 0
        self._owed: dict[str, Room] = {}
        """Symbol -> cancels and creates it waits for, longest wait first."""

    def reconfigure(self, settings: ThrottleSettings) -> None:
        """From the next message on; what was sent in the last second counts."""
        self._limit = settings.messages_per_s
        self._reserved = settings.reserved_for_cancels

    def room(self, now_ns: int, symbol: str, cancels: int) -> Room:
        """What this symbol may send now, when it asks for so many cancels."""
        sent, first_ns = self._sent, now_ns - SECOND
        while sent and sent[0][0] <= first_ns:
            self._used -= sent.popleft()[1]
        cancels_ahead = creates_ahead = 0
        for key, owed in self._owed.items():
            if key == symbol:
                break
            cancels_ahead += owed.cancels
            creates_ahead += owed.creates
        left = self._limit - self._used - cancels_ahead
        cancels = min(cancels, max(left, 0))
        return Room(cancels, max(left - cancels - self._reserved - creates_ahead, 0))

    def spent(self, now_ns: int, messages: int) -> None:
        """So many have gone out."""
        if messages:
            self._sent.append((now_ns, messages))
            self._used += messages

    def owes(self, symbol: str, cancels: int, creates: int) -> None:
        """So many of this symbol have to wait; its place in the line stays."""
        if cancels or creates:
            self._owed[symbol] = Room(cancels, creates)
        else:
            self._owed.pop(symbol, None)
