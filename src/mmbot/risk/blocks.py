"""Block reasons as counted facts: when something began to be held back, why, and how often until it ended."""

from collections.abc import Iterable
from enum import StrEnum

from mmbot.model.records import EventRow
from mmbot.units import MS


class Held(StrEnum):
    """How a request is held back: refused, it is as if it had not been asked; deferred, it goes first in the
    next tick.
    """

    REFUSED = "order_refused"
    DEFERRED = "order_deferred"


Blocked = tuple[Held, str, str]
"""How, what (buy, sell or cancel), and the reason: a limit's name, and after a colon its numbers."""


class Blocks:
    """Of one symbol. A block lasts as long as each tick meets the same limit for the same what; it is a row
    when it begins and one with its count when it ends, not ten rows a second.
    """

    __slots__ = ("_symbol", "lasting")

    def __init__(self, symbol: str) -> None:
        self._symbol = symbol
        self.lasting: dict[tuple[Held, str, str], list[int]] = {}
        """(how, what, limit) -> since when, how often."""

    def tick(self, now_ns: int, blocked: Iterable[Blocked]) -> list[EventRow]:
        """What this tick held back: rows for what begins and what has ended."""
        rows: list[EventRow] = []
        met = set()
        for held, what, reason in blocked:
            limit = reason.partition(":")[0]
            key = held, what, limit
            met.add(key)
            lasting = self.lasting.get(key)
            if lasting is None:
                lasting = self.lasting[key] = [now_ns, 0]
                rows.append(EventRow(now_ns, self._symbol, held.value, {"reason": reason, "side": what}))
            lasting[1] += 1
        ended = [key for key in self.lasting if key not in met]
        return rows + [self._ended(now_ns, key) for key in ended]

    def _ended(self, now_ns: int, key: tuple[Held, str, str]) -> EventRow:
        held, what, limit = key
        since_ns, times = self.lasting.pop(key)
        detail: dict[str, str | int | float | None] = {
            "held": held.value,
            "limit": limit,
            "side": what,
            "times": times,
            "lasted_ms": (now_ns - since_ns) / MS,
        }
        return EventRow(now_ns, self._symbol, "block_ended", detail)
