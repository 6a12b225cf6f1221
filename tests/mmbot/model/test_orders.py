"""The order state table, cell by cell."""

from itertools import product

import pytest

from mmbot.errors import ConfigError, LocalProtocolError
from mmbot.model.orders import (
    MOVES,
    OrderMove,
    OrderStatus,
    checked_id_prefix,
    is_own,
    moved,
    order_number,
)

EVERY = list(product(OrderStatus, OrderMove))
LEGAL = {
    "PENDING_NEW ACK": "LIVE",
    "PENDING_NEW REJECT": "CLOSED",
    "LIVE PARTIAL_FILL": "LIVE",
    "LIVE LAST_FILL": "CLOSED",
    "LIVE AMEND_SENT": "PENDING_AMEND",
    "LIVE CANCEL_SENT": "PENDING_CANCEL",
    "PENDING_AMEND PARTIAL_FILL": "PENDING_AMEND",
    "PENDING_AMEND LAST_FILL": "CLOSED",
    "PENDING_AMEND AMENDED": "LIVE",
    "PENDING_AMEND AMEND_REJECT": "LIVE",
    "PENDING_AMEND CANCELLED": "CLOSED",
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


def test_a_client_id_of_ours_begins_with_the_prefix_and_ends_with_its_number():
    assert order_number("mmA-BTC-USDT-17") == 17
    assert is_own("mmA-BTC-USDT-17", "mmA-")
    assert not any(is_own(text, "mmA-") for text in ("mmB-BTCUSDT-17", "mmA-BTCUSDT-", "mmA-x", "", "17"))


def test_an_id_prefix_leaves_room_for_its_number_within_36_characters():
    assert checked_id_prefix("mmA-" + "B" * 21 + "-") == "mmA-" + "B" * 21 + "-"
    with pytest.raises(ConfigError, match="27 characters, expected at most 26"):
        checked_id_prefix("mmA-" + "B" * 22 + "-")


@pytest.mark.parametrize("text", ["mmA-BTC/USDT-", "mm A-", "mmA-BTC:X-", "mmÄ-"])
def test_an_id_prefix_has_the_characters_that_venues_take(text: str):
    with pytest.raises(ConfigError, match="expected only A-Z a-z 0-9 - _"):
        checked_id_prefix(text)
