"""What a replay shell needs of the world outside the engine."""

from collections.abc import Callable
from typing import Protocol

from mmbot.model.commands import Command
from mmbot.model.events import Fill

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
