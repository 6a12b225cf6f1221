"""Binance instrument and fee messages -> `Instrument`: spot, USD-M and COIN-M futures.

`GET /api/v3/exchangeInfo`, `/fapi/v1/exchangeInfo`, `/dapi/v1/exchangeInfo`, a real row cut to what is read:

    {"symbol":"BTCUSDT","contractType":"PERPETUAL","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT",
    "marginAsset":"USDT","filters":[{"filterType":"PRICE_FILTER","tickSize":"0.10"},{"filterType":"LOT_SIZE",
    "minQty":"0.0001","maxQty":"1000","stepSize":"0.0001"},{"filterType":"MIN_NOTIONAL","notional":"50"}]}

The markets differ in names: spot states its least value as `minNotional` (filter NOTIONAL or, before 2023,
MIN_NOTIONAL), COIN-M its status as `contractStatus`, its contracts as `contractSize` quote units each, and no
least value, which is that of one contract. Commission rates
(`/fapi/v1/commissionRate`, `/dapi/v1/commissionRate`) are shares of notional.

Refused, since an `Instrument` could not say it: a contract settled in a third currency, an instrument that is
not trading.
"""

from typing import TypeVar

import msgspec

from mmbot.errors import ConfigError, RemoteProtocolError
from mmbot.model.instrument import Contract, Fees, Instrument, order_lots, rate_bps

T = TypeVar("T")

INVERSE = "binance_coinm"
_VENUES = ("binance_spot", "binance_usdm", INVERSE)


class _Filter(msgspec.Struct, rename="camel"):
    filter_type: str
    tick_size: str | None = None
    step_size: str | None = None
    min_qty: str | None = None
    max_qty: str | None = None
    notional: str | None = None
    min_notional: str | None = None


class _Symbol(msgspec.Struct, rename="camel"):
    symbol: str
    base_asset: str
    quote_asset: str
    filters: list[_Filter]
    status: str | None = None
    contract_status: str | None = None
    margin_asset: str | None = None
    contract_size: float | None = None


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Symbol]


class _Commission(msgspec.Struct, rename="camel"):
    symbol: str
    maker_commission_rate: str
    taker_commission_rate: str


def instrument(reply: bytes, venue: str, symbol: str, fees: Fees) -> Instrument:
    """One symbol of an exchangeInfo reply of that venue. Raises RemoteProtocolError for a reply that is none,
    ConfigError for an instrument that is not there or cannot be traded as it is.
    """
    if venue not in _VENUES:
        raise ConfigError(f"venue was {venue!r}, expected one of {', '.join(_VENUES)}")
    where, listed = f"{venue}:{symbol}", _decoded(reply, _ExchangeInfo).symbols
    row = next((row for row in listed if row.symbol == symbol), None)
    if row is None:
        raise ConfigError(f"{where}: was not among {len(listed)} instruments")
    contract = Contract.INVERSE if venue == INVERSE else Contract.LINEAR
    _check_tradable(row, contract, where)
    sizes = _filter(row, ("LOT_SIZE",), where)
    step = _stated(sizes.step_size, "stepSize", where)
    value = _stated(row.contract_size, "contractSize", where) if contract is Contract.INVERSE else 1.0
    try:
        min_lots, max_lots = order_lots(_stated(sizes.min_qty, "minQty", where), sizes.max_qty, step)
        return Instrument(
            venue=venue,
            symbol=symbol,
            base=row.base_asset,
            quote=row.quote_asset,
            tick_size=_stated(_filter(row, ("PRICE_FILTER",), where).tick_size, "tickSize", where),
            lot_size=step,
            min_notional=value if contract is Contract.INVERSE else float(_least(row, where)),
            fees=fees,
            contract=contract,
            contract_value=value,
            min_lots=min_lots,
            max_lots=max_lots,
        )
    except ValueError as error:
        raise RemoteProtocolError(f"{where}: {error}") from error


def fees(reply: bytes, symbol: str, tier: str) -> Fees:
    """The account's rates for a symbol; `tier` is how reports call them. Raises like `instrument`."""
    rate = _decoded(reply, _Commission)
    if rate.symbol != symbol:
        raise ConfigError(f"commission rates: were of {rate.symbol}, expected {symbol}")
    return Fees(tier, rate_bps(rate.maker_commission_rate), rate_bps(rate.taker_commission_rate))


def _check_tradable(row: _Symbol, contract: Contract, where: str) -> None:
    status = row.contract_status or row.status
    if status != "TRADING":
        raise ConfigError(f"{where}: status was {status!r}, expected 'TRADING'")
    settled_in = row.base_asset if contract is Contract.INVERSE else row.quote_asset
    if row.margin_asset not in (None, settled_in):
        raise ConfigError(f"{where}: marginAsset was {row.margin_asset!r}, expected {settled_in!r}")


def _least(row: _Symbol, where: str) -> str:
    """Least value of an order, quote currency."""
    found = _filter(row, ("NOTIONAL", "MIN_NOTIONAL"), where)
    return _stated(found.notional or found.min_notional, "notional", where)


def _filter(row: _Symbol, kinds: tuple[str, ...], where: str) -> _Filter:
    for found in row.filters:
        if found.filter_type in kinds:
            return found
    raise RemoteProtocolError(f"{where}: filters were without {' or '.join(kinds)}")


def _stated(value: T | None, name: str, where: str) -> T:
    if value is None:
        raise RemoteProtocolError(f"{where}: was without {name}")
    return value


def _decoded(reply: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(reply, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"reply was no Binance {kind.__name__.strip('_')}: {error}") from error
