"""REST of the paper exchange, sans-IO: a request in, a reply out.

A reply is `{"retCode":0,"retMsg":"OK","result":{...},"retExtInfo":{},"time":<ms>}` with HTTP 200, refusals
included; 403 shuts an address out, 404 is a path that the paper exchange does not have.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from mmbot.units import BPS, MS, SECOND
from mmbot.venues.paper import signing
from mmbot.venues.paper.desk import Desk
from mmbot.venues.paper.exchange import PaperExchange
from mmbot.venues.paper.klines import INTERVALS
from mmbot.venues.paper.limits import READS_PER_S, Address
from mmbot.venues.paper.market import Market, instrument_row
from mmbot.venues.paper.member import Member
from mmbot.venues.paper.orders import PaperOrder
from mmbot.venues.paper.wire import Answer, Refused, Row, encoded, money, refusal

_ORDERS = {
    "/v5/order/create": ("create", False),
    "/v5/order/amend": ("amend", False),
    "/v5/order/cancel": ("cancel", False),
    "/v5/order/cancel-all": ("cancel-all", False),
    "/v5/order/create-batch": ("create", True),
    "/v5/order/amend-batch": ("amend", True),
    "/v5/order/cancel-batch": ("cancel", True),
}
_LEAST_WINDOW_MS, _MOST_WINDOW_MS = 3_000, 300_000
_FAR_MS = 1 << 50
_TIME = ("GET", "/v5/market/time")


class Request(msgspec.Struct, frozen=True):
    """`query` and `body` are the bytes that came; header names are lower case; `address` is the client's."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    address: str


class Reply(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    headers: dict[str, str] = {}


class Rest:
    """The routes, over one exchange."""

    def __init__(self, exchange: PaperExchange) -> None:
        self._exchange = exchange
        self._addresses: dict[str, Address] = {}
        self._public: dict[str, Callable[[Row], Answer]] = {
            "/v5/market/instruments-info": self._instruments,
            "/v5/market/orderbook": self._orderbook,
            "/v5/market/tickers": self._tickers,
            "/v5/market/kline": self._kline,
            "/v5/market/recent-trade": self._recent,
        }
        self._private: dict[tuple[str, str], Callable[[Member, Row], Answer]] = {
            ("GET", "/v5/order/realtime"): self._realtime,
            ("GET", "/v5/order/history"): self._history,
            ("GET", "/v5/execution/list"): self._executions,
            ("GET", "/v5/position/list"): self._positions,
            ("POST", "/v5/position/set-leverage"): self._set_leverage,
            ("POST", "/v5/position/switch-mode"): self._switch_mode,
            ("GET", "/v5/account/wallet-balance"): self._wallet,
            ("GET", "/v5/account/fee-rate"): self._fee_rate,
            ("GET", "/v5/account/info"): self._account_info,
            ("GET", "/v5/user/query-api"): self._key_info,
            ("GET", "/v5/asset/coin/query-info"): self._coins,
            ("POST", "/v5/order/disconnected-cancel-all"): self._dead_man,
        }

    def handle(self, request: Request, wall_ns: int) -> Reply:
        """Carry a request out. `wall_ns` is the true time; the skew of the exchange's clock is added here."""
        address = self._addresses.setdefault(request.address, Address())
        if not address.admits(wall_ns):
            return Reply(403, b"403, access too frequent")
        faults = self._exchange.faults
        if faults.used("http_429"):
            return Reply(429, b"Too Many Requests", {"Retry-After": "1"})
        if not self._serves(request):
            return Reply(404, b"404, path not found")
        now_ns = self._exchange.skewed_ns(wall_ns)
        headers: dict[str, str] = {}
        try:
            answer, headers = self._answer(request, now_ns)
        except Refused as refused:
            answer = refusal(refused)
        self._exchange.publish()
        if request.path in _ORDERS and faults.used("http_502"):
            return Reply(502, b"502 Bad Gateway")
        reply: Row = {"retCode": answer.code, "retMsg": answer.message, "result": answer.result}
        return Reply(200, encoded({**reply, "retExtInfo": answer.ext, "time": now_ns // MS}), headers)

    def _serves(self, request: Request) -> bool:
        known = self._public if request.method == "GET" else _ORDERS
        return request.path in known or (request.method, request.path) in (_TIME, *self._private)

    def _answer(self, request: Request, now_ns: int) -> tuple[Answer, dict[str, str]]:
        """The answer and its limit headers. Raises Refused."""
        query: Row = dict(parse_qsl(request.query, keep_blank_values=True))
        path, route = request.path, (request.method, request.path)
        if route == _TIME:
            return _time(now_ns), {}
        if request.method == "GET" and path in self._public:
            return self._public[path](query), {}
        member = self._signer(request, now_ns)
        args = query if request.method == "GET" else _object(request.body)
        if path in _ORDERS:
            action, batch = _ORDERS[path]
            return member.order(action, args, self._exchange.now_ns, now_ns, batch=batch)
        bucket = member.limits.bucket(path, READS_PER_S)
        if not bucket.spend(now_ns, 1):
            raise Refused(10006, "Too many visits. Exceeded the API Rate Limit.")
        return self._private[route](member, args), bucket.headers(now_ns)

    def _signer(self, request: Request, now_ns: int) -> Member:
        """Whose request this is. Raises Refused."""
        headers = request.headers
        key, stamp = headers.get("x-bapi-api-key", ""), headers.get("x-bapi-timestamp", "")
        window = headers.get("x-bapi-recv-window") or "5000"
        member = self._exchange.members.get(key)
        if member is None:
            raise Refused(10003, "API key is invalid.")
        signing.check_time(stamp, window, now_ns)
        window_signed = headers.get("x-bapi-recv-window", "")
        payload = request.query.encode() if request.method == "GET" else request.body
        signed = f"{stamp}{key}{window_signed}".encode() + payload
        signing.check(member.account.key.secret, signed, headers.get("x-bapi-sign", ""))
        return member

    def _instruments(self, query: Row) -> Answer:
        rows = [instrument_row(market.instrument) for market in self._markets(query)]
        if query.get("status") not in (None, "", "Trading"):
            rows = []
        return Answer({"category": query["category"], "list": rows, "nextPageCursor": ""})

    def _orderbook(self, query: Row) -> Answer:
        market = self._market(query)
        if not market.in_sync:
            raise Refused(10016, "the recording has no book now")
        default = 1 if market.spot else 25
        return Answer(market.depth(_number(query, "limit", default, 1, 1000)))

    def _tickers(self, query: Row) -> Answer:
        rows = [market.ticker() | market.touch() for market in self._markets(query)]
        return Answer({"category": query["category"], "list": rows})

    def _kline(self, query: Row) -> Answer:
        market, interval = self._market(query), str(query.get("interval"))
        if interval not in INTERVALS:
            raise Refused(
                10001, f"params error: interval was {interval}, expected one of {', '.join(INTERVALS)}"
            )
        start_ms, end_ms = _number(query, "start", 0), _number(query, "end", _FAR_MS)
        candles = market.klines.candles(interval, start_ms, end_ms, _number(query, "limit", 200, 1, 1000))
        result: Row = {"category": market.category, "symbol": market.instrument.symbol}
        return Answer(result | {"list": [market.kline_row(candle) for candle in candles]})

    def _recent(self, query: Row) -> Answer:
        market = self._market(query)
        rows = market.recent(_number(query, "limit", 60 if market.spot else 500, 1, 1000))
        return Answer({"category": market.category, "list": rows})

    def _realtime(self, member: Member, query: Row) -> Answer:
        """Open orders; with an id any that is still known; with openOnly=1 closed ones, newest first."""
        category = member.entry.category(query)
        if _asks_for_one(query):
            found = member.account.find(category, query.get("orderId", ""), query.get("orderLinkId", ""))
            orders = [] if found is None else [found]
        elif query.get("openOnly") == "1":
            orders = [one for one in self._known(member, category) if not one.open][:500]
        else:
            orders = member.account.open_orders(category)[::-1]
        return _page(query, category, [one.row() for one in _chosen(orders, query)], 50)

    def _history(self, member: Member, query: Row) -> Answer:
        category = member.entry.category(query)
        orders = [one for one in self._known(member, category) if not one.open]
        if _asks_for_one(query):
            found = member.account.find(category, query.get("orderId", ""), query.get("orderLinkId", ""))
            orders = [one for one in orders if one is found]
        return _page(query, category, [one.row() for one in _chosen(orders, query)], 50)

    def _executions(self, member: Member, query: Row) -> Answer:
        category = member.entry.category(query)
        rows = [row for row in list(member.account.executions)[::-1] if row["category"] == category]
        for name in ("symbol", "orderId", "orderLinkId"):
            rows = [row for row in rows if query.get(name) in (None, "", row[name])]
        start_ms, end_ms = _number(query, "startTime", 0), _number(query, "endTime", _FAR_MS)
        rows = [row for row in rows if start_ms <= int(row["execTime"]) <= end_ms]
        return _page(query, category, rows, 100)

    def _positions(self, member: Member, query: Row) -> Answer:
        """One symbol, flat or not, or all that are not flat."""
        category = member.entry.category(query)
        if category == "spot":
            raise Refused(10001, "params error: category was spot, expected linear or inverse")
        if not query.get("symbol") and not query.get("settleCoin") and category == "linear":
            raise Refused(10001, "params error: symbol or settleCoin is needed")
        rows = [
            desk.position_row(self._exchange.now_ns, stream=False)
            for desk in self._desks(member, query)
            if query.get("symbol") or desk.position.lots
        ]
        return _page(query, category, rows, 200)

    def _set_leverage(self, member: Member, args: Row) -> Answer:
        desk = self._desks(member, args, one=True)[0]
        try:
            buy, sell = float(args.get("buyLeverage", "")), float(args.get("sellLeverage", ""))
        except ValueError as error:
            raise Refused(10001, "params error: buyLeverage or sellLeverage was no number") from error
        if buy != sell or not 1 <= buy <= 100:  # noqa: PLR2004 - leverageFilter of instruments-info
            raise Refused(10001, f"params error: leverage was {buy:g} and {sell:g}, expected equal, 1 to 100")
        if buy == desk.leverage:
            raise Refused(110043, "leverage not modified")
        desk.leverage = buy
        return Answer({})

    def _switch_mode(self, member: Member, args: Row) -> Answer:
        member.entry.category(args)
        if args.get("mode") not in (0, "0"):
            raise Refused(10001, "params error: hedge mode is not offered by the paper exchange")
        raise Refused(110025, "Position mode is not modified")

    def _wallet(self, member: Member, query: Row) -> Answer:
        if query.get("accountType") != "UNIFIED":
            raise Refused(10001, "params error: accountType was not UNIFIED, the only one there is")
        row, wanted = member.account.wallet_row(), query.get("coin")
        if wanted:
            row["coin"] = [coin for coin in row["coin"] if coin["coin"] in wanted.split(",")]
        return Answer({"list": [row]})

    def _fee_rate(self, member: Member, query: Row) -> Answer:
        rows = [
            {
                "symbol": market.instrument.symbol,
                "makerFeeRate": money(market.instrument.fees.maker_bps / BPS),
                "takerFeeRate": money(market.instrument.fees.taker_bps / BPS),
            }
            for market in self._markets(query)
        ]
        return Answer({"category": member.entry.category(query), "list": rows})

    def _account_info(self, member: Member, _: Row) -> Answer:
        windows = member.windows_ns.values()
        result: Row = {"marginMode": "REGULAR_MARGIN", "unifiedMarginStatus": 6}
        result |= {"dcpStatus": "ON" if windows else "OFF", "timeWindow": max(windows, default=0) // SECOND}
        return Answer(result | {"isMasterTrader": False, "spotHedgingStatus": "OFF", "smpGroup": 0})

    def _key_info(self, member: Member, _: Row) -> Answer:
        permissions = {"ContractTrade": ["Order", "Position"], "Spot": ["SpotTrade"], "Wallet": []}
        result: Row = {"apiKey": member.account.key.key, "userID": member.account.uid, "note": "paper"}
        result |= {"readOnly": 0, "permissions": permissions, "ips": ["*"], "type": 1, "vipLevel": "No VIP"}
        return Answer(result | {"unified": 0, "uta": 1, "isMaster": True})

    def _coins(self, _: Member, query: Row) -> Answer:
        """Coins of the tape; none can be moved in or out."""
        instruments = [market.instrument for market in self._exchange.markets]
        coins = sorted({coin for one in instruments for coin in (one.base, one.quote)})
        wanted = query.get("coin")
        return Answer(
            {
                "rows": [
                    {"name": coin, "coin": coin, "remainAmount": "0", "chains": []}
                    for coin in coins
                    if wanted in (None, "", coin)
                ]
            }
        )

    def _dead_man(self, member: Member, args: Row) -> Answer:
        product, seconds = args.get("product") or "DERIVATIVES", args.get("timeWindow")
        least, most = _LEAST_WINDOW_MS // 1_000, _MOST_WINDOW_MS // 1_000
        if product not in ("DERIVATIVES", "SPOT"):
            raise Refused(10001, f"params error: product was {product!r}, expected DERIVATIVES or SPOT")
        if not isinstance(seconds, int) or not least <= seconds <= most:
            raise Refused(10001, f"params error: timeWindow was {seconds!r}, expected {least} to {most}")
        member.windows_ns[product] = seconds * SECOND
        return Answer({})

    def _known(self, member: Member, category: str) -> list[PaperOrder]:
        """Newest first."""
        return [one for one in list(member.account.orders.values())[::-1] if one.grid.category == category]

    def _markets(self, query: Row) -> list[Market]:
        """Those of a category, or the one that a symbol names."""
        category, symbol = query.get("category"), query.get("symbol")
        if category not in ("linear", "spot", "inverse", "option"):
            raise Refused(10001, f"params error: category was {category!r}, expected linear, spot or inverse")
        found = [market for market in self._exchange.markets if market.category == category]
        found = [market for market in found if symbol in (None, "", market.instrument.symbol)]
        if symbol and not found:
            raise Refused(10001, f"params error: symbol invalid {symbol}")
        return found

    def _market(self, query: Row) -> Market:
        if not query.get("symbol"):
            raise Refused(10001, "params error: symbol is needed")
        return self._markets(query)[0]

    def _desks(self, member: Member, query: Row, *, one: bool = False) -> list[Desk]:
        category, symbol = member.entry.category(query), query.get("symbol")
        settle = query.get("settleCoin")
        if one and not symbol:
            raise Refused(10001, "params error: symbol is needed")
        found = [desk for (of, _), desk in member.account.desks.items() if of == category]
        found = [desk for desk in found if symbol in (None, "", desk.instrument.symbol)]
        if symbol and not found:
            raise Refused(10001, f"params error: symbol invalid {symbol}")
        return [desk for desk in found if settle in (None, "", desk.instrument.settled_in)]


def _time(now_ns: int) -> Answer:
    return Answer({"timeSecond": str(now_ns // SECOND), "timeNano": str(now_ns)})


def _object(body: bytes) -> Row:
    try:
        found: Any = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise Refused(10001, f"params error: the body was no JSON: {error}") from error
    if not isinstance(found, dict):
        raise Refused(10001, "params error: the body was no JSON object")
    return found


def _number(query: Row, name: str, default: int, least: int = 0, most: int = _FAR_MS) -> int:
    text = query.get(name)
    if text in (None, ""):
        return default
    if not str(text).isdecimal() or not least <= int(text) <= most:
        raise Refused(10001, f"params error: {name} was {text!r}, expected {least} to {most}")
    return int(text)


def _asks_for_one(query: Row) -> bool:
    return bool(query.get("orderId") or query.get("orderLinkId"))


def _chosen(orders: list[PaperOrder], query: Row) -> list[PaperOrder]:
    wanted = {name: query.get(name) for name in ("symbol", "baseCoin", "settleCoin", "orderStatus")}
    return [
        order
        for order in orders
        if wanted["symbol"] in (None, "", order.grid.instrument.symbol)
        and wanted["baseCoin"] in (None, "", order.grid.instrument.base)
        and wanted["settleCoin"] in (None, "", order.grid.instrument.settled_in)
        and wanted["orderStatus"] in (None, "", order.status)
    ]


def _page(query: Row, category: str, rows: list[Row], most: int) -> Answer:
    """One page; the cursor is the number of rows before the next one."""
    start = _number(query, "cursor", 0)
    limit = min(_number(query, "limit", 20, 1), most)
    shown, rest = rows[start : start + limit], len(rows) - start - limit
    cursor = str(start + limit) if rest > 0 else ""
    return Answer({"category": category, "list": shown, "nextPageCursor": cursor})
