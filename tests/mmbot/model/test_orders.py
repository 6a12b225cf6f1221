"""The order state table, cell by cell."""

from itertools import product

import pytest

from mmbot.errors import LocalProtocolError
from mmbot.model.orders import MOVES, OrderMove, OrderStatus, moved

EVERY = list(product(OrderStatus, OrderMove))
LEGAL = {
    "PENDING_NEW ACK": "LIVE",
    "PENDING_NEW REJECT": "CLOSED",
    "LIVE PARTIAL_FILL": "LIVE",
    "LIVE LAST_FILL": "CLOSED",
    "LIVE CANCEL_SENT": "PENDING_CANCEL",
    "PENDING_CANCEL PARTIAL_FILL": "PENDING_CANCEL",
    "PENDING_CANCEL LAST_FILL": "CLOSED",
    "LIVE CANCELLED": "CLOSED",
    "PENDING_CANCEL CANCELLED": "CLOSED",
    "PENDING_CANCEL CANCEL_REJECT": "PENDING_CANCEL",
    "CLOSED CANCEL_REJECT": "CLOSED",
}


@pytest.mark.parametrize(("status", "move"), EVERY, ids=lambda part: part.name)
def test_every_cell_is_the_stated_move_or_an_error_that_names_both(status: OrderStatus, move: OrderMove):
    expected = LEGAL.get(f"{status.name} {move.name}")
    if expected is None:
        with pytest.raises(LocalProtocolError, match=f"{status.name}, which does not allow {move.name}"):
            moved(status, move)
    else:
        assert moved(status, move) is OrderStatus[expected]


def test_nothing_revives_a_closed_order():
    assert {after for (before, _), after in MOVES.items() if before is OrderStatus.CLOSED} == {
        OrderStatus.CLOSED
    }


def test_every_status_but_the_first_can_be_reached():
    assert set(MOVES.values()) == set(OrderStatus) - {OrderStatus.PENDING_NEW}
