"""A replay that leaves out ticks at which nothing would happen: the wake filter.

Opt-in, for sweeps and long searches. Orders, fills and the run digest are those of the replay with every
tick (tests play both); rows of the ticks that were left out are missing and counted apart. Gates judge rows
of ticks, so they never run filtered.

A symbol sleeps inside the band that its bot declared (`engine.quiet`), at most to the next sample or to when
the account is assessed: there all symbols stand at one moment, and there the run can be asked to halt.
"""

from collections.abc import Callable, Iterator, Sequence

from mmbot.engine.engine import Engine
from mmbot.errors import ConfigError
from mmbot.model.records import Row
from mmbot.runtime.player import Timing
from mmbot.runtime.replay import Replay, Times
from mmbot.runtime.world import FillSeen, SleepingWorld, World


class FilteredReplay(Replay):
    """One run over a tape with the wake filter on. Raises ConfigError for a world that cannot sleep, and
    for a bot whose lateness is known.
    """

    def __init__(
        self,
        engine: Engine,
        times: Times,
        world: Callable[[FillSeen], World],
        rss_bytes: Callable[[], int],
        timing: Sequence[Timing] = (),
    ) -> None:
        super().__init__(engine, times, world, rss_bytes, timing)
        if timing:
            raise ConfigError("a market recorded by a bot knows when it was late: expected no wake filter")
        if not isinstance(self._world, SleepingWorld):
            raise ConfigError("the wake filter needs the compiled engine")
        self._sleeper: SleepingWorld = self._world
        self._due: dict[str, int] = {}
        """When each symbol ticks next."""

    def run(self) -> Iterator[list[Row]]:
        step_ns = self._times.tick_ns
        now_ns = next_sample_ns = first_ns = self._start()
        last_ns = first_ns + (self.end_ns - 1 - first_ns) // step_ns * step_ns
        self._due = dict.fromkeys(self._engine.bots, now_ns)
        while now_ns < self.end_ns:
            if self._between:
                self._act(now_ns)
            self._tick_due(now_ns)
            if now_ns >= next_sample_ns:
                self._sample(now_ns)
                next_sample_ns += self._times.sample_ns
                yield self._take_rows()
            if self._halt_asked is not None:
                self._world.advance(now_ns + step_ns)
                self._halt(now_ns + step_ns, self._halt_asked)
                break
            if self._finish_asked is not None:
                self.end_ns = now_ns + step_ns
                break
            together_ns = min(next_sample_ns, self._engine.assess_ns)
            together_ns = first_ns - (first_ns - together_ns) // step_ns * step_ns
            self._sleep(now_ns, min(together_ns, last_ns))
            now_ns = min(self._due.values())
        yield self._close(self.end_ns)

    def _tick_due(self, now_ns: int) -> None:
        """Every symbol that is due."""
        due = [key for key, due_ns in self._due.items() if due_ns == now_ns]
        for key in due:
            self._sleeper.advance_symbol(key, now_ns)
        bots = self._engine.bots
        self._route(now_ns, self._engine.tick(now_ns, [bots[key] for key in due]))
        self.counts.ticks += len(due)

    def _sleep(self, now_ns: int, latest_ns: int) -> None:
        """When the symbols that have just ticked tick next."""
        step_ns = self._times.tick_ns
        next_ns = now_ns + step_ns
        for key, due_ns in self._due.items():
            if due_ns != now_ns:
                continue
            bot = self._engine.bots[key]
            band = bot.quiet_band() if next_ns < latest_ns else None
            self._due[key] = next_ns
            if band is not None:
                slept = self._sleeper.sleep(key, band, next_ns, step_ns, latest_ns)
                self._due[key] = slept.wake_ns
                if slept.ticks:
                    self.counts.skipped_ticks += slept.ticks
                    last_ns = slept.wake_ns - step_ns
                    bot.slept(slept.ticks, last_ns, slept.liquidity_score, slept.mid_x2)
