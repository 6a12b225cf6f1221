"""Engines over markets that take events: ordinary Python or a kernel, the same commands and rows."""

from collections.abc import Mapping, Sequence

from tests.mmbot.builders import KEY, MARKET, START_NS, HandStopwatch, linear, shipped_settings

from mmbot.book.market import EventMarket
from mmbot.model.commands import AmendOrder, CancelOrder, Command, SubmitOrder, unpacked
from mmbot.model.events import BookTrouble, OrderAck, OrderAmended, OrderCancelled, OrderEvent, Tick, Trouble
from mmbot.model.records import EventRow, Row, TickRow
from mmbot.runtime.assemble import build_engine, fed_markets, plain_markets
from mmbot.sim.market import MarketSettings, SyntheticMarket
from mmbot.units import MS, SECOND, Lots, Ns

SETTINGS = shipped_settings(queue_aware={"max_eta_s": 0.5})


def answered(command: Command, now_ns: int) -> OrderEvent | None:
    """A venue that takes every order and never fills one."""
    if isinstance(command, SubmitOrder):
        return OrderAck(command.symbol, command.client_id, Ns(now_ns))
    if isinstance(command, AmendOrder):
        return OrderAmended(command.symbol, command.client_id, Ns(now_ns))
    if isinstance(command, CancelOrder):
        return OrderCancelled(command.symbol, command.client_id, Ns(now_ns), Lots(1))
    return None


def played(markets: Mapping[str, EventMarket]) -> tuple[Sequence[Command], list[Row]]:
    """Twenty seconds of a market with a gap in the middle, a tick every 100 ms, answers at once."""
    engine = build_engine(SETTINGS, [linear()], markets, arm="A", clock=HandStopwatch(1_000))
    commands: list[Command] = []
    next_tick_ns, gap_ns = START_NS + 100 * MS, START_NS + 10 * SECOND
    for event in SyntheticMarket(MarketSettings(**MARKET), 7, Ns(START_NS)).events():
        while event.recv_ns > next_tick_ns:
            if next_tick_ns == gap_ns:
                engine.step(BookTrouble(KEY, Ns(gap_ns), Ns(gap_ns), Trouble.GAP, "planted"))
            asked = list(unpacked(engine.step(Tick(Ns(next_tick_ns)))))
            commands += asked
            for answer in filter(None, (answered(command, next_tick_ns) for command in asked)):
                engine.step(answer)
            next_tick_ns += 100 * MS
        engine.step(event)
    return commands, engine.drain()


def test_an_engine_over_fed_kernels_commands_the_same() -> None:
    instruments = [linear()]

    commands, rows = played(plain_markets(SETTINGS, instruments))

    assert sum(isinstance(command, SubmitOrder | AmendOrder) for command in commands) > 10
    assert {"gap", "resync_request"} <= {row.kind for row in rows if isinstance(row, EventRow)}
    assert any(isinstance(row, TickRow) for row in rows)
    assert played(fed_markets(SETTINGS, instruments)) == (commands, rows)
