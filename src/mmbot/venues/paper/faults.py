"""Faults on purpose: what may go wrong between a venue and its clients, by switches and a seed.

Ratios and counts act on data frames (topics), in the order in which they are made; acks and pongs pass. The
order entry itself never fails: a fault loses or spoils what is said about it, as on a real network.
"""

from typing import Any, Literal, get_args

import msgspec
import numpy as np

from mmbot.errors import ConfigError

Kind = Literal["public", "private", "trade"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_TRUNCATED_BYTES = 40


class FaultSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All off by default.

    Public data: `drop_ratio`, `duplicate_ratio`, `reorder_ratio` (a frame changes places with the next one of
    its connection), `gap_frames` (so many book deltas are lost), `truncate_frames` (so many frames are cut).
    Private data: `private_drop_ratio`, `private_duplicate_ratio`. All sockets: `delay_ms` (at least),
    `silent` (open, and nothing is said, not even a pong). REST: `http_429` (so many requests refused),
    `http_502` (so many order requests carried out and answered 502), `rest_delay_ms`. `clock_skew_ms`: the
    exchange's clock is ahead by so much. At once: `restart` (books start anew with `u` = 1), `close` (a kind
    of socket, or all). `seed` starts the draws anew.
    """

    drop_ratio: float = 0.0
    duplicate_ratio: float = 0.0
    reorder_ratio: float = 0.0
    gap_frames: int = 0
    truncate_frames: int = 0
    private_drop_ratio: float = 0.0
    private_duplicate_ratio: float = 0.0
    delay_ms: float = 0.0
    silent: bool = False
    http_429: int = 0
    http_502: int = 0
    rest_delay_ms: float = 0.0
    clock_skew_ms: int = 0
    restart: bool = False
    close: Literal["", "public", "private", "trade", "all"] = ""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name.endswith("_ratio") and not 0 <= value <= 1:
                raise ValueError(f"{name} was {value}, expected 0 to 1")
            if name not in ("clock_skew_ms", "close") and value < 0:
                raise ValueError(f"{name} was {value}, expected at least 0")


class Faults:
    """The switches as they stand, and the draws. Counts go down as they are used up."""

    def __init__(self, settings: FaultSettings) -> None:
        self.now = settings
        self._rng = np.random.default_rng(settings.seed)

    def set(self, changes: dict[str, Any]) -> None:
        """Raises ConfigError for a switch that is none or a value that it cannot have."""
        try:
            self.now = msgspec.convert(msgspec.structs.asdict(self.now) | changes, FaultSettings)
        except msgspec.ValidationError as error:
            raise ConfigError(f"fault switches: {error}") from error
        if "seed" in changes:
            self._rng = np.random.default_rng(self.now.seed)

    def used(self, name: str) -> bool:
        """Whether a count still holds; one of it is used up."""
        left: int = getattr(self.now, name)
        if left:
            self.now = msgspec.structs.replace(self.now, **{name: left - 1})
        return left > 0

    def happened(self) -> None:
        """What was to happen at once did."""
        self.now = msgspec.structs.replace(self.now, restart=False, close="")

    def frames(self, kind: Kind, topic: str, data: bytes, held: list[bytes]) -> list[bytes]:
        """What becomes of one data frame; `held` keeps the one that waits to change places."""
        if kind == "public":
            return self._public(topic, data, held)
        now = self.now
        if now.private_drop_ratio and self._rng.random() < now.private_drop_ratio:
            return []
        twice = now.private_duplicate_ratio and self._rng.random() < now.private_duplicate_ratio
        return [data, data] if twice else [data]

    def _public(self, topic: str, data: bytes, held: list[bytes]) -> list[bytes]:
        now = self.now
        if now.gap_frames and topic.startswith("orderbook") and b'"delta"' in data:
            self.used("gap_frames")
            return []
        if now.drop_ratio and self._rng.random() < now.drop_ratio:
            return []
        if now.truncate_frames:
            self.used("truncate_frames")
            data = data[:_TRUNCATED_BYTES]
        if held:
            return [data, held.pop()]
        if now.reorder_ratio and self._rng.random() < now.reorder_ratio:
            held.append(data)
            return []
        twice = now.duplicate_ratio and self._rng.random() < now.duplicate_ratio
        return [data, data] if twice else [data]
