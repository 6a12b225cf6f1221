"""Where every effective value comes from, and which of them a flag that is off replaces."""

from dataclasses import dataclass
from typing import Any

import msgspec

from mmbot.config.flags import Flag, Value, replaced
from mmbot.config.settings import Settings, leaves
from mmbot.config.strict_yaml import Document


@dataclass(frozen=True, slots=True)
class Explained:
    """One effective value. `where`: `file:line`, or None where no file writes it and its type's default
    holds.

    `instead`: what is in force in its place, and the flag that says so.
    """

    key: str
    value: Any
    where: str | None
    instead: tuple[Flag, Value | str] | None = None

    @property
    def written(self) -> str:
        """As YAML writes it."""
        return msgspec.json.encode(self.value).decode().strip('"')


def explain(document: Document, settings: Settings) -> list[Explained]:
    """Every leaf of the settings that the merged document was converted to, in their order."""
    instead = replaced(settings)
    return [
        Explained(key, value, document.origins.get(tuple(key.split("."))), instead.get(key))
        for key, value in leaves(msgspec.to_builtins(settings)).items()
    ]
