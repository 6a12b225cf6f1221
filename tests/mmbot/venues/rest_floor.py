"""The REST of a trading floor on loopback: a paper exchange without a tape that runs, and what a test lets it
say instead.
"""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from tests.mmbot.venues.paper.floor import Floor

from mmbot.model.orders import OWN_PREFIXES
from mmbot.net.http import HttpClient
from mmbot.units import SECOND, Ns
from mmbot.venues.bybit.cancel_only import CancelOnly
from mmbot.venues.credentials import Credentials, Secret
from mmbot.venues.paper.rest import Reply, Request


class RestFloor:
    """`instead`: by path, what is said in place of the exchange."""

    def __init__(self) -> None:
        self.floor = Floor()
        self.asked: list[str] = []
        self.instead: defaultdict[str, list[Reply]] = defaultdict(list)
        self.http: HttpClient

    @property
    def now_ns(self) -> Ns:
        return Ns(self.floor.wall_ns)

    def door(self, **changes: int) -> CancelOnly:
        alice = Credentials("alice", Secret("alice-secret"))
        return CancelOnly(self.http, alice, "linear", OWN_PREFIXES, lambda: self.now_ns, **changes)

    def create(self, *client_ids: str) -> None:
        """Orders that rest."""
        for client_id in client_ids:
            assert self.floor.create(orderLinkId=client_id)["retCode"] == 0

    def later(self) -> None:
        """A second on: the venue's limits of the second before are over."""
        self.floor.wall_ns += SECOND

    @property
    def open(self) -> list[str]:
        account = self.floor.exchange.members["alice"].account
        return [order.link_id for order in account.open_orders("linear")]

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        waiting = self.instead[request.path]
        if waiting:
            reply = waiting.pop(0)
        else:
            headers = {name.lower(): value for name, value in request.headers.items()}
            body = await request.read()
            asked = Request(request.method, request.path, request.query_string, headers, body, "here")
            reply = self.floor.rest.handle(asked, self.floor.wall_ns)
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)


@asynccontextmanager
async def rest_floor() -> AsyncIterator[RestFloor]:
    """Serving on a free port of 127.0.0.1."""
    venue = RestFloor()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", venue.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with HttpClient(f"http://127.0.0.1:{runner.addresses[0][1]}") as venue.http:
            yield venue
    finally:
        await runner.cleanup()
