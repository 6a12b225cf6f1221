"""Timeline: what is due next, over all sources, with one tie rule.

At the same nanosecond the venue acts before we do, and we tick last: a tick sees everything of its own
moment. Within a rank, first come, first served. This order is part of the result; nothing else decides ties.
"""

import heapq
from enum import IntEnum
from typing import Generic, TypeVar

T = TypeVar("T")

NEVER = 1 << 62


class Rank(IntEnum):
    """Order of things that are due at the same nanosecond."""

    VENUE_MARKET = 0
    VENUE_ORDER = 1
    LOCAL_MARKET = 2
    LOCAL_ANSWER = 3
    TICK = 4


class Timeline(Generic[T]):
    """Heap of (due_ns, rank, sequence, item)."""

    __slots__ = ("_heap", "_sequence")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, T]] = []
        self._sequence = 0

    @property
    def next_ns(self) -> int:
        """When the next item is due; NEVER if nothing is."""
        return self._heap[0][0] if self._heap else NEVER

    def push(self, due_ns: int, rank: Rank, item: T) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (due_ns, rank, self._sequence, item))

    def pop(self) -> tuple[int, T]:
        """The next item: when and what. Raises IndexError when nothing is due ever."""
        due_ns, _, _, item = heapq.heappop(self._heap)
        return due_ns, item
