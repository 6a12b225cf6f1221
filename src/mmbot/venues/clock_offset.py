"""How far the venue's clock is ahead of ours, from timed questions for its time.

A sample is (sent, server, received): the server read its clock somewhere between the two, so
offset = server - (sent + received) / 2 is wrong by at most half the round trip. Of the samples of the last
ten minutes the one with the shortest round trip is believed (the clock filter of NTP, RFC 5905 section 10): a
slow answer says little, and an average would let every stall of the network move the clock. Ten minutes of
drift of an honest oscillator (50 ppm) are 30 ms, far below what is judged here.

Venues refuse a request whose time lies outside their window, so a wrong clock ends all trading at once: more
than 500 ms is worth a warning, more than 2 s is reason to stop before the venue does.
"""

from collections import deque
from enum import StrEnum

import msgspec

from mmbot.errors import RemoteProtocolError
from mmbot.units import MS, SECOND, Ns

_KEPT_NS = 600 * SECOND
_WARN_NS = 500 * MS
_HALT_NS = 2 * SECOND


class ClockState(StrEnum):
    UNKNOWN = "unknown"
    """Not one sample yet."""
    GOOD = "good"
    WARN = "warn"
    HALT = "halt"


class ClockSample(msgspec.Struct, frozen=True, gc=False):
    recv_ns: int
    offset_ns: int
    rtt_ns: int


class ClockOffset:
    """The believed offset of one venue."""

    __slots__ = ("_best", "_samples")

    def __init__(self) -> None:
        self._samples: deque[ClockSample] = deque()
        self._best: ClockSample | None = None

    def sample(self, sent_ns: Ns, server_ns: Ns, recv_ns: Ns) -> ClockSample:
        """Take one answer. Raises RemoteProtocolError for an answer from before its question: our clock was
        set back in between, so the sample says nothing.
        """
        if recv_ns < sent_ns:
            raise RemoteProtocolError(
                f"time was asked at {sent_ns} and answered at {recv_ns}, expected the answer later"
            )
        taken = ClockSample(recv_ns, server_ns - (sent_ns + recv_ns) // 2, recv_ns - sent_ns)
        samples = self._samples
        samples.append(taken)
        while samples[0].recv_ns < recv_ns - _KEPT_NS:
            samples.popleft()
        self._best = min(samples, key=lambda one: one.rtt_ns)
        return taken

    def forget(self) -> None:
        """The venue said that our time is wrong: believe nothing from before."""
        self._samples.clear()

    @property
    def best(self) -> ClockSample | None:
        """The sample that is believed."""
        return self._best

    def server_ms(self, now_ns: Ns) -> int:
        """The venue's time in whole milliseconds, down; ours while nothing is known."""
        return (now_ns + (self._best.offset_ns if self._best else 0)) // MS

    def our_ns(self, server_ms: int) -> Ns:
        """Our time at a time of the venue's."""
        return Ns(server_ms * MS - (self._best.offset_ns if self._best else 0))

    @property
    def state(self) -> ClockState:
        """Judged on what the sample proves: the offset less what its round trip may have added."""
        if self._best is None:
            return ClockState.UNKNOWN
        proven_ns = abs(self._best.offset_ns) - self._best.rtt_ns // 2
        if proven_ns > _HALT_NS:
            return ClockState.HALT
        return ClockState.WARN if proven_ns > _WARN_NS else ClockState.GOOD
