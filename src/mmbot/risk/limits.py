"""Pre-trade limits, independent of the strategy that should have kept them.

A refusal names its limit; it never changes an order into another one. Post-only or not, an order is judged
by what it could do: everything that works on its side filled, and this order too.
"""

from collections.abc import Collection
from typing import Protocol

import msgspec

from mmbot.model.instrument import Contract, Instrument, Side
from mmbot.units import BPS, MS


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    max_order_notional_quote: float
    max_position_quote: float
    max_gross_quote: float
    max_daily_loss_quote: float
    collar_bps: float
    collar_reference_max_age_ms: float


class OpenOrder(Protocol):
    """An order of ours that may fill: live, or on its way to or from the venue."""

    @property
    def side(self) -> Side: ...

    @property
    def tick(self) -> int: ...

    @property
    def next_tick(self) -> int:
        """Where it may be by now: the same, but for an amend that is not answered."""

    @property
    def leaves_lots(self) -> int: ...


class Reference(msgspec.Struct, frozen=True, gc=False):
    """A mid that was seen before the order at hand was priced, and when its book was last confirmed."""

    mid_ticks: float
    confirmed_ns: int


class Standing(msgspec.Struct, gc=False):
    """What an order is judged against. `elsewhere_quote`: worst exposure of all other symbols;
    `reduce_only`: the day's loss has been reached.
    """

    position_lots: int
    open_orders: Collection[OpenOrder]
    reference: Reference | None
    elsewhere_quote: float
    reduce_only: bool


class Limits:
    """Limits of one symbol."""

    __slots__ = ("_instrument", "_inverse", "_lot_quote", "_max_age_ns", "_price", "_settings")

    def __init__(self, settings: LimitSettings, instrument: Instrument) -> None:
        self.reconfigure(settings)
        self._instrument = instrument
        self._price = instrument.pricer()
        self._inverse = instrument.contract is Contract.INVERSE
        self._lot_quote = instrument.notional_quote(1, 1.0)
        """Quote value of one lot at a price of one; of one lot at any price for an inverse contract."""

    def reconfigure(self, settings: LimitSettings) -> None:
        """From the next order on."""
        self._settings = settings
        self._max_age_ns = settings.collar_reference_max_age_ms * MS

    def refusal(
        self, now_ns: int, side: Side, tick: int, lots: int, standing: Standing, filled_lots: int = 0
    ) -> str | None:
        """Why this order may not go out, the limit's name before a colon; None if it may. `filled_lots`: of
        an order that is amended to leave `lots`; the venue judges its whole size.
        """
        return (
            self._off_size(filled_lots + lots)
            or self._too_large(tick, lots)
            or self._too_far(side, tick, lots, standing)
            or self._off_collar(now_ns, tick, standing.reference)
            or _against_our_own(side, tick, standing.open_orders)
        )

    def _off_size(self, lots: int) -> str | None:
        """What the venue would reject for its size alone."""
        allowed = self._instrument.allowed_lots(lots)
        if allowed == lots:
            return None
        if allowed:
            return f"venue_max_lots: {lots} > {allowed}"
        return f"venue_min_lots: {lots} < {self._instrument.min_lots}"

    def _too_large(self, tick: int, lots: int) -> str | None:
        most = self._settings.max_order_notional_quote
        notional = self._notional(lots, tick)
        if notional > most:
            return f"max_order_notional_quote: {notional:.2f} > {most:g}"
        return None

    def _too_far(self, side: Side, tick: int, lots: int, standing: Standing) -> str | None:
        """Position, gross exposure and the day's loss, with everything on this side filled."""
        settings = self._settings
        open_lots = sum(order.leaves_lots for order in standing.open_orders if order.side is side)
        worst_lots = side * standing.position_lots + open_lots + lots
        if standing.reduce_only and worst_lots > 0:
            return f"max_daily_loss_quote: {settings.max_daily_loss_quote:g} lost, only what reduces may go"
        worst = self._notional(max(worst_lots, 0), tick)
        if worst > settings.max_position_quote:
            return f"max_position_quote: {worst:.2f} > {settings.max_position_quote:g}"
        gross = standing.elsewhere_quote + worst
        if worst_lots > 0 and gross > settings.max_gross_quote:
            return f"max_gross_quote: {gross:.2f} > {settings.max_gross_quote:g}"
        return None

    def _notional(self, lots: int, tick: int) -> float:
        """Quote currency, at a price in ticks."""
        return lots * (self._lot_quote if self._inverse else self._lot_quote * self._price(tick))

    def _off_collar(self, now_ns: int, tick: int, reference: Reference | None) -> str | None:
        if reference is None:
            return "collar_reference: none yet"
        age_ns = now_ns - reference.confirmed_ns
        if age_ns > self._max_age_ns:
            return f"collar_reference: {age_ns / MS:.0f} ms old > {self._max_age_ns / MS:g}"
        away_bps = abs(tick - reference.mid_ticks) / reference.mid_ticks * BPS
        if away_bps > self._settings.collar_bps:
            return f"collar_bps: {away_bps:.1f} from the reference > {self._settings.collar_bps:g}"
        return None


def _against_our_own(side: Side, tick: int, open_orders: Collection[OpenOrder]) -> str | None:
    """An order may not meet one of ours, nor stand beside one at its price. One whose cancel is not confirmed
    counts: it may still fill. One whose amend is not answered is at both of its prices.
    """
    for order in open_orders:
        if order.side is side:
            if tick in (order.tick, order.next_tick):
                return f"duplicate: {side.word} at tick {tick} works already"
        elif (tick - order.tick) * side >= 0 or (tick - order.next_tick) * side >= 0:
            return f"self_trade: {side.word} at tick {tick} would meet our own at {order.tick}"
    return None
