"""Bybit v5 instrument and fee messages -> `Instrument`.

`GET /v5/market/instruments-info` (https://bybit-exchange.github.io/docs/v5/market/instrument), a real row:

    {"symbol":"SOLUSDT","contractType":"LinearPerpetual","status":"Trading","baseCoin":"SOL","quoteCoin":"USDT",
    "priceFilter":{"minPrice":"0.010","maxPrice":"199999.980","tickSize":"0.010"},"lotSizeFilter":{
    "maxOrderQty":"96000.0","minOrderQty":"0.1","qtyStep":"0.1","minNotionalValue":"5"},"settleCoin":"USDT"}

Spot names the step `basePrecision`, the least value `minOrderAmt`, and the most of a limit order
`maxLimitOrderQty` (what it allows post-only orders on top of that is left alone). An inverse contract is
worth one unit of quote currency. `GET /v5/account/fee-rate` (https://bybit-exchange.github.io/docs/v5/account/fee-rate)
gives the account's rates by symbol, as shares of notional.

Refused, since an `Instrument` could not say it: a contract settled in a third currency, an instrument that is
not trading.
"""

from typing import TypeVar
from urllib.parse import quote

import msgspec

from mmbot.errors import ConfigError, RemoteProtocolError
from mmbot.model.instrument import Contract, Fees, Instrument, order_lots, rate_bps
from mmbot.venues.bybit.codec import Category

T = TypeVar("T")

_PAGE = 1000
PUBLISHED_FEES: dict[Category, Fees] = {
    "linear": Fees("non-VIP, published", 2.0, 5.5),
    "inverse": Fees("non-VIP, published", 2.0, 5.5),
    "spot": Fees("non-VIP, published", 10.0, 10.0),
}
"""For who has no account to ask: https://www.bybit.com/en/help-center/article/Trading-Fee-Structure"""

_VENUES: dict[Category, str] = {"spot": "bybit_spot", "linear": "bybit_linear", "inverse": "bybit_inverse"}


class _PriceFilter(msgspec.Struct, rename="camel"):
    tick_size: str


class _LotSizeFilter(msgspec.Struct, rename="camel"):
    min_order_qty: str
    max_order_qty: str | None = None
    max_limit_order_qty: str | None = None
    qty_step: str | None = None
    base_precision: str | None = None
    min_notional_value: str | None = None
    min_order_amt: str | None = None


class _Row(msgspec.Struct, rename="camel"):
    symbol: str
    status: str
    base_coin: str
    quote_coin: str
    price_filter: _PriceFilter
    lot_size_filter: _LotSizeFilter
    settle_coin: str | None = None


class _Listing(msgspec.Struct, rename="camel"):
    list: list[_Row]
    category: Category
    next_page_cursor: str = ""


class _Rate(msgspec.Struct, rename="camel"):
    symbol: str
    maker_fee_rate: str
    taker_fee_rate: str


class _Rates(msgspec.Struct):
    list: list[_Rate]


class _Reply(msgspec.Struct, rename="camel"):
    ret_code: int
    ret_msg: str
    result: msgspec.Raw = msgspec.Raw()


def instrument(reply: bytes, symbol: str, fees: Fees) -> Instrument:
    """One symbol of an instruments-info reply. Raises RemoteProtocolError for a reply that is none,
    ConfigError for an instrument that is not there or cannot be traded as it is.
    """
    listing = _result(reply, _Listing)
    row = next((row for row in listing.list if row.symbol == symbol), None)
    where = f"{_VENUES[listing.category]}:{symbol}"
    if row is None:
        more = ", but there are more pages" if listing.next_page_cursor else ""
        raise ConfigError(f"{where}: was not among {len(listing.list)} instruments{more}")
    if row.status != "Trading":
        raise ConfigError(f"{where}: status was {row.status!r}, expected 'Trading'")
    contract = Contract.INVERSE if listing.category == "inverse" else Contract.LINEAR
    settled_in = row.base_coin if contract is Contract.INVERSE else row.quote_coin
    if row.settle_coin not in (None, settled_in):
        raise ConfigError(f"{where}: settleCoin was {row.settle_coin!r}, expected {settled_in!r}")
    sizes = row.lot_size_filter
    step, least = _sizes(sizes, listing.category, where)
    try:
        most = sizes.max_limit_order_qty or sizes.max_order_qty
        min_lots, max_lots = order_lots(sizes.min_order_qty, most, step)
        return Instrument(
            venue=_VENUES[listing.category],
            symbol=symbol,
            base=row.base_coin,
            quote=row.quote_coin,
            tick_size=row.price_filter.tick_size,
            lot_size=step,
            min_notional=float(least),
            fees=fees,
            contract=contract,
            min_lots=min_lots,
            max_lots=max_lots,
        )
    except (ValueError, RemoteProtocolError) as error:
        raise RemoteProtocolError(f"{where}: {error}") from error


def listing_target(category: Category, cursor: str = "") -> str:
    """What to ask for one page of all instruments of a category; spot has one page and takes no limit."""
    page = "" if category == "spot" else f"&limit={_PAGE}" + (f"&cursor={quote(cursor)}" if cursor else "")
    return f"/v5/market/instruments-info?category={category}{page}"


def page(reply: bytes) -> tuple[frozenset[str], str]:
    """The symbols on a page, and the cursor of the next; empty on the last. Raises RemoteProtocolError."""
    listing = _result(reply, _Listing)
    return frozenset(row.symbol for row in listing.list), listing.next_page_cursor


def unknown(category: Category, symbols: str) -> ConfigError:
    """None of the pages had them."""
    return ConfigError(f"{_VENUES[category]}: {symbols}: not among the instruments of the venue")


def fees(reply: bytes, symbol: str, tier: str) -> Fees:
    """The account's fee rates for a symbol; `tier` is how reports call them. Raises like `instrument`."""
    rates = {rate.symbol: rate for rate in _result(reply, _Rates).list}
    if symbol not in rates:
        raise ConfigError(f"fee rates: {symbol} was not among {', '.join(rates) or 'none'}")
    rate = rates[symbol]
    return Fees(tier, rate_bps(rate.maker_fee_rate), rate_bps(rate.taker_fee_rate))


def _sizes(sizes: _LotSizeFilter, category: Category, where: str) -> tuple[str, str]:
    """Step of quantity, and least value of an order in quote currency, as written."""
    spot = category == "spot"
    step = sizes.base_precision if spot else sizes.qty_step
    least = sizes.min_order_amt if spot else sizes.min_notional_value
    if category == "inverse" and not least:
        least = sizes.min_order_qty  # one contract, one unit of quote currency
    if not step or not least:
        names = "basePrecision and minOrderAmt" if spot else "qtyStep and minNotionalValue"
        raise RemoteProtocolError(f"{where}: lotSizeFilter was without one of {names}")
    return step, least


def _result(reply: bytes, kind: type[T]) -> T:
    """What a reply carries."""
    try:
        head = msgspec.json.decode(reply, type=_Reply)
        if head.ret_code != 0:
            raise RemoteProtocolError(f"reply was retCode {head.ret_code} {head.ret_msg!r}, expected 0")
        return msgspec.json.decode(head.result, type=kind)
    except msgspec.DecodeError as error:
        raise RemoteProtocolError(f"reply was no Bybit v5 one: {error}") from error
