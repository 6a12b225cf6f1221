"""Instruments and fees from the venues' own messages; each thing that an `Instrument` cannot say is refused.

The rows of Bybit linear, Bybit spot and Binance USD-M are real ones, cut to what is read; those of Bybit
inverse, Binance spot and COIN-M and all fee rates follow the venues' documents.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mmbot.errors import ConfigError, MmbotError, RemoteProtocolError
from mmbot.model.instrument import Contract, Fees, Instrument, parser
from mmbot.venues.binance import instruments as binance
from mmbot.venues.bybit import instruments as bybit

FEES = Fees("maker rebate", -0.5, 4.5)

BYBIT_LINEAR: dict[str, Any] = {
    "symbol": "SOLUSDT",
    "contractType": "LinearPerpetual",
    "status": "Trading",
    "baseCoin": "SOL",
    "quoteCoin": "USDT",
    "priceFilter": {"minPrice": "0.010", "maxPrice": "199999.980", "tickSize": "0.010"},
    "lotSizeFilter": {"minOrderQty": "0.1", "qtyStep": "0.1", "minNotionalValue": "5"},
    "settleCoin": "USDT",
}
BYBIT_SPOT: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "baseCoin": "BTC",
    "quoteCoin": "USDT",
    "status": "Trading",
    "lotSizeFilter": {"basePrecision": "0.000001", "minOrderQty": "0.000001", "minOrderAmt": "5"},
    "priceFilter": {"tickSize": "0.1"},
}
BYBIT_INVERSE: dict[str, Any] = {
    "symbol": "BTCUSD",
    "contractType": "InversePerpetual",
    "status": "Trading",
    "baseCoin": "BTC",
    "quoteCoin": "USD",
    "priceFilter": {"tickSize": "0.10"},
    "lotSizeFilter": {"minOrderQty": "1", "qtyStep": "1", "minNotionalValue": ""},
    "settleCoin": "BTC",
}
USDM: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "contractType": "PERPETUAL",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "marginAsset": "USDT",
    "filters": [
        {"minPrice": "261.10", "tickSize": "0.10", "filterType": "PRICE_FILTER"},
        {"minQty": "0.0001", "filterType": "LOT_SIZE", "stepSize": "0.0001"},
        {"stepSize": "0.0001", "filterType": "MARKET_LOT_SIZE", "minQty": "0.0001"},
        {"filterType": "MIN_NOTIONAL", "notional": "50"},
    ],
}
SPOT: dict[str, Any] = {
    "symbol": "NEXOUSDT",
    "status": "TRADING",
    "baseAsset": "NEXO",
    "quoteAsset": "USDT",
    "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.00100000"},
        {"filterType": "LOT_SIZE", "minQty": "0.01000000", "stepSize": "0.01000000"},
        {"filterType": "NOTIONAL", "minNotional": "5.00000000"},
    ],
}
COINM: dict[str, Any] = {
    "symbol": "ETHUSD_PERP",
    "contractType": "PERPETUAL",
    "contractStatus": "TRADING",
    "contractSize": 10,
    "baseAsset": "ETH",
    "quoteAsset": "USD",
    "marginAsset": "ETH",
    "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.01"},
        {"filterType": "LOT_SIZE", "minQty": "1", "stepSize": "1"},
    ],
}


def from_bybit(row: dict[str, Any], category: str = "linear", symbol: str | None = None) -> Instrument:
    result = {"category": category, "list": [row], "nextPageCursor": ""}
    reply = msgspec.json.encode({"retCode": 0, "retMsg": "OK", "result": result, "time": 1})
    return bybit.instrument(reply, symbol or row["symbol"], FEES)


def from_binance(row: dict[str, Any], venue: str = "binance_usdm", symbol: str | None = None) -> Instrument:
    reply = msgspec.json.encode({"timezone": "UTC", "symbols": [row]})
    return binance.instrument(reply, venue, symbol or row["symbol"], FEES)


def facts(built: Instrument) -> tuple[str, str, str, float]:
    return built.key, built.tick_size, built.lot_size, built.min_notional


def test_bybit_by_category():
    assert facts(from_bybit(BYBIT_LINEAR)) == ("bybit_linear:SOLUSDT", "0.010", "0.1", 5.0)
    assert facts(from_bybit(BYBIT_SPOT, "spot")) == ("bybit_spot:BTCUSDT", "0.1", "0.000001", 5.0)
    inverse = from_bybit(BYBIT_INVERSE, "inverse")
    assert facts(inverse) == ("bybit_inverse:BTCUSD", "0.10", "1", 1.0)
    assert (inverse.contract, inverse.contract_value, inverse.settled_in) == (Contract.INVERSE, 1.0, "BTC")


def test_binance_by_market():
    assert facts(from_binance(USDM)) == ("binance_usdm:BTCUSDT", "0.10", "0.0001", 50.0)
    spot = from_binance(SPOT, "binance_spot")
    assert facts(spot) == ("binance_spot:NEXOUSDT", "0.00100000", "0.01000000", 5.0)
    assert parser(spot.tick_size, "price")("1.18800000") == 1_188
    inverse = from_binance(COINM, "binance_coinm")
    assert facts(inverse) == ("binance_coinm:ETHUSD_PERP", "0.01", "1", 10.0)
    assert (inverse.contract, inverse.contract_value, inverse.settled_in) == (Contract.INVERSE, 10.0, "ETH")


def lot_sizes(row: dict[str, Any], **changes: str) -> dict[str, Any]:
    return row | {"lotSizeFilter": row["lotSizeFilter"] | changes}


def sizes(built: Instrument) -> tuple[int, int | None]:
    return built.min_lots, built.max_lots


def test_the_least_and_the_most_of_an_order_are_what_the_venue_states():
    assert sizes(from_bybit(BYBIT_LINEAR)) == (1, None)
    assert sizes(from_bybit(lot_sizes(BYBIT_LINEAR, minOrderQty="1", maxOrderQty="96000.0"))) == (10, 960_000)
    assert sizes(from_binance(filters(USDM, "LOT_SIZE", minQty="0.001", maxQty="1000"))) == (10, 10_000_000)
    assert sizes(from_binance(COINM, "binance_coinm")) == (1, None)


def test_bounds_off_the_step_go_inward_and_a_bound_of_nothing_is_none():
    stated = lot_sizes(BYBIT_SPOT, minOrderQty="0.0000481", maxOrderQty="80", maxLimitOrderQty="71.73956243")
    assert sizes(from_bybit(stated, "spot")) == (49, 71_739_562)
    unbounded = filters(SPOT, "LOT_SIZE", minQty="0.00000000", maxQty="0.00000000")
    assert sizes(from_binance(unbounded, "binance_spot")) == (1, None)


def test_the_fees_are_those_given_and_a_rebate_is_earned():
    built = from_bybit(BYBIT_LINEAR)
    assert built.fees == FEES
    assert built.fee(100, 150.0, maker=True) == pytest.approx(-10 * 150 * 0.5e-4)
    assert built.fee(100, 150.0, maker=False) == pytest.approx(10 * 150 * 4.5e-4)


def without(row: dict[str, Any], *path: str) -> dict[str, Any]:
    head, *rest = path
    kept = {name: value for name, value in row.items() if name != head}
    return kept | {head: without(row[head], *rest)} if rest else kept


def filters(row: dict[str, Any], kind: str, **changes: Any) -> dict[str, Any]:
    """The row with one filter changed, or gone."""
    others = [one for one in row["filters"] if one["filterType"] != kind]
    mine = [one | changes for one in row["filters"] if one["filterType"] == kind]
    return row | {"filters": others + (mine if changes else [])}


REFUSED: dict[str, tuple[Callable[[], Instrument], type[MmbotError], str]] = {
    "bybit absent": (
        lambda: from_bybit(BYBIT_LINEAR, symbol="XUSDT"),
        ConfigError,
        "bybit_linear:XUSDT: was not among 1 instruments",
    ),
    "bybit closed": (
        lambda: from_bybit(BYBIT_LINEAR | {"status": "PreLaunch"}),
        ConfigError,
        "bybit_linear:SOLUSDT: status was 'PreLaunch', expected 'Trading'",
    ),
    "bybit third currency": (
        lambda: from_bybit(BYBIT_LINEAR | {"settleCoin": "USDC"}),
        ConfigError,
        "settleCoin was 'USDC', expected 'USDT'",
    ),
    "bybit minimum no number": (
        lambda: from_bybit(lot_sizes(BYBIT_LINEAR, minOrderQty="few")),
        RemoteProtocolError,
        "bybit_linear:SOLUSDT: quantity was 'few' in steps of '0.1', expected plain decimals",
    ),
    "bybit most below the least": (
        lambda: from_bybit(lot_sizes(BYBIT_LINEAR, minOrderQty="1", maxOrderQty="0.5")),
        RemoteProtocolError,
        "bybit_linear:SOLUSDT: max_lots was 5, expected at least min_lots 10",
    ),
    "bybit without step": (
        lambda: from_bybit(without(BYBIT_LINEAR, "lotSizeFilter", "qtyStep")),
        RemoteProtocolError,
        "lotSizeFilter was without one of qtyStep and minNotionalValue",
    ),
    "bybit spot as linear": (
        lambda: from_bybit(BYBIT_SPOT, "linear"),
        RemoteProtocolError,
        "lotSizeFilter was without one of",
    ),
    "bybit tick of zero": (
        lambda: from_bybit(BYBIT_LINEAR | {"priceFilter": {"tickSize": "0"}}),
        RemoteProtocolError,
        "tick_size was '0', expected a positive decimal",
    ),
    "bybit tick missing": (
        lambda: from_bybit(BYBIT_LINEAR | {"priceFilter": {}}),
        RemoteProtocolError,
        "reply was no Bybit v5 one: .*tickSize",
    ),
    "bybit option": (lambda: from_bybit(BYBIT_LINEAR, "option"), RemoteProtocolError, "no Bybit v5 one"),
    "binance venue": (
        lambda: from_binance(USDM, "binance"),
        ConfigError,
        "venue was 'binance', expected one of binance_spot, binance_usdm, binance_coinm",
    ),
    "binance absent": (
        lambda: from_binance(USDM, symbol="XUSDT"),
        ConfigError,
        "binance_usdm:XUSDT: was not among 1 instruments",
    ),
    "binance closed": (
        lambda: from_binance(COINM | {"contractStatus": "DELIVERING"}, "binance_coinm"),
        ConfigError,
        "status was 'DELIVERING', expected 'TRADING'",
    ),
    "binance without status": (lambda: from_binance(without(USDM, "status")), ConfigError, "status was None"),
    "binance third currency": (
        lambda: from_binance(USDM | {"marginAsset": "BNB"}),
        ConfigError,
        "marginAsset was 'BNB', expected 'USDT'",
    ),
    "binance without a minimum": (
        lambda: from_binance(filters(USDM, "LOT_SIZE", minQty=None)),
        RemoteProtocolError,
        "binance_usdm:BTCUSDT: was without minQty",
    ),
    "binance without prices": (
        lambda: from_binance(filters(USDM, "PRICE_FILTER")),
        RemoteProtocolError,
        "filters were without PRICE_FILTER",
    ),
    "binance without least value": (
        lambda: from_binance(filters(USDM, "MIN_NOTIONAL")),
        RemoteProtocolError,
        "filters were without NOTIONAL or MIN_NOTIONAL",
    ),
    "binance least value no number": (
        lambda: from_binance(filters(USDM, "MIN_NOTIONAL", notional="much")),
        RemoteProtocolError,
        "binance_usdm:BTCUSDT: could not convert",
    ),
    "binance without contract size": (
        lambda: from_binance(without(COINM, "contractSize"), "binance_coinm"),
        RemoteProtocolError,
        "binance_coinm:ETHUSD_PERP: was without contractSize",
    ),
    "binance contract of nothing": (
        lambda: from_binance(COINM | {"contractSize": 0}, "binance_coinm"),
        RemoteProtocolError,
        "contract_value was 0.0, expected more than 0",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_an_instrument_cannot_say_is_refused_in_one_line(what: str):
    build, error, message = REFUSED[what]
    with pytest.raises(error, match=message) as raised:
        build()
    assert "\n" not in str(raised.value)


def test_an_error_of_the_venue_is_told():
    reply = b'{"retCode":10001,"retMsg":"params error","result":{}}'
    with pytest.raises(RemoteProtocolError, match="retCode 10001 'params error', expected 0"):
        bybit.instrument(reply, "BTCUSDT", FEES)


@pytest.mark.parametrize("reply", [b"", b"{", b"[]", b'{"retCode":0}', b"\xff"])
def test_what_is_no_reply_is_a_protocol_error(reply: bytes):
    with pytest.raises(RemoteProtocolError):
        bybit.instrument(reply, "BTCUSDT", FEES)
    with pytest.raises(RemoteProtocolError):
        binance.instrument(reply, "binance_usdm", "BTCUSDT", FEES)


def test_rates_of_the_account_by_symbol():
    rates = [{"symbol": "ETHUSDT", "takerFeeRate": "0.0006", "makerFeeRate": "-0.00005"}]
    reply = msgspec.json.encode({"retCode": 0, "retMsg": "OK", "result": {"list": rates}})
    assert bybit.fees(reply, "ETHUSDT", "MM 3") == Fees("MM 3", -0.5, 6.0)
    with pytest.raises(ConfigError, match="fee rates: BTCUSDT was not among ETHUSDT"):
        bybit.fees(reply, "BTCUSDT", "MM 3")
    rate = {"symbol": "BTCUSDT", "makerCommissionRate": "0.0002", "takerCommissionRate": "0.0004"}
    reply = msgspec.json.encode(rate)
    assert binance.fees(reply, "BTCUSDT", "VIP 0") == Fees("VIP 0", 2.0, 4.0)
    with pytest.raises(ConfigError, match="commission rates: were of BTCUSDT, expected ETHUSDT"):
        binance.fees(reply, "ETHUSDT", "VIP 0")


def test_a_rate_that_is_none_is_a_protocol_error():
    rate = {"symbol": "BTCUSDT", "makerCommissionRate": "free", "takerCommissionRate": "0.0004"}
    with pytest.raises(RemoteProtocolError, match="rate was 'free'"):
        binance.fees(msgspec.json.encode(rate), "BTCUSDT", "VIP 0")
