"""Reconcile: what the order log says against what the venue says, at start and from then on.

The caller asks the venue for open orders, executions since `since_ns` and positions, and hands the answers
in; `check` books what is missing, has the lifecycle cancel and look up what is left over, and says whether
all agrees. Until it does, `refusal` is set and no quote may leave:

- at start, every difference refuses at once. A symbol whose books have not begun begins them at the venue's
  position: silently when that is flat, else only when the operator adopts it;
- later, a position may differ for a moment, because a fill was between two answers. The same difference at
  two checks in a row, with no fill in between, is real and refuses.

A position difference that no execution explains is never booked: it names both numbers and waits for a
person. Orders of others are never touched; they are listed.
"""

import msgspec

from mmbot.execution.lifecycle import Lifecycle, LifecycleEvent
from mmbot.execution.tracked import Phase
from mmbot.model.account import AccountEvent, OrderReport, VenueAccount
from mmbot.model.commands import CancelOrder
from mmbot.model.orders import is_own
from mmbot.units import MS, SECOND, Lots, Ns

OVERLAP_NS = 60 * SECOND
"""Executions are asked for from so long before the last agreement: the venue's clock is not ours."""


class Reconciled(msgspec.Struct, frozen=True):
    """`events` are for the engine; `cancels` for own orders that no log knows (the lifecycle sends those of
    its own); `foreign` are open orders of others; `differences` is empty when all agrees.
    """

    events: list[LifecycleEvent]
    cancels: list[CancelOrder]
    foreign: list[OrderReport]
    differences: list[str]


class Reconciler:
    """Of one lifecycle. `adopt`: symbols whose books may begin at a position that is not flat."""

    def __init__(self, lifecycle: Lifecycle, adopt: frozenset[str] = frozenset()) -> None:
        self._lifecycle = lifecycle
        self._adopt = adopt
        self._apart: dict[str, tuple[int, int]] = {}
        """Symbol -> difference in lots and number of its last fill, at the last check."""
        self._started = False
        self._differences = ["not reconciled with the venue yet"]

    @property
    def refusal(self) -> str | None:
        """Why no quote may leave; None when it may. An orphan between two checks refuses too."""
        orphans = [f"order {order.client_id} is {order.phase}" for order in self._lifecycle.orphans]
        return "; ".join(self._differences or orphans) or None

    @property
    def since_ns(self) -> int:
        """From when on executions have to be asked for (0: nothing was ever agreed)."""
        return max(self._lifecycle.agreed_ns - OVERLAP_NS, 0)

    def check(self, now_ns: Ns, venue: VenueAccount) -> Reconciled:
        """Take the venue's answers. Raises RemoteProtocolError for executions that contradict their order."""
        lifecycle = self._lifecycle
        fills = {symbol: lifecycle.symbol_state(symbol).fills for symbol in lifecycle.positions}
        differences = self._begin_books(now_ns, venue)
        reports: list[AccountEvent] = [*venue.open_orders, *venue.executions]
        events = [event for report in reports for event in lifecycle.heard(report)]
        self._look_for_gone(now_ns, venue)
        strays = [report for report in venue.open_orders if self._stray(report)]
        differences += [
            f"{report.symbol}: own order {report.client_id} is open, of which no log knows"
            for report in strays
        ]
        differences += self._unsettled(now_ns)
        differences += self._positions(venue, fills)
        if not differences:
            lifecycle.agreed(venue.asked_ns)
            self._started = True
        self._differences = differences
        cancels = [CancelOrder(report.symbol, report.client_id) for report in strays]
        foreign = [report for report in venue.open_orders if not self._own(report)]
        return Reconciled(events, cancels, foreign, differences)

    def _begin_books(self, now_ns: Ns, venue: VenueAccount) -> list[str]:
        """A symbol seen for the first time begins at the venue's position, once no order of ours can move
        it.
        """
        lifecycle, differences = self._lifecycle, list[str]()
        held = {report.symbol: report for report in venue.positions}
        for symbol in lifecycle.positions:
            if lifecycle.symbol_state(symbol).opened_ns is not None:
                continue
            if any(self._own(report) and report.symbol == symbol for report in venue.open_orders):
                continue
            report = held.get(symbol)
            lots, price = (report.lots, report.entry_price) if report is not None else (Lots(0), None)
            if lots and symbol not in self._adopt:
                differences.append(
                    f"{symbol}: position at the venue is {lots} lots, the order log begins at 0: "
                    "adopt it or flatten it"
                )
                continue
            last_ns = max((e.venue_ns for e in venue.executions if e.symbol == symbol), default=Ns(0))
            lifecycle.opened(now_ns, symbol, lots, price, last_ns)
        return differences

    def _look_for_gone(self, now_ns: Ns, venue: VenueAccount) -> None:
        """Orders that were at the venue before we asked, and that it does not list."""
        listed = {report.client_id for report in venue.open_orders}
        for order in self._lifecycle.open:
            settled = order.phase is Phase.LIVE and order.check_ns is None
            if settled and order.sent_ns < venue.asked_ns and order.client_id not in listed:
                self._lifecycle.doubt(now_ns, order.client_id)

    def _stray(self, report: OrderReport) -> bool:
        """Our prefix, and no books in which a fill of it could stand: it is cancelled before they begin."""
        return self._own(report) and not self._lifecycle.concerns_us(report)

    def _unsettled(self, now_ns: Ns) -> list[str]:
        lifecycle = self._lifecycle
        found = [
            f"{order.symbol}: order {order.client_id} of a run before is {order.phase} "
            f"for {(now_ns - order.sent_ns) // MS} ms"
            for order in lifecycle.orphans
        ]
        return found + [
            f"{execution.symbol}: execution {execution.exec_id} fits no order that we know"
            for execution in lifecycle.unmatched
        ]

    def _positions(self, venue: VenueAccount, fills_before: dict[str, int]) -> list[str]:
        lifecycle, differences = self._lifecycle, list[str]()
        said = {report.symbol: report.lots for report in venue.positions}
        for symbol, position in lifecycle.positions.items():
            state = lifecycle.symbol_state(symbol)
            theirs = said.get(symbol, Lots(0))
            apart = (theirs - position.lots, state.fills)
            lasts = self._apart.get(symbol) == apart and fills_before[symbol] == state.fills
            self._apart[symbol] = apart
            if state.opened_ns is not None and theirs != position.lots and (lasts or not self._started):
                differences.append(
                    f"{symbol}: position was {theirs} lots at the venue, {position.lots} by the order log"
                )
        return differences

    def _own(self, report: OrderReport) -> bool:
        return is_own(report.client_id, self._lifecycle.own_prefix)
