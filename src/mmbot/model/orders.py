"""The order state table: what may happen to one of our orders, and nothing else.

Legal moves are data. An illegal one raises LocalProtocolError and leaves the state as it was. The enums are
integers because their hashes are on the hot path.
"""

import re
from enum import IntEnum, auto

from mmbot.errors import ConfigError, LocalProtocolError


class OrderStatus(IntEnum):
    PENDING_NEW = auto()
    """Sent, not yet answered."""
    LIVE = auto()
    """Held by the venue."""
    PENDING_AMEND = auto()
    """Amend sent, not yet answered; it may fill, as it was or as it is to be."""
    PENDING_CANCEL = auto()
    """Cancel sent, not yet answered; it may still fill."""
    CLOSED = auto()
    """Rejected, cancelled or filled; nothing more can happen."""


class OrderMove(IntEnum):
    ACK = auto()
    REJECT = auto()
    PARTIAL_FILL = auto()
    LAST_FILL = auto()
    AMEND_SENT = auto()
    AMENDED = auto()
    AMEND_REJECT = auto()
    CANCEL_SENT = auto()
    CANCELLED = auto()
    CANCEL_REJECT = auto()


_S, _M = OrderStatus, OrderMove
MOVES: dict[tuple[OrderStatus, OrderMove], OrderStatus] = {
    (_S.PENDING_NEW, _M.ACK): _S.LIVE,
    (_S.PENDING_NEW, _M.REJECT): _S.CLOSED,
    (_S.LIVE, _M.PARTIAL_FILL): _S.LIVE,
    (_S.LIVE, _M.LAST_FILL): _S.CLOSED,
    (_S.LIVE, _M.AMEND_SENT): _S.PENDING_AMEND,
    (_S.LIVE, _M.CANCEL_SENT): _S.PENDING_CANCEL,
    (_S.LIVE, _M.CANCELLED): _S.CLOSED,  # by the venue, unasked
    (_S.PENDING_AMEND, _M.PARTIAL_FILL): _S.PENDING_AMEND,
    (_S.PENDING_AMEND, _M.LAST_FILL): _S.CLOSED,
    (_S.PENDING_AMEND, _M.AMENDED): _S.LIVE,
    (_S.PENDING_AMEND, _M.AMEND_REJECT): _S.LIVE,
    (_S.PENDING_AMEND, _M.CANCELLED): _S.CLOSED,  # it would have taken
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


def own_prefix(arm: str) -> str:
    """What every client id of an arm begins with, whatever the symbol."""
    return f"mm{arm}-"


OWN_PREFIXES = (own_prefix("A"), own_prefix("B"))
"""The marks of our own orders: those of either arm are ours, whichever quotes now."""


def symbol_prefix(arm: str, symbol: str) -> str:
    """What client ids of an arm begin with on one symbol. Raises ConfigError where no venue takes them."""
    return checked_id_prefix(f"{own_prefix(arm)}{symbol}-")


def arm_of(client_id: str) -> str:
    """The arm that submitted an order, by its client id."""
    return client_id.partition("-")[0].removeprefix("mm")


OwnPrefix = str | tuple[str, ...]
"""What client ids of ours begin with: one mark, or one of several."""


def is_own(client_id: str, prefix: OwnPrefix) -> bool:
    """Whether it begins as ours do and ends with a running number."""
    tail = client_id.rpartition("-")[2]
    return client_id.startswith(prefix) and tail.isascii() and tail.isdecimal()


LONGEST_ID = 36
"""Characters of a client id that every venue takes (Bybit v5 and Binance: 36 of these characters)."""
NUMBER_DIGITS = 10
_ID_TEXT = re.compile(r"[A-Za-z0-9_-]*")


def checked_id_prefix(prefix: str) -> str:
    """What client ids begin with, if a venue takes them with a running number behind. Raises ConfigError."""
    if not _ID_TEXT.fullmatch(prefix):
        raise ConfigError(f"client ids would begin with {prefix!r}, expected only A-Z a-z 0-9 - _")
    if len(prefix) + NUMBER_DIGITS > LONGEST_ID:
        raise ConfigError(
            f"client ids would begin with {prefix!r}, {len(prefix)} characters, expected at most "
            f"{LONGEST_ID - NUMBER_DIGITS}: an id has {LONGEST_ID}, its number up to {NUMBER_DIGITS}"
        )
    return prefix
