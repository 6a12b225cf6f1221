"""The world of live trading without sockets: real sessions that are handed what a venue says."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import KEY, START_NS, linear, shipped_settings

from mmbot.engine.engine import Engine
from mmbot.errors import LocalProtocolError
from mmbot.execution.lifecycle import Lifecycle
from mmbot.execution.reconcile import Reconciler
from mmbot.model.account import (
    AccountFault,
    Execution,
    OffOrderExecution,
    OrderReport,
    PositionReport,
    VenueAccount,
    VenueStatus,
)
from mmbot.model.commands import CancelOrder, SubmitOrder
from mmbot.model.events import Fill
from mmbot.model.instrument import Side
from mmbot.model.orders import own_prefix
from mmbot.model.records import EventRow
from mmbot.runtime.assemble import build_engine, plain_markets
from mmbot.runtime.live_world import UNCOMPARED_NS, LiveWorld
from mmbot.runtime.order_log_file import OrderLogFile
from mmbot.units import MS, Lots, Ns, Ticks
from mmbot.venues.bybit.account_connector import AccountConnector
from mmbot.venues.bybit.connector import PublicConnector
from mmbot.venues.bybit.hosts import hosts
from mmbot.venues.credentials import Credentials, Secret

ID = "mmA-SYNTHUSDT-1"


def at(ms: float) -> Ns:
    return Ns(START_NS + round(ms * MS))


class Venue:
    """What a test says, at the two doors of a live world, and what the engine came to know."""

    def __init__(self, folder: Path) -> None:
        self.now_ns = at(0)
        instruments, clock = [linear()], lambda: self.now_ns
        self.lifecycle = Lifecycle(instruments, own_prefix("A"))
        nowhere = hosts("http://127.0.0.1:1")
        self.public = PublicConnector(instruments, nowhere, lambda *_: None, clock=clock, depth=1)
        self.account = AccountConnector(
            instruments,
            nowhere,
            Credentials("key", Secret("secret")),
            lambda *_: None,
            clock=clock,
            since_ns=at(0),
        )
        settings = shipped_settings()
        markets = plain_markets(settings, instruments)
        self.engine: Engine = build_engine(settings, instruments, markets, arm="A")
        self.log = OrderLogFile(folder, own_prefix("A"))
        self.world = LiveWorld(
            markets, self.public, self.account, self.lifecycle, self.log, Reconciler(self.lifecycle), clock
        )
        self.fills: list[Fill] = []
        self.world.attach(self.engine, self.fills.append)
        self.world.start(at(0))

    def book(self, ms: float, bid: str, ask: str) -> None:
        data = {"s": "SYNTHUSDT", "b": [[bid, "5"]], "a": [[ask, "5"]], "u": 1, "seq": 1}
        frame = {"topic": "orderbook.1.SYNTHUSDT", "type": "snapshot", "ts": at(ms) // MS, "data": data}
        self.public._intake.take(at(ms), json.dumps(frame).encode())

    def says(self, *messages: Any) -> None:
        self.account.session._said += messages

    def agrees(self, ms: float, lots: int = 0) -> None:
        held = [PositionReport(KEY, Lots(lots), 100.0 if lots else None, at(ms))]
        self.says(VenueAccount(at(ms), [], [], held, at(ms)))
        self.world.advance(at(ms))

    def sends(self, ms: float) -> None:
        """An order of ours is in the log; its bytes go nowhere."""
        order = SubmitOrder(KEY, ID, Side.BUY, Ticks(10_000), Lots(50))
        self.lifecycle.commands(at(ms), [order])

    def executed(self, ms: float, **changes: Any) -> Execution:
        facts = Execution(
            KEY, ID, "7", "e1", Side.BUY, Ticks(10_000), Lots(50),
            maker=True, fee=0.01, venue_ns=at(ms), recv_ns=at(ms),
        )  # fmt: skip
        return msgspec.structs.replace(facts, **changes)


@pytest.fixture
def venue(tmp_path: Path) -> Venue:
    return Venue(tmp_path)


def kinds(venue: Venue) -> list[str]:
    return [getattr(row, "kind", "sample") for row in venue.world.take_rows()]


def orphaned(venue: Venue) -> None:
    """The order was sent by an engine before this one, so its fill is a late one."""
    venue.sends(1)
    venue.lifecycle.restarted(at(2))


def test_market_and_account_are_applied_in_the_order_of_receipt(venue: Venue) -> None:
    venue.agrees(1)
    orphaned(venue)
    venue.book(10, "100.00", "100.02")
    venue.book(30, "101.00", "101.02")
    venue.says(venue.executed(20))
    venue.world.advance(at(40))
    assert [fill.mid_x2 for fill in venue.fills] == [20_002]


def test_what_comes_after_the_tick_waits_for_the_next(venue: Venue) -> None:
    venue.agrees(1)
    orphaned(venue)
    venue.says(venue.executed(20))
    venue.world.advance(at(19))
    assert venue.fills == []
    venue.world.advance(at(20))
    assert [(fill.fill_id, fill.mid_x2) for fill in venue.fills] == [(1, None)]
    assert venue.lifecycle.positions[KEY].lots == 50


def test_an_execution_that_comes_twice_is_booked_once(venue: Venue) -> None:
    venue.agrees(1)
    orphaned(venue)
    venue.says(venue.executed(20), venue.executed(21))
    venue.world.advance(at(30))
    assert len(venue.fills) == 1


def test_the_log_holds_what_was_heard(venue: Venue, tmp_path: Path) -> None:
    venue.agrees(1)
    orphaned(venue)
    venue.says(venue.executed(20))
    venue.world.advance(at(30))
    venue.log.close()
    content = OrderLogFile(tmp_path, own_prefix("A")).content
    assert content is not None
    restored = Lifecycle([linear()], own_prefix("A"), state=content.state)
    for record in content.records:
        restored.apply(record)
    assert restored.positions[KEY].lots == 50
    assert msgspec.json.encode(restored.checkpoint()) == msgspec.json.encode(venue.lifecycle.checkpoint())


def test_nothing_is_quoted_before_the_stream_is_current_and_all_agrees(venue: Venue) -> None:
    assert venue.world.refusal(at(0)) == "the account's stream is not current"
    venue.account.session._up = True
    assert venue.world.refusal(at(0)) == "not reconciled with the venue yet"
    venue.agrees(1)
    assert venue.world.refusal(at(1)) is None
    assert venue.world.agreed
    assert venue.world.refusal(at(2) + UNCOMPARED_NS) == "not compared with the venue for more than 180 s"


def test_a_position_that_nobody_adopted_is_refused_with_its_number(venue: Venue) -> None:
    venue.account.session._up = True
    venue.agrees(1, lots=7)
    assert "position at the venue is 7 lots" in str(venue.world.refusal(at(1)))
    assert not venue.world.agreed


@pytest.mark.parametrize("fault", AccountFault)
def test_a_fault_that_will_not_pass_presses_the_switch(fault: AccountFault, venue: Venue) -> None:
    venue.account.session.trouble(fault, "as it said", None, at(5))
    venue.world.advance(at(6))
    assert venue.world.switch.off is fault.halts
    assert "account_trouble" in kinds(venue)


def test_a_position_that_moved_without_an_order_presses_the_switch_once(venue: Venue) -> None:
    moved = OffOrderExecution(KEY, "x1", "AdlTrade", Side.SELL, 100.0, Lots(3), None, at(5), at(5))
    venue.says(moved, moved)
    venue.world.advance(at(6))
    assert venue.world.switch.reason == f"{KEY}: 3 lots sell by AdlTrade, which no order of ours explains"
    assert kinds(venue).count("off_order_execution") == 1


def test_what_moved_before_the_start_is_in_the_position_that_is_compared(venue: Venue) -> None:
    venue.says(OffOrderExecution(KEY, "x1", "BustTrade", Side.SELL, 100.0, Lots(3), None, at(-5), at(5)))
    venue.world.advance(at(6))
    assert not venue.world.switch.off


@pytest.mark.parametrize(("logged_ms", "leaves"), [(1_000, True), (1_001, False)])
def test_what_the_disk_let_through_too_late_does_not_leave(
    venue: Venue, logged_ms: int, *, leaves: bool
) -> None:
    venue.agrees(1)
    venue.book(10, "100.00", "100.02")
    venue.world.advance(at(20))
    wanted = venue.engine.tick(at(20))
    assert wanted
    venue.now_ns = at(20 + logged_ms)
    if leaves:
        with pytest.raises(RuntimeError, match="orders have nowhere to go"):
            venue.world.send_all(at(20), wanted)
        return
    venue.world.send_all(at(20), wanted)
    assert not venue.engine.working
    assert not venue.lifecycle.open
    rows = [row for row in venue.engine.drain() if isinstance(row, EventRow)]
    reasons = [row.detail["reason"] for row in rows if row.kind == "order_reject"]
    assert reasons == ["the order log took longer than 1 s"] * 2


def test_orders_of_others_are_told_once_and_left_alone(venue: Venue) -> None:
    other = OrderReport(
        KEY, "human-1", "9", Side.BUY, Ticks(1), Lots(1), Lots(0), VenueStatus.WORKING, "", at(1), at(1)
    )  # fmt: skip
    for ms in (1, 2):
        venue.says(VenueAccount(at(ms), [other], [], [], at(ms)))
        venue.world.advance(at(ms))
    assert kinds(venue).count("foreign_orders") == 1


def test_an_order_that_was_never_acknowledged_is_not_cancelled_by_the_engine(venue: Venue) -> None:
    """Sending what breaks the order's state is a fault of ours, and nothing leaves."""
    venue.agrees(1)
    with pytest.raises(LocalProtocolError, match="no such order"):
        venue.world.send(at(2), CancelOrder(KEY, "mmA-SYNTHUSDT-99"))
