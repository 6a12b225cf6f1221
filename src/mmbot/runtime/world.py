"""What a replay shell needs of the world outside the engine."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from mmbot.engine.quiet import Band
from mmbot.model.commands import Command, Message
from mmbot.model.events import Event, Fill


class Hears(Protocol):
    """Whom a world delivers to: an engine, or who listens before one."""

    def step(self, event: Event) -> Sequence[Message]:
        """Take an event; only a tick, which no world delivers, is answered with commands."""


FillSeen = Callable[[Fill], None]


class World(Protocol):
    """Markets, venues and everything on its way between them and us."""

    def advance(self, until_ns: int) -> None:
        """Deliver to the engine all that is due up to and including this moment. Only a tick makes the engine
        command anything, so nothing comes back.
        """

    def send(self, now_ns: int, command: Command) -> None:
        """Put a command of ours on its way."""

    def resting(self, symbol: str) -> int:
        """Orders of ours at the venue."""


class Sleep(NamedTuple):
    """A symbol slept to the tick at `wake_ns`: `ticks` were left out, the last with that liquidity score
    and that twice the mid.
    """

    wake_ns: int
    ticks: int
    liquidity_score: float
    mid_x2: int


@runtime_checkable
class SleepingWorld(World, Protocol):
    """A world that can go on by itself while nothing would happen."""

    def advance_symbol(self, symbol: str, until_ns: int) -> None:
        """`advance` for one symbol."""

    def sleep(self, symbol: str, band: Band, tick_ns: int, step_ns: int, latest_ns: int) -> Sleep:
        """Run a symbol from tick to tick, from the one at `tick_ns` on in steps, to the first that the bot
        must see, which is the one at `latest_ns` if there is none before.
        """
