"""What is traded: price and size grids, contract arithmetic, fees.

Decimal text becomes ticks and lots here and nowhere else, exactly: a price that is off the tick grid is an
error, never rounded. Our own prices are rounded in one place, `strategy.emit`: bids down, asks up.
"""

import functools
import math
from collections.abc import Callable
from enum import IntEnum, StrEnum

import msgspec

from mmbot.errors import ConfigError, RemoteProtocolError
from mmbot.units import BPS, Lots


class Side(IntEnum):
    """BUY = +1 and SELL = -1, so that side * (a - b) reads as written in the definitions of edge."""

    BUY = 1
    SELL = -1

    @property
    def word(self) -> str:
        return "buy" if self is Side.BUY else "sell"


class Contract(StrEnum):
    LINEAR = "linear"
    INVERSE = "inverse"


class Fees(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fee tier, bps of notional, positive = we pay, negative = rebate."""

    tier: str
    maker_bps: float
    taker_bps: float


class Instrument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One instrument of one venue.

    `contract_value`: base units per unit of quantity for a linear contract (1 for spot), quote units per
    contract for an inverse one. Sizes: quantity = lots * lot_size, price = ticks * tick_size. An order is of
    at least `min_lots` and `min_notional`, and of at most `max_lots` where the venue states a most.
    """

    venue: str
    symbol: str
    base: str
    quote: str
    tick_size: str
    lot_size: str
    min_notional: float
    fees: Fees
    contract: Contract = Contract.LINEAR
    contract_value: float = 1.0
    min_lots: int = 1
    max_lots: int | None = None

    def __post_init__(self) -> None:
        for name, step in (("tick_size", self.tick_size), ("lot_size", self.lot_size)):
            if not _scaled(step, _places(step)):
                raise ValueError(f"{name} was {step!r}, expected a positive decimal")
        if not (math.isfinite(self.contract_value) and self.contract_value > 0):
            raise ValueError(f"contract_value was {self.contract_value}, expected more than 0")
        if self.min_lots < 1:
            raise ValueError(f"min_lots was {self.min_lots}, expected at least 1")
        if self.max_lots is not None and self.max_lots < self.min_lots:
            raise ValueError(f"max_lots was {self.max_lots}, expected at least min_lots {self.min_lots}")

    def allowed_lots(self, lots: int) -> Lots:
        """The most that one order may be of this size: nothing below the venue's least, its most above."""
        if lots < self.min_lots:
            return Lots(0)
        return Lots(lots if self.max_lots is None else min(lots, self.max_lots))

    @property
    def settled_in(self) -> str:
        """The currency of profit and fees: quote, or base for an inverse contract."""
        return self.base if self.contract is Contract.INVERSE else self.quote

    @property
    def amends(self) -> bool:
        """Whether the venue changes price and size of an open order in one message, and leaves one that is
        only made smaller where it stands in its queue. Bybit does
        (https://bybit-exchange.github.io/docs/v5/order/amend-order); Binance's futures put it to the back
        whatever changes, its spot market changes no price.
        """
        return self.venue.startswith("bybit_")

    @property
    def key(self) -> str:
        """Name in every row: venue and symbol, since one symbol trades on several venues."""
        return f"{self.venue}:{self.symbol}"

    @property
    def tick(self) -> float:
        return float(self.tick_size)

    @property
    def lot(self) -> float:
        return float(self.lot_size)

    def price(self, ticks: float) -> float:
        """Quote currency; half ticks are prices too (a mid)."""
        return _steps(ticks, self.tick)

    def pricer(self) -> Callable[[float], float]:
        """The same as a function that has worked out the grid once, for the hot path. It is a method of a
        number, so that whoever holds it can be put into a checkpoint, which a lambda cannot.
        """
        per_unit = _whole_steps(self.tick)
        return float(per_unit).__rtruediv__ if per_unit else self.tick.__rmul__

    def quantity(self, lots: int) -> float:
        """Base units (linear) or contracts (inverse); keeps the sign."""
        return _steps(lots, self.lot)

    def worth(self, price: float) -> float:
        """Worth of one lot held long, as a function of price, in settlement currency (quote, or base for
        inverse).

        Profit of a position is lots * (worth(now) - worth(then)) for both kinds of contract. An inverse
        contract pays contract_value * (1/entry - 1/exit) in base currency.
        """
        if self.contract is Contract.INVERSE:
            return -self.contract_value * self.lot / price
        return self.contract_value * self.lot * price

    def price_of(self, worth: float) -> float:
        """The price at which one lot has that worth."""
        per_lot = self.contract_value * self.lot
        return -per_lot / worth if self.contract is Contract.INVERSE else worth / per_lot

    def notional(self, lots: int, price: float) -> float:
        """Size of a trade in settlement currency, positive: base of fees, weight of edge averages."""
        return abs(lots * self.worth(price))

    def notional_quote(self, lots: int, price: float) -> float:
        """Size of a trade in quote currency, positive: what limits are stated in."""
        per_lot = self.contract_value * self.lot
        return abs(lots) * (per_lot if self.contract is Contract.INVERSE else per_lot * price)

    def fee(self, lots: int, price: float, *, maker: bool) -> float:
        """Settlement currency, positive = we pay."""
        bps = self.fees.maker_bps if maker else self.fees.taker_bps
        return self.notional(lots, price) * bps / BPS


def _steps(count: float, step: float) -> float:
    """Count * step as the nearest float to the decimal: dividing by a whole 1/step rounds once, multiplying
    twice.
    """
    per_unit = _whole_steps(step)
    return count / per_unit if per_unit else count * step


@functools.cache  # a handful of grids, asked for at every order
def _whole_steps(step: float) -> int:
    """Steps in one unit where that is a whole number, else 0."""
    per_unit = round(1.0 / step)
    return per_unit if per_unit >= 1 and math.isclose(1.0 / step, per_unit, rel_tol=1e-12) else 0


def parser(step: str, what: str) -> Callable[[str], int]:
    """Exact decimal text -> whole steps: `parser("0.05", ...)("1.20") == 24`.

    A book repeats its prices, so results are remembered; the memory is bounded. Raises RemoteProtocolError
    for text that is no plain decimal, or off the grid, or past MOST_STEPS; ConfigError for a step that is
    none.
    """
    digits = _places(step)
    scaled_step = _scaled(step, digits)
    if scaled_step is None or scaled_step <= 0:
        raise ConfigError(f"{what} step was {step!r}, expected a positive decimal")
    known: dict[str, int] = {}

    def parse(text: str) -> int:
        steps = known.get(text)
        if steps is None:
            scaled = _scaled(text, digits)
            if scaled is None:
                raise RemoteProtocolError(
                    f"{what} was {text!r}, expected a plain decimal of at most {digits} places"
                )
            steps, rest = divmod(scaled, scaled_step)
            if rest:
                raise RemoteProtocolError(f"{what} was {text!r}, expected a multiple of {step}")
            if steps > MOST_STEPS:
                raise RemoteProtocolError(f"{what} was {text!r}, expected at most 2^31 - 1 steps of {step}")
            if len(known) < _REMEMBERED:
                known[text] = steps
        return steps

    return parse


def formatter(step: str, *, stripped: bool) -> Callable[[int], str]:
    """Whole steps -> exact decimal text, the inverse of `parser`.

    With all places of the step (`formatter("0.10", stripped=False)(651142) == "65114.20"`), or without
    trailing zeros (`formatter("0.1", stripped=True)(762000) == "76200"`). Results are remembered; the memory
    is bounded.
    """
    digits = len(step.partition(".")[2])
    scaled_step = int(step.replace(".", ""))
    known: dict[int, str] = {}

    def text(steps: int) -> str:
        found = known.get(steps)
        if found is None:
            figures = str(steps * scaled_step).rjust(digits + 1, "0")
            whole, fraction = figures[: len(figures) - digits], figures[len(figures) - digits :]
            fraction = fraction.rstrip("0") if stripped else fraction
            found = f"{whole}.{fraction}" if fraction else whole
            if len(known) < _REMEMBERED:
                known[steps] = found
        return found

    return text


MOST_STEPS = 2**31 - 1
"""What columns and kernels hold: a price or size beyond it is of another grid, or no price."""
_REMEMBERED = 200_000
_LONGEST = 100
"""Characters of a decimal; venues write some twenty, and int() itself gives up at thousands."""


def rate_bps(rate: str) -> float:
    """A rate as venues state it, a share of notional with its sign, in bps: `rate_bps("-0.00005") == -0.5`.

    Raises RemoteProtocolError for text that is no plain decimal.
    """
    unsigned = rate.removeprefix("-")
    scaled = _scaled(unsigned, _places(unsigned))
    if scaled is None:
        raise RemoteProtocolError(f"rate was {rate!r}, expected a plain decimal")
    bps: float = scaled * 10_000 / 10 ** _places(unsigned)
    return -bps if unsigned != rate else bps


def order_lots(least: str, most: str | None, step: str) -> tuple[int, int | None]:
    """Least and most of an order in lots, from what a venue states as quantities; no most, or 0, is none.

    Inward where they are off the step, as Bybit's are ("maxOrderQty":"71.73956243" with a step of 0.000001).
    Raises RemoteProtocolError for text that is no plain decimal.
    """
    rounded_down, rest = _divided(least, step)
    min_lots = max(rounded_down + bool(rest), 1)
    max_lots = None if most is None else _divided(most, step)[0]
    return min_lots, max_lots or None


def _divided(quantity: str, step: str) -> tuple[int, int]:
    """Whole steps in a quantity and what is left, exactly."""
    digits = max(_places(quantity), _places(step))
    scaled, scaled_step = _scaled(quantity, digits), _scaled(step, digits)
    if scaled is None or not scaled_step:
        raise RemoteProtocolError(f"quantity was {quantity!r} in steps of {step!r}, expected plain decimals")
    return divmod(scaled, scaled_step)


def _places(text: str) -> int:
    return len(text.partition(".")[2])


def _scaled(text: str, digits: int) -> int | None:
    """Decimal text times 10**digits; None if it is no plain non-negative decimal or has more places than
    that.
    """
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    plain = text.isascii() and (whole + fraction).isdecimal() and len(text) <= _LONGEST
    if not plain or len(fraction) > digits:
        return None
    return int(whole + fraction.ljust(digits, "0"))


def floor_lots(quantity: float, lot: float) -> Lots:
    """Quantity -> whole lots, down. A relative hair absorbs float noise: 0.3 / 0.1 is 3 lots, not 2."""
    return Lots(math.floor(quantity / lot * (1 + 1e-12)))
