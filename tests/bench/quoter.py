"""The reference quoter: one market maker in ordinary Python, the same for every engine that runs Python.

At a tick it wants one bid and one ask, 10 ticks either side of the mid less one tick for every order's worth
of inventory, never through the touch. An order more than 3 ticks from where it should be is cancelled, and
sent anew once the venue has confirmed that. A side stops at 20 orders' worth of inventory.

An order is one lot unless asked otherwise: no fill of it is ever partial, so engines that fill orders only
whole trade the same as those that do not.

Prices are integers in ticks, so every engine and the C floor decide the same to the last order. Standard
library only: it also runs where mmbot is not installed.
"""

from collections.abc import Sequence

BUY, SELL = 1, -1
SUBMIT, CANCEL = 1, 2
ACCEPTED, GONE, FILLED = 1, 2, 3
"""What a report says: it rests; it is no more (cancelled, rejected); some of it was filled."""

HALF_SPREAD = 10
REQUOTE = 3
MOST_ORDERS = 20

Action = tuple[int, int, int, int]
"""SUBMIT (post-only) or CANCEL, number of the order, side, tick."""
Band = tuple[int, int, int, int, int, int]
"""What twice the mid, the best bid and the best ask may be, each from and to."""
_ANY = 1 << 40
NOTHING: Sequence[Action] = ()

_NONE, _SENT, _RESTS, _LEAVES = 0, 1, 2, 3


_HELD = (_SENT, _RESTS)


class _Order:
    """The one order of a side; `number` is its last one."""

    __slots__ = ("leaves_lots", "number", "state", "tick")

    def __init__(self) -> None:
        self.number = self.tick = self.leaves_lots = 0
        self.state = _NONE


class Quoter:
    """`on_tick` with what the market is, `on_report` with what became of orders."""

    __slots__ = (
        "_ask",
        "_bid",
        "_buy_shift",
        "_inside",
        "_limit_lots",
        "_order_lots",
        "_sell_shift",
        "cancels",
        "orders",
        "position_lots",
    )

    def __init__(self, order_lots: int = 1) -> None:
        self._order_lots = order_lots
        self._limit_lots = MOST_ORDERS * order_lots
        self._bid, self._ask = _Order(), _Order()
        self.position_lots = 0
        self.orders = 0
        self.cancels = 0
        self._lean()

    def on_tick(self, bid: int, ask: int) -> Sequence[Action]:
        """Best bid and best ask in ticks; returns what to send."""
        mid_x2 = bid + ask
        buy_at = (mid_x2 - self._buy_shift) // 2
        if buy_at > bid:  # noqa: PLR1730 (min costs a call at every tick)
            buy_at = bid
        sell_at = (mid_x2 + self._sell_shift) // 2
        if sell_at < ask:  # noqa: PLR1730 (the same)
            sell_at = ask
        buy, sell = self._bid, self._ask
        # most ticks end here: both rest where they should, or wait for the venue
        if (
            (-REQUOTE <= buy.tick - buy_at <= REQUOTE if buy.state == _RESTS else buy.state != _NONE)
            and (-REQUOTE <= sell.tick - sell_at <= REQUOTE if sell.state == _RESTS else sell.state != _NONE)
            and self._inside
        ):
            return NOTHING
        actions: list[Action] = []
        self._align(buy, BUY, buy_at, actions)
        self._align(sell, SELL, sell_at, actions)
        return actions

    def quiet(self) -> Band | None:
        """Where `on_tick` would do nothing until something but an acceptance is reported. None while a cancel
        is under way or an order is missing.
        """
        buy, sell = self._bid, self._ask
        if not (buy.state in _HELD and sell.state in _HELD and self._inside):
            return None
        buy_x2, sell_x2 = 2 * buy.tick + self._buy_shift, 2 * sell.tick - self._sell_shift
        low, high = (buy_x2, sell_x2) if buy_x2 > sell_x2 else (sell_x2, buy_x2)
        # beyond a bid and an ask that near, the touch itself would hold a quote back
        return low - 2 * REQUOTE, high + 2 * REQUOTE + 1, buy.tick + REQUOTE, _ANY, -_ANY, sell.tick - REQUOTE

    def on_report(self, what: int, number: int, side: int, lots: int) -> None:
        """The venue answered. `lots`: how much was filled, if anything."""
        order = self._bid if side > 0 else self._ask
        if what == FILLED:
            self.position_lots += side * lots
            self._lean()
            order.leaves_lots -= lots
            if order.leaves_lots == 0:
                order.state = _NONE
        elif order.number != number or order.leaves_lots == 0:
            return  # a cancel that came too late: the order is filled
        elif what == ACCEPTED:
            order.state = _RESTS
        else:
            order.state = _NONE

    def _lean(self) -> None:
        """What the position means for the next quotes: one tick for every order's worth, in halves of a tick
        and rounded away from the mid.
        """
        lean_x2, lots = 2 * self.position_lots, self._order_lots
        self._buy_shift = 2 * HALF_SPREAD - (-lean_x2 // lots)
        self._sell_shift = 2 * HALF_SPREAD - lean_x2 // lots + 1
        self._inside = -self._limit_lots < self.position_lots < self._limit_lots

    def _align(self, order: _Order, side: int, tick: int, actions: list[Action]) -> None:
        wanted = self.position_lots * side < self._limit_lots
        if order.state == _RESTS:
            if not wanted or abs(order.tick - tick) > REQUOTE:
                order.state = _LEAVES
                self.cancels += 1
                actions.append((CANCEL, order.number, side, order.tick))
        elif order.state == _NONE and wanted:
            self.orders += 1
            order.number = self.orders
            order.tick = tick
            order.leaves_lots = self._order_lots
            order.state = _SENT
            actions.append((SUBMIT, order.number, side, tick))
