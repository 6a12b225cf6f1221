"""What all symbols of a bot may hold and lose together, in quote currency.

Quote currencies count one to one (USDT, USDC and USD): limits on a bot's whole are no place for an exchange
rate that may be stale. Symbols that are played in parts of a run have an account each.
"""

from collections.abc import Iterable

import msgspec

from mmbot.model.instrument import Instrument
from mmbot.model.quotes import Quote
from mmbot.risk.limits import LimitSettings
from mmbot.units import DAY, SECOND, Lots

_ASSESS_NS = SECOND


class Account:
    """Gross exposure over symbols, and the loss of the UTC day.

    The loss is marked to market once a second. Where it reaches its limit, only orders that reduce a position
    may go out and stay, until the day ends: what is held can still be sold, and nothing is added. A run that
    starts within a day counts from its start.
    """

    __slots__ = (
        "_day",
        "_exposed",
        "_max_loss_quote",
        "_opening_quote",
        "due_ns",
        "loss_quote",
        "reduce_only",
    )

    def __init__(self, settings: LimitSettings) -> None:
        self._max_loss_quote = settings.max_daily_loss_quote
        self._day = -1
        self._opening_quote = 0.0
        self._exposed: dict[str, float] = {}
        self.due_ns = 0
        """When to assess next."""
        self.loss_quote = 0.0
        """Of this UTC day as assessed last; negative for a profit."""
        self.reduce_only = False

    def reconfigure(self, settings: LimitSettings) -> None:
        """From the next assessment on. A day whose loss was reached stays so: a limit that was raised counts
        from the next day.
        """
        self._max_loss_quote = settings.max_daily_loss_quote

    def exposed(self, symbol: str, worst_quote: float) -> None:
        """Take a symbol's exposure if the worse side of its open orders filled. Only a create can raise it:
        told after creates, and once a second for the price, it errs on the safe side.
        """
        self._exposed[symbol] = worst_quote

    def elsewhere_quote(self, symbol: str) -> float:
        """Worst exposure of all other symbols."""
        return sum(worst_quote for key, worst_quote in self._exposed.items() if key != symbol)

    def assess(self, now_ns: int, profit_quote: float) -> bool:
        """Take the profit of all symbols since the run began. True if it changed what may go out."""
        self.due_ns = now_ns + _ASSESS_NS
        day, before = now_ns // DAY, self.reduce_only
        if day != self._day:
            self._day, self._opening_quote, self.reduce_only = day, profit_quote, False
        self.loss_quote = self._opening_quote - profit_quote
        if self.loss_quote >= self._max_loss_quote:
            self.reduce_only = True  # for the rest of the day, however the mark comes back
        return self.reduce_only is not before


def reducing(quotes: Iterable[Quote], position_lots: int, instrument: Instrument) -> list[Quote]:
    """Of these wishes, what only reduces the position: the other side alone, together no larger than it is. A
    rest below the venue's least size or minimum notional is left out.
    """
    left, kept = abs(position_lots), []
    for quote in quotes:
        lots = instrument.allowed_lots(min(quote.lots, left)) if quote.side * position_lots < 0 else 0
        if lots and instrument.notional_quote(lots, instrument.price(quote.tick)) >= instrument.min_notional:
            kept.append(msgspec.structs.replace(quote, lots=Lots(lots)))
            left -= lots
    return kept
