"""Instruments built from recorded messages of the venues, and the captures that were recorded beside them."""

from pathlib import Path

import msgspec
import pytest
from tests.contract.test_bybit_captures import CASES, Case

from mmbot.model.instrument import Fees
from mmbot.venues.binance import instruments as binance
from mmbot.venues.bybit import instruments as bybit

DATA = Path(__file__).parents[2].parent / "shared" / "data"
FEES = Fees("vip0", 2.0, 5.5)

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no captures at {DATA}")


MAX_LOTS = {"linear_btcusdt": 1_500_000, "linear_solusdt": 960_000, "spot_btcusdt": 230_000_000}
"""1500.000 in steps of 0.001, 96000.0 of 0.1, 230 of 0.000001: stated, and shown by no market."""


@pytest.mark.parametrize("case", CASES, ids=[case.file for case in CASES])
def test_the_message_of_a_capture_gives_the_instrument_that_decodes_it(case: Case) -> None:
    rows = msgspec.json.decode((DATA / "bybit_v5_20260809" / "instruments.json").read_bytes())["instruments"]
    category = case.file.partition("_")[0]
    listing = {"category": category, "list": [rows[f"{category}:{case.instrument.symbol}"]]}
    reply = msgspec.json.encode({"retCode": 0, "retMsg": "OK", "result": listing})
    expected = msgspec.structs.replace(case.instrument, max_lots=MAX_LOTS[case.file])
    assert bybit.instrument(reply, case.instrument.symbol, FEES) == expected


@pytest.mark.parametrize(
    ("file", "key", "grid"),
    [
        ("instruments_info", "bybit_spot:BTCUSDT", ("0.1", "0.000001", 5.0)),
        ("linear_instruments_info", "bybit_linear:BTCUSDT", ("0.10", "0.001", 5.0)),
    ],
)
def test_whole_replies_of_bybit(file: str, key: str, grid: tuple[str, str, float]) -> None:
    built = bybit.instrument(
        (DATA / "wire_fixtures" / "bybit" / f"{file}.json").read_bytes(), "BTCUSDT", FEES
    )
    assert (built.key, (built.tick_size, built.lot_size, built.min_notional)) == (key, grid)


@pytest.mark.parametrize(
    ("file", "symbol", "grid"),
    [
        ("wire_fixtures/binance_usdm/exchange_info.json", "BTCUSDT", ("0.10", "0.0001", 50.0)),
        ("binance_usdm_20210722/exchange_info.json", "SUSHIUSDT", ("0.0010", "1", 5.0)),
    ],
)
def test_whole_replies_of_binance(file: str, symbol: str, grid: tuple[str, str, float]) -> None:
    built = binance.instrument((DATA / file).read_bytes(), "binance_usdm", symbol, FEES)
    assert (built.tick_size, built.lot_size, built.min_notional) == grid
