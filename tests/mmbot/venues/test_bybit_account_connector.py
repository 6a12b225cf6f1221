"""The account connector over real sockets, against the paper exchange: orders, look-ups, and faults."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.mmbot.builders import START_NS, linear
from tests.mmbot.venues.paper.floor import Floor

from mmbot.clock import stopwatch
from mmbot.errors import LocalProtocolError, RemoteProtocolError
from mmbot.model.account import (
    AccountCurrent,
    AccountFault,
    AccountStale,
    AccountTrouble,
    Execution,
    LookUpOrder,
    OrderAbsent,
    OrderReport,
    Outcome,
    PositionReport,
    RequestAnswer,
    VenueStatus,
    WalletReport,
)
from mmbot.model.commands import CancelOrder, OrderBatch, SubmitOrder
from mmbot.model.instrument import Fees, Side
from mmbot.net.http import HttpClient
from mmbot.units import MS, Lots, Ns, Ticks
from mmbot.venues.bybit.account import AccountSettings
from mmbot.venues.bybit.account_connector import AccountConnector, fetch_fees
from mmbot.venues.bybit.account_talk import AccountConnectorSettings
from mmbot.venues.bybit.hosts import hosts
from mmbot.venues.credentials import Credentials, Secret
from mmbot.venues.paper.faults import FaultSettings
from mmbot.venues.paper.server import PaperServer
from mmbot.venues.paper.settings import PaperSettings

pytestmark = pytest.mark.asyncio
BTC = linear()
WINDOW = AccountConnectorSettings(account=AccountSettings(recv_window_ms=1_000))
PATIENCE_S = 20.0


class Client:
    """A connector that runs, and all that it has told."""

    def __init__(self, connector: AccountConnector, server: PaperServer, recorded: list[Any]) -> None:
        self.connector = connector
        self.server = server
        self.told: list[Any] = []
        self.recorded = recorded
        """Every message and every answer of REST, as the connector recorded it."""
        self.answered: list[str] = []
        """Client ids of all answers to requests, ever."""

    async def until(self, seen: Callable[[list[Any]], Any]) -> Any:
        """Wait for messages until the predicate finds something in them; then these are forgotten."""
        async with asyncio.timeout(PATIENCE_S):
            while not (found := seen(self.told)):
                await self.connector.arrived.wait()
                told = self.connector.drain()
                self.told += told
                self.answered += [message.client_id for message in told if isinstance(message, RequestAnswer)]
        self.told = []
        return found

    async def ready(self) -> None:
        await self.until(lambda told: self.connector.ready and AccountCurrent in map(type, told))


def one(kind: type, **facts: Any) -> Callable[[list[Any]], Any]:
    """The first message of this kind with these values."""

    def seen(told: list[Any]) -> Any:
        fits = (
            message
            for message in told
            if isinstance(message, kind) and all(getattr(message, name) == facts[name] for name in facts)
        )
        return next(fits, None)

    return seen


def submit(number: int = 1, **changes: Any) -> SubmitOrder:
    facts: dict[str, Any] = {
        "symbol": BTC.key,
        "client_id": f"mmA-{number}",
        "side": Side.BUY,
        "tick": Ticks(9_900),
        "lots": Lots(50),
    }
    return SubmitOrder(**facts | changes)


def clock_from_start() -> Callable[[], Ns]:
    """The tape's own time, running at the machine's pace: exchange and client share it."""
    began = stopwatch()
    return lambda: Ns(START_NS + stopwatch() - began)


@contextlib.asynccontextmanager
async def trading(key: str = "alice", limit_factor: int = 1, **faults: Any) -> AsyncIterator[Client]:
    clock = clock_from_start()
    floor = Floor(faults=FaultSettings(**faults), settings=PaperSettings(limit_factor=limit_factor))
    async with PaperServer(floor.exchange, "stepped", clock).running(0) as server:
        recorded: list[Any] = []
        connector = AccountConnector(
            [BTC],
            hosts(f"http://127.0.0.1:{server.port}"),
            Credentials(key, Secret("alice-secret")),
            lambda _ns, payload: recorded.append(msgspec.json.decode(payload)),
            clock=clock,
            since_ns=Ns(START_NS),
            settings=WINDOW,
            look_ns=Ns(5 * MS),
        )
        running = asyncio.create_task(connector.run())
        try:
            yield Client(connector, server, recorded)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def test_an_order_from_its_create_to_its_cancel():
    async with trading() as client:
        await client.ready()
        client.connector.send(submit())
        report = await client.until(one(OrderReport, status=VenueStatus.WORKING))
        assert (report.client_id, report.side, report.tick, report.lots) == ("mmA-1", Side.BUY, 9_900, 50)
        client.connector.send(CancelOrder(BTC.key, "mmA-1"))
        gone = await client.until(one(OrderReport, status=VenueStatus.CANCELLED))
        assert (gone.client_id, gone.executed_lots) == ("mmA-1", 0)


async def test_every_request_is_answered():
    async with trading() as client:
        await client.ready()
        client.connector.send(OrderBatch(BTC.key, (submit(1), submit(2, side=Side.SELL, tick=Ticks(10_100)))))
        client.connector.send(CancelOrder(BTC.key, "mmA-9"))
        answers = await client.until(
            lambda told: (
                found if len(found := [one for one in told if isinstance(one, RequestAnswer)]) == 3 else None
            )
        )
        assert {(one.client_id, one.outcome) for one in answers} == {
            ("mmA-1", Outcome.ACCEPTED),
            ("mmA-2", Outcome.ACCEPTED),
            ("mmA-9", Outcome.REFUSED),
        }


async def test_an_execution_moves_position_and_balance():
    async with trading() as client:
        await client.ready()
        client.connector.send(submit(tick=Ticks(10_003), post_only=False))
        seen = {
            "execution": one(Execution),
            "position": one(PositionReport, lots=50),
            "wallet": one(WalletReport),
        }
        found = await client.until(
            lambda told: (
                all_of if all((all_of := {name: see(told) for name, see in seen.items()}).values()) else None
            )
        )
        execution = found["execution"]
        assert (execution.client_id, execution.tick, execution.lots) == ("mmA-1", 10_003, 50)
        assert not execution.maker
        assert execution.fee == pytest.approx(0.5 * 100.03 * 5.5e-4)
        assert found["position"].entry_price == pytest.approx(100.03)


async def test_a_post_only_order_that_would_take_is_cancelled_with_its_reason():
    async with trading() as client:
        await client.ready()
        client.connector.send(submit(tick=Ticks(10_003)))
        gone = await client.until(one(OrderReport, client_id="mmA-1"))
        assert gone.status in (VenueStatus.CANCELLED, VenueStatus.REJECTED)
        assert gone.reason == "EC_PostOnlyWillTakeLiquidity"


async def test_look_ups():
    async with trading() as client:
        await client.ready()
        client.connector.send(submit(1, tick=Ticks(10_003), post_only=False))
        client.connector.send(submit(2))
        await client.until(one(OrderReport, client_id="mmA-2"))
        for number in (1, 2, 3):
            client.connector.look_up(LookUpOrder(BTC.key, f"mmA-{number}"))
        found = await client.until(lambda told: told if one(OrderAbsent, client_id="mmA-3")(told) else None)
        filled = one(OrderReport, client_id="mmA-1")(found)
        assert (filled.status, filled.executed_lots) == (VenueStatus.FILLED, 50)
        assert one(Execution, client_id="mmA-1")(found).lots == 50
        assert one(OrderReport, client_id="mmA-2")(found).status is VenueStatus.WORKING


async def test_a_lost_private_connection_comes_back_with_everything_it_missed():
    async with trading() as client:
        await client.ready()
        client.connector.send(submit())
        await client.until(one(OrderReport, client_id="mmA-1"))
        client.server.exchange.faults.set({"close": "private"})
        client.server.exchange.act_on_faults()
        client.server.step(client.server.exchange.now_ns)
        told = await client.until(lambda told: told if one(AccountCurrent)(told) else None)
        kinds = [type(message) for message in told]
        assert kinds.index(AccountStale) < kinds.index(OrderReport) < kinds.index(AccountCurrent)


async def test_an_order_by_rest_whose_answer_was_lost_is_unknown_and_is_found():
    async with trading(http_502=1) as client:
        await client.connector.started.wait()  # long before the trade connection is up
        client.connector.send(submit())
        answer = await client.until(one(RequestAnswer))
        assert (answer.outcome, answer.reason) == (Outcome.UNKNOWN, "HTTP 502")
        client.connector.look_up(LookUpOrder(BTC.key, "mmA-1"))
        assert (await client.until(one(OrderReport, client_id="mmA-1"))).status is VenueStatus.WORKING
        answers = {line["_rest"].split("?")[0]: line for line in client.recorded if "_rest" in line}
        assert answers["POST /v5/order/create mmA-1"]["status"] == 502
        assert answers["GET /v5/order/realtime"]["body"]["retCode"] == 0
        assert any(line.get("op") == "auth" for line in client.recorded)


async def test_a_venue_whose_clock_is_ahead_is_told_and_traded_with():
    async with trading(clock_skew_ms=2_700) as client:
        trouble = await client.until(one(AccountTrouble))
        assert trouble.fault is AccountFault.CLOCK
        await client.until(lambda _: client.connector.ready)
        client.connector.send(submit())
        assert (await client.until(one(RequestAnswer))).outcome is Outcome.ACCEPTED


async def test_a_wrong_key_is_told():
    async with trading(key="mallory") as client:
        trouble = await client.until(one(AccountTrouble))
        assert (trouble.fault, trouble.fault.halts) == (AccountFault.CREDENTIALS, True)
        assert not client.connector.ready


async def test_the_accounts_own_fees():
    async with trading() as client, HttpClient(f"http://127.0.0.1:{client.server.port}") as http:
        asked = {"asked": "linear", "symbol": BTC.symbol, "tier": "own"}
        alice = Credentials("alice", Secret("alice-secret"))
        assert await fetch_fees(http, alice, **asked, server_ms=START_NS // MS) == Fees("own", 2.0, 5.5)
        mallory = Credentials("alice", Secret("wrong"))
        with pytest.raises(RemoteProtocolError, match="retCode 10004"):
            await fetch_fees(http, mallory, **asked, server_ms=START_NS // MS)


async def test_orders_need_a_connector_that_runs():
    connector = AccountConnector(
        [BTC],
        hosts("http://127.0.0.1:9"),
        Credentials("alice", Secret("x")),
        lambda _ns, _payload: None,
        clock=clock_from_start(),
        since_ns=Ns(START_NS),
    )
    with pytest.raises(RuntimeError, match="does not run"):
        connector.send(submit())
    with pytest.raises(LocalProtocolError, match="expected one of"):
        connector.look_up(LookUpOrder("bybit_linear:OTHER", "mmA-1"))


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_is_lost_every_request_is_answered_once_and_every_order_is_found_as_it_is(seed):
    draw = np.random.default_rng(seed)
    noise = {"private_drop_ratio": 0.3, "private_duplicate_ratio": 0.3, "seed": seed}
    async with trading(limit_factor=10, **noise) as client:
        await client.ready()
        sent: list[SubmitOrder] = []
        for number in range(1, 31):
            order = submit(
                number, tick=Ticks(int(draw.choice([9_800, 9_900, 10_004]))), lots=Lots(5), post_only=False
            )
            sent.append(order)
            client.connector.send(order)
            if number % 10 == 0:
                client.server.exchange.faults.set({"close": str(draw.choice(["trade", "private", "all"]))})
                client.server.exchange.act_on_faults()
                client.server.step(client.server.exchange.now_ns)
            await client.until(one(RequestAnswer, client_id=order.client_id))
        account = client.server.exchange.members["alice"].account
        for order in sent:
            client.connector.look_up(LookUpOrder(BTC.key, order.client_id))
        found = await client.until(lambda told: looked_up(told, {order.client_id for order in sent}))
        assert sorted(client.answered) == sorted(order.client_id for order in sent)
        for order in sent:
            held = account.find("linear", "", order.client_id)
            report = found[order.client_id]
            if held is None:
                assert isinstance(report, OrderAbsent)
            else:
                assert (report.executed_lots, report.status is VenueStatus.WORKING) == (
                    held.cum_lots,
                    held.open,
                )


def looked_up(told: list[Any], client_ids: set[str]) -> dict[str, Any] | None:
    """The last word about each of these orders, once there is one about all."""
    found = {one.client_id: one for one in told if isinstance(one, OrderReport | OrderAbsent)}
    return found if found.keys() >= client_ids else None
