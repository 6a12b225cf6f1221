"""An order at the paper exchange, and its row on the wire.

Statuses and reasons: https://bybit-exchange.github.io/docs/v5/enum. A real row of a private stream:

    {"category":"linear","symbol":"BTCUSDT","orderId":"29c9d17c-...","orderLinkId":"","side":"Buy","positionIdx":0,
    "orderStatus":"Filled","cancelType":"UNKNOWN","rejectReason":"EC_NoError","timeInForce":"IOC",
    "price":"77201.1","qty":"0.01","avgPrice":"76500","leavesQty":"0","cumExecQty":"0.01","cumExecValue":"765",
    "cumExecFee":"0.2448","orderType":"Market","createdTime":"1731163334346","updatedTime":"1731163334350",...}
"""

from typing import Literal

import msgspec

from mmbot.model.instrument import Instrument, Side, formatter
from mmbot.venues.bybit.codec import Category
from mmbot.venues.paper.wire import Row, millis, money

TimeInForce = Literal["GTC", "IOC", "FOK", "PostOnly"]
Status = Literal["New", "PartiallyFilled", "Filled", "Cancelled", "PartiallyFilledCanceled", "Rejected"]
NO_ERROR = "EC_NoError"


class Grid:
    """One instrument's words on private rows: category, and numbers without trailing zeros."""

    def __init__(self, instrument: Instrument, category: Category) -> None:
        self.instrument = instrument
        self.category = category
        self.spot = category == "spot"
        self.price = formatter(instrument.tick_size, stripped=True)
        self.size = formatter(instrument.lot_size, stripped=True)


class PaperOrder(msgspec.Struct):
    """One order. `value` is executed value and `fee` paid, both in settlement currency, except that a spot
    buyer pays its fee in base coin (`fee_coin`).
    """

    grid: Grid
    order_id: str
    link_id: str
    side: Side
    market: bool
    time_in_force: TimeInForce
    tick: int
    lots: int
    reduce_only: bool
    created_ns: int
    fee_coin: str
    last_price: str
    updated_ns: int = 0
    status: Status = "New"
    cancel_type: str = "UNKNOWN"
    reject_reason: str = NO_ERROR
    cum_lots: int = 0
    cum_worth: float = 0.0
    value: float = 0.0
    fee: float = 0.0

    @property
    def open(self) -> bool:
        return self.status in ("New", "PartiallyFilled")

    @property
    def leaves_lots(self) -> int:
        """Open rest; a cancelled order leaves nothing."""
        return self.lots - self.cum_lots if self.open else 0

    def executed(self, lots: int, price: float, fee: float) -> None:
        instrument = self.grid.instrument
        self.cum_lots += lots
        self.cum_worth += lots * instrument.worth(price)
        self.value += instrument.notional(lots, price)
        self.fee += fee
        self.status = "Filled" if self.cum_lots == self.lots else "PartiallyFilled"

    def ended(self, *, rejected: bool = False, reason: str = NO_ERROR, by_user: bool = False) -> None:
        """Over without (more) executions. "PartiallyFilledCanceled: only spot has this order status"."""
        if rejected:
            self.status = "Rejected"
        else:
            self.status = "PartiallyFilledCanceled" if self.grid.spot and self.cum_lots else "Cancelled"
        self.reject_reason = reason
        self.cancel_type = "CancelByUser" if by_user else "UNKNOWN"

    @property
    def average_price(self) -> str:
        if not self.cum_lots:
            return ""
        return money(self.grid.instrument.price_of(self.cum_worth / self.cum_lots))

    def row(self) -> Row:
        """As in `order` and GET /v5/order/realtime."""
        grid = self.grid
        return {
            "category": grid.category,
            "symbol": grid.instrument.symbol,
            "orderId": self.order_id,
            "orderLinkId": self.link_id,
            "blockTradeId": "",
            "side": "Buy" if self.side is Side.BUY else "Sell",
            "positionIdx": 0,
            "orderStatus": self.status,
            "cancelType": self.cancel_type,
            "rejectReason": self.reject_reason,
            "timeInForce": self.time_in_force,
            "isLeverage": "0" if grid.spot else "",
            "price": grid.price(self.tick),
            "qty": grid.size(self.lots),
            "avgPrice": self.average_price,
            "leavesQty": grid.size(self.leaves_lots),
            "leavesValue": money(grid.instrument.notional(self.leaves_lots, self.price)),
            "cumExecQty": grid.size(self.cum_lots),
            "cumExecValue": money(self.value),
            "cumExecFee": money(self.fee),
            "cumFeeDetail": {self.fee_coin: money(self.fee)} if self.cum_lots else {},
            "orderType": "Market" if self.market else "Limit",
            "stopOrderType": "",
            "triggerPrice": "",
            "takeProfit": "",
            "stopLoss": "",
            "triggerDirection": 0,
            "lastPriceOnCreated": self.last_price,
            "reduceOnly": self.reduce_only,
            "closeOnTrigger": False,
            "smpType": "None",
            "createType": "CreateByUser",
            "createdTime": millis(self.created_ns),
            "updatedTime": millis(self.updated_ns),
        }

    @property
    def price(self) -> float:
        return self.grid.instrument.price(self.tick)
