"""Parameters of the synthetic market, with their units and bounds. `mmbot.sim.market` says what each does."""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import msgspec

MAX_SHAPE_TICKS = 10_000


class MarketSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`*_log_mean` and `*_log_sigma` are of the natural logarithm (of lots, of volatility, of activity).

    The defaults of what a fit needs and a plain market does not are neutral: no jitter, no activity of its
    own, no bursts, a fair price that moves in every interval, one print for each level. A parameter that is
    unset is not written either, so that a tape from before it was there keeps its name.
    """

    symbol: str = "bybit_linear:SYNTHUSDT"
    duration_s: float = 3_600.0
    start_price_ticks: int = 7_500
    depth_levels: int = 50
    message_interval_ms: int = 100
    message_jitter_ms: int = 0

    volatility_bps_per_sqrt_min: float = 4.0
    volatility_log_sigma: float = 0.5
    volatility_half_life_s: float = 180.0
    price_move_ratio: float = 1.0

    activity_log_sigma: float = 0.0
    activity_half_life_s: float = 60.0

    trades_per_s: float = 3.0
    burst_ratio: float = 0.0
    burst_wait_ms: float = 100.0
    burst_wait_log_sigma: float = 1.0
    informed_ratio: float = 0.5
    reveal_ratio: float = 0.0
    stale_share_ratio: float = 1.0
    run_persistence_ratio: float = 0.7
    impact_bps: float = 1.0
    impact_power: float = 1.0
    impact_volatility_power: float | msgspec.UnsetType = msgspec.UNSET
    trade_lots_log_mean: float = 4.0
    trade_lots_log_sigma: float = 1.5
    sweep_levels: int = 5
    maker_lots_log_mean: float | None = None
    maker_lots_log_sigma: float = 1.0

    provider_delay_ms: float = 500.0
    provider_edge_ticks: float = 0.25
    pull_ratio: float = 0.5
    improve_ratio: float = 0.4
    improve_room_ratio: float = 0.0
    follow_ratio: float = 0.0

    level_changes_per_message: float = 8.0
    level_changes_dispersion: float = 0.0
    near_ratio: float = 0.8
    near_stop_ratio: float = 0.3
    far_ticks: int = 50
    order_share_ratio: float = 0.25
    order_lots_log_sigma: float | None = None
    new_level_ratio: float = 1.0

    level_lots_log_mean: float = 6.0
    level_lots_log_sigma: float = 0.8
    gap_stop_ratio: float = 0.85
    depth_shape: tuple[tuple[int, float], ...] = (
        (0, 1.0),
        (1, 1.3),
        (2, 1.6),
        (3, 1.9),
        (4, 2.2),
        (5, 2.5),
        (6, 2.8),
        (7, 3.0),
    )

    latency_min_ms: float = 5.0
    latency_max_ms: float = 40.0

    _BOUNDS: ClassVar[dict[str, tuple[float, float]]] = {
        "duration_s": (0.001, 30 * 86_400.0),
        "start_price_ticks": (1, 10**12),
        "depth_levels": (1, 1_000),
        "message_interval_ms": (1, 10_000),
        "message_jitter_ms": (0, 9_999),
        "volatility_bps_per_sqrt_min": (0.0, 100.0),
        "volatility_log_sigma": (0.0, 2.0),
        "volatility_half_life_s": (1.0, 86_400.0),
        "price_move_ratio": (0.0, 1.0),
        "activity_log_sigma": (0.0, 2.0),
        "activity_half_life_s": (0.1, 86_400.0),
        "trades_per_s": (0.0, 1_000.0),
        "burst_ratio": (0.0, 0.95),
        "burst_wait_ms": (0.0, 60_000.0),
        "burst_wait_log_sigma": (0.0, 3.0),
        "informed_ratio": (0.0, 1.0),
        "reveal_ratio": (0.0, 1.0),
        "stale_share_ratio": (0.0001, 1.0),
        "run_persistence_ratio": (0.0, 0.999),
        "impact_bps": (0.0, 100.0),
        "impact_power": (0.0, 1.0),
        "impact_volatility_power": (0.0, 2.0),
        "trade_lots_log_mean": (0.0, 16.0),
        "trade_lots_log_sigma": (0.0, 3.0),
        "sweep_levels": (1, 100),
        "maker_lots_log_mean": (0.0, 16.0),
        "maker_lots_log_sigma": (0.0, 3.0),
        "provider_delay_ms": (0.0, 600_000.0),
        "provider_edge_ticks": (0.0, 100.0),
        "pull_ratio": (0.0, 1.0),
        "improve_ratio": (0.001, 1.0),
        "improve_room_ratio": (0.0, 1.0),
        "follow_ratio": (0.0, 1.0),
        "level_changes_per_message": (0.0, 1_000.0),
        "level_changes_dispersion": (0.0, 1_000.0),
        "near_ratio": (0.0, 1.0),
        "near_stop_ratio": (0.001, 1.0),
        "far_ticks": (1, 100_000),
        "order_share_ratio": (0.0001, 10.0),
        "order_lots_log_sigma": (0.0, 3.0),
        "new_level_ratio": (0.0, 1.0),
        "level_lots_log_mean": (0.0, 16.0),
        "level_lots_log_sigma": (0.0, 3.0),
        "gap_stop_ratio": (0.01, 1.0),
        "latency_min_ms": (0.0, 60_000.0),
        "latency_max_ms": (0.0, 60_000.0),
    }

    def __post_init__(self) -> None:
        for name, (least, most) in self._BOUNDS.items():
            value = getattr(self, name)
            given = value is not None and value is not msgspec.UNSET
            if given and not least <= value <= most:  # false for NaN
                raise ValueError(f"{name} was {value}, expected {least} to {most}")
        if self.latency_max_ms < self.latency_min_ms:
            raise ValueError(f"latency_max_ms was {self.latency_max_ms}, expected at least latency_min_ms")
        if self.message_jitter_ms >= self.message_interval_ms:
            raise ValueError(
                f"message_jitter_ms was {self.message_jitter_ms}, expected less than message_interval_ms"
            )
        room = 20 * self.depth_levels
        if self.start_price_ticks < room:
            raise ValueError(
                f"start_price_ticks was {self.start_price_ticks}, expected at least {room}, 20 x depth_levels"
            )
        _check_shape(self.depth_shape)

    @classmethod
    def bounds(cls, name: str) -> tuple[float, float]:
        """Least and greatest value of a parameter."""
        return cls._BOUNDS[name]


def _check_shape(shape: Sequence[tuple[int, float]]) -> None:
    ticks = [distance for distance, _ in shape]
    rising = all(one < other for one, other in pairwise(ticks))
    if not ticks or ticks[0] != 0 or ticks[-1] > MAX_SHAPE_TICKS or not rising:
        raise ValueError(f"depth_shape was at {ticks} ticks, expected rising from 0 to {MAX_SHAPE_TICKS}")
    for distance, size in shape:
        if not 1e-6 <= size <= 1e6:  # noqa: PLR2004 - six orders of magnitude around the touch
            raise ValueError(f"depth_shape was {size} at {distance} ticks, expected 1e-06 to 1e+06")
