"""Stage 2, spread: adaptive half spread in bps = base + weighted scores, clamped, and slowed. Or that of the
model `strategy.glft`, clamped and slowed in the same way.

Scores are 0..1. Volatility: how far the short-window volatility is above its reference, 1 at twice the
reference. Liquidity: how far depth near the touch (`liquidity_fast_halflife_s`) is below its own mean
(`liquidity_halflife_s`), 1 when it is gone.
"""

import math
from typing import Literal

import msgspec

from mmbot.strategy.glft import Glft
from mmbot.units import SECOND


class SpreadSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`model`: whose half spread and skew are quoted, `adaptive` ones or those of `strategy.glft`."""

    model: Literal["adaptive", "glft"]
    base_bps: float
    min_bps: float
    max_bps: float
    volatility_reference_bps: float
    volatility_weight_bps: float
    liquidity_weight_bps: float
    liquidity_fast_halflife_s: float
    liquidity_halflife_s: float
    slew_bps_per_s: float


class AdaptiveSpread:
    """Half spread with memory: the last value, from which it may move only slowly."""

    __slots__ = ("_glft", "_last_bps", "_now_ns", "_settings")

    def __init__(self, settings: SpreadSettings, glft: Glft | None = None) -> None:
        """`glft`: the model that is asked for in place of base and scores."""
        self.reconfigure(settings, glft)
        self._last_bps = 0.0
        self._now_ns = 0

    def reconfigure(self, settings: SpreadSettings, glft: Glft | None = None) -> None:
        """From the next tick on. The last half spread stays: from it to the new one it moves as slowly."""
        self._settings = settings
        self._glft = glft

    def wanted_bps(self, volatility_bps: float | None, liquidity_score: float) -> float:
        """Half spread of these scores, before it is slowed."""
        settings = self._settings
        if self._glft is not None:
            wanted = self._glft.half_spread_bps(volatility_bps)
            return min(max(wanted, settings.min_bps), settings.max_bps)
        wanted = settings.base_bps + settings.liquidity_weight_bps * liquidity_score
        if volatility_bps is not None and volatility_bps > settings.volatility_reference_bps:
            excess = volatility_bps / settings.volatility_reference_bps - 1.0
            wanted += settings.volatility_weight_bps * min(excess, 1.0)
        if wanted < settings.min_bps:
            return settings.min_bps
        return min(wanted, settings.max_bps)

    @property
    def calm_bps(self) -> float:
        """Volatility below which it does not widen the spread; every one does in the model."""
        return self._settings.volatility_reference_bps if self._glft is None else 0.0

    def settled(self, volatility_bps: float | None, liquidity_score: float) -> bool:
        """The last half spread is the wanted one: nothing is being slowed."""
        return self._last_bps == self.wanted_bps(volatility_bps, liquidity_score)

    def calm_step(self, tick_s: float) -> float:
        """How far the liquidity score may go in a tick without being slowed."""
        settings = self._settings
        step_bps = 0.999 * settings.slew_bps_per_s * tick_s
        return step_bps / settings.liquidity_weight_bps if settings.liquidity_weight_bps else math.inf

    def slept(self, now_ns: int, liquidity_score: float) -> None:
        """Ticks up to this one were left out; the half spread was as wanted in each, volatility calm."""
        self._last_bps = self.wanted_bps(None, liquidity_score)
        self._now_ns = now_ns

    def __call__(self, now_ns: int, volatility_bps: float | None, liquidity_score: float) -> float:
        """Half spread of this tick, bps of fair value."""
        wanted, last = self.wanted_bps(volatility_bps, liquidity_score), self._last_bps
        if wanted != last and self._now_ns:
            step = self._settings.slew_bps_per_s * (now_ns - self._now_ns) / SECOND
            wanted = min(max(wanted, last - step), last + step)
        self._now_ns = now_ns
        self._last_bps = wanted
        return wanted
