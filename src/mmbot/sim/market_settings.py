"""Parameters of the synthetic market, with their units and bounds. `mmbot.sim.market` says what each does."""

from typing import ClassVar

import msgspec


class MarketSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`*_log_mean` and `*_log_sigma` are of the natural logarithm (of lots, of volatility)."""

    symbol: str = "bybit_linear:SYNTHUSDT"
    duration_s: float = 3_600.0
    start_price_ticks: int = 7_500
    depth_levels: int = 50
    message_interval_ms: int = 100

    volatility_bps_per_sqrt_min: float = 4.0
    volatility_log_sigma: float = 0.5
    volatility_half_life_s: float = 180.0

    trades_per_s: float = 3.0
    informed_ratio: float = 0.5
    run_persistence_ratio: float = 0.7
    impact_bps: float = 1.0
    trade_lots_log_mean: float = 4.0
    trade_lots_log_sigma: float = 1.5
    sweep_levels: int = 5

    provider_delay_ms: float = 500.0
    provider_edge_ticks: float = 0.25
    pull_ratio: float = 0.5
    improve_ratio: float = 0.4
    level_changes_per_message: float = 8.0
    level_lots_log_mean: float = 6.0
    level_lots_log_sigma: float = 0.8

    latency_min_ms: float = 5.0
    latency_max_ms: float = 40.0

    _BOUNDS: ClassVar[dict[str, tuple[float, float]]] = {
        "duration_s": (0.001, 30 * 86_400.0),
        "start_price_ticks": (1, 10**12),
        "depth_levels": (1, 1_000),
        "message_interval_ms": (1, 10_000),
        "volatility_bps_per_sqrt_min": (0.0, 100.0),
        "volatility_log_sigma": (0.0, 2.0),
        "volatility_half_life_s": (1.0, 86_400.0),
        "trades_per_s": (0.0, 1_000.0),
        "informed_ratio": (0.0, 1.0),
        "run_persistence_ratio": (0.0, 0.999),
        "impact_bps": (0.0, 10.0),
        "trade_lots_log_mean": (0.0, 16.0),
        "trade_lots_log_sigma": (0.0, 3.0),
        "sweep_levels": (1, 100),
        "provider_delay_ms": (0.0, 600_000.0),
        "provider_edge_ticks": (0.0, 100.0),
        "pull_ratio": (0.0, 1.0),
        "improve_ratio": (0.001, 1.0),
        "level_changes_per_message": (0.0, 1_000.0),
        "level_lots_log_mean": (0.0, 16.0),
        "level_lots_log_sigma": (0.0, 3.0),
        "latency_min_ms": (0.0, 60_000.0),
        "latency_max_ms": (0.0, 60_000.0),
    }

    def __post_init__(self) -> None:
        for name, (least, most) in self._BOUNDS.items():
            value = getattr(self, name)
            if not least <= value <= most:  # false for NaN
                raise ValueError(f"{name} was {value}, expected {least} to {most}")
        if self.latency_max_ms < self.latency_min_ms:
            raise ValueError(f"latency_max_ms was {self.latency_max_ms}, expected at least latency_min_ms")
        room = 20 * self.depth_levels
        if self.start_price_ticks < room:
            raise ValueError(
                f"start_price_ticks was {self.start_price_ticks}, expected at least {room}, 20 x depth_levels"
            )
