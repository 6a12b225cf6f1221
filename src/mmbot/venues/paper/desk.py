"""One account's trading in one instrument: its orders in a simulated venue, its position, its money.

Matching is `mmbot.sim.venue`, one for each account and instrument: all see the recorded market and none
leaves a mark on it, so accounts do not trade with each other. An order that takes and is good till cancelled
rests with what is left. A market order is an IOC order at a bound, as the venue makes it.

Money: derivatives settle realised profit less fees in settlement currency. Spot changes hands at once; a
buyer pays its fee in base coin, a seller in quote coin. No funding, no liquidation: neither is in a tape.
"""

from collections.abc import Iterable

from mmbot.execution.position import Position
from mmbot.model.commands import AmendOrder, CancelOrder, SubmitOrder
from mmbot.model.events import Fill, MarketEvent, OrderCancelled, OrderEvent, OrderReject
from mmbot.model.instrument import Instrument, Side
from mmbot.sim.venue import SimVenue
from mmbot.units import BPS, Lots, Ns, Ticks
from mmbot.venues.paper.market import Market, id_of
from mmbot.venues.paper.orders import Grid, PaperOrder
from mmbot.venues.paper.settings import PaperSettings
from mmbot.venues.paper.wire import Refused, Row, millis, money

_ORDER, _EXECUTION = 1, 2


class Desk:
    """`told` collects rows for the private streams, in order, until `take` hands them on. `number` tells the
    ids of one desk from those of another.
    """

    def __init__(self, market: Market, settings: PaperSettings, number: int) -> None:
        self.market = market
        self.instrument: Instrument = market.instrument
        self.grid = Grid(market.instrument, market.category)
        self.position = Position(market.instrument)
        self.leverage = settings.leverage
        self.open: dict[str, PaperOrder] = {}
        self.told: list[tuple[str, Row]] = []
        self.bought = 0.0
        """Spot: base coin that came in (negative: went out), after fees."""
        self.paid = 0.0
        """Spot: quote coin that went out, after fees."""
        self.opened_ns = 0
        self._number = number
        self._venue = SimVenue(market.instrument, settings.queue)
        self._ids = 0
        self._over = False

    def take(self) -> list[tuple[str, Row]]:
        told, self.told = self.told, []
        return told

    def on_event(self, now_ns: int, event: MarketEvent) -> None:
        self._answered(now_ns, self._venue.on_market(Ns(now_ns), event))

    def end(self) -> None:
        """The tape is over: orders that rest stay as they are, new ones find no market."""
        self._over = True

    def takeable(self, side: Side, tick: int) -> list[tuple[int, int]]:
        return self._venue.takeable(side, tick)

    def next_id(self) -> str:
        return self._id(_ORDER)

    def enter(self, now_ns: int, order: PaperOrder) -> None:
        """A valid order arrives. Every answer is told; nothing is returned, as on the venue."""
        order.updated_ns = now_ns
        self.open[order.order_id] = order
        if self._over:
            order.ended(rejected=True, reason="EC_Others")
            self._close(order)
            return
        if self._ends_unmatched(order):
            self._close(order)
            return
        command = SubmitOrder(
            self.instrument.key,
            order.order_id,
            order.side,
            Ticks(order.tick),
            Lots(order.lots),
            post_only=order.time_in_force == "PostOnly",
        )
        answers = self._venue.enter(Ns(now_ns), command, rests=order.time_in_force == "GTC")
        stays = order.time_in_force in ("GTC", "PostOnly")
        self._answered(now_ns, answers, arrived=order if stays else None)

    def amend(self, now_ns: int, order: PaperOrder, tick: int, lots: int) -> None:
        """Another price or whole size. Less at the same price keeps its place in the queue."""
        if self._over or not self.market.in_sync:
            raise Refused(110079, "order is in process, try again later: the recording has no book now")
        order.updated_ns = now_ns
        order.tick, order.lots = tick, lots
        command = AmendOrder(self.instrument.key, order.order_id, Ticks(tick), Lots(lots))
        self._answered(now_ns, self._venue.amend(Ns(now_ns), command, rests=True), arrived=order)

    def cancel(self, now_ns: int, order: PaperOrder) -> None:
        order.updated_ns = now_ns
        self._venue.on_order(Ns(now_ns), CancelOrder(self.instrument.key, order.order_id))
        order.ended(by_user=True)
        self._close(order)

    def lost_cancel(self, order: PaperOrder) -> None:
        """A cancel that lost its race: "it is possible to receive two orders with the Filled status"
        (https://bybit-exchange.github.io/docs/v5/websocket/private/order).
        """
        reason = {"rejectReason": "EC_OrigClOrdIDDoesNotExist", "cancelType": "CancelByUser"}
        self.told.append(("order", order.row() | reason))

    def _ends_unmatched(self, order: PaperOrder) -> bool:
        """IOC and FOK orders that find too little end at once."""
        if order.time_in_force not in ("IOC", "FOK") or not self.market.in_sync:
            return False
        there = sum(lots for _, lots in self.takeable(order.side, order.tick))
        if there and (order.time_in_force == "IOC" or there >= order.lots):
            return False
        order.ended(
            reason="EC_NoImmediateQtyToFill" if order.time_in_force == "IOC" else "EC_NoEnoughQtyToFill"
        )
        return True

    def _answered(
        self, now_ns: int, answers: Iterable[OrderEvent], arrived: PaperOrder | None = None
    ) -> None:
        """Tell what came of it: a new or amended order first, then its executions."""
        fills: list[Fill] = []
        for answer in answers:
            match answer:
                case Fill():
                    if arrived is not None:
                        self._tell(arrived)
                        arrived = None
                    fills.append(answer)
                case OrderReject():
                    self._refused(self.open[answer.client_id], answer)
                    arrived = None
                case OrderCancelled():
                    self._ended(now_ns, self.open[answer.client_id], fills)
                    arrived = None
                case _:
                    pass
        if arrived is not None:
            self._tell(arrived)
        for fill in fills:
            if fill.client_id in self.open:
                self._filled(now_ns, self.open[fill.client_id], fill)

    def _refused(self, order: PaperOrder, answer: OrderReject) -> None:
        """Post-only orders that would take: futures say Cancelled, spot says Rejected."""
        if answer.reason == "post-only would take":
            order.ended(rejected=self.grid.spot, reason="EC_PostOnlyWillTakeLiquidity")
        else:
            order.ended(rejected=True, reason="EC_Others")
        self._close(order)

    def _ended(self, now_ns: int, order: PaperOrder, fills: list[Fill]) -> None:
        """An IOC order's rest, or a post-only order amended into the book."""
        mine = [fill for fill in fills if fill.client_id == order.order_id]
        for fill in mine:
            self._filled(now_ns, order, fill)
            fills.remove(fill)
        post_only = order.time_in_force == "PostOnly"
        order.ended(reason="EC_PostOnlyWillTakeLiquidity" if post_only else "EC_NoImmediateQtyToFill")
        self._close(order)

    def _filled(self, now_ns: int, order: PaperOrder, fill: Fill) -> None:
        price = self.instrument.price(fill.tick)
        before = self.position.realised
        closed = self._closed_lots(fill)
        if not self.position.lots:
            self.opened_ns = now_ns
        fee = self.position.book(fill)
        fee = self._exchange(fill, price, fee) if self.grid.spot else fee
        order.executed(fill.lots, price, fee)
        order.updated_ns = now_ns
        self.told.append(
            ("execution", self._execution(order, fill, fee, closed, self.position.realised - before))
        )
        if order.open:
            self._tell(order)
        else:
            self._close(order)
        self._trim(now_ns)
        self._changed(now_ns)

    def _trim(self, now_ns: int) -> None:
        """Reduce-only orders shrink with the position that they reduce, and end with it."""
        held = self.position.lots
        for order in [order for order in self.open.values() if order.reduce_only]:
            if held * order.side >= 0:
                self.cancel(now_ns, order)
            elif order.leaves_lots > abs(held):
                self.amend(now_ns, order, order.tick, order.cum_lots + abs(held))

    def _exchange(self, fill: Fill, price: float, fee: float) -> float:
        """Spot coins change hands; the fee in the coin it is paid in."""
        base, quote = self.instrument.quantity(fill.lots), self.instrument.notional(fill.lots, price)
        if fill.side is Side.BUY:
            bps = self.instrument.fees.maker_bps if fill.maker else self.instrument.fees.taker_bps
            fee = base * bps / BPS
            self.bought += base - fee
            self.paid += quote
            return fee
        self.bought -= base
        self.paid -= quote - fee
        return fee

    def _closed_lots(self, fill: Fill) -> int:
        held = self.position.lots
        return min(abs(held), fill.lots) if held * fill.side < 0 else 0

    def _tell(self, order: PaperOrder) -> None:
        self.told.append(("order", order.row()))

    def _close(self, order: PaperOrder) -> None:
        del self.open[order.order_id]
        self._tell(order)

    def _changed(self, now_ns: int) -> None:
        if not self.grid.spot:
            self.told.append(("position", self.position_row(now_ns, stream=True)))
        self.told.append(("wallet", {}))

    def position_row(self, now_ns: int, *, stream: bool) -> Row:
        """As in `position` (entryPrice) and GET /v5/position/list (avgPrice); side is "" when flat."""
        position, mark = self.position, self.market.mark
        entry = position.average_price
        value = 0.0 if entry is None else self.instrument.notional(position.lots, entry)
        unrealised = 0.0 if mark is None or entry is None else position.unrealised(mark)
        settled = position.realised - position.fees
        margin = value / self.leverage
        side = ("" if stream else "None") if not position.lots else ("Buy" if position.lots > 0 else "Sell")
        return {
            "category": self.grid.category,
            "symbol": self.instrument.symbol,
            "positionIdx": 0,
            "tradeMode": 0,
            "riskId": 1,
            "riskLimitValue": "",
            "side": side if stream or position.lots else "",
            "size": self.grid.size(abs(position.lots)),
            "entryPrice" if stream else "avgPrice": "0" if entry is None else money(entry),
            "positionValue": money(value),
            "leverage": money(self.leverage),
            "markPrice": "" if mark is None else money(mark),
            "liqPrice": "",
            "bustPrice": "",
            "positionIM": money(margin),
            "positionMM": "0",
            "takeProfit": "",
            "stopLoss": "",
            "trailingStop": "",
            "unrealisedPnl": money(unrealised),
            "curRealisedPnl": money(settled),
            "cumRealisedPnl": money(settled),
            "positionStatus": "Normal",
            "autoAddMargin": 0,
            "adlRankIndicator": 0,
            "isReduceOnly": False,
            "tpslMode": "Full",
            "seq": self.market.seq,
            "createdTime": millis(self.opened_ns),
            "updatedTime": millis(now_ns),
        }

    def _execution(self, order: PaperOrder, fill: Fill, fee: float, closed: int, profit: float) -> Row:
        """As in `execution` and GET /v5/execution/list. execFee: negative = rebate."""
        grid, price = self.grid, self.instrument.price(fill.tick)
        fees = self.instrument.fees
        mark = self.market.mark
        return {
            "category": grid.category,
            "symbol": self.instrument.symbol,
            "orderId": order.order_id,
            "orderLinkId": order.link_id,
            "side": "Buy" if order.side is Side.BUY else "Sell",
            "orderPrice": grid.price(order.tick),
            "orderQty": grid.size(order.lots),
            "orderType": "Market" if order.market else "Limit",
            "stopOrderType": "UNKNOWN",
            "createType": "CreateByUser",
            "leavesQty": grid.size(order.lots - order.cum_lots),
            "execId": self._id(_EXECUTION),
            "execPrice": grid.price(fill.tick),
            "execQty": grid.size(fill.lots),
            "execValue": money(self.instrument.notional(fill.lots, price)),
            "execFee": money(fee),
            "feeRate": money((fees.maker_bps if fill.maker else fees.taker_bps) / BPS),
            "feeCurrency": order.fee_coin if grid.spot else "",
            "execType": "Trade",
            "execTime": millis(fill.venue_ns),
            "execPnl": money(profit),
            "isMaker": fill.maker,
            "closedSize": "" if grid.spot else grid.size(closed),
            "markPrice": "" if mark is None else money(mark),
            "indexPrice": "",
            "blockTradeId": "",
            "isLeverage": "0",
            "seq": self.market.seq,
        }

    def _id(self, kind: int) -> str:
        self._ids += 1
        return id_of(self._number * 10 + kind, self._ids, spot=self.grid.spot)
