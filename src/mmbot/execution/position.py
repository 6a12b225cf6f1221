"""Position and profit of one symbol, from fills alone.

Profit is marked with the instrument's worth function, so one formula serves linear and inverse contracts:
sum over fills of lots * (worth(mark) - worth(price)), less fees, in settlement currency.
"""

from mmbot.model.events import Fill
from mmbot.model.instrument import Contract, Instrument


class Position:
    """Signed position in lots, what was paid for it, and fees (positive = paid), in settlement currency."""

    __slots__ = (
        "_instrument",
        "_inverse",
        "_lot_quote",
        "_paid",
        "base",
        "fees",
        "fills",
        "lots",
        "maker_notional",
        "notional",
    )

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._inverse = instrument.contract is Contract.INVERSE
        self._lot_quote = instrument.notional_quote(1, instrument.tick)
        """Quote value of a lot at one tick; at any price for an inverse contract."""
        self._paid = 0.0
        self.lots = 0
        self.base = 0.0
        """The position in base units (linear) or contracts (inverse), signed."""
        self.fees = 0.0
        self.fills = 0
        self.notional = 0.0
        self.maker_notional = 0.0

    def book(self, fill: Fill) -> float:
        """Take a fill; returns its fee."""
        price = self._instrument.price(fill.tick)
        signed = fill.side * fill.lots
        notional = self._instrument.notional(fill.lots, price)
        fee = self._instrument.fee(fill.lots, price, maker=fill.maker)
        self.lots += signed
        self.base = self._instrument.quantity(self.lots)
        self._paid += signed * self._instrument.worth(price)
        self.fees += fee
        self.fills += 1
        self.notional += notional
        if fill.maker:
            self.maker_notional += notional
        return fee

    def quote_value(self, mid_x2: int) -> float:
        """Signed mark value in quote currency, at best bid + best ask in ticks."""
        return self.lots * (self._lot_quote if self._inverse else self._lot_quote * mid_x2 / 2)

    def pnl(self, mark_price: float) -> float:
        """Profit after fees, marked at a price, in settlement currency."""
        return self.lots * self._instrument.worth(mark_price) - self._paid - self.fees
