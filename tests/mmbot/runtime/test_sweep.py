"""Sweeping: only the venue's empty list ends it, and only when it has been empty for long enough."""

import pytest
from tests.mmbot.venues.rest_floor import RestFloor, rest_floor

from mmbot.clock import stopwatch
from mmbot.runtime.sweep import LOOK_EVERY_NS, SETTLED_NS, look, sweep
from mmbot.units import MS, SECOND
from mmbot.venues.bybit.cancel_only import RECV_WINDOW_MS
from mmbot.venues.paper.rest import Reply

pytestmark = pytest.mark.asyncio
OPEN, CANCEL = "/v5/order/realtime", "/v5/order/cancel"
DOWN = Reply(502, b"")


def ids(count: int) -> list[str]:
    return [f"mmA-SYNTHUSDT-{number}" for number in range(1, count + 1)]


async def swept(venue: RestFloor, *, settled_ns: int = 0, give_up_ns: int | None = None):
    said: list[str] = []
    left = await sweep(venue.door(), said.append, settled_ns=settled_ns, give_up_ns=give_up_ns)
    return left, said


async def test_orders_are_cancelled_and_the_next_empty_list_ends_it():
    async with rest_floor() as venue:
        venue.create(*ids(3), "web-1")
        left, said = await swept(venue)
        assert left == []
        assert venue.open == ["web-1"]
        assert said[0].startswith("3 own orders open, cancels sent: mmA-SYNTHUSDT-")
        assert said[-1] == "no own order is open"
        assert venue.asked.count(CANCEL) == 3


async def test_one_look_cancels_every_order_and_names_what_was_refused():
    async with rest_floor() as venue:
        venue.create(*ids(10))
        venue.later()
        venue.create("mmA-SYNTHUSDT-11", "mmA-SYNTHUSDT-12")
        venue.instead[CANCEL] = [Reply(429, b"", {"Retry-After": "1"})]
        found = await look(venue.door())
        assert found.left is not None
        assert len(found.left) == 12
        assert venue.asked.count(CANCEL) == 12
        assert "; refused: " in found.said
        assert "0 HTTP 429" in found.said
        assert len(venue.open) == 2, "one was refused so, and one was more than the venue takes in a second"


async def test_a_venue_that_does_not_say_is_not_one_without_orders():
    async with rest_floor() as venue:
        venue.instead[OPEN] = [DOWN]
        found = await look(venue.door())
        assert found.left is None
        assert found.said.startswith("the venue does not say which orders are open: ")


async def test_the_time_is_up_and_nobody_knows():
    async with rest_floor() as venue:
        venue.instead[OPEN] = [DOWN] * 9
        left, said = await swept(venue, give_up_ns=0)
        assert left is None
        assert len(said) == 1


async def test_the_time_is_up_and_orders_are_left():
    async with rest_floor() as venue:
        venue.create(*ids(2))
        venue.instead[CANCEL] = [DOWN] * 9
        left, _ = await swept(venue, give_up_ns=0)
        assert left is not None
        assert sorted(order.client_id for order in left) == ids(2)


async def test_the_list_has_to_stay_empty_and_news_are_told_once():
    """An answer that fails in between starts the count anew: what came meanwhile nobody saw."""
    async with rest_floor() as venue:
        settled_ns = 3 * LOOK_EVERY_NS // 2
        began_ns = stopwatch()
        answers = [Reply(200, EMPTY), Reply(200, EMPTY), DOWN]  # one look is two lists
        venue.instead[OPEN] = answers
        left, said = await swept(venue, settled_ns=settled_ns, give_up_ns=20 * SECOND)
        assert left == []
        assert [words.split(":")[0] for words in said] == [
            "no own order is open",
            "the venue does not say which orders are open",
            "no own order is open",
        ]
        assert stopwatch() - began_ns >= 2 * LOOK_EVERY_NS + settled_ns


EMPTY = b'{"retCode":0,"retMsg":"OK","result":{"category":"linear","list":[],"nextPageCursor":""}}'


async def test_settled_is_longer_than_a_create_can_be_on_its_way():
    assert SETTLED_NS > RECV_WINDOW_MS * MS
