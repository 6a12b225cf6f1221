"""What drives the synthetic market unseen: the fair price, its volatility, how busy the market is."""

import math
from collections import deque
from collections.abc import Iterator

from mmbot.sim.market_draws import Draws
from mmbot.sim.market_settings import MarketSettings
from mmbot.units import BPS

_MS_PER_MINUTE = 60_000
_LOG_PRICE_LIMIT = math.log(2.0)
_LOG_STATE_LIMIT = 3.0
"""Volatility, activity and asked edge are at most about twenty times their middle."""


class LogState:
    """A positive quantity around 1 that clusters: its logarithm reverts to zero, at half the distance in a
    half-life.
    """

    __slots__ = ("_kept", "_log", "_normal", "_shock", "state", "variance")

    def __init__(self, sigma: float, half_life_s: float, interval_s: float, normal: Iterator[float]) -> None:
        self.variance = sigma**2
        self._kept = 0.5 ** (interval_s / half_life_s)
        self._shock = sigma * math.sqrt(1.0 - self._kept**2)
        self._normal = normal
        self._log = sigma * next(normal)
        self.state = 1.0

    def step(self) -> None:
        """One message interval passes."""
        self._log = self._kept * self._log + self._shock * next(self._normal)
        self.state = math.exp(min(self._log, _LOG_STATE_LIMIT))

    @property
    def against_mean(self) -> float:
        """1 on average, where `state` is 1 in the middle."""
        return self.state * math.exp(-self.variance / 2)


class FairPrice:
    """The latent price: a random walk of the logarithm with clustering volatility.

    It gathers all the time; takers and providers see it only in the intervals in which it moves, and when an
    order reveals it.
    """

    __slots__ = ("_draws", "_log_price", "_moving", "_past", "_start", "_step", "_volatility", "ticks")

    def __init__(self, settings: MarketSettings, draws: Draws) -> None:
        minutes = settings.message_interval_ms / _MS_PER_MINUTE
        self._draws = draws
        self._volatility = LogState(
            settings.volatility_log_sigma,
            settings.volatility_half_life_s,
            minutes * 60.0,
            draws.volatility_normal,
        )
        self._step = settings.volatility_bps_per_sqrt_min / BPS * math.sqrt(minutes)
        self._start = float(settings.start_price_ticks)
        self._log_price = 0.0
        self._moving = True
        self.ticks = self._start
        delay = round(settings.provider_delay_ms / settings.message_interval_ms)
        self._past = deque([self._start] * (delay + 1), maxlen=delay + 1)

    def step(self) -> None:
        """One message interval passes. The divisor keeps the mean variance at the one asked for."""
        draws, volatility = self._draws, self._volatility
        volatility.step()
        self._moving = next(draws.moves)
        self.move(self._step * volatility.state * math.exp(-volatility.variance) * next(draws.price_normal))

    def seen_by_providers(self) -> float:
        """The fair price of `provider_delay_ms` ago. To be asked once an interval."""
        self._past.append(self.ticks)
        return self._past[0]

    @property
    def state(self) -> float:
        """Volatility against its middle."""
        return self._volatility.state

    @property
    def activity(self) -> float:
        """Trading against its mean: it follows volatility."""
        return self._volatility.against_mean

    def move(self, log_change: float) -> None:
        self._log_price = max(-_LOG_PRICE_LIMIT, min(_LOG_PRICE_LIMIT, self._log_price + log_change))
        if self._moving:
            self.reveal()

    def reveal(self) -> None:
        """What has gathered becomes known."""
        self.ticks = self._start * math.exp(self._log_price)
