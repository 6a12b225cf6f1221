"""fast_cancel in a whole engine: what rests on the wrong side goes at once, and stays away for its hold."""

from tests.mmbot.builders import KEY, confirmed, engine_of, ms, shipped_settings, snapshot

from mmbot.engine.engine import Engine
from mmbot.model.commands import CancelOrder, Command, SubmitOrder, unpacked
from mmbot.model.events import OrderAck, OrderCancelled, Tick
from mmbot.model.instrument import Side
from mmbot.model.records import EventRow, TickRow
from mmbot.units import Lots, Ns

BIDS, ASKS = [(9_999, 500)], [(10_001, 500)]
BID, ASK = "mmA-SYNTHUSDT-1", "mmA-SYNTHUSDT-2"
TOLERANT = {"hold_bps": 50.0, "lead_bps": 50.0}
"""An aligner that would keep any order of this test."""
CALM = {"soft_volatility_bps": 1e6, "hard_volatility_bps": 1e6}


def quoting(**fast_cancel: float) -> Engine:
    engine = engine_of(
        shipped_settings(
            aligner=TOLERANT, guards=CALM, fast_cancel={"move_bps": 5.0, "hold_ms": 300, **fast_cancel}
        )
    )
    engine.step(snapshot(BIDS, ASKS))
    tick(engine, 0)
    for client_id in (BID, ASK):
        engine.step(OrderAck(KEY, client_id, Ns(ms(5))))
    engine.drain()
    return engine


def tick(engine: Engine, at_ms: float) -> list[Command]:
    engine.step(confirmed(ms(at_ms)))
    return list(unpacked(engine.step(Tick(Ns(ms(at_ms))))))


def falls(engine: Engine, ticks: int, at_ms: float) -> None:
    bids, asks = ([(tick - ticks, lots) for tick, lots in side] for side in (BIDS, ASKS))
    engine.step(snapshot(bids, asks, ns=ms(at_ms)))


def test_a_spike_pulls_the_side_that_it_runs_into_and_the_other_quotes_on():
    engine = quoting()
    falls(engine, 5, 50)
    assert tick(engine, 100) == [CancelOrder(KEY, BID)]
    rows = engine.drain()
    (row,) = [row for row in rows if isinstance(row, TickRow)]
    (told,) = [row for row in rows if isinstance(row, EventRow)]
    assert row.bid is None
    assert row.ask is not None
    assert (told.kind, told.ts_ns, told.symbol) == ("fast_cancel", ms(100), KEY)
    assert told.detail == {"side": "buy", "moved_bps": -5.0}


def test_below_its_threshold_the_aligner_decides():
    engine = quoting()
    falls(engine, 4, 50)
    assert tick(engine, 100) == []


def test_the_side_is_quoted_again_when_its_hold_is_over():
    engine = quoting()
    falls(engine, 5, 50)
    tick(engine, 100)
    engine.step(OrderCancelled(KEY, BID, Ns(ms(110)), Lots(500)))
    assert tick(engine, 200) == []
    assert tick(engine, 300) == []
    (order,) = tick(engine, 400)
    assert isinstance(order, SubmitOrder)
    assert order.side is Side.BUY
    assert [row.kind for row in engine.drain() if isinstance(row, EventRow)] == ["fast_cancel"]


def test_a_move_while_there_is_no_book_is_no_spike():
    engine = quoting()
    engine.step(snapshot(BIDS, [], ns=ms(50)))
    tick(engine, 100)
    engine.drain()
    falls(engine, 5, 150)
    tick(engine, 200)
    assert [row for row in engine.drain() if isinstance(row, EventRow)] == []
