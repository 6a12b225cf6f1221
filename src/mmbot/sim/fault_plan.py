"""What goes wrong in one simulation, drawn from its seed.

Swarm testing (Groce et al., "Swarm Testing", ISSTA 2012): each seed has a mix of its own, in which about a
third of the classes may happen at all, each at a rate of its own. A run with everything on at once hides what
needs a quiet stretch, and one rate for all reaches the same corner again and again. One class, the next one
with every seed, happens in any case and often: so a few dozen seeds reach them all.

A class strikes single messages (`strikes`), or holds for a while (`episodes`). `reached` counts what happened
to something: a class that found nothing to spoil was not reached.
"""

from collections import Counter
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from mmbot.units import MS, SECOND


class Fault(StrEnum):
    """Classes of faults."""

    MARKET_DISCONNECT = "market_disconnect"
    MARKET_SILENCE = "market_silence"
    MARKET_GAP = "market_gap"
    MARKET_DUPLICATE = "market_duplicate"
    MARKET_REORDER = "market_reorder"
    USER_DISCONNECT = "user_disconnect"
    USER_SILENCE = "user_silence"
    USER_LOSS = "user_loss"
    """The user stream is healthy and loses messages, fills among them."""
    USER_DUPLICATE = "user_duplicate"
    USER_REORDER = "user_reorder"
    """A message is overtaken by those after it, by up to four seconds."""
    FILL_AFTER_CANCEL = "fill_after_cancel"
    """An execution is told after the end of its order."""
    TRADE_DISCONNECT = "trade_disconnect"
    ACK_LATE = "ack_late"
    """The answer to an order comes after we gave it up, or nearly."""
    ACK_LOST = "ack_lost"
    """A create was accepted, and nobody says so."""
    CREATE_LOST = "create_lost"
    """A create never arrives."""
    CREATE_LATE = "create_late"
    """A create arrives seconds later."""
    CANCEL_LOST = "cancel_lost"
    CANCEL_ACK_LOST = "cancel_ack_lost"
    RATE_LIMITED = "rate_limited"
    """HTTP 429."""
    BANNED = "banned"
    """HTTP 403: the address is shut out for a while."""
    SERVER_ERROR = "server_error"
    """HTTP 502, before or after the request was carried out."""
    REST_TIMEOUT = "rest_timeout"
    CLOCK_SKEW = "clock_skew"
    """The venue's clock is apart from ours."""
    CLOCK_JUMP = "clock_jump"
    """Our wall clock is set, forward or back."""
    STALL = "stall"
    """Our machine stands still for up to 0.6 s."""
    CRASH = "crash"
    """kill -9 between two events."""
    CRASH_IN_WRITE = "crash_in_write"
    """kill -9 in a write of the order log: nothing of it, a part, or all of it is in the file."""
    MACHINE_CRASH = "machine_crash"
    """What was not synced is gone, too."""
    CRASH_IN_RECOVERY = "crash_in_recovery"
    """A second kill before the bot has agreed with the venue again."""
    RED_BUTTON = "red_button"
    CONFIG_ROLLBACK = "config_rollback"
    """Another configuration is put in force while the bot runs, and taken back."""
    DISK_FULL = "disk_full"
    FOREIGN_ORDER = "foreign_order"
    """Somebody else has an order on our account."""


_CHANCES = (0.005, 0.02, 0.08)
"""Of one message; a seed has one of them for each class."""
_STRIKES = frozenset({
    Fault.MARKET_GAP, Fault.MARKET_DUPLICATE, Fault.MARKET_REORDER, Fault.USER_LOSS, Fault.USER_DUPLICATE,
    Fault.USER_REORDER, Fault.FILL_AFTER_CANCEL, Fault.ACK_LATE, Fault.ACK_LOST, Fault.CREATE_LOST,
    Fault.CREATE_LATE, Fault.STALL, Fault.CANCEL_LOST, Fault.CANCEL_ACK_LOST, Fault.SERVER_ERROR,
    Fault.REST_TIMEOUT,
})  # fmt: skip
_RATIO = {
    Fault.MARKET_GAP: 0.02,
    Fault.MARKET_DUPLICATE: 0.1,
    Fault.MARKET_REORDER: 0.05,
    Fault.STALL: 0.05,
}
"""Of the chance: there are far more market data and ticks than anything else."""
_SELDOM = frozenset({Fault.BANNED, Fault.DISK_FULL, Fault.CLOCK_SKEW})
"""End the run that they meet, until an operator comes: one in ten seeds has each, at most one a run."""
_LENGTH_NS = {
    Fault.MARKET_DISCONNECT: (0, 8 * SECOND),
    Fault.MARKET_SILENCE: (2 * SECOND, 12 * SECOND),
    Fault.USER_DISCONNECT: (0, 8 * SECOND),
    Fault.USER_SILENCE: (5 * SECOND, 20 * SECOND),
    Fault.TRADE_DISCONNECT: (0, 15 * SECOND),
    Fault.RATE_LIMITED: (SECOND, 6 * SECOND),
    Fault.BANNED: (10 * SECOND, 20 * SECOND),
    Fault.CLOCK_SKEW: (10 * SECOND, 40 * SECOND),
    Fault.CLOCK_JUMP: (SECOND, 15 * SECOND),
    Fault.CONFIG_ROLLBACK: (SECOND, 20 * SECOND),
    Fault.DISK_FULL: (2 * SECOND, 10 * SECOND),
    Fault.RED_BUTTON: (7 * SECOND, 15 * SECOND),
}
"""Shortest and longest; what is not named happens at a moment."""
_FIRST_NS = 2 * SECOND
"""Of the faults: the bot is on its way up before the first."""


class Episode(NamedTuple):
    """One fault that holds from `at_ns` on for `length_ns`. `draw` decides what else is open, 0 to 1."""

    at_ns: int
    length_ns: int
    fault: Fault
    draw: float


class FaultPlan:
    """Faults of one seed, from `start_ns` until `end_ns`: from then on nothing goes wrong."""

    def __init__(self, seed: int, start_ns: int, end_ns: int, only: frozenset[Fault] | None = None) -> None:
        """`only`: the classes that may happen, whatever the seed says."""
        self._draws = np.random.default_rng((seed, 1))
        self._uniform: list[float] = []
        self.end_ns = end_ns
        favourite = list(Fault)[seed % len(Fault)]
        chosen = [fault for fault in Fault if self.random() < (0.1 if fault in _SELDOM else 0.35)]
        self.classes = frozenset([*chosen, favourite] if only is None else only)
        self._chance = {
            fault: _CHANCES[-1 if fault is favourite else int(self.random() * len(_CHANCES))]
            * _RATIO.get(fault, 1.0)
            for fault in Fault
            if fault in _STRIKES and fault in self.classes
        }
        self.episodes = sorted(
            episode
            for fault in Fault
            if fault not in _STRIKES and fault in self.classes
            for episode in self._drawn(fault, start_ns)
        )
        self.reached: Counter[Fault] = Counter()

    def random(self) -> float:
        """0 to 1, one more of the seed's."""
        if not self._uniform:
            self._uniform = self._draws.random(1_024).tolist()
        return self._uniform.pop()

    def between(self, least: int, most: int) -> int:
        return least + int(self.random() * (most - least + 1))

    def strikes(self, fault: Fault, now_ns: int) -> bool:
        """Whether it happens to this message, which is then counted."""
        chance = self._chance.get(fault)
        if chance is None or now_ns >= self.end_ns or self.random() >= chance:
            return False
        self.reached[fault] += 1
        return True

    def _drawn(self, fault: Fault, start_ns: int) -> list[Episode]:
        least, most = _LENGTH_NS.get(fault, (0, 0))
        times = 1 if fault in _SELDOM else 1 + int(self.random() * 3)
        episodes = []
        for _ in range(times):
            length_ns = self.between(least // MS, most // MS) * MS
            room_ns = self.end_ns - start_ns - _FIRST_NS - length_ns
            at_ns = start_ns + _FIRST_NS + int(self.random() * max(room_ns, 0))
            episodes.append(Episode(at_ns, length_ns, fault, self.random()))
        return episodes
