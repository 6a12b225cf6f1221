"""Vitals in a whole engine: what events and marks make of them, and what the quotes make of that."""

import pytest
from tests.mmbot.builders import KEY, confirmed, delta, engine_of, fill, ms, shipped_settings, snapshot

from mmbot.engine.engine import Engine
from mmbot.model.commands import CancelOrder, Command, SubmitOrder, unpacked
from mmbot.model.events import LatencySample, OrderAck, OrderCancelled, Tick
from mmbot.model.instrument import Side
from mmbot.model.records import TickRow
from mmbot.strategy.vitals import Vitals
from mmbot.units import MS, Lots, Ns

BIDS, ASKS = [(9_999, 500)], [(10_001, 500)]
BID, ASK = "mmA-SYNTHUSDT-1", "mmA-SYNTHUSDT-2"


class Desk:
    """An engine over one book; `tick` shows its row and what it sent."""

    def __init__(self, **sections: dict) -> None:
        self.engine: Engine = engine_of(shipped_settings(**sections))
        self.engine.step(snapshot(BIDS, ASKS))

    @property
    def vitals(self) -> Vitals:
        return self.engine.bots[KEY].vitals

    def tick(self, at_ms: float) -> tuple[TickRow, list[Command]]:
        self.engine.step(confirmed(ms(at_ms)))
        sent = list(unpacked(self.engine.step(Tick(Ns(ms(at_ms))))))
        (row,) = [row for row in self.engine.drain() if isinstance(row, TickRow)]
        return row, sent

    def acked(self, at_ms: float, *client_ids: str) -> None:
        for client_id in client_ids:
            self.engine.step(OrderAck(KEY, client_id, Ns(ms(at_ms))))


def test_a_round_trip_is_from_the_tick_that_asked_to_the_answer():
    desk = Desk()
    desk.tick(0)
    desk.acked(30, BID)
    assert desk.vitals.latency_ms == 30.0
    desk.acked(60, ASK)
    assert desk.vitals.latency_ms == pytest.approx(45.0, rel=1e-3)


def test_a_cancel_is_a_round_trip_too_and_what_comes_unasked_is_none():
    desk = Desk()
    desk.tick(0)
    desk.acked(10, BID, ASK)
    desk.engine.step(snapshot([(9_899, 500)], [(9_901, 500)], ns=ms(50)))
    _, sent = desk.tick(100)
    assert CancelOrder(KEY, ASK) in sent
    desk.engine.step(OrderCancelled(KEY, ASK, Ns(ms(180)), Lots(500)))
    assert desk.vitals.latency_ms == pytest.approx(100 / 3, rel=1e-2)
    before_ms = desk.vitals.latency_ms
    desk.engine.step(fill(Side.BUY, 9_997, 1, client_id=BID, ns=ms(190)))
    assert desk.vitals.latency_ms == before_ms


def test_a_request_that_is_given_up_counts_as_long_as_it_was_waited_for():
    desk = Desk(breaker={"answer_timeout_ms": 500.0})
    desk.tick(0)
    row, _ = desk.tick(500)
    assert desk.vitals.latency_ms == 500.0
    assert (row.guard, row.reasons) == ("SOFT", ("latency",))


def test_an_answer_of_a_minute_holds_the_bot_off_for_a_half_life_and_a_recovery():
    """Pulled, it has no round trips: nothing else could prove that the venue answers again."""
    desk = Desk()
    desk.tick(0)
    desk.acked(60_000, BID, ASK)
    assert desk.tick(60_100)[0].guard == "HARD"
    for client_id in (BID, ASK):
        desk.engine.step(OrderCancelled(KEY, client_id, Ns(ms(60_150)), Lots(500)))
    levels = {second: desk.tick(60_150 + second * 1_000)[0].guard for second in range(1, 37)}
    assert [second for second, level in levels.items() if level == "HARD"] == list(range(1, 35 + 1))
    assert levels[36] == "NONE"


def test_latency_that_a_shell_measured_widens_shrinks_and_pulls():
    desk = Desk()
    calm, sent = desk.tick(0)
    assert {order.lots for order in sent if isinstance(order, SubmitOrder)} == {500}
    desk.acked(10, BID, ASK)
    desk.engine.step(LatencySample(KEY, Ns(ms(50)), 75 * MS))
    widened, _ = desk.tick(1_000)
    assert widened.guard == "NONE"
    assert widened.half_spread_bps == calm.half_spread_bps + 0.5 * 2.0
    desk.engine.step(LatencySample(KEY, Ns(ms(1_050)), 1_500 * MS))
    soft, _ = desk.tick(1_100)
    assert (soft.guard, soft.reasons) == ("SOFT", ("latency",))
    assert soft.half_spread_bps > widened.half_spread_bps
    desk.engine.step(LatencySample(KEY, Ns(ms(1_150)), 10_000 * MS))
    hard, _ = desk.tick(1_200)
    assert (hard.guard, hard.reasons, hard.bid, hard.ask) == ("HARD", ("latency",), None, None)


def test_a_sample_for_a_symbol_that_is_not_traded_is_a_wiring_fault():
    with pytest.raises(KeyError):
        Desk().engine.step(LatencySample("nobody:NOTHING", Ns(ms(0)), 1))


def bought(desk: Desk, lots: int, at_ms: float) -> None:
    desk.tick(0)
    desk.acked(10, BID, ASK)
    desk.engine.step(fill(Side.BUY, 9_997, lots, client_id=BID, ns=ms(at_ms)))


def test_a_loss_since_the_highest_mark_is_seen_when_the_account_is_assessed():
    desk = Desk(inventory={"max_position_quote": 50_000})
    bought(desk, 500, 20)
    desk.tick(1_000)
    assert desk.vitals.drawdown_quote == 0.0
    desk.engine.step(snapshot([(9_599, 500)], [(9_601, 500)], ns=ms(1_050)))
    desk.tick(1_100)
    assert desk.vitals.drawdown_quote < 1.0
    desk.tick(2_000)
    assert desk.vitals.drawdown_quote == pytest.approx(20.0, abs=0.2)
    row, _ = desk.tick(2_100)
    assert "pnl" not in row.reasons


def test_a_deep_drawdown_pulls_the_quotes_and_says_why():
    quiet = {"soft_volatility_bps": 1e6, "hard_volatility_bps": 1e6}
    desk = Desk(inventory={"max_position_quote": 50_000}, guards=quiet)
    bought(desk, 500, 20)
    desk.tick(1_000)
    desk.engine.step(snapshot([(6_899, 500)], [(6_901, 500)], ns=ms(1_050)))
    desk.tick(2_000)
    row, sent = desk.tick(2_100)
    assert (row.guard, row.reasons) == ("HARD", ("pnl",))
    assert not [order for order in sent if isinstance(order, SubmitOrder)]


def test_the_share_that_took_is_seen_when_the_account_is_assessed():
    desk = Desk(taker_cap={"min_fills": 2})
    desk.tick(0)
    desk.acked(10, BID, ASK)
    desk.engine.step(fill(Side.BUY, 9_997, 90, client_id=BID, ns=ms(20)))
    desk.engine.step(fill(Side.BUY, 9_997, 10, client_id=BID, ns=ms(20), maker=False))
    desk.tick(1_000)
    assert desk.vitals.taker_ratio == 0.5
    row, _ = desk.tick(1_100)
    assert (row.guard, row.reasons) == ("HARD", ("takers",))


def missed(desk: Desk, at_ms: float) -> tuple[str, ...]:
    """Reasons of a tick that found no book: its row waits."""
    desk.engine.step(Tick(Ns(ms(at_ms))))
    return desk.engine.bots[KEY].waiting[-1].reasons


def test_a_crossed_book_is_named_until_a_whole_one_comes():
    desk = Desk()
    desk.engine.step(delta([(10_001, 5)], [], ns=ms(50)))
    assert missed(desk, 100) == ("crossed", "stale")
    desk.engine.step(snapshot([(10, 1)], [(9, 1)], ns=ms(150)))
    assert missed(desk, 200) == ("crossed", "stale")
    desk.engine.step(snapshot(BIDS, ASKS, ns=ms(250)))
    desk.engine.drain()
    assert desk.tick(300)[0].reasons == ()
    desk.engine.step(delta([(tick, 0) for tick, _ in BIDS], [], ns=ms(350)))
    assert desk.tick(400)[0].reasons == ("no_book",)


def test_after_a_guard_the_spread_does_not_tighten_for_its_cool_off():
    desk = Desk(spread={"cool_off_s": 2.0})
    desk.engine.step(LatencySample(KEY, Ns(ms(0)), 90 * MS))
    wide = desk.tick(0)[0].half_spread_bps
    desk.acked(10, BID, ASK)
    desk.engine.step(snapshot(BIDS, [], ns=ms(50)))
    desk.tick(100)
    desk.engine.step(OrderCancelled(KEY, BID, Ns(ms(110)), Lots(500)))
    desk.engine.step(OrderCancelled(KEY, ASK, Ns(ms(110)), Lots(500)))
    desk.engine.step(snapshot(BIDS, ASKS, ns=ms(150)))
    for _ in range(20):
        desk.engine.step(LatencySample(KEY, Ns(ms(150)), 0))
    assert desk.vitals.calm
    assert desk.tick(2_000)[0].half_spread_bps == wide
    assert desk.tick(2_100)[0].half_spread_bps < wide
