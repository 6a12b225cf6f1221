"""One account of the paper exchange: its desks, its order book-keeping, its wallet, its open margin."""

from collections import deque
from collections.abc import Iterable

from mmbot.errors import ConfigError
from mmbot.model.events import MarketEvent
from mmbot.model.instrument import Side
from mmbot.venues.bybit.codec import Category
from mmbot.venues.paper.desk import Desk
from mmbot.venues.paper.market import Market
from mmbot.venues.paper.orders import PaperOrder
from mmbot.venues.paper.settings import ApiKey, PaperSettings
from mmbot.venues.paper.wire import Row, money

_KEPT = 10_000
"""Closed orders and executions that can still be asked for."""
_QUOTES_WORTH_ONE = ("USDT", "USDC", "USD")

Place = tuple[Category, str]
"""Category and symbol: how the wire names an instrument."""


class Account:
    """`outgoing` holds what the private streams have to say, in order, as (topic, category, rows)."""

    def __init__(self, key: ApiKey, uid: int, markets: Iterable[Market], settings: PaperSettings) -> None:
        self.key = key
        self.uid = uid
        self.desks: dict[Place, Desk] = {
            (market.category, market.instrument.symbol): Desk(market, settings, uid * 1_000 + number)
            for number, market in enumerate(markets)
        }
        self.orders: dict[str, PaperOrder] = {}
        """Every order that can still be asked for, by order id, oldest first."""
        self.by_link: dict[tuple[Category, str], PaperOrder] = {}
        self.executions: deque[Row] = deque(maxlen=_KEPT)
        self.outgoing: list[tuple[str, str, list[Row]]] = []
        self.dead_man_ns: dict[str, int] = {}
        """Window of cancel on disconnect by product; none at first."""
        coins = {desk.instrument.base for desk in self.desks.values()}
        coins |= {desk.instrument.quote for desk in self.desks.values()}
        unknown = sorted(set(key.balances) - coins)
        if unknown:
            raise ConfigError(f"balance of {unknown[0]}: expected one of {', '.join(sorted(coins))}")

    def on_event(self, now_ns: int, place: Place, event: MarketEvent) -> None:
        desk = self.desks[place]
        desk.on_event(now_ns, event)
        if desk.told:
            self.collect(desk)

    def collect(self, desk: Desk) -> None:
        """Take what a desk told: equal topics in a row become one message."""
        for topic, row in desk.take():
            if topic == "execution":
                self.executions.append(row)
            told = self.wallet_row() if topic == "wallet" else row
            last = self.outgoing[-1] if self.outgoing else None
            if last is not None and last[:2] == (topic, desk.grid.category):
                last[2][:] = [told] if topic == "wallet" else [*last[2], told]
            else:
                self.outgoing.append((topic, desk.grid.category, [told]))

    def remember(self, order: PaperOrder) -> None:
        self.orders[order.order_id] = order
        if order.link_id:
            self.by_link[order.grid.category, order.link_id] = order
        if len(self.orders) > _KEPT:
            oldest = next((one for one in self.orders.values() if not one.open), None)
            if oldest is not None:
                del self.orders[oldest.order_id]
                self.by_link.pop((oldest.grid.category, oldest.link_id), None)

    def find(self, category: Category, order_id: str, link_id: str) -> PaperOrder | None:
        """By the venue's id, else by ours: "orderId is processed first"."""
        if order_id:
            found = self.orders.get(order_id)
            return found if found is not None and found.grid.category == category else None
        return self.by_link.get((category, link_id))

    def desk_of(self, order: PaperOrder) -> Desk:
        return self.desks[order.grid.category, order.grid.instrument.symbol]

    def open_orders(self, category: Category) -> list[PaperOrder]:
        """Oldest first."""
        desks = [desk for (of, _), desk in self.desks.items() if of == category]
        return sorted(
            (order for desk in desks for order in desk.open.values()), key=lambda one: one.created_ns
        )

    def balance(self, coin: str) -> float:
        """Wallet balance: without profit that is not realised."""
        total = self.key.balances.get(coin, 0.0)
        for desk in self.desks.values():
            if desk.grid.spot:
                total += desk.bought if desk.instrument.base == coin else 0.0
                total -= desk.paid if desk.instrument.quote == coin else 0.0
            elif desk.instrument.settled_in == coin:
                total += desk.position.realised - desk.position.fees
        return total

    def locked(self, coin: str) -> float:
        """What open spot orders hold."""
        total = 0.0
        for desk in self.desks.values():
            for order in desk.open.values() if desk.grid.spot else ():
                instrument, leaves = desk.instrument, order.leaves_lots
                if order.side is Side.BUY and instrument.quote == coin:
                    total += instrument.notional(leaves, order.price)
                elif order.side is Side.SELL and instrument.base == coin:
                    total += instrument.quantity(leaves)
        return total

    def unrealised(self, coin: str) -> float:
        total = 0.0
        for desk in self._settled_in(coin):
            mark = desk.market.mark
            if desk.position.lots and mark is not None:
                total += desk.position.unrealised(mark)
        return total

    def margin(self, coin: str) -> tuple[float, float]:
        """Initial margin of open orders and of positions. Orders that only reduce need none."""
        of_orders = of_positions = 0.0
        for desk in self._settled_in(coin):
            instrument, entry = desk.instrument, desk.position.average_price
            for order in desk.open.values():
                if not order.reduce_only:
                    of_orders += instrument.notional(order.leaves_lots, order.price) / desk.leverage
            if entry is not None:
                of_positions += instrument.notional(desk.position.lots, entry) / desk.leverage
        return of_orders, of_positions

    def available(self, coin: str) -> float:
        """What a new order may use."""
        free = self.balance(coin) + self.unrealised(coin) - sum(self.margin(coin))
        return free - self.locked(coin)

    def wallet_row(self) -> Row:
        """As in `wallet` and GET /v5/account/wallet-balance."""
        coins = {
            coin for desk in self.desks.values() for coin in (desk.instrument.base, desk.instrument.quote)
        }
        rows = [self._coin_row(coin) for coin in sorted(coins)]
        usd = [(row, self._usd(row["coin"])) for row in rows]

        def total(key: str) -> str:
            return money(sum(float(row[key]) * price for row, price in usd if price is not None))

        return {
            "accountType": "UNIFIED",
            "accountIMRate": "",
            "accountMMRate": "",
            "totalEquity": total("equity"),
            "totalWalletBalance": total("walletBalance"),
            "totalMarginBalance": total("equity"),
            "totalAvailableBalance": total("free"),
            "totalPerpUPL": total("unrealisedPnl"),
            "totalInitialMargin": total("initialMargin"),
            "totalMaintenanceMargin": "0",
            "coin": [{key: row[key] for key in row if key not in ("free", "initialMargin")} for row in rows],
        }

    def _coin_row(self, coin: str) -> Row:
        balance, unrealised, locked = self.balance(coin), self.unrealised(coin), self.locked(coin)
        of_orders, of_positions = self.margin(coin)
        price = self._usd(coin)
        realised = sum(desk.position.realised - desk.position.fees for desk in self._settled_in(coin))
        return {
            "coin": coin,
            "equity": money(balance + unrealised),
            "usdValue": "" if price is None else money((balance + unrealised) * price),
            "walletBalance": money(balance),
            "locked": money(locked),
            "borrowAmount": "0",
            "spotBorrow": "0",
            "accruedInterest": "0",
            "availableToWithdraw": "",
            "totalOrderIM": money(of_orders),
            "totalPositionIM": money(of_positions),
            "totalPositionMM": "0",
            "unrealisedPnl": money(unrealised),
            "cumRealisedPnl": money(realised),
            "bonus": "0",
            "collateralSwitch": True,
            "marginCollateral": True,
            "free": money(self.available(coin)),
            "initialMargin": money(of_orders + of_positions),
        }

    def _settled_in(self, coin: str) -> list[Desk]:
        desks = self.desks.values()
        return [desk for desk in desks if not desk.grid.spot and desk.instrument.settled_in == coin]

    def _usd(self, coin: str) -> float | None:
        """Price in dollars, by a market of the tape; a dollar coin is worth one."""
        if coin in _QUOTES_WORTH_ONE:
            return 1.0
        marks = (
            desk.market.mark
            for desk in self.desks.values()
            if desk.instrument.base == coin and desk.instrument.quote in _QUOTES_WORTH_ONE
        )
        return next((mark for mark in marks if mark is not None), None)
