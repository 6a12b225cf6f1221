"""Stage 2, spread: adaptive half spread in bps = base + weighted scores, clamped, slowed, and cooled off. Or
that of the model `strategy.glft` in place of base, volatility and liquidity, and all else the same.

Scores are 0..1. Volatility: how far the short-window volatility is above its reference, 1 at twice the
reference. Liquidity: how far depth near the touch (`liquidity_fast_halflife_s`) is below its own mean
(`liquidity_halflife_s`), 1 when it is gone. Latency and pnl: how far the bot's own latency, and its drawdown,
are above their references, 1 at twice them (`strategy.vitals`).

The half spread moves at most `slew_bps_per_s`. Cool-off: for `cool_off_s` after its scores asked for
`max_bps`, and after any tick with a guard, it may widen and does not tighten; then it comes back at the same
rate. What made it wide seldom comes alone, and whoever quotes tight first in between is the one who is hit.
"""

import math
from typing import Literal, NamedTuple

import msgspec

from mmbot.strategy.glft import Glft
from mmbot.strategy.vitals import Vitals
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
    latency_reference_ms: float
    latency_weight_bps: float
    drawdown_reference_quote: float
    pnl_weight_bps: float
    slew_bps_per_s: float
    cool_off_s: float


class Scores(NamedTuple):
    """What widens, each 0..1."""

    volatility: float
    liquidity: float
    latency: float
    pnl: float


class AdaptiveSpread:
    """Half spread with memory: the last value, from which it may move only slowly."""

    __slots__ = ("_cool_off_ns", "_glft", "_last_bps", "_now_ns", "_settings", "_tightens_ns")

    def __init__(self, settings: SpreadSettings, glft: Glft | None = None) -> None:
        """`glft`: the model that is asked for in place of base, volatility and liquidity."""
        self.reconfigure(settings, glft)
        self._last_bps = 0.0
        self._now_ns = 0
        self._tightens_ns = 0.0
        """From when on it may tighten."""

    def reconfigure(self, settings: SpreadSettings, glft: Glft | None = None) -> None:
        """From the next tick on. The last half spread stays: from it to the new one it moves as slowly."""
        self._settings = settings
        self._glft = glft
        self._cool_off_ns = settings.cool_off_s * SECOND

    def wanted_bps(self, volatility_bps: float | None, liquidity_score: float, own_bps: float = 0.0) -> float:
        """Half spread of these scores, before it is slowed. `own_bps`: what the bot's vitals add."""
        settings = self._settings
        if self._glft is not None:
            wanted = self._glft.half_spread_bps(volatility_bps) + own_bps
            return min(max(wanted, settings.min_bps), settings.max_bps)
        wanted = settings.base_bps + settings.liquidity_weight_bps * liquidity_score + own_bps
        if volatility_bps is not None and volatility_bps > settings.volatility_reference_bps:
            excess = volatility_bps / settings.volatility_reference_bps - 1.0
            wanted += settings.volatility_weight_bps * min(excess, 1.0)
        if wanted < settings.min_bps:
            return settings.min_bps
        return wanted if wanted < settings.max_bps else settings.max_bps  # noqa: FURB136 (every tick)

    def scores(self, volatility_bps: float | None, liquidity_score: float, vitals: Vitals) -> Scores:
        """The scores that these numbers make; a model knows no score of volatility and liquidity."""
        settings = self._settings
        adaptive = self._glft is None
        return Scores(
            _excess(volatility_bps, settings.volatility_reference_bps) if adaptive else 0.0,
            liquidity_score if adaptive else 0.0,
            _excess(vitals.latency_ms, settings.latency_reference_ms),
            _excess(vitals.drawdown_quote, settings.drawdown_reference_quote),
        )

    @property
    def last_bps(self) -> float:
        """Half spread of the last call."""
        return self._last_bps

    @property
    def calm_bps(self) -> float:
        """Volatility below which it does not widen the spread; every one does in the model."""
        return self._settings.volatility_reference_bps if self._glft is None else 0.0

    def settled(self, volatility_bps: float | None, liquidity_score: float) -> bool:
        """The last half spread is the wanted one, and free to move: nothing is slowed or cooling off."""
        free = self._now_ns >= self._tightens_ns
        return free and self._last_bps == self.wanted_bps(volatility_bps, liquidity_score)

    def widest(self, liquidity_score: float) -> bool:
        """Would that score ask for the widest, so that it has to cool off?"""
        return self._cool_off_ns > 0 and self.wanted_bps(None, liquidity_score) >= self._settings.max_bps

    def calm_step(self, tick_s: float) -> float:
        """How far the liquidity score may go in a tick without being slowed."""
        settings = self._settings
        step_bps = 0.999 * settings.slew_bps_per_s * tick_s
        return step_bps / settings.liquidity_weight_bps if settings.liquidity_weight_bps else math.inf

    def slept(self, now_ns: int, liquidity_score: float) -> None:
        """Ticks up to this one were left out; the half spread was as wanted in each, volatility calm."""
        self._last_bps = self.wanted_bps(None, liquidity_score)
        self._now_ns = now_ns

    def cool_off(self, now_ns: int) -> None:
        """Do not tighten for a while."""
        self._tightens_ns = now_ns + self._cool_off_ns

    def __call__(
        self, now_ns: int, volatility_bps: float | None, liquidity_score: float, vitals: Vitals
    ) -> float:
        """Half spread of this tick, bps of fair value."""
        own_bps = 0.0 if vitals.calm else self._own_bps(vitals)
        wanted, last = self.wanted_bps(volatility_bps, liquidity_score, own_bps), self._last_bps
        if wanted >= self._settings.max_bps:
            self.cool_off(now_ns)
        if wanted != last and self._now_ns:
            step = self._settings.slew_bps_per_s * (now_ns - self._now_ns) / SECOND
            if wanted > last:
                wanted = wanted if wanted < last + step else last + step  # noqa: FURB136 (every tick)
            elif now_ns < self._tightens_ns:
                wanted = last
            else:
                wanted = wanted if wanted > last - step else last - step  # noqa: FURB136
        self._now_ns = now_ns
        self._last_bps = wanted
        return wanted

    def _own_bps(self, vitals: Vitals) -> float:
        settings = self._settings
        latency = _excess(vitals.latency_ms, settings.latency_reference_ms)
        pnl = _excess(vitals.drawdown_quote, settings.drawdown_reference_quote)
        return settings.latency_weight_bps * latency + settings.pnl_weight_bps * pnl


def _excess(value: float | None, reference: float) -> float:
    """0 at the reference and below, 1 at twice the reference and above; 0 where nothing is known."""
    return 0.0 if value is None else min(max(value / reference - 1.0, 0.0), 1.0)
