"""Order entry: what REST and the trade socket both accept, check and answer.

An answer says that a request was accepted; what became of it is said by the private streams. Checks come in
the order of what they need: the words, the grid, the account. What the paper exchange cannot do (conditional
orders, take profit, hedge mode, margin trading, market orders in quote coin) is refused by name: an ignored
word would trade something else than was asked.
"""

import re
from collections.abc import Mapping
from typing import Any, get_args

from mmbot.errors import RemoteProtocolError
from mmbot.model.instrument import Contract, Instrument, Side, parser
from mmbot.venues.bybit.codec import Category
from mmbot.venues.paper.account import Account
from mmbot.venues.paper.desk import Desk
from mmbot.venues.paper.limits import per_second
from mmbot.venues.paper.orders import PaperOrder, TimeInForce
from mmbot.venues.paper.settings import PaperSettings
from mmbot.venues.paper.wire import Answer, Refused, Row, millis, refusal

Args = Mapping[str, Any]

_LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}\Z")
_MOST_OPEN = 500
TOO_MANY = "Too many visits. Exceeded the API Rate Limit."
_BATCH = {"linear": 20, "inverse": 20, "spot": 10}
"""Orders in one batch: https://bybit-exchange.github.io/docs/v5/order/batch-place"""
_NOT_OFFERED = (
    "triggerPrice", "takeProfit", "stopLoss", "tpLimitPrice", "slLimitPrice", "closeOnTrigger", "orderIv",
    "bboSideType", "trailingStop",
)  # fmt: skip
_TIMES_IN_FORCE: tuple[TimeInForce, ...] = get_args(TimeInForce)


class OrderEntry:
    """One account's door. `ended`: the tape is over, and no order can be matched any more."""

    def __init__(self, account: Account, settings: PaperSettings) -> None:
        self.account = account
        self._settings = settings
        self._grids = {place: Words(desk.instrument) for place, desk in account.desks.items()}

    def one(self, action: str, args: Args, now_ns: int) -> Answer:
        """create, amend or cancel. Raises Refused."""
        done = {"create": self._create, "amend": self._amend, "cancel": self._cancel}[action]
        order = done(args, now_ns)
        return Answer({"orderId": order.order_id, "orderLinkId": order.link_id})

    def batch(self, action: str, args: Args, now_ns: int, allowed: int) -> Answer:
        """Several at once, each with an answer of its own; only the first `allowed` pass the rate limit.

        retCode 0 says nothing about the orders: retExtInfo.list does.
        """
        category, requests = self.category(args), self.requests(args)
        rows: list[Row] = []
        codes: list[Row] = []
        for number, request in enumerate(requests):
            row: Row = {"category": category, "symbol": request.get("symbol", ""), "orderId": ""}
            row["orderLinkId"] = request.get("orderLinkId") or ""
            answer = (
                self._answer(action, {**request, "category": category}, now_ns)
                if number < allowed
                else refusal(Refused(10006, TOO_MANY))
            )
            rows.append(row | answer.result)
            codes.append({"code": answer.code, "msg": answer.message})
        return Answer({"list": rows}, {"list": codes})

    def _answer(self, action: str, args: Args, now_ns: int) -> Answer:
        try:
            answer = self.one(action, args, now_ns)
        except Refused as refused:
            return refusal(refused)
        if action == "create":
            answer.result["createAt"] = millis(now_ns)
        return answer

    def cancel_all(self, args: Args, now_ns: int) -> Answer:
        category = self.category(args)
        symbol, base, settle = (args.get(name) for name in ("symbol", "baseCoin", "settleCoin"))
        if category != "spot" and not (symbol or base or settle):
            raise Refused(10001, "params error: one of symbol, baseCoin or settleCoin is needed")
        if symbol:
            self._desk(category, args)
        cancelled: list[Row] = []
        for order in self.account.open_orders(category):
            instrument = order.grid.instrument
            if symbol not in (None, "", instrument.symbol) or base not in (None, "", instrument.base):
                continue
            if settle not in (None, "", instrument.settled_in):
                continue
            self._gone(order, now_ns)
            cancelled.append({"orderId": order.order_id, "orderLinkId": order.link_id})
        result: Row = {"list": cancelled}
        return Answer(result | ({"success": "1"} if category != "spot" else {}))

    def category(self, args: Args) -> Category:
        found = args.get("category")
        if found not in ("linear", "spot", "inverse"):
            raise Refused(10001, f"params error: category was {found!r}, expected linear, spot or inverse")
        category: Category = found
        return category

    def requests(self, args: Args) -> list[Row]:
        """The orders of a batch."""
        requests, most = args.get("request"), _BATCH[self.category(args)]
        if not isinstance(requests, list) or not all(isinstance(one, dict) for one in requests):
            raise Refused(10001, "params error: request was no list of orders")
        if not 1 <= len(requests) <= most:
            raise Refused(10001, f"params error: request held {len(requests)} orders, expected 1 to {most}")
        return requests

    def _create(self, args: Args, now_ns: int) -> PaperOrder:
        category = self.category(args)
        desk = self._desk(category, args)
        order = self._order(desk, args, now_ns)
        self._check_account(desk, order)
        self.account.remember(order)
        desk.enter(now_ns, order)
        self.account.collect(desk)
        return order

    def _amend(self, args: Args, now_ns: int) -> PaperOrder:
        order = self._known(args)
        if not order.open:
            raise self._unknown(order.grid.category)
        words, desk = self._grids[self._place(order)], self.account.desk_of(order)
        _refuse_not_offered(args)
        tick = words.tick(args["price"]) if args.get("price") not in (None, "", "0") else order.tick
        lots = words.lots(args["qty"]) if args.get("qty") not in (None, "", "0") else order.lots
        if (tick, lots) == (order.tick, order.lots):
            raise Refused(
                10001, "The order remains unchanged as the parameters entered match the existing ones."
            )
        if lots <= order.cum_lots:
            raise Refused(
                10001, f"params error: qty is not above the executed {order.grid.size(order.cum_lots)}"
            )
        _check_size(desk.instrument, lots)
        _check_notional(desk.instrument, lots, tick, category=order.grid.category)
        self._check_funds(desk, order, tick, lots - order.cum_lots, held=order.leaves_lots)
        desk.amend(now_ns, order, tick, lots)
        self.account.collect(desk)
        return order

    def _cancel(self, args: Args, now_ns: int) -> PaperOrder:
        order = self._known(args)
        if order.open:
            self._gone(order, now_ns)
        elif order.status == "Filled" and now_ns - order.updated_ns <= self._settings.race_ns:
            desk = self.account.desk_of(order)
            desk.lost_cancel(order)
            self.account.collect(desk)
        else:
            raise self._unknown(order.grid.category)
        return order

    def _gone(self, order: PaperOrder, now_ns: int) -> None:
        desk = self.account.desk_of(order)
        desk.cancel(now_ns, order)
        self.account.collect(desk)

    def _known(self, args: Args) -> PaperOrder:
        category = self.category(args)
        self._desk(category, args)
        order_id, link_id = args.get("orderId") or "", args.get("orderLinkId") or ""
        if not order_id and not link_id:
            raise Refused(10001, "params error: orderId or orderLinkId is needed")
        order = self.account.find(category, str(order_id), str(link_id))
        if order is None or order.grid.instrument.symbol != args.get("symbol"):
            raise self._unknown(category)
        return order

    def _unknown(self, category: Category) -> Refused:
        if category == "spot":
            return Refused(170213, "Order does not exist.")
        return Refused(110001, "order not exists or too late to cancel")

    def _place(self, order: PaperOrder) -> tuple[Category, str]:
        return order.grid.category, order.grid.instrument.symbol

    def _desk(self, category: Category, args: Args) -> Desk:
        desk = self.account.desks.get((category, str(args.get("symbol"))))
        if desk is None:
            raise Refused(10001, f"params error: symbol invalid {args.get('symbol')}")
        return desk

    def _order(self, desk: Desk, args: Args, now_ns: int) -> PaperOrder:
        """The order that a request describes. Raises Refused for words that do not fit."""
        _refuse_not_offered(args)
        category = desk.grid.category
        words = self._grids[category, desk.instrument.symbol]
        side, link_id = _side(args), args.get("orderLinkId") or ""
        if link_id and not (isinstance(link_id, str) and _LINK_ID.match(link_id)):
            raise Refused(10001, "params error: orderLinkId is not 1 to 36 of letters, digits, - and _")
        if link_id and (category, link_id) in self.account.by_link:
            raise Refused(*((170141, "Duplicate clientOrderId.") if category == "spot"
                            else (110072, "OrderLinkedID is duplicate")))  # fmt: skip
        market, time_in_force = _kind(args)
        lots = words.lots(args.get("qty"))
        tick = self._bound(desk, side) if market else words.tick(args.get("price"))
        if market and category == "spot" and side is Side.BUY and args.get("marketUnit") != "baseCoin":
            raise Refused(10001, "params error: marketUnit quoteCoin is not offered by the paper exchange")
        _check_size(desk.instrument, lots)
        if args.get("reduceOnly") is not True:
            _check_notional(desk.instrument, lots, tick, category=category)
        instrument = desk.instrument
        buys_coin = category == "spot" and side is Side.BUY
        return PaperOrder(
            grid=desk.grid,
            order_id=desk.next_id(),
            link_id=link_id,
            side=side,
            market=market,
            time_in_force=time_in_force,
            tick=tick,
            lots=lots,
            reduce_only=args.get("reduceOnly") is True,
            created_ns=now_ns,
            fee_coin=instrument.base if buys_coin else instrument.settled_in,
            last_price=desk.market.last_price,
        )

    def _bound(self, desk: Desk, side: Side) -> int:
        """How far a market order may take, in ticks."""
        book = desk.market.book
        best = book.best_ask if side is Side.BUY else book.best_bid
        if best is None:
            raise Refused(110017 if desk.grid.category != "spot" else 170210, "there is no market to take")
        return max(1, round(best * (1 + side * self._settings.bound_ratio)))

    def _check_account(self, desk: Desk, order: PaperOrder) -> None:
        spot = order.grid.spot
        if len(self.account.open_orders("spot") if spot else desk.open) >= _MOST_OPEN:
            raise Refused(110020, f"not allowed to have more than {_MOST_OPEN} active orders")
        if order.reduce_only:
            held = desk.position.lots
            if spot or held * order.side >= 0:
                raise Refused(110017, "current position is zero, cannot fix reduce-only order qty")
            order.lots = min(order.lots, abs(held))
        self._check_funds(desk, order, order.tick, order.lots, held=0)

    def _check_funds(self, desk: Desk, order: PaperOrder, tick: int, leaves: int, *, held: int) -> None:
        """May the account have this much open? `held` is the order's own size in what is in use already."""
        instrument, price = desk.instrument, desk.instrument.price(tick)
        if order.grid.spot:
            buys = order.side is Side.BUY
            coin = instrument.quote if buys else instrument.base
            needed = instrument.notional(leaves, price) if buys else instrument.quantity(leaves)
            used = instrument.notional(held, order.price) if buys else instrument.quantity(held)
            if needed - used > self.account.available(coin):
                raise Refused(170131, "Insufficient balance.")
            return
        position = desk.position.lots
        opens = leaves - (min(leaves, abs(position)) if position * order.side < 0 else 0)
        needed = instrument.notional(opens, price) / desk.leverage
        used = instrument.notional(held, order.price) / desk.leverage
        if needed and needed - used > self.account.available(instrument.settled_in):
            raise Refused(110007, "ab not enough for new order")


class Words:
    """Numbers of one instrument as requests write them: text, on the grid."""

    def __init__(self, instrument: Instrument) -> None:
        self._tick = parser(instrument.tick_size, "price")
        self._lots = parser(instrument.lot_size, "qty")

    def tick(self, text: object) -> int:
        return _steps(self._tick, text, "price")

    def lots(self, text: object) -> int:
        return _steps(self._lots, text, "qty")


def bucket_of(args: Args, action: str, *, batch: bool) -> tuple[str, int]:
    """Which rate limit a request spends, and how much that allows a second."""
    category = str(args.get("category"))
    return f"{category} {action}{' batch' if batch else ''}", per_second(category, action)


def _steps(parse: Any, text: object, name: str) -> int:
    if not isinstance(text, str):
        raise Refused(10001, f"params error: {name} was {text!r}, expected a string")
    try:
        steps: int = parse(text)
    except RemoteProtocolError as error:
        raise Refused(10001, f"params error: {error}") from error
    if not steps:
        raise Refused(10001, f"params error: {name} was {text!r}, expected more than zero")
    return steps


def _side(args: Args) -> Side:
    sides = {"Buy": Side.BUY, "Sell": Side.SELL}
    side = sides.get(str(args.get("side")))
    if side is None:
        raise Refused(10001, f"params error: side was {args.get('side')!r}, expected Buy or Sell")
    return side


def _kind(args: Args) -> tuple[bool, TimeInForce]:
    """Market or limit, and its time in force; a market order's is IOC."""
    kind, given = args.get("orderType"), args.get("timeInForce") or "GTC"
    if kind not in ("Limit", "Market"):
        raise Refused(10001, f"params error: orderType was {kind!r}, expected Limit or Market")
    if kind == "Market":
        return True, "IOC"
    for time_in_force in _TIMES_IN_FORCE:
        if given == time_in_force:
            return False, time_in_force
    raise Refused(10001, f"params error: timeInForce was {given!r}, expected {', '.join(_TIMES_IN_FORCE)}")


def _refuse_not_offered(args: Args) -> None:
    for name in _NOT_OFFERED:
        if args.get(name) not in (None, "", "0", 0, False):
            raise Refused(10001, f"params error: {name} is not offered by the paper exchange")
    if args.get("positionIdx") not in (None, 0, "0"):
        raise Refused(10001, "position idx not match position mode")
    if args.get("isLeverage") not in (None, 0, "0"):
        raise Refused(10001, "params error: isLeverage is not offered by the paper exchange")
    if args.get("orderFilter") not in (None, "", "Order"):
        raise Refused(10001, "params error: orderFilter was not Order; no other kind is offered")


def _check_size(instrument: Instrument, lots: int) -> None:
    if lots < instrument.min_lots or lots > (instrument.max_lots or lots):
        most = "any" if instrument.max_lots is None else instrument.max_lots
        raise Refused(10001, f"params error: qty was {lots} lots, expected {instrument.min_lots} to {most}")


def _check_notional(instrument: Instrument, lots: int, tick: int, *, category: Category) -> None:
    value = instrument.notional_quote(lots, instrument.price(tick))
    if value < instrument.min_notional and instrument.contract is not Contract.INVERSE:
        code = 170140 if category == "spot" else 110094
        raise Refused(
            code, f"Order does not meet minimum order value {instrument.min_notional:g}{instrument.quote}"
        )
