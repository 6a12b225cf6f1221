"""nautilus_trader with the reference quoter as a strategy of its own.

Variants: `rust` is the engine in Rust that its wheel ships beside the documented one and that is the faster
of the two; `cython` the documented one. One `OrderBookDeltas` a message, its fastest way to be fed. It
matches by its own rules (queue position where it has one) and knows no latency of answers, so its fills
differ by a few.
"""

import datetime as dt
import importlib
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import nautilus_trader
from tests.bench import quoter as q
from tests.bench.workload import (
    BID,
    BUY,
    ORDER_NS,
    TICK_SIZE,
    Asked,
    Columns,
    Outcome,
    asked,
    levels_and_trades,
    load,
    report,
    timed,
)

_SYMBOL = "REFUSDT-PERP.BENCH"
_LAST_OF_MESSAGE = 128
_BALANCE = 1_000_000_000
_MODULES = (
    "config",
    "backtest.config",
    "backtest.engine",
    "backtest.models",
    *(f"model.{name}" for name in ("currencies", "data", "enums", "identifiers", "instruments", "objects")),
    "trading.strategy",
)


def names(variant: str) -> Any:
    """Everything we use of either world, under the same names."""
    if variant == "rust":
        return importlib.import_module("nautilus_trader.core.nautilus_pyo3")
    found = SimpleNamespace()
    for name in _MODULES:
        module = importlib.import_module(f"nautilus_trader.{name}")
        vars(found).update({key: value for key, value in vars(module).items() if key[0].isupper()})
    return found


class Feed:
    """The tape as its objects: deltas by message, and trades."""

    def __init__(self, n: Any, columns: Columns) -> None:
        self._n = n
        self._id = n.InstrumentId.from_str(_SYMBOL)
        self._prices = {tick: n.Price(tick * TICK_SIZE, 1) for tick in set(columns["tick"].tolist())}
        self._sizes = {lots: n.Quantity(float(lots), 0) for lots in set(columns["lots"].tolist())}
        self.deltas: list[Any] = []
        self.trades: list[Any] = []
        for message in _messages(columns):
            if message[0][2] > 1:
                self.trades += [self._trade(row) for row in message]
            else:
                self.deltas.append(n.OrderBookDeltas(self._id, [self._delta(row) for row in message]))

    def _delta(self, row: tuple[int, ...]) -> Any:
        exch_ns, recv_ns, kind, tick, lots, last = row
        n = self._n
        action = n.BookAction.UPDATE if lots else n.BookAction.DELETE
        side = n.OrderSide.BUY if kind == BID else n.OrderSide.SELL
        order = n.BookOrder(side, self._prices[tick], self._sizes[lots], tick)
        return n.OrderBookDelta(self._id, action, order, _LAST_OF_MESSAGE * last, 0, exch_ns, recv_ns)

    def _trade(self, row: tuple[int, ...]) -> Any:
        exch_ns, recv_ns, kind, tick, lots, _ = row
        n = self._n
        taker = n.AggressorSide.BUYER if kind == BUY else n.AggressorSide.SELLER
        trade_id = n.TradeId(str(len(self.trades)))
        return n.TradeTick(self._id, self._prices[tick], self._sizes[lots], taker, trade_id, exch_ns, recv_ns)


def _messages(columns: Columns) -> Iterator[list[tuple[int, ...]]]:
    message: list[tuple[int, ...]] = []
    order = ("exch_ns", "recv_ns", "kind", "tick", "lots", "last")
    for row in zip(*(columns[name].tolist() for name in order), strict=True):
        message.append(row)
        if row[-1]:
            yield message
            message = []


def instrument(n: Any, variant: str) -> Any:
    """A perpetual in whole lots."""
    btc, usdt = (
        (n.Currency.from_str(code) for code in ("BTC", "USDT")) if variant == "rust" else (n.BTC, n.USDT)
    )
    more = {"max_quantity": None, "min_quantity": None, "max_notional": None, "min_notional": None}
    return n.CryptoPerpetual(
        instrument_id=n.InstrumentId.from_str(_SYMBOL),
        raw_symbol=n.Symbol("REFUSDT"),
        base_currency=btc,
        quote_currency=usdt,
        settlement_currency=usdt,
        is_inverse=False,
        price_precision=1,
        size_precision=0,
        price_increment=n.Price.from_str("0.1"),
        size_increment=n.Quantity.from_str("1"),
        margin_init=Decimal("0.01"),
        margin_maint=Decimal("0.005"),
        maker_fee=Decimal(0),
        taker_fee=Decimal(0),
        ts_event=0,
        ts_init=0,
        **more,
    )


def strategy_of(n: Any, variant: str, asked_for: Asked) -> Any:  # noqa: C901 (one class, made for either world)
    """The quoter behind its callbacks; each world makes orders in its own way."""

    class Quoting(n.Strategy):
        def __init__(self, config: Any = None) -> None:
            super().__init__(*([] if variant == "rust" else [config]))
            self.quoter = q.Quoter(asked_for.order_lots)
            self.ticks = 0
            self.orders: dict[int, Any] = {}
            self.numbers: dict[str, tuple[int, int]] = {}
            self.fills: list[tuple[int, int, int, int]] = []

        def on_start(self) -> None:
            self.instrument_id = n.InstrumentId.from_str(_SYMBOL)
            self.size = n.Quantity(float(asked_for.order_lots), 0)
            if variant == "rust":
                self.subscribe_book_deltas(self.instrument_id, n.BookType.L2_MBP, None, None, True)  # noqa: FBT003
            else:
                self.subscribe_order_book_deltas(self.instrument_id, book_type=n.BookType.L2_MBP)
            self.clock.set_timer("tick", dt.timedelta(milliseconds=asked_for.tick_ms), callback=self.on_timer)

        def on_timer(self, _: Any) -> None:
            book = self.cache.order_book(self.instrument_id)
            bid, ask = (None, None) if book is None else (book.best_bid_price(), book.best_ask_price())
            if bid is None or ask is None:
                return
            self.ticks += 1
            for what, number, side, tick in self.quoter.on_tick(
                round(float(bid) * 10), round(float(ask) * 10)
            ):
                if what == q.CANCEL:
                    order = self.orders[number]
                    self.cancel_order(order.client_order_id if variant == "rust" else order)
                else:
                    order = self.orders[number] = self.new_order(number, side, tick)
                    self.numbers[str(order.client_order_id)] = (number, side)
                    self.submit_order(order)

        def new_order(self, number: int, our_side: int, tick: int) -> Any:
            side = n.OrderSide.BUY if our_side > 0 else n.OrderSide.SELL
            price = n.Price(tick * TICK_SIZE, 1)
            if variant != "rust":
                return self.order_factory.limit(self.instrument_id, side, self.size, price, post_only=True)
            return n.LimitOrder(
                trader_id=self.trader_id,
                strategy_id=self.strategy_id,
                instrument_id=self.instrument_id,
                client_order_id=n.ClientOrderId(f"O{number}"),
                order_side=side,
                quantity=self.size,
                price=price,
                time_in_force=n.TimeInForce.GTC,
                post_only=True,
                reduce_only=False,
                quote_quantity=False,
                init_id=n.UUID4(),
                ts_init=self.clock.timestamp_ns(),
            )

        def _report(self, kind: int, event: Any, lots: int = 0) -> None:
            self.quoter.on_report(kind, *self.numbers[str(event.client_order_id)], lots)

        def on_order_accepted(self, event: Any) -> None:
            self._report(q.ACCEPTED, event)

        def on_order_rejected(self, event: Any) -> None:
            self._report(q.GONE, event)

        def on_order_canceled(self, event: Any) -> None:
            self._report(q.GONE, event)

        def on_order_filled(self, event: Any) -> None:
            lots, side = round(float(event.last_qty)), self.numbers[str(event.client_order_id)][1]
            self.fills.append((event.ts_event, side, round(float(event.last_px) * 10), lots))
            self._report(q.FILLED, event, lots)

    return Quoting() if variant == "rust" else Quoting(n.StrategyConfig())


def play(n: Any, feed: Feed, what: Asked) -> tuple[float, Outcome]:
    """One replay, timed without building the engine."""
    rust = what.variant == "rust"
    logging = n.LoggerConfig(bypass_logging=True) if rust else n.LoggingConfig(bypass_logging=True)
    risk = n.RiskEngineConfig(bypass=True)
    settings = n.BacktestEngineConfig(logging=logging, run_analysis=False, risk_engine=risk)
    engine = n.BacktestEngine(settings)
    usdt = n.Currency.from_str("USDT") if rust else n.USDT
    latency = n.StaticLatencyModel if rust else n.LatencyModel
    engine.add_venue(
        venue=n.Venue("BENCH"),
        oms_type=n.OmsType.NETTING,
        account_type=n.AccountType.MARGIN,
        starting_balances=[n.Money(_BALANCE, usdt)],
        book_type=n.BookType.L2_MBP,
        latency_model=latency(base_latency_nanos=ORDER_NS),
        trade_execution=True,
        queue_position=True,
    )
    engine.add_instrument(instrument(n, what.variant))
    if rust:
        engine.add_data(feed.trades, None, False, False)  # noqa: FBT003 (not sorted yet)
        engine.add_data(feed.deltas, None, False, True)  # noqa: FBT003
    else:
        engine.add_data(feed.trades, sort=False)
        engine.add_data(feed.deltas, sort=True)
    strategy = strategy_of(n, what.variant, what)
    engine.add_strategy(strategy)
    cpu_s, _ = timed(engine.run)
    quoter = strategy.quoter
    outcome = Outcome(strategy.ticks, quoter.orders, quoter.cancels, quoter.position_lots, strategy.fills)
    engine.dispose()
    return cpu_s, outcome


def main() -> None:
    """Measure in this process and say so in one line."""
    what = asked(["rust", "cython"])
    n, columns = names(what.variant), levels_and_trades(load(what.columns))
    feed = Feed(n, columns)
    runs = [play(n, feed, what) for _ in range(what.repeat)]
    report(what, len(columns["kind"]), runs, {"nautilus_trader": nautilus_trader.__version__})


if __name__ == "__main__":
    main()
