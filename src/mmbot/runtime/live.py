"""The wall-clock shell: an engine that ticks when it is time, on events as they come in.

Ticks stand on the same grid as in a replay, whole intervals since the epoch. When one is due the shell reads
the clock, and the world advances to the *grid* time: whatever was received later waits for the next tick, so
being a little late changes no decision. A shell that is late by more than the deadline drops the ticks that
it missed and goes on with the newest. Lateness once a second, drops, the first tick, a halt and the end are
handed to `keep`: they belong into the recording, and a replay that reads them decides the same.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mmbot.engine.engine import Engine
from mmbot.model.notes import Happened, Note
from mmbot.model.records import OUTAGE, EventRow, Row
from mmbot.runtime.player import HALT_GRACE_NS, Player
from mmbot.runtime.world import FillSeen, World
from mmbot.units import SECOND, Ns


@dataclass(frozen=True, slots=True)
class WallTimes:
    """`duration_ns` from the first tick on; None: until it is halted. `broken_off_ns`: the newest row of the
    process that played this run before, None where there was none.
    """

    tick_ns: int
    sample_ns: int
    deadline_ns: int
    duration_ns: int | None
    broken_off_ns: int | None = None


def outage_row(from_ns: int, until_ns: int) -> EventRow:
    """From the newest row that was written before to the first tick after."""
    return EventRow(until_ns, None, "gap", {"reason": OUTAGE, "from_ns": from_ns, "until_ns": until_ns})


class Live(Player):
    """One run on the wall clock."""

    def __init__(
        self,
        engine: Engine,
        times: WallTimes,
        world: Callable[[FillSeen], World],
        rss_bytes: Callable[[], int],
        clock: Callable[[], Ns],
        sleep_until: Callable[[int, Callable[[], Ns]], Awaitable[None]],
        keep: Callable[[Ns, Note], None],
    ) -> None:
        super().__init__(engine, world, rss_bytes)
        self._times = times
        self._clock = clock
        self._sleep_until = sleep_until
        self._keep = keep
        self._latest_ns = 0
        """The longest lateness since the last sample of it."""
        self._latency_due_ns = 0
        self._next_sample_ns = 0
        self._broken_off_ns = times.broken_off_ns
        self.end_ns: int | None = None
        self.went_on_ns: int | None = None
        """Until when the last outage was, once it is over."""

    async def run(self, put: Callable[[list[Row]], None]) -> None:
        """Tick until the time is up (who finishes the run makes it so), or a halt has pulled every quote;
        rows leave at every tick.
        """
        step_ns = self._times.tick_ns
        now_ns = await self._due(-(-self._clock() // step_ns) * step_ns)
        while self.end_ns is None or now_ns < self.end_ns:
            if self.finish_reason is not None:
                self.end_ns = now_ns
                continue
            self._told(now_ns)
            self._world.advance(now_ns)
            if self._halt_asked is not None:
                self.end_ns = await self._halted(now_ns, self._halt_asked)
                break
            if self._ready(now_ns):
                if self._broken_off_ns is not None:
                    put(self._went_on(self._broken_off_ns, now_ns))
                self._play(now_ns)
            rows = [] if self._broken_off_ns is not None else self._take_rows()
            if rows:
                put(rows)
            self._measure(now_ns)
            now_ns = await self._due(now_ns + step_ns)
        else:
            self.end_ns = await self._over(self.end_ns)
        await self._sleep_until(self.end_ns, self._clock)
        if self._broken_off_ns is not None:
            put(self._went_on(self._broken_off_ns, self.end_ns))
        put(self._close(self.end_ns))
        self._keep(self._clock(), Note(Happened.ENDED, at_ns=self.end_ns))

    def _play(self, now_ns: int) -> None:
        """A tick, after what was asked to be done before it, and a sample if it is time for one."""
        if self._between:
            self._act(now_ns)
        self._tick(now_ns)
        if now_ns >= self._next_sample_ns:
            self._sample(now_ns)
            self._next_sample_ns += self._times.sample_ns

    def _ready(self, now_ns: int) -> bool:
        """Every symbol has had a book; the run counts from the first tick at which that is so."""
        if self.started_ns is None and self._engine.ready:
            self.started_ns = self._next_sample_ns = now_ns
            if self._times.duration_ns is not None:
                self.end_ns = now_ns + self._times.duration_ns
            self._keep(self._clock(), Note(Happened.BEGAN, at_ns=now_ns))
        return self.started_ns is not None

    def _went_on(self, broken_off_ns: int, now_ns: int) -> list[Row]:
        """For how long nobody played: told ahead of the first tick, or at the end where none came. What was
        heard until then waits for it, so that no row stands between the outage and the row that it is from.
        """
        self._broken_off_ns, self.went_on_ns = None, now_ns
        self.counts.outages += 1
        return [*self._take_rows(), outage_row(broken_off_ns, now_ns)]

    async def _due(self, now_ns: int) -> int:
        """Wait for a tick; returns its time, or that of the newest if this one is past its deadline."""
        await self._sleep_until(now_ns, self._clock)
        read_ns = self._clock()
        late_ns = read_ns - now_ns
        if late_ns <= self._times.deadline_ns:
            return now_ns
        ticks = late_ns // self._times.tick_ns
        self._latest_ns = max(self._latest_ns, late_ns)
        if self.started_ns is not None:
            self._known(read_ns, Note(Happened.DROPPED, at_ns=now_ns, ticks=ticks))
        return now_ns + ticks * self._times.tick_ns

    def _measure(self, now_ns: int) -> None:
        """How long after its time a tick was done; the worst of each second is told to the engine."""
        read_ns = self._clock()
        self._latest_ns = max(self._latest_ns, read_ns - now_ns)
        if now_ns >= self._latency_due_ns:
            self._known(read_ns, Note(Happened.LATE, latency_ns=self._latest_ns))
            self._latest_ns, self._latency_due_ns = 0, now_ns + SECOND

    async def _over(self, now_ns: int) -> int:
        """The time is up; returns when the run has ended."""
        return now_ns

    def _known(self, recv_ns: Ns, note: Note) -> None:
        self._timing.append((recv_ns, note))
        self._keep(recv_ns, note)

    async def _halted(self, now_ns: int, reason: str) -> int:
        """Pull the quotes; over when the last order is known to be gone, or after a grace."""
        self._keep(self._clock(), Note(Happened.HALTED, reason, at_ns=now_ns))
        give_up_ns = now_ns + HALT_GRACE_NS
        self._route(now_ns, self._engine.halt(now_ns, reason))
        while self._engine.working and now_ns < give_up_ns:
            now_ns += self._times.tick_ns
            await self._sleep_until(now_ns, self._clock)
            self._world.advance(now_ns)
            self._route(now_ns, self._engine.tick(now_ns))
        return now_ns
