"""Virtual time: what is to happen, in the order in which it happens. One thread, no clock.

Of two acts at the same nanosecond, the one that was planned first comes first; so a seed decides everything.
"""

import heapq
from collections.abc import Callable

Act = Callable[[], None]


class EventHeap:
    """`now_ns`: when the last act happened."""

    def __init__(self, start_ns: int) -> None:
        self.now_ns = start_ns
        self.acts = 0
        self._planned: list[tuple[int, int, Act]] = []
        self._count = 0

    def at(self, ns: int, act: Act) -> None:
        """Plan an act; what is planned for the past happens now."""
        self._count += 1
        heapq.heappush(self._planned, (max(ns, self.now_ns), self._count, act))

    def after(self, wait_ns: int, act: Act) -> None:
        self.at(self.now_ns + wait_ns, act)

    def run(self, until_ns: int, then: Act) -> None:
        """Everything up to and including a time; `then` follows every act."""
        planned = self._planned
        while planned and planned[0][0] <= until_ns:
            self.now_ns, _, act = heapq.heappop(planned)
            self.acts += 1
            act()
            then()
        self.now_ns = until_ns
