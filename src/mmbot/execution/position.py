"""Position and profit of one symbol: the ledger, from fills and funding alone.

Average price: a fill that adds to the position moves its entry, one that closes realises profit against it,
and one that flips it through zero does both. Everything is in settlement currency and marked with the
instrument's worth function, so one set of formulas serves linear and inverse contracts. The average of an
inverse position is the harmonic one, as venues state it.

    profit = realised + unrealised - fees - funding
           = sum over fills of lots * (worth(mark) - worth(price)) - fees - funding

The second line knows no average; tests hold the first to it.
"""

import msgspec

from mmbot.model.events import Fill, Funding
from mmbot.model.instrument import Contract, Instrument


class PositionState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a position remembers, exactly, for a log to restore. Names are those of `Position`; `cost` is
    the worth of the open lots when they were opened, signed.
    """

    lots: int
    cost: float
    realised: float
    fees: float
    funding: float
    fundings: int
    fills: int
    notional: float
    maker_notional: float


class Position:
    """Signed position in lots, what it cost, and what it has brought; fees and funding positive = paid."""

    __slots__ = (
        "_cost",
        "_instrument",
        "_inverse",
        "_lot_quote",
        "base",
        "fees",
        "fills",
        "funding",
        "fundings",
        "lots",
        "maker_notional",
        "notional",
        "realised",
    )

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._inverse = instrument.contract is Contract.INVERSE
        self._lot_quote = instrument.notional_quote(1, instrument.tick)
        """Quote value of a lot at one tick; at any price for an inverse contract."""
        self._cost = 0.0
        """Worth of the open lots when they were opened, signed."""
        self.lots = 0
        self.base = 0.0
        """The position in base units (linear) or contracts (inverse), signed."""
        self.realised = 0.0
        """Profit of what was closed, before fees."""
        self.fees = 0.0
        self.funding = 0.0
        self.fundings = 0
        self.fills = 0
        self.notional = 0.0
        self.maker_notional = 0.0

    def open(self, lots: int, entry_price: float | None) -> None:
        """Take over what was held before the first fill that is booked here, at its average entry price."""
        self._cost = lots * self._instrument.worth(entry_price) if entry_price is not None else 0.0
        self._hold(lots)

    def state(self) -> PositionState:
        return PositionState(
            lots=self.lots,
            cost=self._cost,
            realised=self.realised,
            fees=self.fees,
            funding=self.funding,
            fundings=self.fundings,
            fills=self.fills,
            notional=self.notional,
            maker_notional=self.maker_notional,
        )

    def restore(self, state: PositionState) -> None:
        """Stand where another one of this instrument stood."""
        self._cost = state.cost
        self.realised = state.realised
        self.fees = state.fees
        self.funding = state.funding
        self.fundings = state.fundings
        self.fills = state.fills
        self.notional = state.notional
        self.maker_notional = state.maker_notional
        self._hold(state.lots)

    def book(self, fill: Fill) -> float:
        """Take a fill; returns its fee: what the venue charged, or else what the fee tier says."""
        price = self._instrument.price(fill.tick)
        notional = self._instrument.notional(fill.lots, price)
        fee = self._instrument.fee(fill.lots, price, maker=fill.maker) if fill.fee is None else fill.fee
        self._trade(fill.side * fill.lots, self._instrument.worth(price))
        self.fees += fee
        self.fills += 1
        self.notional += notional
        if fill.maker:
            self.maker_notional += notional
        return fee

    def fund(self, funding: Funding) -> None:
        """Take a payment of funding."""
        self.funding += funding.payment
        self.fundings += 1

    @property
    def average_price(self) -> float | None:
        """At which the open position was entered; None when it is flat."""
        return self._instrument.price_of(self._cost / self.lots) if self.lots else None

    def quote_value(self, mid_x2: int) -> float:
        """Signed mark value in quote currency, at best bid + best ask in ticks."""
        return self.lots * (self._lot_quote if self._inverse else self._lot_quote * mid_x2 / 2)

    def unrealised(self, mark_price: float) -> float:
        """Profit of what is open, marked at a price, before fees."""
        return self.lots * self._instrument.worth(mark_price) - self._cost

    def pnl(self, mark_price: float) -> float:
        """Profit after fees and funding, marked at a price."""
        return self.realised + self.unrealised(mark_price) - self.fees - self.funding

    def _trade(self, lots: int, worth: float) -> None:
        """Close what is against `lots` (signed) at the average, open the rest at this worth."""
        held = self.lots
        if held * lots < 0:
            closed = max(held, -lots) if held < 0 else min(held, -lots)
            entry = self._cost / held
            self.realised += closed * (worth - entry)
            self._cost = (held - closed) * entry
            opened = lots + closed
        else:
            opened = lots
        self._cost += opened * worth
        self._hold(held + lots)

    def _hold(self, lots: int) -> None:
        self.lots = lots
        self.base = self._instrument.quantity(lots)
