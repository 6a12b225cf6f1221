"""Position and profit of one symbol, from fills alone.

Profit is marked with the instrument's worth function, so one formula serves linear and inverse contracts:
sum over fills of lots * (worth(mark) - worth(price)), less fees, in settlement currency.
"""

from mmbot.model.events import Fill
from mmbot.model.instrument import Instrument


class Position:
    """Signed position in lots, what was paid for it, and fees (positive = paid), in settlement currency."""

    __slots__ = ("_instrument", "_paid", "base", "fees", "fills", "lots", "maker_notional", "notional")

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
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

    def quote_value(self, price: float) -> float:
        """Signed mark value in quote currency."""
        value = self._instrument.notional_quote(self.lots, price)
        return value if self.lots >= 0 else -value

    def pnl(self, mark_price: float) -> float:
        """Profit after fees, marked at a price, in settlement currency."""
        return self.lots * self._instrument.worth(mark_price) - self._paid - self.fees
