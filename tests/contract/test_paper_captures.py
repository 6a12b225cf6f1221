"""A real Bybit capture, served again: what a client reads from the paper exchange is the recorded market."""

import json
from pathlib import Path

import pytest
from tests.mmbot.builders import START_NS, linear
from tests.mmbot.venues.paper.floor import Floor

from mmbot.book.l2 import L2Book
from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, MarketEvent, Trade
from mmbot.model.instrument import Instrument
from mmbot.recording.importer import columns_of
from mmbot.units import Ns
from mmbot.venues.bybit.codec import category
from mmbot.venues.bybit.session import BybitSession
from mmbot.venues.paper.tape import Feed

CASES = {
    "linear_btcusdt": linear(symbol="BTCUSDT", base="BTC", tick_size="0.10", lot_size="0.001"),
    "linear_solusdt": linear(symbol="SOLUSDT", base="SOL", tick_size="0.010", lot_size="0.1"),
    "spot_btcusdt": linear(
        venue="bybit_spot", symbol="BTCUSDT", base="BTC", tick_size="0.1", lot_size="0.000001"
    ),
}


def books(events: list[MarketEvent]) -> list[tuple[object, object]]:
    """The whole book after each message that changed it."""
    book, seen = L2Book(), []
    for event in events:
        if isinstance(event, BookSnapshot):
            book.replace(event.bids, event.asks)
        elif isinstance(event, BookDelta):
            book.apply(event.bids, event.asks)
        else:
            continue
        if not seen or seen[-1] != book.levels():
            seen.append(book.levels())
    return seen


@pytest.mark.parametrize("name", CASES)
def test_books_and_trades_come_back_as_recorded(name: str, data_dir: Path, tmp_path: Path) -> None:
    instrument: Instrument = CASES[name]
    path = data_dir / "bybit_v5_20260809" / f"{name}.dat.gz"
    columns, _ = columns_of([path], instrument, tmp_path)
    tape = list(columns.events(instrument.key))
    first = next(place for place, event in enumerate(tape) if isinstance(event, BookSnapshot))
    tape = tape[first:]
    floor = Floor(feeds=[Feed(instrument, tape)], instrument=instrument)
    socket = floor.exchange.open(f"/v5/public/{category(instrument)}")
    assert socket is not None
    topics = [f"orderbook.200.{instrument.symbol}", f"publicTrade.{instrument.symbol}"]
    request = json.dumps({"op": "subscribe", "args": topics})
    floor.exchange.receive(socket, request, START_NS)
    floor.step(60 * 10**9)
    session = BybitSession([instrument], 200)
    read = [event for frame in socket.outbox[1:] for event in session.receive(frame, Ns(START_NS))]

    assert not [event for event in read if isinstance(event, BookTrouble)]
    assert books(read) == books(tape)
    sold = [
        [(one.tick, one.lots, one.side) for one in events if isinstance(one, Trade)]
        for events in (read, tape)
    ]
    assert sold[0] == sold[1] != []
    assert len(books(read)) > 200
