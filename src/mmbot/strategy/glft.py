"""Optimal quotes of a market maker with inventory risk, in closed form: half spread and skew of model `glft`.

Avellaneda and Stoikov, "High-frequency trading in a limit order book" (Quantitative Finance 8, 2008), set the
problem: the mid is a Brownian motion, an order at distance d from it fills at rate A exp(-k d), and what is
maximised is the expected exponential utility of profit. Gueant, Lehalle and Fernandez-Tapia, "Dealing with
the inventory risk" (Mathematics and Financial Economics 7, 2013), solve it and give what the quotes become
far from the end, for a position of q orders (their section 4, orders of one unit):

    bid distance = c1 + (2 q + 1) / 2 * sigma * c2,    ask distance = c1 - (2 q - 1) / 2 * sigma * c2
    c1 = ln(1 + g / k) / g,    c2 = sqrt(g / (2 A k) * (1 + g / k) ** (1 + k / g))

So the half spread is c1 + sigma c2 / 2, and both quotes move by -sigma c2 for each order held. Distances are
in bps of fair value, sigma in bps per root second, A per second, k per bps. g is the risk aversion per bps
earned on one order: the aversion to a profit in quote currency times the value of a bps of one order. A test
solves the equation of the problem numerically and compares.

The maker fee is no part of the paper and easily put in: a fill at distance d earns d - fee, so distances are
those of the paper beyond the fee, and fills beyond it come at rate A exp(-k fee).

Assumed, and not true: A and k are constant, the mid does not jump, and every fill is a whole order. They are
of a distance from the mid; we quote around fair value. Before a volatility is known it counts as none.

Around the model stays what stands around the adaptive one: the half spread is clamped to `spread.min_bps`
and `max_bps` and slowed, the skew goes no further than `inventory.max_skew_bps`, and guards and caps have the
last word. The dead band of the position and the scores of the adaptive half spread play no part.
"""

import math

import msgspec

from mmbot.book.market import Market
from mmbot.units import BPS


class GlftSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`intensity_per_s`: A, `decay_per_bps`: k; `mmbot calibrate glft` measures both."""

    risk_aversion_per_quote: float
    intensity_per_s: float
    decay_per_bps: float


class Glft:
    """Quotes of the model for orders of one size."""

    __slots__ = ("_base_bps", "_half_per_sigma", "_skew_per_sigma")

    def __init__(
        self,
        settings: GlftSettings,
        order_notional_quote: float,
        max_position_quote: float,
        maker_fee_bps: float,
    ) -> None:
        """An order of nothing is never quoted; it is taken for the largest, so that no number is infinite."""
        order_quote = order_notional_quote or max_position_quote
        aversion_per_bps = settings.risk_aversion_per_quote * order_quote / BPS
        k = settings.decay_per_bps
        ratio = aversion_per_bps / k
        self._base_bps = maker_fee_bps + math.log1p(ratio) / aversion_per_bps
        growth = math.exp((1.0 + 1.0 / ratio) * math.log1p(ratio))
        intensity_per_s = settings.intensity_per_s * math.exp(-k * maker_fee_bps)
        per_order = math.sqrt(aversion_per_bps / (2.0 * intensity_per_s * k) * growth)
        self._half_per_sigma = per_order / 2.0
        self._skew_per_sigma = per_order * max_position_quote / order_quote

    def half_spread_bps(self, volatility_bps: float | None) -> float:
        """Half spread of a flat position."""
        return self._base_bps + self._half_per_sigma * (volatility_bps or 0.0)

    def skew_bps(self, inventory_ratio: float, volatility_bps: float | None) -> float:
        """Shift of both quotes; `inventory_ratio`: signed position in quote currency / max_position_quote."""
        return -self._skew_per_sigma * inventory_ratio * (volatility_bps or 0.0)


class GlftSkew:
    """The model's skew at the market's volatility, within a limit."""

    __slots__ = ("_market", "_max_skew_bps", "_model")

    def __init__(self, model: Glft, max_skew_bps: float, market: Market) -> None:
        self._model = model
        self._max_skew_bps = max_skew_bps
        self._market = market

    def __call__(self, inventory_ratio: float) -> float:
        """Shift of both quotes, bps of fair value."""
        skew_bps = self._model.skew_bps(inventory_ratio, self._market.volatility_bps)
        return min(max(skew_bps, -self._max_skew_bps), self._max_skew_bps)
