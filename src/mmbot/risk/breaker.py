"""Circuit breaker of one venue: when too many requests fail, no order is created there for a while.

Closed: everything passes, and the failures of a rolling window are counted. A failure is a reject or an
answer that did not come in time. Rejects of post-only orders count too: where half of the orders would take,
the book that they were priced from is not the venue's. Open: nothing is created for `open_s`. Half-open: a
few probes go out; one failure opens it again, answers to all of them close it with a clean window. Cancels
never ask the breaker.

It changes only where a tick asks it, and counts by slices of time, so that symbols may report in any order
between two ticks.
"""

from enum import StrEnum

import msgspec

from mmbot.units import MS, SECOND

_SLICES = 20


class BreakerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`answer_timeout_ms`: a request that waited longer has failed."""

    window_s: float
    min_samples: int
    max_failure_ratio: float
    open_s: float
    probes: int
    answer_timeout_ms: float

    @property
    def answer_timeout_ns(self) -> int:
        return round(self.answer_timeout_ms * MS)


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Outcomes:
    """Answered and failed requests of a rolling window, in slices of a twentieth of it: what is counted is at
    least the window and at most one slice more.
    """

    __slots__ = ("_first", "_slice_ns", "_slices", "_totals")

    def __init__(self, window_ns: int) -> None:
        self._slice_ns = max(window_ns // _SLICES, 1)
        self._slices: dict[int, list[int]] = {}
        """Slice of time -> answered, failed."""
        self._totals = [0, 0]
        """Their sums."""
        self._first = 0
        """The oldest slice that counts."""

    def add(self, at_ns: int, *, failed: bool) -> None:
        number = at_ns // self._slice_ns
        if number >= self._first:
            self._slices.setdefault(number, [0, 0])[failed] += 1
            self._totals[failed] += 1

    def counts(self, now_ns: int) -> tuple[int, int]:
        """Requests and failures."""
        first, totals = now_ns // self._slice_ns - _SLICES, self._totals
        if first != self._first:
            self._first = first
            for old in [number for number in self._slices if number < first]:
                answered, failed = self._slices.pop(old)
                totals[0] -= answered
                totals[1] -= failed
        return totals[0] + totals[1], totals[1]

    def clear(self) -> None:
        self._slices.clear()
        self._totals = [0, 0]


class Breaker:
    """`state` is as of the last question."""

    __slots__ = (
        "_failed_since",
        "_half_open_ns",
        "_opened_ns",
        "_outcomes",
        "_probes_answered",
        "_probes_sent",
        "_settings",
        "state",
    )

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._outcomes = Outcomes(round(settings.window_s * SECOND))
        self.state = BreakerState.CLOSED
        self._opened_ns = 0
        self._half_open_ns = 0
        self._probes_sent = 0
        self._probes_answered = 0
        self._failed_since = 0
        """Requests sent since it was half-open that failed."""

    def reconfigure(self, settings: BreakerSettings) -> None:
        """From the next question on; state and counts stay. `window_s` is part of the counts and cannot
        change.
        """
        self._settings = settings

    @property
    def answer_timeout_ns(self) -> int:
        return self._settings.answer_timeout_ns

    def answered(self, sent_ns: int, now_ns: int, *, create: bool) -> None:
        """The venue did what it was asked, or said why there was nothing to do (a cancel that came late)."""
        self._outcomes.add(now_ns, failed=False)
        if create and self._is_probe(sent_ns):
            self._probes_answered += 1

    def failed(self, sent_ns: int, now_ns: int) -> None:
        """The venue rejected an order, or an answer is overdue."""
        self._outcomes.add(now_ns, failed=True)
        if self._is_probe(sent_ns):
            self._failed_since += 1

    def created(self) -> None:
        """An order goes out."""
        if self.state is BreakerState.HALF_OPEN:
            self._probes_sent += 1

    def refusal(self, now_ns: int) -> str | None:
        """Why no order may be created now; None if one may. Moves the state on."""
        self._move(now_ns)
        if self.state is BreakerState.OPEN:
            left_s = self._settings.open_s - (now_ns - self._opened_ns) / SECOND
            return f"breaker: open for another {left_s:.1f} s"
        if self.state is BreakerState.HALF_OPEN and self._probes_sent >= self._settings.probes:
            return "breaker: half-open, its probes are out"
        return None

    def _move(self, now_ns: int) -> None:
        settings = self._settings
        if self.state is BreakerState.CLOSED:
            requests, failures = self._outcomes.counts(now_ns)
            if requests >= settings.min_samples and failures > requests * settings.max_failure_ratio:
                self._open(now_ns)
        elif self.state is BreakerState.HALF_OPEN:
            if self._failed_since:
                self._open(now_ns)
            elif self._probes_answered >= settings.probes:
                self._outcomes.clear()
                self.state = BreakerState.CLOSED
        elif now_ns - self._opened_ns >= settings.open_s * SECOND:
            self.state = BreakerState.HALF_OPEN
            self._half_open_ns = now_ns
            self._probes_sent = self._probes_answered = self._failed_since = 0

    def _open(self, now_ns: int) -> None:
        self.state = BreakerState.OPEN
        self._opened_ns = now_ns

    def _is_probe(self, sent_ns: int) -> bool:
        return self.state is BreakerState.HALF_OPEN and sent_ns >= self._half_open_ns
