"""What the bot watches of itself: how late it acts, what it lost lately, how much it takes, and how often its
book broke.

Everything comes from events and from marks at fixed times, never from a clock, so that a replay of what was
received decides the same.

**Latency** is the worse of two decayed means: order round trips (from the tick that sent a request to its
answer; a request that was given up counts for as long as it was waited for), and `LatencySample` events, what
only a live shell can measure. A mean that nothing renews is forgotten after one half-life, however slow the
answers were that made it, and the next sample stands alone: a bot whose quotes were pulled for its latency
has no round trips, and one answer of a minute must not hold it off for several.

**Drawdown** is how far the marked profit is below its highest mark within the window, in quote currency.
**Taker share** is that of the taker cap's own window. Both are judged when the account is assessed, once a
second: they move slowly, and a mark costs more than a tick has to spare.

**Resyncs** are the times within the window that a whole book broke (a gap, a lost connection, a crossed or
torn book), whatever broke it until it was whole again: a feed that breaks again and again is not to be
believed between the breaks either.
"""

import math
from collections import deque
from typing import NamedTuple

import msgspec

from mmbot.units import MS, SECOND


class VitalsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    latency_halflife_s: float
    drawdown_window_s: float
    resync_window_s: float


class Rest(NamedTuple):
    """Below all of these no stage acts on a vital."""

    latency_ms: float
    drawdown_quote: float
    taker_ratio: float
    resyncs: float


class LatencyMean:
    """Mean of samples, each worth half as much a half-life later."""

    __slots__ = ("_halflife_ns", "_last_ns", "_ms", "_weight")

    def __init__(self, halflife_s: float) -> None:
        self._halflife_ns = halflife_s * SECOND
        self._last_ns = -math.ceil(self._halflife_ns) - 1  # forgotten at any time
        self._weight = 0.0
        self._ms = 0.0

    def add(self, now_ns: int, latency_ns: int) -> None:
        elapsed_ns = now_ns - self._last_ns
        if elapsed_ns > self._halflife_ns:
            self._weight = 0.0
        self._weight = 1.0 + self._weight * math.exp2(-elapsed_ns / self._halflife_ns)
        self._ms += (latency_ns / MS - self._ms) / self._weight
        self._last_ns = now_ns

    def at(self, now_ns: int) -> float | None:
        """Milliseconds; None before any sample, and when the last is forgotten."""
        return None if now_ns - self._last_ns > self._halflife_ns else self._ms


class Drawdown:
    """How far a value is below its highest mark within a window; marks in time order."""

    __slots__ = ("_peaks", "_window_ns")

    def __init__(self, window_s: float) -> None:
        self._window_ns = window_s * SECOND
        self._peaks: deque[tuple[int, float]] = deque()
        """(when, value), falling: each is the highest once those before it have left the window."""

    def marked(self, now_ns: int, value: float) -> float:
        peaks = self._peaks
        while peaks and peaks[-1][1] <= value:
            peaks.pop()
        peaks.append((now_ns, value))
        while now_ns - peaks[0][0] > self._window_ns:
            peaks.popleft()
        return peaks[0][1] - value


class Vitals:
    """The vitals of one symbol. `calm`: each is below the level at which some stage would act on it."""

    __slots__ = (
        "_broken",
        "_broken_ns",
        "_drawdown",
        "_lateness",
        "_rest",
        "_resync_ns",
        "_round_trip",
        "calm",
        "crossed",
        "drawdown_quote",
        "latency_ms",
        "taker_ratio",
    )  # fmt: skip

    def __init__(self, settings: VitalsSettings, rest: Rest) -> None:
        self._rest = rest
        self._round_trip = LatencyMean(settings.latency_halflife_s)
        self._lateness = LatencyMean(settings.latency_halflife_s)
        self._drawdown = Drawdown(settings.drawdown_window_s)
        self.latency_ms: float | None = None
        """None: nothing was heard, or not lately."""
        self.drawdown_quote = 0.0
        self.taker_ratio: float | None = None
        """None: too few fills for a share."""
        self._resync_ns = settings.resync_window_s * SECOND
        self._broken_ns: deque[int] = deque()
        """When a whole book broke, within the window."""
        self._broken = True
        self.crossed = False
        """The book was found crossed, and no whole one has come since."""
        self.calm = True

    def reconfigure(self, rest: Rest) -> None:
        """What is calm is judged anew at the next tick."""
        self._rest, self.calm = rest, False

    def answered(self, now_ns: int, waited_ns: int) -> None:
        """A request was answered, or given up, that long after the tick that sent it."""
        self._round_trip.add(now_ns, waited_ns)
        self.observe(now_ns)

    def sampled(self, now_ns: int, latency_ns: int) -> None:
        """The shell measured a latency."""
        self._lateness.add(now_ns, latency_ns)
        self.observe(now_ns)

    def broke(self, now_ns: int, *, crossed: bool) -> None:
        """The book cannot be believed any more."""
        self.crossed = self.crossed or crossed
        if not self._broken:
            self._broken = True
            self._broken_ns.append(now_ns)
            self.observe(now_ns)

    def whole(self) -> None:
        """A book came that can be believed."""
        self._broken = self.crossed = False

    @property
    def resyncs(self) -> int:
        """Times that the book broke, as of the moment last observed."""
        return len(self._broken_ns)

    def marked(self, now_ns: int, profit_quote: float, taker_ratio: float | None) -> None:
        """Profit since the run began, and the share of recent fills that took."""
        self.drawdown_quote = self._drawdown.marked(now_ns, profit_quote)
        self.taker_ratio = taker_ratio
        self.observe(now_ns)

    def latency_at(self, now_ns: int) -> float | None:
        """The worse mean, of what is not forgotten."""
        latency_ms, late_ms = self._round_trip.at(now_ns), self._lateness.at(now_ns)
        if late_ms is not None and (latency_ms is None or late_ms > latency_ms):
            return late_ms
        return latency_ms

    def observe(self, now_ns: int) -> None:
        """Judge this moment. Needed at a tick only while not calm: time alone can but forget."""
        latency_ms, rest = self.latency_at(now_ns), self._rest
        self.latency_ms = latency_ms
        broken_ns = self._broken_ns
        while broken_ns and now_ns - broken_ns[0] > self._resync_ns:
            broken_ns.popleft()
        self.calm = (
            (latency_ms is None or latency_ms < rest.latency_ms)
            and self.drawdown_quote < rest.drawdown_quote
            and (self.taker_ratio is None or self.taker_ratio < rest.taker_ratio)
            and len(broken_ns) < rest.resyncs
        )
