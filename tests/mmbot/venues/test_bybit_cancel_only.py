"""The door that can only cancel: what it lists, what it cancels, and when it says that nobody knows."""

import json

import pytest
from tests.mmbot.venues.rest_floor import rest_floor

from mmbot.errors import RemoteProtocolError
from mmbot.units import SECOND
from mmbot.venues.bybit.cancel_only import OpenOrder
from mmbot.venues.paper.rest import Reply

pytestmark = pytest.mark.asyncio
OPEN, CANCEL, TIME = "/v5/order/realtime", "/v5/order/cancel", "/v5/market/time"


def refused(code: int) -> Reply:
    return Reply(200, json.dumps({"retCode": code, "retMsg": "no", "result": {}}).encode())


def listed(*client_ids: str, cursor: str = "") -> Reply:
    row = {"symbol": "SYNTHUSDT", "orderId": "1", "side": "Buy", "price": "1", "qty": "1"}
    more = {"cumExecQty": "0", "orderStatus": "New", "updatedTime": "1"}
    rows = [row | more | {"orderLinkId": client_id} for client_id in client_ids]
    result = {"category": "linear", "list": rows, "nextPageCursor": cursor}
    return Reply(200, json.dumps({"retCode": 0, "retMsg": "OK", "result": result}).encode())


async def test_own_orders_are_those_of_either_arm_and_a_number():
    async with rest_floor() as venue:
        venue.create("mmA-SYNTHUSDT-1", "mmB-SYNTHUSDT-2", "mmC-SYNTHUSDT-3", "mmA-by-hand", "web-7")
        own = [OpenOrder("SYNTHUSDT", "mmB-SYNTHUSDT-2"), OpenOrder("SYNTHUSDT", "mmA-SYNTHUSDT-1")]
        assert await venue.door().own_orders() == own


async def test_every_page_and_both_coins_are_asked_for():
    async with rest_floor() as venue:
        venue.instead[OPEN] = [listed("mmA-1", cursor="p%3D2"), listed("mmA-2"), listed("mmA-3")]
        found = await venue.door().own_orders()
        assert [order.client_id for order in found] == ["mmA-1", "mmA-2", "mmA-3"]
        assert venue.asked == [TIME, OPEN, OPEN, OPEN]


async def test_a_key_belongs_to_an_account_and_no_error_shows_the_key():
    async with rest_floor() as venue:
        assert await venue.door().uid() == venue.floor.exchange.members["alice"].account.uid
        for spoiled in ({"apiKey": "alice"}, {"apiKey": "alice", "userID": 0}, {"userID": "alice"}):
            body = json.dumps({"retCode": 0, "retMsg": "", "result": spoiled}).encode()
            venue.instead["/v5/user/query-api"] = [Reply(200, body)]
            with pytest.raises(RemoteProtocolError, match=r"/v5/user/query-api: ") as raised:
                await venue.door().uid()
            assert "alice" not in str(raised.value)


async def test_a_cancel_takes_the_order_and_says_what_the_venue_said():
    async with rest_floor() as venue:
        venue.create("mmA-SYNTHUSDT-1", "mmA-SYNTHUSDT-2")
        door = venue.door()
        first, _ = await door.own_orders()
        assert await door.cancel(first) is None
        assert first.client_id not in venue.open
        assert len(venue.open) == 1
        again = await door.cancel(first)
        assert again is not None
        assert again.startswith("110001 ")


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (Reply(502, b"<html>"), "HTTP status was 502"),
        (refused(10003), "10003 no"),
        (Reply(200, b"<html>"), "expected a Bybit v5 one"),
        (listed("mmA-1", cursor="é"), "cursor was"),
    ],
)
async def test_an_answer_that_is_no_list_is_an_error_and_no_empty_list(reply, complaint):
    async with rest_floor() as venue:
        venue.instead[OPEN] = [reply]
        with pytest.raises(RemoteProtocolError, match=complaint):
            await venue.door().own_orders()


async def test_a_refused_time_is_asked_for_again():
    async with rest_floor() as venue:
        door = venue.door()
        await door.own_orders()
        venue.instead[OPEN] = [refused(10002)]
        with pytest.raises(RemoteProtocolError, match="10002"):
            await door.own_orders()
        venue.asked.clear()
        await door.own_orders()
        assert venue.asked == [TIME, OPEN, OPEN]


BANNED = Reply(403, b"access too frequent")


@pytest.mark.parametrize(
    ("path", "reply"),
    [
        (TIME, BANNED),
        (OPEN, BANNED),
        (CANCEL, BANNED),
        (OPEN, refused(10018)),
        (CANCEL, refused(10018)),
    ],
)
async def test_a_banned_address_makes_no_call_for_ten_minutes(path, reply):
    async with rest_floor() as venue:
        venue.create("mmA-SYNTHUSDT-1")
        door = venue.door()
        if path != TIME:
            await door.own_orders()
        venue.instead[path] = [reply]
        ours = OpenOrder("SYNTHUSDT", "mmA-SYNTHUSDT-1")
        with pytest.raises(RemoteProtocolError, match="banned"):
            await (door.cancel(ours) if path == CANCEL else door.own_orders())
        asked = len(venue.asked)
        venue.floor.wall_ns += 599 * SECOND
        with pytest.raises(RemoteProtocolError, match=r"nothing is sent for 600 s"):
            await door.own_orders()
        with pytest.raises(RemoteProtocolError, match="banned"):
            await door.cancel(ours)
        assert len(venue.asked) == asked
        venue.floor.wall_ns += 2 * SECOND
        assert len(await door.own_orders()) == 1


async def test_a_ban_that_somebody_else_met_counts():
    async with rest_floor() as venue:
        door = venue.door(banned_until_ns=venue.now_ns + SECOND)
        with pytest.raises(RemoteProtocolError, match="banned"):
            await door.own_orders()
        assert venue.asked == []
