"""One order at a real venue: its phases, what moves it between them, and what is remembered of it.

The blotter (`execution.orders`) knows what was answered; this table also knows what is in flight and what is
not proven. Legal moves are data. A venue repeats itself and speaks out of order, so its word that the table
does not have is old news and changes nothing; our own word that it does not have is a fault of ours.
"""

from enum import StrEnum

import msgspec

from mmbot.errors import LocalProtocolError
from mmbot.model.account import VenueStatus
from mmbot.model.commands import AmendOrder, SubmitOrder
from mmbot.model.instrument import Side
from mmbot.units import Lots, Ns, Ticks


class Phase(StrEnum):
    PENDING_NEW = "pending_new"
    """Create sent, nothing heard."""
    UNKNOWN = "unknown"
    """Create sent, its outcome not proven: overdue, timed out, 5xx. It may be at the venue."""
    LIVE = "live"
    """Seen at the venue."""
    PENDING_AMEND = "pending_amend"
    """Amend sent, its outcome not proven: it is as it was, or as it was to be."""
    PENDING_CANCEL = "pending_cancel"
    """Cancel sent, its end not proven; it may still fill."""
    SETTLING = "settling"
    """Ended, and executions that the venue counted are not here yet."""
    CLOSED = "closed"
    """Ended and booked: a tombstone, by which late news are known."""


class News(StrEnum):
    """What can come to an order."""

    IN_DOUBT = "in_doubt"
    """The create is overdue, or its answer proves nothing."""
    REFUSED = "refused"
    """The answer to the create: it never was at the venue."""
    WORKING = "working"
    """A report or an execution: it is, or was, at the venue."""
    AMEND_SENT = "amend_sent"
    AMEND_DONE = "amend_done"
    """It is known whether it was amended."""
    CANCEL_SENT = "cancel_sent"
    ENDED_SHORT = "ended_short"
    """It ended, with executions that are not booked."""
    ENDED = "ended"
    """It ended, and all that it executed is booked."""
    LOST = "lost"
    """Absent from enough complete answers over long enough, without a fill."""
    REVIVED = "revived"
    """Refused or lost, as far as we knew; and the venue has it."""


_P, _N = Phase, News
MOVES: dict[tuple[Phase, News], Phase] = {
    (_P.PENDING_NEW, _N.IN_DOUBT): _P.UNKNOWN,
    (_P.PENDING_NEW, _N.REFUSED): _P.CLOSED,
    (_P.PENDING_NEW, _N.WORKING): _P.LIVE,
    (_P.PENDING_NEW, _N.ENDED_SHORT): _P.SETTLING,
    (_P.PENDING_NEW, _N.ENDED): _P.CLOSED,
    (_P.UNKNOWN, _N.REFUSED): _P.CLOSED,
    (_P.UNKNOWN, _N.WORKING): _P.LIVE,
    (_P.UNKNOWN, _N.ENDED_SHORT): _P.SETTLING,
    (_P.UNKNOWN, _N.ENDED): _P.CLOSED,
    (_P.UNKNOWN, _N.LOST): _P.CLOSED,
    (_P.LIVE, _N.AMEND_SENT): _P.PENDING_AMEND,
    (_P.LIVE, _N.CANCEL_SENT): _P.PENDING_CANCEL,
    (_P.LIVE, _N.ENDED_SHORT): _P.SETTLING,
    (_P.LIVE, _N.ENDED): _P.CLOSED,
    (_P.LIVE, _N.LOST): _P.CLOSED,
    (_P.PENDING_AMEND, _N.AMEND_DONE): _P.LIVE,
    (_P.PENDING_AMEND, _N.IN_DOUBT): _P.LIVE,
    (_P.PENDING_AMEND, _N.CANCEL_SENT): _P.PENDING_CANCEL,
    (_P.PENDING_AMEND, _N.ENDED_SHORT): _P.SETTLING,
    (_P.PENDING_AMEND, _N.ENDED): _P.CLOSED,
    (_P.PENDING_AMEND, _N.LOST): _P.CLOSED,
    # the engine's request about an order that has just ended: harmless, and the end stands
    (_P.SETTLING, _N.AMEND_SENT): _P.SETTLING,
    (_P.SETTLING, _N.CANCEL_SENT): _P.SETTLING,
    (_P.SETTLING, _N.ENDED): _P.CLOSED,
    (_P.PENDING_CANCEL, _N.ENDED_SHORT): _P.SETTLING,
    (_P.PENDING_CANCEL, _N.ENDED): _P.CLOSED,
    (_P.PENDING_CANCEL, _N.LOST): _P.CLOSED,
    # a late report counts executions that nobody has told us of
    (_P.CLOSED, _N.ENDED_SHORT): _P.SETTLING,
    (_P.CLOSED, _N.REVIVED): _P.LIVE,
}


class Told(StrEnum):
    """What the engine knows of an order, which it asked for itself."""

    NOTHING = "nothing"
    ACKED = "acked"
    DONE = "done"
    """It let the order go. One that is not closed all the same is an orphan: cancelled, its fills late."""


class TrackedOrder(msgspec.Struct, forbid_unknown_fields=True):
    """`amend`: one whose outcome is not proven; until then the order counts with the larger of both sizes.
    `reported_ns`: the venue's time of the newest report. `booked_lots`: sum of the executions we have;
    `stated_lots`: the most that a report counted. `end` is how the venue said that it ended. `check_ns` is
    when something is done about it unless news come before: of a create that waits, when it is in doubt;
    else, when it is looked up. `checks` counts look-ups, `absents` the answers since the last sign of life
    that did not find it, the first at `absent_ns`.
    """

    symbol: str
    client_id: str
    side: Side
    tick: Ticks
    lots: Lots
    sent_ns: Ns
    phase: Phase = Phase.PENDING_NEW
    told: Told = Told.NOTHING
    order_id: str = ""
    amend: AmendOrder | None = None
    reported_ns: int = 0
    booked_lots: int = 0
    stated_lots: int = 0
    end: VenueStatus | None = None
    reason: str = ""
    check_ns: int | None = None
    checks: int = 0
    absents: int = 0
    absent_ns: int = 0
    closed_ns: int = 0

    @property
    def leaves_lots(self) -> int:
        """The most that can still fill."""
        lots = self.lots if self.amend is None else max(self.lots, self.amend.lots)
        return lots - self.booked_lots

    @property
    def explained(self) -> bool:
        """Every execution that the venue counted is booked."""
        return self.booked_lots >= self.stated_lots

    @property
    def ended(self) -> bool:
        return self.end is not None or not self.leaves_lots

    @property
    def orphan(self) -> bool:
        """The engine let it go, and the venue may still have it."""
        return self.told is Told.DONE and self.phase is not Phase.CLOSED

    def hears(self, news: News) -> None:
        """Move by the table; what it does not have is old news."""
        self.phase = MOVES.get((self.phase, news), self.phase)

    def amending(self, amend: AmendOrder) -> None:
        """Raises LocalProtocolError for an order that was not seen at the venue, is being changed or has
        ended, and for a size that has filled.
        """
        if amend.lots <= self.booked_lots:
            raise LocalProtocolError(
                f"amend of {self.client_id} to {amend.lots} lots: {self.booked_lots} have filled"
            )
        self._sends(News.AMEND_SENT, "amend")
        self.amend = amend

    def amended(self, *, done: bool) -> None:
        """It is proven that the amend was carried out, or that it was not."""
        if done and self.amend is not None:
            self.tick, self.lots = self.amend.tick, self.amend.lots
        self.amend = None
        self.hears(News.AMEND_DONE)

    def cancelling(self) -> None:
        """Raises LocalProtocolError for an order that was not seen at the venue, or has ended."""
        self._sends(News.CANCEL_SENT, "cancel")

    def _sends(self, news: News, what: str) -> None:
        try:
            self.phase = MOVES[self.phase, news]
        except KeyError:
            raise LocalProtocolError(
                f"{what} of {self.client_id}, which was {self.phase}, expected live"
            ) from None

    def alive(self) -> None:
        """A sign of life: answers that did not find it count from here."""
        self.absents = 0

    def watch(self, check_ns: int) -> None:
        """Look it up from then on, with the shortest gaps first; never later than it would have been."""
        if self.check_ns is None or check_ns < self.check_ns:
            self.check_ns = check_ns
            self.checks = 0


def tracked(now_ns: Ns, order: SubmitOrder) -> TrackedOrder:
    """An order that is being sent."""
    return TrackedOrder(order.symbol, order.client_id, order.side, order.tick, order.lots, now_ns)
