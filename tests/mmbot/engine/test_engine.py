"""The engine by hand: events in, commands and rows out; misses wait, books heal, halts pull everything."""

from collections.abc import Sequence

import msgspec
import pytest
from tests.mmbot.builders import (
    KEY,
    START_NS,
    HandStopwatch,
    confirmed,
    delta,
    engine_of,
    fill,
    linear,
    ms,
    shipped_settings,
    snapshot,
)

from mmbot.engine.engine import Engine
from mmbot.errors import LocalProtocolError
from mmbot.execution.position import Position
from mmbot.model.commands import CancelOrder, Command, OrderBatch, RequestSnapshot, SubmitOrder, unpacked
from mmbot.model.events import (
    BookTrouble,
    CancelReject,
    Funding,
    OrderAck,
    OrderCancelled,
    OrderReject,
    Tick,
    Trouble,
)
from mmbot.model.instrument import Instrument, Side
from mmbot.model.records import EventRow, FillRow, Row, TickRow
from mmbot.units import MS, Lots, Ns, Ticks

BIDS, ASKS = [(7_490, 500)], [(7_510, 500)]
OTHER, THIRD = linear(symbol="OTHER"), linear(symbol="THIRD")
BID, ASK = "mmA-SYNTHUSDT-1", "mmA-SYNTHUSDT-2"
UNGUARDED = {"soft_volatility_bps": 1e6, "hard_volatility_bps": 1e6}


def opened(*instruments: Instrument, **sections: dict) -> Engine:
    """All books in sync at START_NS."""
    traded = instruments or (linear(),)
    engine = engine_of(shipped_settings(**sections), *traded)
    for instrument in traded:
        engine.step(snapshot(BIDS, ASKS, symbol=instrument.key))
    return engine


def tick(engine: Engine, at_ms: float) -> Sequence[Command]:
    """What a tick asks for, order by order."""
    return list(unpacked(engine.step(Tick(Ns(ms(at_ms))))))


def gap(at_ms: float = 0.0, symbol: str = KEY) -> BookTrouble:
    return BookTrouble(symbol, Ns(ms(at_ms)), Ns(ms(at_ms)), Trouble.GAP, "U=9 u=9 after u=7")


def ticks(rows: list[Row]) -> list[TickRow]:
    return [row for row in rows if isinstance(row, TickRow)]


def events(rows: list[Row]) -> list[tuple[str, str | None, int]]:
    return [(row.kind, row.symbol, row.ts_ns) for row in rows if isinstance(row, EventRow)]


def quoting(engine: Engine, at_ms: float = 0.0) -> None:
    """First tick and both acknowledgements."""
    for command in tick(engine, at_ms):
        assert isinstance(command, SubmitOrder)
        engine.step(OrderAck(command.symbol, command.client_id, Ns(ms(at_ms))))


def test_an_engine_is_ready_when_every_symbol_has_had_a_book():
    engine = engine_of(shipped_settings(), linear(), OTHER)
    assert not engine.ready
    engine.step(snapshot(BIDS, ASKS))
    assert not engine.ready
    engine.step(snapshot(BIDS, ASKS, symbol=OTHER.key))
    assert engine.ready
    engine.step(gap())
    assert engine.ready


def test_a_symbol_that_is_not_traded_is_a_wiring_fault():
    with pytest.raises(KeyError):
        opened().step(snapshot(BIDS, ASKS, symbol="nobody:NOTHING"))


class TestMisses:
    def test_a_miss_pulls_every_quote_and_asks_for_the_book(self):
        engine = opened()
        quoting(engine)
        engine.step(gap(50))
        assert tick(engine, 100) == [CancelOrder(KEY, BID), CancelOrder(KEY, ASK), RequestSnapshot(KEY)]

    def test_a_miss_row_waits_and_a_snapshot_closes_it_with_what_it_waited(self):
        engine = opened()
        engine.step(gap())
        tick(engine, 100)
        assert ticks(engine.drain()) == []
        engine.step(snapshot(BIDS, ASKS, ns=ms(163)))
        (row,) = ticks(engine.drain())
        assert (row.cache, row.guard, row.wait_ns, row.deadline_miss) == ("miss", "HARD", 63 * MS, False)
        assert (row.age_ns, row.mid) == (None, None)

    def test_wait_and_measured_time_together_miss_the_deadline(self):
        for wait_ms, miss in ((199, False), (199.9995, True)):
            engine = engine_of(shipped_settings(), clock=HandStopwatch(0, 1_000, 0))
            engine.step(snapshot(BIDS, ASKS))
            engine.step(gap())
            tick(engine, 0)
            engine.step(snapshot(BIDS, ASKS, ns=ms(wait_ms)))
            (row,) = ticks(engine.drain())
            assert (row.tick_total_ns, row.wait_ns, row.deadline_miss) == (1_000, round(wait_ms * MS), miss)

    def test_an_overdue_row_is_closed_at_the_deadline_as_missed(self):
        engine = opened()
        engine.step(gap())
        for at_ms in (0, 100, 200, 300):
            tick(engine, at_ms)
        rows = ticks(engine.drain())
        assert [(row.ts_ns, row.wait_ns, row.deadline_miss) for row in rows] == [
            (ms(0), 200 * MS, True),
            (ms(100), 200 * MS, True),
        ]

    def test_one_snapshot_closes_every_row_that_waits(self):
        engine = opened()
        engine.step(gap())
        tick(engine, 0)
        tick(engine, 100)
        engine.step(snapshot(BIDS, ASKS, ns=ms(150)))
        assert [row.wait_ns for row in ticks(engine.drain())] == [150 * MS, 50 * MS]

    def test_a_crossed_snapshot_closes_nothing(self):
        engine = opened()
        engine.step(gap())
        tick(engine, 0)
        engine.step(snapshot([(10, 1)], [(9, 1)], ns=ms(50)))
        assert ticks(engine.drain()) == []

    def test_rows_leave_in_time_order_so_an_open_one_holds_back_those_behind_it(self):
        engine = opened(linear(), OTHER)
        tick(engine, 0)
        engine.step(gap(50))
        tick(engine, 100)
        tick(engine, 200)
        assert [(row.ts_ns, row.symbol) for row in ticks(engine.drain())] == [
            (ms(0), KEY),
            (ms(0), OTHER.key),
        ]
        engine.step(snapshot(BIDS, ASKS, ns=ms(210)))
        assert [(row.ts_ns, row.symbol) for row in ticks(engine.drain())] == [
            (ms(100), KEY),
            (ms(100), OTHER.key),
            (ms(200), KEY),
            (ms(200), OTHER.key),
        ]

    def test_events_do_not_wait_for_open_rows(self):
        engine = opened()
        engine.step(gap(10))
        tick(engine, 100)
        assert events(engine.drain()) == [("gap", KEY, ms(10)), ("resync_request", KEY, ms(100))]

    def test_the_end_of_a_run_closes_what_still_waits(self):
        engine = opened()
        engine.step(gap())
        tick(engine, 0)
        engine.finish(ms(80))
        (row,) = ticks(engine.drain())
        assert row.wait_ns == 80 * MS


class TestRefreshes:
    def test_a_refresh_is_single_flight_until_its_retry(self):
        engine = opened()
        engine.step(gap())
        asked = {at_ms: list(tick(engine, at_ms)) for at_ms in range(0, 2_200, 100)}
        assert [at_ms for at_ms, commands in asked.items() if commands] == [0, 1_000, 2_000]
        assert {RequestSnapshot(KEY)} == {command for commands in asked.values() for command in commands}
        requests = [
            row for row in engine.drain() if isinstance(row, EventRow) and row.kind == "resync_request"
        ]
        assert [row.detail for row in requests] == [{"again": 0}, {"again": 1}, {"again": 1}]

    @pytest.mark.parametrize("most", [1, 2, 3])
    def test_refreshes_of_all_symbols_are_bounded_together(self, most: int):
        engine = opened(linear(), OTHER, THIRD, md_cache={"max_inflight_refresh": most})
        for instrument in (linear(), OTHER, THIRD):
            engine.step(gap(0, instrument.key))
        assert len(tick(engine, 0)) == most
        assert not tick(engine, 100)[3 - most :]

    def test_an_answer_makes_room_for_the_next_refresh(self):
        engine = opened(linear(), OTHER, md_cache={"max_inflight_refresh": 1})
        engine.step(gap())
        engine.step(gap(0, OTHER.key))
        assert tick(engine, 0) == [RequestSnapshot(KEY)]
        engine.step(snapshot(BIDS, ASKS, ns=ms(60)))
        assert RequestSnapshot(OTHER.key) in tick(engine, 100)
        assert ("resync_done", KEY, ms(60)) in events(engine.drain())

    def test_a_snapshot_that_nobody_asked_for_is_no_resync(self):
        engine = opened()
        engine.step(snapshot(BIDS, ASKS, ns=ms(10)))
        assert events(engine.drain()) == []

    def test_silence_asks_for_the_book_again(self):
        engine = opened()
        assert tick(engine, 5_000) == []
        assert tick(engine, 5_100) == [RequestSnapshot(KEY)]


@pytest.mark.parametrize("trouble", [gap(10), delta([(7_510, 1)], [], ns=ms(10))], ids=["gap", "crossed"])
def test_trouble_invalidates_its_own_symbol_only(trouble):
    engine = opened(linear(), OTHER)
    engine.step(trouble)
    for symbol in (KEY, OTHER.key):
        engine.step(confirmed(ms(90), symbol))
    commands = tick(engine, 100)
    assert {command.symbol for command in commands if isinstance(command, SubmitOrder)} == {OTHER.key}
    assert [command for command in commands if isinstance(command, RequestSnapshot)] == [RequestSnapshot(KEY)]
    rows = engine.drain()
    kind = "gap" if isinstance(trouble, BookTrouble) else "crossed"
    assert (kind, KEY, ms(10)) in events(rows)


def test_a_gap_says_what_was_expected_and_found():
    engine = opened()
    engine.step(gap(10))
    (row,) = engine.drain()
    assert isinstance(row, EventRow)
    assert row.detail == {"detail": "U=9 u=9 after u=7"}


def test_funding_is_booked_and_told():
    engine = opened()
    engine.step(Funding(KEY, Ns(ms(10)), Ns(ms(12)), rate=0.0001, payment=0.25))
    (row,) = [row for row in engine.drain() if isinstance(row, EventRow) and row.kind == "funding"]
    assert (row.ts_ns, row.symbol, row.detail) == (ms(12), KEY, {"rate": 0.0001, "payment": 0.25})
    assert engine.bots[KEY].position.funding == 0.25


class TestOrders:
    def test_a_fill_is_a_row_and_a_position(self):
        engine = opened()
        quoting(engine)
        engine.step(fill(Side.BUY, 7_497, 166, client_id=BID, mid_x2=15_000, ns=ms(40)))
        (row,) = [row for row in engine.drain() if isinstance(row, FillRow)]
        assert (row.symbol, row.client_id, row.side, row.liquidity) == (KEY, BID, "buy", "maker")
        assert (row.price, row.qty, row.order_price, row.mid) == (74.97, 1.66, 74.97, 75.0)
        assert row.decision_mid == 75.0
        assert row.fee == pytest.approx(1.66 * 74.97 * 2e-4)
        assert engine.bots[KEY].position.lots == 166

    def test_a_fill_tells_the_mid_when_its_order_was_decided_and_not_the_last_one(self):
        engine = opened()
        quoting(engine)
        engine.step(snapshot([(7_400, 10)], [(7_500, 10)], ns=ms(30)))
        engine.step(fill(Side.BUY, 7_497, 166, client_id=BID, mid_x2=14_900, ns=ms(40)))
        (row,) = [row for row in engine.drain() if isinstance(row, FillRow)]
        assert (row.mid, row.decision_mid) == (74.5, 75.0)

    def test_a_taker_fill_at_a_better_price_keeps_the_orders_price(self):
        engine = opened()
        quoting(engine)
        engine.step(fill(Side.BUY, 7_490, 1, client_id=BID, maker=False))
        (row,) = [row for row in engine.drain() if isinstance(row, FillRow)]
        assert (row.price, row.order_price, row.liquidity, row.mid) == (74.9, 74.97, "taker", None)

    def test_the_position_is_in_the_next_row_and_skews_the_quotes(self):
        engine = opened()
        quoting(engine)
        engine.step(fill(Side.BUY, 7_497, 666, client_id=BID, ns=ms(40)))
        engine.step(confirmed(ms(90)))
        (order,) = tick(engine, 100)
        (row,) = ticks(engine.drain())[1:]
        assert (row.position, row.position_quote) == (6.66, pytest.approx(499.5))
        assert isinstance(order, SubmitOrder)
        assert order.side is Side.BUY
        assert order.tick <= 7_497

    def test_a_place_in_the_queue_lasts_as_long_as_the_order(self):
        engine = opened()
        market = engine.bots[KEY].market
        assert market.ahead_lots(BID) is None
        quoting(engine)
        assert (market.ahead_lots(BID), market.ahead_lots(ASK)) == (0, 0)
        engine.step(fill(Side.BUY, 7_497, 600, client_id=BID))
        assert market.ahead_lots(BID) == 0
        engine.step(fill(Side.BUY, 7_497, 66, client_id=BID))
        engine.halt(ms(10), "red button")
        engine.step(OrderCancelled(KEY, ASK, Ns(ms(20)), Lots(666)))
        assert (market.ahead_lots(BID), market.ahead_lots(ASK)) == (None, None)
        assert not engine.working

    def test_a_reject_is_an_event_and_frees_the_slot(self):
        engine = opened()
        tick(engine, 0)
        engine.step(OrderReject(KEY, BID, Ns(ms(10)), "post-only would take"))
        engine.step(OrderAck(KEY, ASK, Ns(ms(10))))
        engine.step(confirmed(ms(90)))
        (order,) = tick(engine, 100)
        assert isinstance(order, SubmitOrder)
        assert (order.side, order.client_id) == (Side.BUY, "mmA-SYNTHUSDT-3")
        rejects = [row for row in engine.drain() if isinstance(row, EventRow)]
        assert [(row.kind, row.detail) for row in rejects] == [
            ("order_reject", {"client_id": BID, "reason": "post-only would take"})
        ]

    def test_a_successor_waits_for_the_cancel_to_be_confirmed(self):
        engine = opened(guards=UNGUARDED, fast_cancel={"move_bps": 1e6}, async_batch={"amend": False})
        quoting(engine)
        engine.step(snapshot([(7_590, 500)], [(7_610, 500)], ns=ms(90)))
        assert tick(engine, 100) == [CancelOrder(KEY, BID), CancelOrder(KEY, ASK)]
        assert tick(engine, 200) == []
        engine.step(OrderCancelled(KEY, ASK, Ns(ms(210)), Lots(666)))
        engine.step(confirmed(ms(290)))
        (order,) = tick(engine, 300)
        assert isinstance(order, SubmitOrder)
        assert order.side is Side.SELL
        assert order.tick > 7_590

    def test_a_new_bid_waits_until_our_old_ask_below_it_is_known_to_be_gone(self):
        engine = opened(guards=UNGUARDED, fast_cancel={"move_bps": 1e6}, async_batch={"amend": False})
        quoting(engine)
        engine.step(snapshot([(7_590, 500)], [(7_610, 500)], ns=ms(90)))
        tick(engine, 100)
        engine.step(OrderCancelled(KEY, BID, Ns(ms(210)), Lots(666)))
        engine.step(confirmed(ms(290)))
        assert tick(engine, 300) == []
        engine.step(OrderCancelled(KEY, ASK, Ns(ms(310)), Lots(666)))
        engine.step(confirmed(ms(390)))
        assert len(tick(engine, 400)) == 2
        refused, ended = [row for row in engine.drain() if isinstance(row, EventRow)]
        assert (refused.kind, ended.kind) == ("order_refused", "block_ended")
        assert str(refused.detail["reason"]) == "self_trade: buy at tick 7597 would meet our own at 7503"
        assert ended.detail == {
            "held": "order_refused",
            "limit": "self_trade",
            "side": "buy",
            "times": 1,
            "lasted_ms": 100.0,
        }

    def test_a_cancel_that_lost_its_race_changes_nothing(self):
        engine = opened()
        quoting(engine)
        engine.step(snapshot([(7_590, 500)], [(7_610, 500)], ns=ms(90)))
        tick(engine, 100)
        engine.step(fill(Side.SELL, 7_503, 666, client_id=ASK, ns=ms(105)))
        engine.step(CancelReject(KEY, ASK, Ns(ms(110)), "no such order"))
        assert engine.bots[KEY].position.lots == -666

    @pytest.mark.parametrize(
        "event",
        [
            OrderAck(KEY, "nobody's", Ns(START_NS)),
            fill(Side.BUY, 7_497, 667, client_id=BID),
            fill(Side.SELL, 7_497, 1, client_id=BID),
            OrderAck(KEY, BID, Ns(START_NS)),
        ],
        ids=["foreign", "too much", "wrong side", "acked twice"],
    )
    def test_an_answer_that_the_venue_cannot_give_is_a_protocol_error(self, event):
        engine = opened()
        quoting(engine)
        with pytest.raises(LocalProtocolError):
            engine.step(event)

    def test_a_limit_that_lasts_is_named_once_per_side(self):
        engine = opened(limits={"max_order_notional_quote": 100.0, "max_position_quote": 6_000.0})
        for step in range(5):
            engine.step(confirmed(ms(step * 100)))
            assert tick(engine, step * 100) == []
        refused = [row for row in engine.drain() if isinstance(row, EventRow)]
        assert [(row.kind, row.detail["side"]) for row in refused] == [
            ("order_refused", "buy"),
            ("order_refused", "sell"),
        ]
        assert str(refused[0].detail["reason"]).startswith("max_order_notional_quote: ")

    def test_a_limit_that_lasts_on_one_side_is_named_once_whatever_the_other_side_does(self):
        engine = opened(limits={"max_order_notional_quote": 1_000.0, "max_position_quote": 500.0})
        tick(engine, 0)
        engine.step(OrderAck(KEY, BID, Ns(ms(10))))
        engine.step(fill(Side.BUY, 7_497, 666, client_id=BID))
        ask = ASK
        for step in range(1, 6):
            engine.step(OrderReject(KEY, ask, Ns(ms(step * 100 - 20)), "post-only would take"))
            engine.step(confirmed(ms(step * 100 - 10)))
            (command,) = tick(engine, step * 100)
            assert isinstance(command, SubmitOrder)
            assert command.side is Side.SELL
            ask = command.client_id
        refused = [row for row in engine.drain() if isinstance(row, EventRow) and row.kind == "order_refused"]
        assert [row.detail["side"] for row in refused] == ["buy"]

    def test_symbols_have_order_ids_of_their_own(self):
        engine = opened(linear(), OTHER)
        ids = [command.client_id for command in tick(engine, 0) if isinstance(command, SubmitOrder)]
        assert ids == [BID, ASK, "mmA-OTHER-1", "mmA-OTHER-2"]


class TestHalt:
    def test_a_halt_pulls_every_quote_and_quotes_no_more(self):
        engine = opened(linear(), OTHER)
        quoting(engine)
        batches = engine.halt(ms(50), "red button")
        assert all(isinstance(batch, OrderBatch) for batch in batches)
        assert [batch.symbol for batch in batches] == [KEY, OTHER.key]
        commands = list(unpacked(batches))
        assert len(commands) == 4
        assert all(isinstance(command, CancelOrder) for command in commands)
        engine.step(snapshot([(7_590, 500)], [(7_610, 500)], ns=ms(90)))
        assert tick(engine, 100) == []
        halts = [row for row in engine.drain() if isinstance(row, EventRow)]
        assert [(row.kind, row.symbol, row.detail) for row in halts] == [
            ("halt", None, {"reason": "red button"})
        ]

    def test_an_order_that_was_on_its_way_is_pulled_when_it_is_acknowledged(self):
        engine = opened()
        tick(engine, 0)
        assert engine.halt(ms(5), "red button") == []
        engine.step(OrderAck(KEY, BID, Ns(ms(10))))
        engine.step(OrderAck(KEY, ASK, Ns(ms(10))))
        assert tick(engine, 100) == [CancelOrder(KEY, BID), CancelOrder(KEY, ASK)]
        assert tick(engine, 200) == []

    def test_fills_after_a_halt_still_count(self):
        engine = opened()
        quoting(engine)
        engine.halt(ms(5), "red button")
        engine.step(fill(Side.BUY, 7_497, 100, client_id=BID))
        engine.step(OrderCancelled(KEY, BID, Ns(ms(10)), Lots(566)))
        assert engine.bots[KEY].position.lots == 100


class TestARealVenue:
    """What the order lifecycle tells an engine beyond what a simulated venue does."""

    def test_a_late_fill_is_booked_with_a_row_of_its_own(self):
        engine = engine_of(shipped_settings(), linear())
        bot = engine.bots[KEY]
        late = msgspec.structs.replace(
            fill(Side.SELL, 7_505, 7, client_id="mmA-SYNTHUSDT-3"), late_tick=Ticks(7_504), fee=0.25
        )
        engine.step(late)
        filled, told = engine.drain()
        assert isinstance(filled, FillRow)
        assert isinstance(told, EventRow)
        assert (bot.position.lots, bot.position.fees) == (-7, 0.25)
        assert (filled.fee, filled.price, filled.order_price, filled.decision_mid) == (
            0.25,
            75.05,
            75.04,
            None,
        )
        assert told.kind == "late_fill"
        assert told.detail == {"client_id": "mmA-SYNTHUSDT-3", "fill_id": 1, "lots": 7}

    def test_a_fill_of_an_order_that_is_not_ours_is_refused_unless_it_is_late(self):
        engine = engine_of(shipped_settings(), linear())
        with pytest.raises(LocalProtocolError, match="no such order"):
            engine.step(fill(Side.SELL, 7_505, 7))
        assert engine.bots[KEY].position.lots == 0

    def test_it_goes_on_where_a_log_ended(self):
        before = Position(linear())
        before.book(fill(Side.BUY, 7_400, 20))
        engine = engine_of(shipped_settings(), linear())
        engine.bots[KEY].resume(before.state(), 41)
        engine.step(snapshot([(7_490, 500)], [(7_510, 500)]))
        sent = list(unpacked(engine.step(Tick(Ns(START_NS)))))
        ids = [command.client_id for command in sent if isinstance(command, SubmitOrder)]
        assert ids == ["mmA-SYNTHUSDT-42", "mmA-SYNTHUSDT-43"]
        assert engine.bots[KEY].position.state() == before.state()
