"""Latency models: named, seeded, and printed beside every number that they made.

A model draws nanoseconds. One channel delivers in order: a message never overtakes the one before it on the
same connection.
"""

import math
from typing import Literal

import msgspec
import numpy as np

from mmbot.errors import ConfigError
from mmbot.units import MS, Ns


class LatencySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`constant`: always median_ms. `lognormal`: median_ms * exp(sigma * N(0, 1)). None is below floor_ms."""

    model: Literal["constant", "lognormal"]
    median_ms: float
    sigma: float = 0.0
    floor_ms: float = 0.0

    def __post_init__(self) -> None:
        if not (
            math.isfinite(self.median_ms)
            and self.median_ms >= 0
            and math.isfinite(self.sigma)
            and self.sigma >= 0
            and math.isfinite(self.floor_ms)
            and self.floor_ms >= 0
        ):
            raise ValueError(
                f"latency was median_ms {self.median_ms}, sigma {self.sigma}, floor_ms {self.floor_ms}; "
                "expected finite, not negative"
            )
        if self.model == "constant" and self.sigma:
            raise ValueError("a constant latency has no sigma")

    @property
    def name(self) -> str:
        """For manifests and reports."""
        spread = f", sigma {self.sigma:g}" if self.model == "lognormal" else ""
        floor = f", at least {self.floor_ms:g} ms" if self.floor_ms else ""
        return f"{self.model}(median {self.median_ms:g} ms{spread}{floor})"


_BLOCK = 1024


class Channel:
    """One direction of one connection with a latency model and its own stream of the seed."""

    __slots__ = ("_block", "_last_ns", "_rng", "_settings")

    def __init__(self, settings: LatencySettings, seed: tuple[int, ...]) -> None:
        if any(part < 0 for part in seed):
            raise ConfigError(f"seed was {seed}, expected numbers that are not negative")
        self._settings = settings
        self._rng = np.random.default_rng(seed)
        self._block: list[int] = []
        self._last_ns = 0

    def due(self, now_ns: int) -> Ns:
        """When a message sent now arrives: after its latency, and not before its predecessor."""
        due_ns = now_ns + self._draw_ns()
        self._last_ns = max(self._last_ns, due_ns)
        return Ns(self._last_ns)

    def delays(self, count: int) -> list[int]:
        """The next latencies, ns, for a kernel that delivers in order itself."""
        return [self._draw_ns() for _ in range(count)]

    def sent(self, arrived_ns: int) -> Ns:
        """When a message that arrived now was sent: the same, read backwards, and in order too."""
        self._last_ns = max(arrived_ns - self._draw_ns(), self._last_ns)
        return Ns(self._last_ns)

    def _draw_ns(self) -> int:
        if not self._block:
            self._block = self._drawn()
        return self._block.pop()

    def _drawn(self) -> list[int]:
        """The next latencies, last first."""
        settings = self._settings
        median_ns, floor_ns = settings.median_ms * MS, settings.floor_ms * MS
        if settings.model == "constant":
            return [round(max(median_ns, floor_ns))] * _BLOCK
        normals: list[float] = self._rng.standard_normal(_BLOCK).tolist()
        return [round(max(median_ns * math.exp(settings.sigma * normal), floor_ns)) for normal in normals]
