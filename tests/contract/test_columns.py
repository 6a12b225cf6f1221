"""Columns of a capture replay exactly what the venue's session yields from its frames."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import msgspec
import pytest

from mmbot.model.events import BookDelta, BookSnapshot, Confirmed, MarketEvent, TopOfBook
from mmbot.model.instrument import Fees, Instrument
from mmbot.recording.importer import columns_of, open_session
from mmbot.recording.reader import frames


def instrument(venue: str, symbol: str, tick_size: str, lot_size: str) -> Instrument:
    return Instrument(
        venue=venue,
        symbol=symbol,
        base=symbol[:3],
        quote="USDT",
        tick_size=tick_size,
        lot_size=lot_size,
        min_notional=5.0,
        fees=Fees(tier="regular", maker_bps=2.0, taker_bps=5.0),
    )


CAPTURES = {
    "binance spot": (
        ["binance_spot_nexousdt/nexousdt_20240723.dat.gz", "binance_spot_nexousdt/nexousdt_20240724.dat.gz"],
        instrument("binance_spot", "NEXOUSDT", "0.001", "0.01"),
        "trade",
    ),
    "binance coin-m": (
        ["binance_eth_3venues_20240808/cm_ethusd_perp_20240808.gz"],
        instrument("binance_coinm", "ETHUSD_PERP", "0.01", "1"),
        "trade",
    ),
    "binance usd-m": (
        ["binance_usdm_20210722/sushiusdt.dat.gz"],
        instrument("binance_usdm", "SUSHIUSDT", "0.001", "1"),
        "aggTrade",
    ),
    "bybit linear": (
        ["bybit_v5_20260809/linear_btcusdt.dat.gz"],
        instrument("bybit_linear", "BTCUSDT", "0.10", "0.001"),
        "trade",
    ),
    "bybit spot": (
        ["bybit_v5_20260809/spot_btcusdt.dat.gz"],
        instrument("bybit_spot", "BTCUSDT", "0.1", "0.000001"),
        "trade",
    ),
    "bybit archive": (
        ["bybit_ob500_archive_sample/2024-12-01_XRPUSDT_ob500.data"],
        instrument("bybit_linear", "XRPUSDT", "0.0001", "0.1"),
        "trade",
    ),
}


def kept(event: MarketEvent) -> MarketEvent:
    """What columns keep: no update ids; an oracle and an empty delta are signs of life."""
    if isinstance(event, TopOfBook) or (isinstance(event, BookDelta) and not (event.bids or event.asks)):
        return Confirmed(event.symbol, event.recv_ns)
    if isinstance(event, BookDelta | BookSnapshot):
        return msgspec.structs.replace(event, update_id=0)
    return event


def yielded(paths: list[Path], traded: Instrument, trade_stream: str) -> Iterator[MarketEvent]:
    session = open_session([traded], trade_stream)
    for frame in frames(paths):
        yield from session.receive(frame.payload, frame.recv_ns)


@pytest.mark.parametrize("name", CAPTURES)
def test_replayed_columns_are_the_events_of_the_session(name: str, data_dir: Path, tmp_path: Path):
    files, traded, trade_stream = CAPTURES[name]
    paths = [data_dir / file for file in files]
    columns, _ = columns_of(paths, traded, tmp_path, trade_stream)
    count = 0
    for found, event in zip_longest(columns.events(traded.key), yielded(paths, traded, trade_stream)):
        assert found == kept(event)
        count += 1
    assert count >= columns.meta.frames / 2
    assert sum(array.nbytes for array in columns.arrays.values()) == 25 * len(columns)
