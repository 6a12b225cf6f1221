"""The replay shell: a recording, the simulated venue, a virtual clock that jumps from tick to tick.

Every market event acts twice: at the venue when it happened there, and at the bot when it arrived. Between
the two, and for orders and answers, stand the latency models. The world (`runtime.world`) delivers all of
that; the shell ticks, routes commands, counts, samples and halts. Measured durations are written into rows
and never move this clock, so fills and profit do not depend on the machine.

Ticks start at the first whole interval at which every symbol has a book, and end after `duration_ns` or with
the recording. A tape is never looped.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mmbot.engine.engine import Engine
from mmbot.model.notes import Happened
from mmbot.model.records import Row
from mmbot.runtime.player import HALT_GRACE_NS, Player, Timing
from mmbot.runtime.world import FillSeen, World

_CHUNK_TICKS = 4096


@dataclass(frozen=True, slots=True)
class Times:
    """When a replay ticks, samples and ends. `duration_ns` None: as long as the tape."""

    first_ns: int
    tape_end_ns: int
    tick_ns: int
    sample_ns: int
    duration_ns: int | None


class Replay(Player):
    """One run over a tape. Iterate `run()` once."""

    def __init__(
        self,
        engine: Engine,
        times: Times,
        world: Callable[[FillSeen], World],
        rss_bytes: Callable[[], int],
        timing: Iterable[Timing] = (),
    ) -> None:
        known = list(timing)
        super().__init__(engine, world, rss_bytes, known)
        self._times = times
        self._dropped = {
            now_ns
            for _, note in known
            for now_ns in range(note.at_ns, note.at_ns + note.ticks * times.tick_ns, times.tick_ns)
        }
        self._halts = {note.at_ns: note.detail for _, note in known if note.mmbot is Happened.HALTED}
        self.end_ns = times.tape_end_ns
        """Virtual end as known now; final after the run."""
        self.position: tuple[int, int] | None = None
        """The next tick and the next sample, while a batch of rows is out; None before the first and at the
        end.
        """

    def run(self) -> Iterator[list[Row]]:
        """Play to the end, a batch of rows at a time. A copy that was made while a batch was out goes on
        behind it.
        """
        step_ns, sample_ns = self._times.tick_ns, self._times.sample_ns
        world, dropped = self._world, self._dropped
        now_ns, next_sample_ns = self.position or (self._start(),) * 2
        while now_ns < self.end_ns:
            if self.finish_reason is not None:
                self.end_ns = now_ns
                break
            if now_ns in dropped:
                now_ns += step_ns
                continue
            if self._timing:
                self._told(now_ns)
            world.advance(now_ns)
            if now_ns in self._halts:
                self.halt(self._halts[now_ns])
            if self._halt_asked is not None:
                self._halt(now_ns, self._halt_asked)
                break
            if self._between:
                self._act(now_ns)
            self._tick(now_ns)
            sampled = now_ns >= next_sample_ns
            if sampled:
                self._sample(now_ns)
                next_sample_ns += sample_ns
            now_ns += step_ns
            if sampled or not self.counts.ticks % _CHUNK_TICKS or self.suspend_asked is not None:
                self.position = now_ns, next_sample_ns
                yield self._take_rows()
        self.position = None
        yield self._close(self.end_ns)

    def _start(self) -> int:
        """The first tick: the first whole interval at which every symbol has a book."""
        times = self._times
        now_ns = -(-times.first_ns // times.tick_ns) * times.tick_ns
        self._world.advance(now_ns)
        while not self._engine.ready and now_ns < self.end_ns:
            now_ns += times.tick_ns
            self._world.advance(now_ns)
        if self._engine.ready:
            self.started_ns = now_ns
            if times.duration_ns is not None:
                self.end_ns = min(self.end_ns, now_ns + times.duration_ns)
        return now_ns

    def _halt(self, now_ns: int, reason: str) -> None:
        """Pull the quotes; the run ends when the last order is known to be gone, or after a grace."""
        give_up_ns = min(now_ns + HALT_GRACE_NS, self.end_ns)
        self._route(now_ns, self._engine.halt(now_ns, reason))
        while self._engine.working and now_ns < give_up_ns:
            now_ns += self._times.tick_ns
            self._world.advance(now_ns)
            self._route(now_ns, self._engine.tick(now_ns))
        self.end_ns = now_ns
