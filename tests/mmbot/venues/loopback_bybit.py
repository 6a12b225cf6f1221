"""A Bybit on loopback that has one door for REST and streams and does what the test says: acks and pongs by
itself unless told to be silent, and after each subscription whatever frames the test gives it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
from aiohttp import WSMsgType, web

from mmbot.model.instrument import Instrument

Given = Callable[[int, list[str]], Sequence[bytes]]
"""Number of the subscription, counted over all connections from 0, and its topics -> frames to push."""


class LoopbackBybit:
    def __init__(self, instruments: Sequence[Instrument], given: Given) -> None:
        self._rows = [_row(instrument) for instrument in instruments]
        self._given = given
        self._subscriptions = 0
        self.requests: list[dict[str, object]] = []
        """All that clients asked, in order."""
        self.asked = asyncio.Queue[dict[str, object]]()
        self.sockets: list[web.WebSocketResponse] = []
        self.opened = asyncio.Queue[web.WebSocketResponse]()
        self.silent = False
        """No acks and no pongs."""
        self.refusing: str | None = None
        """Subscriptions are refused with these words."""
        self.statuses: list[int] = []
        """What the next requests for instruments are answered with, before they are answered well."""
        self.url = ""

    async def push(self, *frames: bytes) -> None:
        """To the newest connection."""
        for frame in frames:
            await self.sockets[-1].send_str(frame.decode("utf-8", "surrogateescape"))

    def cut(self) -> None:
        """The newest connection is gone without a word."""
        transport = self.sockets[-1]._req.transport  # type: ignore[union-attr]
        assert transport is not None
        transport.abort()

    async def request(self, op: str) -> dict[str, object]:
        """The next request of that kind."""
        while (asked := await self.asked.get())["op"] != op:
            pass
        return asked

    async def instruments(self, request: web.Request) -> web.Response:
        if self.statuses:
            return web.Response(status=self.statuses.pop(0))
        category = request.query["category"]
        body = {"retCode": 0, "retMsg": "OK", "result": {"category": category, "list": self._rows}}
        return web.Response(body=msgspec.json.encode(body), content_type="application/json")

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        self.opened.put_nowait(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._answer(socket, msgspec.json.decode(message.data))
        return socket

    async def _answer(self, socket: web.WebSocketResponse, asked: dict[str, object]) -> None:
        self.requests.append(asked)
        self.asked.put_nowait(asked)
        if self.silent:
            return
        op, refused = asked["op"], asked["op"] == "subscribe" and self.refusing
        message = {"ping": "pong"}.get(str(op), "")
        answer = {"success": not refused, "ret_msg": refused or message, "conn_id": "d9", **asked}
        answer.pop("args", None)
        await socket.send_str(msgspec.json.encode(answer).decode())
        if op == "subscribe" and not refused:
            number, self._subscriptions = self._subscriptions, self._subscriptions + 1
            for frame in self._given(number, asked["args"]):  # type: ignore[arg-type]
                await socket.send_str(frame.decode())


def _row(instrument: Instrument) -> dict[str, object]:
    sizes = {"minOrderQty": instrument.lot_size, "qtyStep": instrument.lot_size}
    return {
        "symbol": instrument.symbol,
        "status": "Trading",
        "baseCoin": instrument.base,
        "quoteCoin": instrument.quote,
        "priceFilter": {"tickSize": instrument.tick_size},
        "lotSizeFilter": {**sizes, "minNotionalValue": f"{instrument.min_notional:g}"},
        "settleCoin": instrument.quote,
    }


@asynccontextmanager
async def bybit(instruments: Sequence[Instrument], given: Given) -> AsyncIterator[LoopbackBybit]:
    venue = LoopbackBybit(instruments, given)
    app = web.Application()
    app.router.add_get("/v5/market/instruments-info", venue.instruments)
    app.router.add_get("/v5/public/linear", venue.stream)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    venue.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield venue
    finally:
        await runner.cleanup()
