"""The order state table: what may happen to one of our orders, and nothing else.

Legal moves are data. An illegal one raises LocalProtocolError and leaves the state as it was. The enums are
integers because their hashes are on the hot path.
"""

from enum import IntEnum, auto

from mmbot.errors import LocalProtocolError


class OrderStatus(IntEnum):
    PENDING_NEW = auto()
    """Sent, not yet answered."""
    LIVE = auto()
    """Held by the venue."""
    PENDING_CANCEL = auto()
    """Cancel sent, not yet answered; it may still fill."""
    CLOSED = auto()
    """Rejected, cancelled or filled; nothing more can happen."""


class OrderMove(IntEnum):
    ACK = auto()
    REJECT = auto()
    PARTIAL_FILL = auto()
    LAST_FILL = auto()
    CANCEL_SENT = auto()
    CANCELLED = auto()
    CANCEL_REJECT = auto()


_S, _M = OrderStatus, OrderMove
MOVES: dict[tuple[OrderStatus, OrderMove], OrderStatus] = {
    (_S.PENDING_NEW, _M.ACK): _S.LIVE,
    (_S.PENDING_NEW, _M.REJECT): _S.CLOSED,
    (_S.LIVE, _M.PARTIAL_FILL): _S.LIVE,
    (_S.LIVE, _M.LAST_FILL): _S.CLOSED,
    (_S.LIVE, _M.CANCEL_SENT): _S.PENDING_CANCEL,
    (_S.LIVE, _M.CANCELLED): _S.CLOSED,  # by the venue, unasked
    (_S.PENDING_CANCEL, _M.PARTIAL_FILL): _S.PENDING_CANCEL,
    (_S.PENDING_CANCEL, _M.LAST_FILL): _S.CLOSED,
    (_S.PENDING_CANCEL, _M.CANCELLED): _S.CLOSED,
    # the cancel lost its race against the last fill; which answer comes first is the venue's choice
    (_S.PENDING_CANCEL, _M.CANCEL_REJECT): _S.PENDING_CANCEL,
    (_S.CLOSED, _M.CANCEL_REJECT): _S.CLOSED,
}


def moved(status: OrderStatus, move: OrderMove) -> OrderStatus:
    """Status after a move. Raises LocalProtocolError for one that the table does not have."""
    try:
        return MOVES[status, move]
    except KeyError:
        raise LocalProtocolError(f"order was {status.name}, which does not allow {move.name}") from None


def order_number(client_id: str) -> int:
    """The running number that ends a client id of ours."""
    return int(client_id[client_id.rindex("-") + 1 :])
