"""Stage 2, spread: adaptive half spread in bps = base + weighted scores, clamped, and slowed.

Scores are 0..1. Volatility: how far the short-window volatility is above its reference, 1 at twice the
reference. Liquidity: how far depth near the touch is below its own recent mean, 1 when it is gone.
"""

import msgspec

from mmbot.units import SECOND


class SpreadSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    base_bps: float
    min_bps: float
    max_bps: float
    volatility_reference_bps: float
    volatility_weight_bps: float
    liquidity_weight_bps: float
    liquidity_halflife_s: float
    slew_bps_per_s: float


class AdaptiveSpread:
    """Half spread with memory: the mean depth it compares with, and the last value it may move away from only
    slowly.
    """

    __slots__ = ("_halflife_ns", "_last_bps", "_mean_depth", "_now_ns", "_settings")

    def __init__(self, settings: SpreadSettings) -> None:
        self._settings = settings
        self._halflife_ns = settings.liquidity_halflife_s * SECOND
        self._mean_depth = 0.0
        self._last_bps = 0.0
        self._now_ns = 0

    def __call__(self, now_ns: int, volatility_bps: float | None, depth_lots: int) -> float:
        """Half spread of this tick, bps of fair value."""
        settings = self._settings
        elapsed = now_ns - self._now_ns
        wanted = settings.base_bps + settings.liquidity_weight_bps * self._liquidity_score(
            depth_lots, elapsed
        )
        if volatility_bps is not None:
            excess = volatility_bps / settings.volatility_reference_bps - 1.0
            wanted += settings.volatility_weight_bps * min(max(excess, 0.0), 1.0)
        wanted = min(max(wanted, settings.min_bps), settings.max_bps)
        if self._now_ns:
            step = settings.slew_bps_per_s * elapsed / SECOND
            wanted = min(max(wanted, self._last_bps - step), self._last_bps + step)
        self._now_ns = now_ns
        self._last_bps = wanted
        return wanted

    def _liquidity_score(self, depth_lots: int, elapsed_ns: int) -> float:
        if not self._now_ns:
            self._mean_depth = float(depth_lots)
            return 0.0
        mean = self._mean_depth
        self._mean_depth = mean + (1.0 - 0.5 ** (elapsed_ns / self._halflife_ns)) * (depth_lots - mean)
        return max(1.0 - depth_lots / mean, 0.0) if mean > 0 else 0.0
