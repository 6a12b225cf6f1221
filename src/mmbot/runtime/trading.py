"""The shell of live trading: ticks as of every live run, and what stands between them and real money.

Before every tick: the heartbeat moves once a second, the kill switch's marker is looked for, and the world is
asked whether anything forbids to quote. Where it does, what works is pulled and nothing is created until it
has passed; a pressed switch halts the run. However a run ends, it pulls its quotes first and waits until the
log proves that every order is gone, at most a grace.

Ticks begin when every symbol has a book, and books and venue have agreed. `order_*_us` samples are how long a
tick's orders took from the newest frame that it knew: `wait` for the tick, `decide`, `log` (on the disk) and
`send` (handed to the socket).
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from mmbot.engine.engine import Engine
from mmbot.model.commands import Message, unpacked
from mmbot.model.instrument import Instrument
from mmbot.model.notes import Note
from mmbot.model.records import EventRow, Row, SampleRow
from mmbot.runtime.live import Live, WallTimes
from mmbot.runtime.live_world import LiveWorld
from mmbot.runtime.player import HALT_GRACE_NS
from mmbot.units import SECOND, Ns

BEAT_EVERY_NS = SECOND
_SPARE_RATIO = 2
"""Room that the watch over the order path leaves above the limits: the price that values a cap may halve."""


class Ground(Protocol):
    """Where the run stands: the account's folder."""

    @property
    def halted(self) -> str | None:
        """Why no order may be created; None if one may."""

    def beat(self, number: int) -> None:
        """Move the heartbeat. Raises OutputError."""


class Trading(Live):
    """One live run of an account whose folder is claimed. `halt` presses the run's own button."""

    _world: LiveWorld

    def __init__(
        self,
        engine: Engine,
        times: WallTimes,
        world: LiveWorld,
        folder: Ground,
        most_position_quote: float,
        rss_bytes: Callable[[], int],
        clock: Callable[[], Ns],
        sleep_until: Callable[[int, Callable[[], Ns]], Awaitable[None]],
        keep: Callable[[Ns, Note], None],
        halt: Callable[[str], None],
    ) -> None:
        super().__init__(
            engine,
            times,
            lambda on_fill: world.attach(engine, on_fill),
            rss_bytes,
            clock,
            sleep_until,
            keep,
        )
        self._folder = folder
        self._most_position_quote = most_position_quote
        self._halt = halt
        self._beat_ns = 0
        self._aside: str | None = None

    def _told(self, now_ns: int) -> None:
        super()._told(now_ns)
        if now_ns >= self._beat_ns:
            self._folder.beat(now_ns)
            self._beat_ns = now_ns + BEAT_EVERY_NS
        marker = self._folder.halted
        if marker is not None:
            self._halt(f"kill switch: {marker}")
        if self._world.switch.reason is not None:
            self._halt(self._world.switch.reason)

    def _ready(self, now_ns: int) -> bool:
        if not self._world.agreed:
            return False
        first = self.started_ns is None
        ready = super()._ready(now_ns)
        if ready and first:
            self._world.guard(self._most_lots())
        return ready

    def _most_lots(self) -> dict[str, int]:
        """By symbol, what a position may never come to."""
        return {
            key: self._cap_lots(bot.instrument, bot.market.mid_x2) for key, bot in self._engine.bots.items()
        }

    def _cap_lots(self, instrument: Instrument, mid_x2: int | None) -> int:
        price = instrument.price((mid_x2 or 2) / 2)
        lot_quote = instrument.notional_quote(1, price)
        held = abs(self._engine.bots[instrument.key].position.lots)
        return held + math.ceil(_SPARE_RATIO * self._most_position_quote / lot_quote)

    def _tick(self, now_ns: int) -> None:
        refusal = self._world.refusal(now_ns)
        if refusal != self._aside:
            kind = "quoting" if refusal is None else "stand_aside"
            self._rows.append(EventRow(now_ns, None, kind, {"reason": refusal}))
            self._aside = refusal
        if refusal is not None:
            self._route(now_ns, self._engine.pull_quotes(now_ns))
            return
        began_ns = self._clock()
        sent = self._sent
        commands = self._engine.tick(now_ns)
        decided_ns = self._clock()
        if commands:
            self._route(now_ns, commands)
        if self._sent > sent:
            self._time(now_ns, began_ns, decided_ns)
        self.counts.ticks += len(self._digests)

    @property
    def _sent(self) -> int:
        """Messages that had to wait for the disk, orders counted one by one."""
        return self.counts.orders + self.counts.amends

    def _time(self, now_ns: int, began_ns: Ns, decided_ns: Ns) -> None:
        logged_ns, newest_ns = self._world.logged_ns, self._world.newest_ns
        stages = {
            "wait": began_ns - newest_ns,
            "decide": decided_ns - began_ns,
            "log": logged_ns - decided_ns,
            "send": self._clock() - logged_ns,
        }
        for name, took_ns in stages.items():
            self._rows.append(SampleRow(now_ns, None, f"order_{name}_us", took_ns / 1e3))

    def _route(self, now_ns: int, messages: Sequence[Message]) -> None:
        """As whole messages, so that a batch stays one, and all creates wait for the disk once."""
        for command in unpacked(messages):
            self._count(now_ns, command)
        self._world.send_all(now_ns, messages)

    def _take_rows(self) -> list[Row]:
        self._rows = self._world.take_rows() + self._rows
        return super()._take_rows()

    async def _over(self, now_ns: int) -> int:
        """The time is up: nothing of ours stays at the venue."""
        return await self._halted(now_ns, self.finish_reason or "the run's time is over")

    async def _halted(self, now_ns: int, reason: str) -> int:
        give_up_ns = now_ns + HALT_GRACE_NS
        self._route(now_ns, self._engine.halt(now_ns, reason))
        self._world.halted()
        while (self._engine.working or self._world.working) and now_ns < give_up_ns:
            now_ns += self._times.tick_ns
            await self._sleep_until(now_ns, self._clock)
            super()._told(now_ns)
            self._folder.beat(now_ns)
            self._world.advance(now_ns)
            self._route(now_ns, self._engine.tick(now_ns))
        return now_ns
