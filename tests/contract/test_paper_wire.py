"""What the paper exchange says, beside what Bybit said on record: the same keys, kinds and key order."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.mmbot.builders import START_NS, linear, trade
from tests.mmbot.venues.paper.floor import LINEAR, Floor, heard

from mmbot.model.instrument import Side
from mmbot.units import MS, SECOND
from mmbot.venues.bybit.instruments import instrument

Json = dict[str, Any]

UNKNOWN_TO_A_TAPE = {
    "tickers": {
        "fundingCap", "fundingIntervalHour", "singleOpenInterest", "singleOpenInterestValue", "preOpenPrice",
        "preQty", "curPreListingPhase",
    },
    "order": {
        "orderIv", "triggerBy", "tpTriggerBy", "slTriggerBy", "placeType", "smpGroup", "smpOrderId",
        "slLimitPrice", "tpLimitPrice", "tpslMode", "marketUnit", "feeCurrency", "closedPnl",
    },
    "execution": {"tradeIv", "markIv", "underlyingPrice", "marketUnit", "extraFees"},
    "position": {
        "breakEvenPrice", "positionBalance", "positionIMByMp", "positionMMByMp", "sessionAvgPrice",
        "leverageSysUpdatedTime", "mmrSysUpdatedTime",
    },
    "wallet": {
        "accountIMRateByMp", "accountMMRateByMp", "totalInitialMarginByMp", "totalMaintenanceMarginByMp",
        "accountLTV",
    },
}  # fmt: skip
"""Keys of the real rows that ours leave out; docs/paper-exchange.md says why."""


@pytest.fixture(scope="module")
def told() -> dict[str, Json]:
    """One message of each topic, from a floor on which everything happened."""
    floor = Floor(trade(Side.SELL, 9_999, 900, ns=START_NS + MS))
    public = floor.open("/v5/public/linear")
    topics = [f"{name}.SYNTHUSDT" for name in ("orderbook.1", "orderbook.50", "publicTrade", "tickers")]
    messages = floor.say(public, {"op": "subscribe", "args": topics})[1:]
    account = floor.account("alice", "order", "execution", "position", "wallet")
    floor.create()
    floor.step(SECOND)
    messages += heard(public) + heard(account)
    return {message["topic"].removesuffix(".SYNTHUSDT"): message for message in reversed(messages)}


def recorded(data_dir: Path, name: str) -> Json:
    message: Json = json.loads((data_dir / "wire_fixtures" / "bybit" / name).read_text(encoding="utf-8"))
    return message


@pytest.mark.parametrize(
    ("topic", "fixture"),
    [
        ("tickers", "tickers_snapshot.json"),
        ("execution", "linear_private_execution.json"),
        ("position", "linear_private_position.json"),
        ("wallet", "private_wallet_docs.json"),
    ],
)
def test_rows_have_the_venues_keys(told: dict[str, Json], data_dir: Path, topic: str, fixture: str) -> None:
    real, ours = recorded(data_dir, fixture)["data"], told[topic]["data"]
    real, ours = (one[0] if isinstance(one, list) else one for one in (real, ours))
    assert set(real) - set(ours) == UNKNOWN_TO_A_TAPE[topic] & set(real)
    kinds = {key: (type(real[key]), type(ours[key])) for key in set(real) & set(ours)}
    assert {key: found for key, found in kinds.items() if found[0] is not found[1]} == {}


def test_order_rows_have_the_keys_of_a_recorded_session(told: dict[str, Json], data_dir: Path) -> None:
    lines = (data_dir / "wire_fixtures/nexustrader/bybit_private_order.jsonl").read_text(encoding="utf-8")
    orders = [json.loads(line) for line in lines.splitlines() if '"topic":"order"' in line]
    assert orders
    ours = told["order"]["data"][0]
    for message in orders:
        real = message["data"][0]
        assert set(real) - set(ours) <= UNKNOWN_TO_A_TAPE["order"]
        kinds = {key: (type(real[key]), type(ours[key])) for key in set(real) & set(ours)}
        assert {key: found for key, found in kinds.items() if found[0] is not found[1]} == {}
        assert set(message) == set(told["order"])


@pytest.mark.parametrize(("topic", "depth"), [("orderbook.1", 1), ("orderbook.50", 50)])
def test_book_frames_put_ts_where_futures_put_it(told: dict[str, Json], topic: str, depth: int) -> None:
    keys = list(told[topic])
    assert keys == (
        ["topic", "ts", "type", "data", "cts"] if depth == 1 else ["topic", "type", "ts", "data", "cts"]
    )


def test_instruments_are_read_back_by_our_own_reader() -> None:
    sized = linear(min_lots=5, max_lots=10_000)
    floor = Floor(instrument=sized)
    reply = json.dumps(floor.get("/v5/market/instruments-info", **LINEAR)).encode()
    assert instrument(reply, "SYNTHUSDT", sized.fees) == sized
