"""A live run: the venue's market, our account, real orders.

The account's folder must have been claimed. The order log is read before anything is sent; the private stream
and order entry run beside market data; however the run ends, its quotes are pulled, and at the very end the
venue is asked over a connection of its own what is left. Only its empty list counts as nothing: a run that
leaves an order, or cannot know, ends with OrdersLeftError.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from mmbot.clock import Stopwatch, sleep_until, stopwatch, wall_ns
from mmbot.config.flags import in_force
from mmbot.config.settings import Settings
from mmbot.errors import ConfigError, OrdersLeftError
from mmbot.execution.lifecycle import Lifecycle
from mmbot.execution.reconcile import Reconciler
from mmbot.model.instrument import Instrument
from mmbot.model.orders import OWN_PREFIXES, OwnPrefix
from mmbot.model.records import Row
from mmbot.net.http import HttpClient
from mmbot.risk.throttle import ThrottleSettings
from mmbot.runtime.account_folder import AccountFolder
from mmbot.runtime.assemble import build_engine, fed_markets
from mmbot.runtime.kept_run import rss_bytes
from mmbot.runtime.live_request import LiveRequest
from mmbot.runtime.live_run import LiveRun
from mmbot.runtime.live_world import LiveWorld
from mmbot.runtime.order_log_file import OrderLogFile
from mmbot.runtime.private_lines import PrivateLines
from mmbot.runtime.record import VENUES, running
from mmbot.runtime.reload import Reloader, Sources
from mmbot.runtime.sweep import sweep
from mmbot.runtime.trading import Trading
from mmbot.units import MS, SECOND, Ns
from mmbot.venues.bybit.account_connector import AccountConnector, fetch_fees
from mmbot.venues.bybit.account_talk import AccountConnectorSettings
from mmbot.venues.bybit.cancel_only import CancelOnly
from mmbot.venues.bybit.connector import fetch_instruments
from mmbot.venues.bybit.instruments import PUBLISHED_FEES
from mmbot.venues.bybit.orders import rest_reply
from mmbot.venues.bybit.private_stream import ConnectionSettings
from mmbot.venues.bybit.queries import Ask, Query, server_ns
from mmbot.venues.credentials import Credentials

_SWEEP_NS = 5 * SECOND
"""How long the end of a run asks for what is left."""
CONNECTIONS = ConnectionSettings(ping_every_s=3.0, silence_s=8.0)
"""A user stream that died is noticed within 8 s."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whose money: the key, its folder on this machine, and symbols whose books may begin at a position."""

    credentials: Credentials
    folder: AccountFolder
    adopt: frozenset[str] = frozenset()


class TradeRun(LiveRun):
    """Opened: the venue was asked for its instruments and the account's fees."""

    mode = "live"
    venue_is_simulated = False

    def __init__(self, request: LiveRequest, account: Account, clock: Stopwatch = stopwatch) -> None:
        """Raises like every LiveRun; ConfigError for a market that cannot be reconciled; OutputError and
        RecordingError for an order log that cannot be used.
        """
        self._account = account
        self.left: list[str] | None = None
        """Own orders at the venue when the run had ended; None: nobody knows."""
        super().__init__(request, clock)

    def release(self) -> None:
        """Let another bot trade the account."""
        self._account.folder.release()

    def _reloader_of(self, sources: Sources) -> Reloader:
        """The red button works; anything else needs a prep of its own and a start."""
        return Reloader(
            sources,
            self._why_fixed,
            only_flags="real orders are out: only feature flags may change while running",
            in_force=self._in_force,
        )

    def _in_force(self, settings: Settings) -> Settings:
        """What the files hold, and of the throttle no more than the venue takes."""
        return live_in_force(settings, self._live.orders_per_s)

    def _asked(self) -> dict[str, Any]:
        account = self._account
        return {
            **super()._asked(),
            "account": account.folder.path.name,
            "accounts": str(account.folder.path.parent.resolve()),
            "adopt": sorted(account.adopt),
        }

    async def _instruments(self) -> list[Instrument]:
        """With the fees that this account pays."""
        live = self._live
        category = VENUES.get(live.venue)
        if category is None or category == "spot":
            raise ConfigError(
                f"live venue was {live.venue!r}, expected bybit_linear or bybit_inverse: positions of others "
                "cannot be compared with the order log"
            )
        async with HttpClient(self._hosts.rest) as http:
            found = await fetch_instruments(http, category, live.symbols, PUBLISHED_FEES[category])
            query = Query(Ask.TIME)
            server_ms = server_ns(query, rest_reply((await http.get(query.path)).body)) // MS
            self._account.folder.belong_to(await self._door(http).uid())
            return [await self._with_fees(http, one, server_ms) for one in found]

    async def _with_fees(self, http: HttpClient, one: Instrument, server_ms: int) -> Instrument:
        category = VENUES[self._live.venue]
        credentials = self._account.credentials
        fees = await fetch_fees(http, credentials, category, one.symbol, "account", server_ms=server_ms)
        return msgspec.structs.replace(one, fees=fees)

    def _wire(self, duration_ns: int | None, clock: Stopwatch) -> Trading:
        settings = self._in_force(self.settings)
        self._private = PrivateLines(self.directory, self._account.credentials.key)
        self._log = OrderLogFile(self._account.folder.orders, OWN_PREFIXES)
        lifecycle = restored(self.instruments, OWN_PREFIXES, self._log)
        reconciler = Reconciler(lifecycle, self._account.adopt)
        self._entry = AccountConnector(
            self.instruments,
            self._hosts,
            self._account.credentials,
            self._private.add,
            clock=self._clock,
            since_ns=Ns(reconciler.since_ns or self._clock()),
            settings=AccountConnectorSettings(connections=CONNECTIONS),
            seed=self._seed + 1,
        )
        markets = fed_markets(settings, self.instruments)
        self.engine = build_engine(
            settings,
            self.instruments,
            markets,
            arm=self._request.arm,
            clock=clock,
            armed=self._armed,
            in_force=self._in_force,
        )
        self._world = LiveWorld(
            markets, self._connector, self._entry, lifecycle, self._log, reconciler, self._clock
        )
        return Trading(
            self.engine,
            self._times(duration_ns),
            self._world,
            self._account.folder,
            settings.limits.max_position_quote,
            rss_bytes(),
            self._clock,
            sleep_until,
            self._keep,
            self.halt,
        )

    async def _connected(self, put: Callable[[list[Row]], None]) -> None:
        """Trade, and prove at the end that nothing is left, whatever ended it."""
        try:
            async with running(self._connector) as public, running(self._entry) as private:
                begun = asyncio.ensure_future(self._entry.started.wait())
                await asyncio.wait({begun, private}, return_when=asyncio.FIRST_COMPLETED)
                begun.cancel()
                self._world.start(self._clock())
                await self._tick(put, {public, private})
        finally:
            self._log.close()
            self._private.write(self._private.take())
            await self._prove()

    async def _prove(self) -> None:
        """Raises OrdersLeftError."""
        said: list[str] = []
        async with HttpClient(self._hosts.rest) as http:
            door = self._door(http, banned_until_ns=self._entry.session.stopped_until_ns)
            left = await sweep(door, said.append, settled_ns=0, give_up_ns=_SWEEP_NS)
        self.left = None if left is None else [order.client_id for order in left]
        if self.left is None:
            raise OrdersLeftError(f"orders may be left at {self._hosts.rest}: {said[-1]}")
        if self.left:
            raise OrdersLeftError(f"orders are left at {self._hosts.rest}: {', '.join(self.left)}")

    def _door(self, http: HttpClient, banned_until_ns: int = 0) -> CancelOnly:
        category, credentials = VENUES[self._live.venue], self._account.credentials
        return CancelOnly(http, credentials, category, OWN_PREFIXES, wall_ns, banned_until_ns=banned_until_ns)

    async def _write(self) -> None:
        await super()._write()
        await asyncio.to_thread(self._private.write, self._private.take())

    def _facts(self) -> dict[str, Any]:
        facts = super()._facts()
        return {
            **facts,
            "models": {"market_impact": "real"},
            "account": self._account.folder.path.name,
            "throttle": msgspec.to_builtins(self._in_force(self.settings).throttle),
            "orders_left": None if self.left is None else len(self.left),
        }


def live_in_force(settings: Settings, orders_per_s: int) -> Settings:
    """What the rooms of a live run get of the settings that the files hold."""
    within = within_budget(settings.throttle, orders_per_s)
    return msgspec.structs.replace(in_force(settings), throttle=within)


def within_budget(throttle: ThrottleSettings, orders_per_s: int) -> ThrottleSettings:
    """A throttle that makes wait what the venue would refuse: creates and amends together at most as many a
    second as it takes of either, and as many again for cancels alone.

    More cancels than that in one second, which takes more orders than that, are refused by the budget of the
    connection and repeated.
    """
    reserved = min(throttle.reserved_for_cancels, orders_per_s)
    others = min(throttle.messages_per_s - throttle.reserved_for_cancels, orders_per_s)
    return ThrottleSettings(messages_per_s=others + reserved, reserved_for_cancels=reserved)


def restored(instruments: list[Instrument], prefix: OwnPrefix, log: OrderLogFile) -> Lifecycle:
    """The lifecycle where the log ends. Raises LocalProtocolError for a log of other symbols."""
    content = log.content
    if content is None:
        return Lifecycle(instruments, prefix)
    lifecycle = Lifecycle(instruments, prefix, state=content.state)
    for record in content.records:
        lifecycle.apply(record)
    return lifecycle
