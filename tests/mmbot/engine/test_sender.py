"""The last word before an order leaves, in a whole engine: batches, budgets, a broken venue, a lost day."""

import pytest
from tests.mmbot.builders import (
    KEY,
    confirmed,
    engine_of,
    fill,
    linear,
    ms,
    shipped_settings,
    snapshot,
)

from mmbot.engine.engine import Engine
from mmbot.model.commands import AmendOrder, CancelOrder, Command, Message, OrderBatch, SubmitOrder, unpacked
from mmbot.model.events import AmendReject, OrderAck, OrderAmended, OrderCancelled, OrderReject, Tick
from mmbot.model.instrument import Side
from mmbot.model.records import EventRow
from mmbot.units import DAY, MS, Lots, Ns

BIDS, ASKS = [(7_490, 500)], [(7_510, 500)]
LADDER = {"levels": 3, "level_step_bps": 10.0, "order_notional_quote": 50.0}
WIDE_OPEN = {"soft_volatility_bps": 1e6, "hard_volatility_bps": 1e6}


DESK: dict[str, dict] = {"guards": WIDE_OPEN, "fast_cancel": {"move_bps": 1e6}, "emit": LADDER}


class Desk:
    """An engine over one book, whose venue answers when told to."""

    def __init__(self, **sections: dict) -> None:
        sections = {**DESK, **sections}
        self.engine: Engine = engine_of(shipped_settings(**sections), linear())
        self.engine.step(snapshot(BIDS, ASKS))
        self.at_ms = 0.0
        self.events: list[EventRow] = []

    def tick(self, *, after_ms: float = 100.0) -> list[Command]:
        return list(unpacked(self.messages(after_ms=after_ms)))

    def messages(self, *, after_ms: float = 100.0) -> list[Message]:
        self.at_ms += after_ms
        self.engine.step(confirmed(ms(self.at_ms)))
        sent = list(self.engine.step(Tick(Ns(ms(self.at_ms)))))
        self.events += [row for row in self.engine.drain() if isinstance(row, EventRow)]
        return sent

    def answer(self, commands: list[Command]) -> None:
        now_ns = Ns(ms(self.at_ms + 1))
        for command in commands:
            if isinstance(command, CancelOrder):
                self.engine.step(OrderCancelled(KEY, command.client_id, now_ns, Lots(1)))
            elif isinstance(command, SubmitOrder):
                self.engine.step(OrderAck(KEY, command.client_id, now_ns))
            elif isinstance(command, AmendOrder):
                self.engine.step(OrderAmended(KEY, command.client_id, now_ns))

    def reject(self, commands: list[Command]) -> None:
        for command in commands:
            assert isinstance(command, SubmitOrder)
            self.engine.step(OrderReject(KEY, command.client_id, Ns(ms(self.at_ms + 1)), "no"))

    def market(self, *, up_ticks: int) -> None:
        bids, asks = ([(tick + up_ticks, lots) for tick, lots in side] for side in (BIDS, ASKS))
        self.engine.step(snapshot(bids, asks, ns=ms(self.at_ms + 2)))

    def told(self, kind: str) -> list[dict[str, object]]:
        return [dict(row.detail) for row in self.events if row.kind == kind]


def creates(commands: list[Command]) -> list[SubmitOrder]:
    return [command for command in commands if isinstance(command, SubmitOrder)]


class TestBatches:
    def test_a_ladder_is_one_batch_of_creates_and_one_of_cancels(self):
        desk = Desk(async_batch={"amend": False})
        (batch,) = sent = desk.messages()
        assert isinstance(batch, OrderBatch)
        assert len(batch.orders) == 6
        desk.answer(list(unpacked(sent)))
        desk.market(up_ticks=40)
        (batch,) = desk.messages()
        assert isinstance(batch, OrderBatch)
        assert {type(order) for order in batch.orders} == {CancelOrder}

    def test_what_does_not_fit_goes_first_in_the_next_tick(self):
        desk = Desk(async_batch={"max_orders": 2, "max_batches_per_tick": 2})
        first, second = creates(desk.tick()), creates(desk.tick())
        assert [order.client_id[-1] for order in (*first, *second)] == list("123456")
        assert desk.engine.bots[KEY]._sender._batcher.waiting == []  # nobody keeps a place in the line
        assert len({(order.side, order.tick) for order in (*first, *second)}) == 6
        assert desk.tick() == []
        assert desk.told("order_deferred") == [
            {"reason": "async_batch", "side": "buy"},
            {"reason": "async_batch", "side": "sell"},
        ]
        assert [row["times"] for row in desk.told("block_ended")] == [1, 1]

    def test_cancels_take_the_batches_before_creates(self):
        desk = Desk(async_batch={"max_orders": 3, "max_batches_per_tick": 1})
        for _ in range(2):
            desk.answer(desk.tick())
        desk.market(up_ticks=40)
        sent = []
        for _ in range(4):
            sent.append(desk.tick())
            desk.answer(sent[-1])
        kinds = [{type(order) for order in orders} for orders in sent]
        assert kinds == [{CancelOrder}, {CancelOrder}, {SubmitOrder}, {SubmitOrder}]

    def test_cancels_that_a_spike_asks_for_go_before_those_that_waited(self):
        desk = Desk(async_batch={"max_orders": 1, "max_batches_per_tick": 1}, fast_cancel={"move_bps": 15.0})
        for _ in range(6):
            desk.answer(desk.tick())
        sides = {order.client_id: order.side for order in desk.engine.bots[KEY]._blotter.slots.values()}
        desk.market(up_ticks=6)
        (bid,) = desk.tick()
        assert isinstance(bid, CancelOrder)
        assert sides[bid.client_id] is Side.BUY
        desk.market(up_ticks=20)
        pulled = [desk.tick() for _ in range(3)]
        assert [sides[order.client_id] for (order,) in pulled] == [Side.SELL] * 3

    def test_a_deferred_quote_that_is_wanted_no_more_is_not_sent(self):
        desk = Desk(async_batch={"max_orders": 1, "max_batches_per_tick": 1})
        (only,) = creates(desk.tick())
        desk.market(up_ticks=40)
        (later,) = creates(desk.tick())
        assert later.tick > only.tick + 30


AMENDING = {"max_orders": 10, "max_batches_per_tick": 4, "amend": True}


class TestAmends:
    def working(self, **sections: dict) -> Desk:
        """A desk whose six orders rest."""
        desk = Desk(**{"async_batch": AMENDING, **sections})
        desk.answer(desk.tick())
        return desk

    def test_a_ladder_moves_in_one_batch_and_stays_up(self):
        desk = self.working()
        desk.market(up_ticks=4)
        (batch,) = desk.messages()
        assert isinstance(batch, OrderBatch)
        assert {type(order) for order in batch.orders} == {AmendOrder}
        asked = {order.client_id: order for order in batch.orders}
        assert all(order.client_id not in asked for order in unpacked(desk.messages())), "in flight"
        desk.answer(list(batch.orders))
        orders = {order.client_id: order for order in desk.engine.bots[KEY]._blotter.slots.values()}
        assert len(orders) == 6
        for client_id, amend in asked.items():
            assert isinstance(amend, AmendOrder)
            assert (orders[client_id].tick, orders[client_id].lots) == (amend.tick, amend.lots)

    def test_an_amend_asks_for_its_quote_beside_what_has_filled(self):
        desk = self.working()
        bid = desk.engine.bots[KEY]._blotter.slots[1]
        wanted = bid.lots
        desk.engine.step(fill(Side.BUY, bid.tick, 2, client_id=bid.client_id, ns=ms(desk.at_ms + 1)))
        desk.market(up_ticks=4)
        lots = {order.client_id: order.lots for order in desk.tick() if isinstance(order, AmendOrder)}
        assert lots[bid.client_id] == pytest.approx(wanted + 2, abs=1), "the price rose, so a lot may go"

    def test_one_that_would_meet_an_order_of_ours_becomes_a_cancel(self):
        """A jump over the whole ladder: the asks may still stand where the bids would go."""
        desk = self.working()
        desk.market(up_ticks=40)
        sent = desk.tick()
        sides = {order.client_id: order.side for order in desk.engine.bots[KEY]._blotter.slots.values()}
        assert {(type(order), sides[order.client_id]) for order in sent} == {
            (CancelOrder, Side.BUY),
            (AmendOrder, Side.SELL),
        }
        assert [row["reason"] for row in desk.told("order_refused") if row["side"] == "buy"]
        desk.answer(sent)
        assert {order.side for order in creates(desk.tick())} == {Side.BUY}

    def test_it_is_judged_by_its_new_price_and_size(self):
        desk = self.working()
        tight = shipped_settings(
            **{**DESK, "async_batch": AMENDING, "limits": {"max_order_notional_quote": 1}}
        )
        desk.engine.reconfigure(tight)
        desk.market(up_ticks=4)
        assert {type(order) for order in desk.tick()} == {CancelOrder}
        assert {str(row["reason"]).partition(":")[0] for row in desk.told("order_refused")} == {
            "max_order_notional_quote"
        }

    def test_a_broken_venue_is_asked_for_cancels_alone(self):
        desk = self.working(breaker=TOUCHY)
        refused = 0
        while True:
            desk.market(up_ticks=4 if refused % 2 else 0)
            sent = desk.tick()
            if desk.told("breaker"):
                break
            for amend in sent:
                assert isinstance(amend, AmendOrder)
                desk.engine.step(AmendReject(KEY, amend.client_id, Ns(ms(desk.at_ms + 1)), "no"))
            refused += 1
        assert {type(order) for order in sent} == {CancelOrder}
        assert len(desk.told("amend_reject")) >= 6

    @pytest.mark.parametrize(("reserved", "kind"), [(2, AmendOrder), (3, CancelOrder)])
    def test_without_room_for_an_amend_the_order_is_cancelled_from_the_reserve(
        self, reserved: int, kind: type
    ):
        desk = self.working(throttle={"messages_per_s": 14, "reserved_for_cancels": reserved})
        desk.market(up_ticks=4)
        sent = desk.tick()
        assert [type(order) for order in sent] == [kind] * 6
        told = {row["reason"] for row in desk.told("order_refused")}
        assert told == ({"message_throttle"} if kind is CancelOrder else set())

    def test_every_order_that_moves_costs_a_batch_of_its_kind(self):
        desk = self.working(async_batch={**AMENDING, "max_orders": 3, "max_batches_per_tick": 2})
        desk.market(up_ticks=4)
        assert [len(batch.orders) for batch in desk.messages() if isinstance(batch, OrderBatch)] == [3, 3]

    def test_a_venue_that_does_not_amend_gets_cancels(self):
        spot = linear(venue="binance_spot")
        engine = engine_of(shipped_settings(**DESK, async_batch=AMENDING), spot)
        engine.step(snapshot(BIDS, ASKS, symbol=spot.key))
        for order in unpacked(engine.step(Tick(Ns(ms(0))))):
            assert isinstance(order, SubmitOrder)
            engine.step(OrderAck(spot.key, order.client_id, Ns(ms(1))))
        moved = [[(tick + 40, lots) for tick, lots in side] for side in (BIDS, ASKS)]
        engine.step(snapshot(*moved, ns=ms(2), symbol=spot.key))
        assert {type(order) for order in unpacked(engine.step(Tick(Ns(ms(100)))))} == {CancelOrder}


class TestThrottle:
    def test_creates_stop_at_the_reserve_and_a_halt_still_pulls_everything(self):
        desk = Desk(throttle={"messages_per_s": 8, "reserved_for_cancels": 4})
        working = desk.tick()
        assert len(working) == 4
        desk.answer(working)
        assert desk.tick() == []
        assert {row["reason"] for row in desk.told("order_deferred")} == {"message_throttle"}
        pulled = list(unpacked(desk.engine.halt(ms(desk.at_ms), "red button")))
        assert {order.client_id for order in pulled} == {order.client_id for order in working}

    def test_cancels_beyond_the_budget_are_sent_when_there_is_room(self):
        desk = Desk(throttle={"messages_per_s": 8, "reserved_for_cancels": 2})
        working = desk.tick()
        assert len(working) == 6
        desk.answer(working)
        pulled = list(unpacked(desk.engine.halt(ms(desk.at_ms), "red button")))
        assert len(pulled) == 2
        while desk.at_ms < 3_000:
            desk.answer(pulled)
            pulled = desk.tick()
            assert all(isinstance(order, CancelOrder) for order in pulled)
        assert not desk.engine.working


TOUCHY = {"min_samples": 6, "max_failure_ratio": 0.5, "open_s": 1.0, "probes": 2}


class TestBreaker:
    def test_a_venue_that_rejects_gets_no_creates_then_probes_then_everything(self):
        desk = Desk(breaker=TOUCHY)
        desk.reject(desk.tick())
        while not desk.told("breaker"):
            assert desk.tick() == []
        assert desk.told("breaker") == [{"venue": "bybit_linear", "state": "open"}]
        probes: list[Command] = []
        while not probes:
            probes = desk.tick()
        assert len(probes) == 2
        desk.answer(probes)
        assert len(creates(desk.tick())) == 4
        assert [row["state"] for row in desk.told("breaker")] == ["open", "half_open", "closed"]

    def test_cancels_pass_while_it_is_open(self):
        desk = Desk(breaker=TOUCHY)
        sent = creates(desk.tick())
        desk.answer([sent[0]])
        desk.reject(list(sent[1:]))
        desk.market(up_ticks=40)
        assert desk.tick() == [CancelOrder(KEY, sent[0].client_id)]
        assert desk.told("breaker") == [{"venue": "bybit_linear", "state": "open"}]

    def test_answers_that_do_not_come_open_it_and_are_told(self):
        desk = Desk(breaker={**TOUCHY, "answer_timeout_ms": 500.0})
        sent = desk.tick()
        for _ in range(4):
            assert desk.tick() == []
            assert not desk.told("answer_timeout")
        desk.tick()
        assert [row["client_id"] for row in desk.told("answer_timeout")] == [
            order.client_id for order in creates(sent)
        ]
        desk.answer(sent)
        desk.market(up_ticks=40)
        assert {type(order) for order in desk.tick()} == {CancelOrder}


class TestDailyLoss:
    def lost(self) -> Desk:
        """Long 66 lots, which lose 4 % of what they cost."""
        desk = Desk(limits={"max_daily_loss_quote": 1.0, "collar_bps": 5_000.0}, aligner={"hold_bps": 20.0})
        working = desk.tick()
        desk.answer(working)
        bid = next(order for order in creates(working) if order.side is Side.BUY)
        desk.engine.step(fill(Side.BUY, bid.tick, bid.lots, client_id=bid.client_id, ns=ms(desk.at_ms + 1)))
        desk.market(up_ticks=-300)
        while not desk.told("daily_loss"):
            desk.answer(desk.tick())
        return desk

    def test_it_leaves_only_what_reduces_the_position(self):
        desk = self.lost()
        for _ in range(4):
            desk.answer(desk.tick())
        working = desk.engine.bots[KEY]._blotter.slots.values()
        assert [order.side for order in working] == [Side.SELL]
        assert sum(order.leaves_lots for order in working) <= desk.engine.bots[KEY].position.lots
        assert desk.told("daily_loss")[0]["reduce_only"] == 1

    def test_the_next_utc_day_quotes_both_sides_again(self):
        desk = self.lost()
        desk.answer(desk.tick())
        desk.at_ms = DAY / MS
        for _ in range(4):
            desk.answer(desk.tick())
        assert [row["reduce_only"] for row in desk.told("daily_loss")] == [1, 0]
        assert {order.side for order in desk.engine.bots[KEY]._blotter.slots.values()} == set(Side)


def test_the_end_of_a_run_tells_what_is_still_held_back():
    desk = Desk(limits={"max_order_notional_quote": 10.0})
    desk.tick()
    desk.engine.finish(ms(desk.at_ms + 50))
    ended = [row for row in desk.engine.drain() if isinstance(row, EventRow)]
    assert [(row.kind, row.detail["limit"], row.detail["times"]) for row in ended] == [
        ("block_ended", "max_order_notional_quote", 3)
    ] * 2


@pytest.mark.parametrize(("cap", "sides"), [(60.0, 0), (110.0, 2)])
def test_the_gross_cap_counts_every_symbol(cap: float, sides: int):
    other = linear(symbol="OTHER")
    settings = shipped_settings(limits={"max_gross_quote": cap}, emit={"order_notional_quote": 50.0})
    engine = engine_of(settings, linear(), other)
    for instrument in (linear(), other):
        engine.step(snapshot(BIDS, ASKS, symbol=instrument.key))
    commands = list(unpacked(engine.step(Tick(Ns(ms(0))))))
    assert len([order for order in commands if order.symbol == KEY]) == 2
    assert len([order for order in commands if order.symbol == other.key]) == sides
