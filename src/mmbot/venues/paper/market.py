"""One instrument as the public sees it: what its market events make of every topic, as frames.

Times: `ts`, `cts`, `T` and candle times are the exchange's (`now_ns`, whole milliseconds on the wire). What a
tape does not hold is an empty string, never a guess: open interest, index price, funding. The mark price is
the mid, on the tick grid. Figures "of 24 hours" reach back to the tape's start at most.

Frames are made only of what somebody watches. A book frame goes out with each event that changes it, a ticker
at most once in 100 ms, a candle at most once a second and when it closes.
"""

from collections import Counter, deque

from mmbot.book.l2 import L2Book
from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, MarketEvent, Trade
from mmbot.model.instrument import Contract, Instrument, Side, formatter
from mmbot.units import MS, SECOND, Ns
from mmbot.venues.bybit.codec import Codec, Print, category
from mmbot.venues.bybit.feed import FIRST_SEQ, Prints
from mmbot.venues.paper.depth import DEPTHS, DepthView
from mmbot.venues.paper.klines import INTERVALS, MINUTE_MS, Candle, Klines
from mmbot.venues.paper.wire import Row, encoded, futures_id, money

_RECENT_TRADES = 1_000
_TICKER_NS = 100 * MS
_KLINE_NS = SECOND
_RESENT_NS = 3 * SECOND
"""A book of depth 1 that has not changed for 3 s is sent again with the same `u`."""
_RESTART_ID = 1
_WIDE_QTY = "1000000000"
"""The largest order where the instrument states none."""

Frame = tuple[str, bytes]
"""Topic and message."""


class Market:
    """`watched` counts the subscriptions of each topic; `now_ns` is when the last event happened."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.category = category(instrument)
        self.spot = self.category == "spot"
        self.watched: Counter[str] = Counter()
        self.book = L2Book()
        self.in_sync = False
        self.klines = Klines(instrument)
        self.trades: deque[Print] = deque(maxlen=_RECENT_TRADES)
        self.now_ns = 0
        self.seq = FIRST_SEQ
        self.price = formatter(instrument.tick_size, stripped=self.spot)
        self.size = formatter(instrument.lot_size, stripped=self.spot)
        self._codec = Codec(instrument)
        self._prints = Prints(instrument)
        self._views = {depth: DepthView(depth) for depth in DEPTHS}
        self._pushed_ns: dict[str, int] = {}
        self._ticker: Row = {}

    @property
    def mark(self) -> float | None:
        """The mid; None without a two-sided book that can be believed."""
        mid_x2 = self.book.mid_x2
        return None if mid_x2 is None or not self.in_sync else self.instrument.price(mid_x2 / 2)

    @property
    def last_price(self) -> str:
        return self.price(self.trades[-1].trade.tick) if self.trades else ""

    def on_event(self, now_ns: int, event: MarketEvent) -> list[Frame]:
        """The market moved; the frames that say so to those who watch."""
        self.now_ns = now_ns
        frames = self._closed_candles()
        match event:
            case BookSnapshot():
                self.book.replace(event.bids, event.asks)
                self.in_sync = not self.book.crossed
                frames += self._book_frames()
            case BookDelta() if self.in_sync:
                self.book.apply(event.bids, event.asks)
                self.in_sync = not self.book.crossed
                frames += self._book_frames()
            case Trade():
                frames += self._trade_frames(event)
            case BookTrouble():
                self.in_sync = self.in_sync and not event.trouble.breaks_book
            case _:
                pass
        return frames + self._ticker_frames()

    def watch(self, topic: str) -> list[bytes]:
        """A subscriber more; returns its first message, a snapshot where the topic has one."""
        kind, _, rest = topic.partition(".")
        parameter = rest.partition(".")[0]
        first = not self.watched[topic]
        self.watched[topic] += 1
        if kind == "orderbook":
            view = self._views[int(parameter)]
            if first:
                view.follow(self.book)
            return [self._snapshot(view)] if self.in_sync else []
        if kind == "kline":
            candle = self.klines.candle(parameter, self.now_ns // MS)
            return [] if candle is None else [self._kline(parameter, candle, confirm=False)]
        if kind == "tickers":
            self._ticker = self.ticker()
            return [self._ticker_frame("snapshot", self._ticker)]
        return []

    def unwatch(self, topic: str) -> None:
        self.watched[topic] -= 1

    def restart(self) -> list[Frame]:
        """The book service starts anew: `u` counts from 1 and every subscriber gets a snapshot of it."""
        for view in self._views.values():
            view.follow(self.book)
            view.update_id = _RESTART_ID
        if not self.in_sync:
            return []
        watched = [(self._topic(view), view) for view in self._views.values()]
        return [(topic, self._snapshot(view)) for topic, view in watched if self.watched[topic]]

    def again(self, now_ns: int) -> list[Frame]:
        """Depth-1 books that were idle for 3 s, once more."""
        view, topic = self._views[1], self._topic(self._views[1])
        if not self.watched[topic] or not self.in_sync or now_ns - view.shown_ns < _RESENT_NS:
            return []
        self.now_ns = now_ns
        return [(topic, self._snapshot(view))]

    def ticker(self) -> Row:
        """The row of `tickers`; keys in the venue's order."""
        minutes = self.klines.minutes[-1440:]
        first, last = (minutes[0].open, minutes[-1].close) if minutes else (None, None)
        text = self.price
        row: Row = {"symbol": self.instrument.symbol, "lastPrice": self.last_price}
        row["prevPrice24h"] = "" if first is None else text(first)
        row["price24hPcnt"] = "" if first is None or last is None else money(last / first - 1)
        row["highPrice24h"] = text(max(minute.high for minute in minutes)) if minutes else ""
        row["lowPrice24h"] = text(min(minute.low for minute in minutes)) if minutes else ""
        row["volume24h"] = self.size(sum(minute.lots for minute in minutes))
        row["turnover24h"] = money(sum(minute.turnover for minute in minutes))
        if self.spot:
            return row
        hour = minutes[-60:]
        row["tickDirection"] = self.trades[-1].direction if self.trades else ""
        row["prevPrice1h"] = text(hour[0].open) if hour else ""
        row["markPrice"] = "" if self.mark is None else self._on_grid(self.mark)
        row |= {"indexPrice": "", "openInterest": "", "openInterestValue": ""}
        row |= {"fundingRate": "", "nextFundingTime": ""}
        return row | self.touch()

    def touch(self) -> Row:
        """Best prices and sizes, as tickers state them."""
        row: Row = {}
        sides = (("bid", self.book.best_bid, self.book.bids), ("ask", self.book.best_ask, self.book.asks))
        for name, best, levels in sides:
            shown = best is not None and self.in_sync
            row[f"{name}1Price"] = self.price(best) if best is not None and shown else ""
            row[f"{name}1Size"] = self.size(levels[best]) if best is not None and shown else ""
        return row

    def depth(self, limit: int) -> Row:
        """The result of GET /v5/market/orderbook; its `u` is that of the 1000-level book."""
        view = self._views[1000]
        view.follow(self.book)
        bids, asks = view.levels()
        return {
            "s": self.instrument.symbol,
            "b": [[self.price(tick), self.size(lots)] for tick, lots in bids[:limit]],
            "a": [[self.price(tick), self.size(lots)] for tick, lots in asks[:limit]],
            "ts": self.now_ns // MS,
            "u": view.update_id,
            "seq": self.seq,
            "cts": self.now_ns // MS,
        }

    def recent(self, limit: int) -> list[Row]:
        """Rows of GET /v5/market/recent-trade, newest first."""
        return [
            {
                "execId": one.trade_id,
                "symbol": self.instrument.symbol,
                "price": self.price(one.trade.tick),
                "size": self.size(one.trade.lots),
                "side": "Buy" if one.trade.side is Side.BUY else "Sell",
                "time": str(one.trade.exch_ns // MS),
                "isBlockTrade": False,
                "isRPITrade": False,
                "seq": str(one.seq),
            }
            for one in list(self.trades)[::-1][:limit]
        ]

    def kline_row(self, candle: Candle) -> list[str]:
        """One row of GET /v5/market/kline."""
        prices = (candle.open, candle.high, candle.low, candle.close)
        volume = (self.size(candle.lots), money(candle.turnover))
        return [str(candle.start_ms), *(self.price(price) for price in prices), *volume]

    def _book_frames(self) -> list[Frame]:
        if not self.in_sync:
            return []
        self.seq += 1
        frames: list[Frame] = []
        for view in self._views.values():
            topic = self._topic(view)
            if not self.watched[topic]:
                continue
            bids, asks = view.follow(self.book)
            if not bids and not asks:
                continue
            if view.depth == 1:  # "Level 1 data: snapshot only"
                frames.append((topic, self._snapshot(view)))
                continue
            delta = BookDelta(
                self.instrument.key, self._ms_ns, self._ms_ns, bids, asks, update_id=view.update_id
            )
            frames.append((topic, self._book_frame(view, delta)))
        return frames

    def _snapshot(self, view: DepthView) -> bytes:
        bids, asks = view.levels()
        snapshot = BookSnapshot(
            self.instrument.key, self._ms_ns, self._ms_ns, bids, asks, update_id=view.update_id
        )
        return self._book_frame(view, snapshot)

    def _book_frame(self, view: DepthView, event: BookSnapshot | BookDelta) -> bytes:
        view.shown_ns = self.now_ns
        return self._codec.encode_book(event, depth=view.depth, seq=self.seq, ts_ms=self.now_ns // MS)

    def _trade_frames(self, event: Trade) -> list[Frame]:
        self.seq += 1
        trade = Trade(event.symbol, self._ms_ns, self._ms_ns, event.side, event.tick, event.lots)
        one = self._prints.of(trade, self.seq)
        self.trades.append(one)
        self.klines.trade(self.now_ns // MS, trade)
        topic = f"publicTrade.{self.instrument.symbol}"
        frames: list[Frame] = []
        if self.watched[topic]:
            frames.append((topic, self._codec.encode_trades([one], ts_ms=self.now_ns // MS)))
        return frames + self._kline_frames()

    def _kline_frames(self) -> list[Frame]:
        frames: list[Frame] = []
        for interval in INTERVALS:
            topic = f"kline.{interval}.{self.instrument.symbol}"
            if self.watched[topic] and self._due(topic, _KLINE_NS):
                candle = self.klines.candle(interval, self.now_ns // MS)
                if candle is not None:
                    frames.append((topic, self._kline(interval, candle, confirm=False)))
        return frames

    def _closed_candles(self) -> list[Frame]:
        frames: list[Frame] = []
        for start_ms in self.klines.roll(self.now_ns // MS):
            for interval, minutes in INTERVALS.items():
                topic = f"kline.{interval}.{self.instrument.symbol}"
                closes = (start_ms + MINUTE_MS) % (minutes * MINUTE_MS) == 0
                candle = self.klines.candle(interval, start_ms) if closes and self.watched[topic] else None
                if candle is not None:
                    frames.append((topic, self._kline(interval, candle, confirm=True)))
        return frames

    def _kline(self, interval: str, candle: Candle, *, confirm: bool) -> bytes:
        ts_ms = self.now_ns // MS
        row = {
            "start": candle.start_ms,
            "end": candle.start_ms + INTERVALS[interval] * MINUTE_MS - 1,
            "interval": interval,
            "open": self.price(candle.open),
            "close": self.price(candle.close),
            "high": self.price(candle.high),
            "low": self.price(candle.low),
            "volume": self.size(candle.lots),
            "turnover": money(candle.turnover),
            "confirm": confirm,
            "timestamp": ts_ms,
        }
        topic = f"kline.{interval}.{self.instrument.symbol}"
        return encoded({"topic": topic, "data": [row], "ts": ts_ms, "type": "snapshot"})

    def _ticker_frames(self) -> list[Frame]:
        topic = f"tickers.{self.instrument.symbol}"
        if not self.watched[topic] or not self._due(topic, _TICKER_NS):
            return []
        now = self.ticker()
        changed = {key: value for key, value in now.items() if self._ticker.get(key) != value}
        self._ticker = now
        if not changed:
            return []
        if self.spot:
            return [(topic, self._ticker_frame("snapshot", now))]
        row = {"symbol": self.instrument.symbol, **changed}
        return [(topic, self._ticker_frame("delta", row))]

    def _ticker_frame(self, kind: str, row: Row) -> bytes:
        topic, ts_ms = f"tickers.{self.instrument.symbol}", self.now_ns // MS
        if self.spot:
            return encoded({"topic": topic, "ts": ts_ms, "type": kind, "cs": self.seq, "data": row})
        return encoded({"topic": topic, "type": kind, "data": row, "cs": self.seq, "ts": ts_ms})

    def _due(self, topic: str, interval_ns: int) -> bool:
        due = self.now_ns - self._pushed_ns.get(topic, 0) >= interval_ns
        if due:
            self._pushed_ns[topic] = self.now_ns
        return due

    def _topic(self, view: DepthView) -> str:
        return f"orderbook.{view.depth}.{self.instrument.symbol}"

    def _on_grid(self, price: float) -> str:
        return self.price(round(price / self.instrument.tick))

    @property
    def _ms_ns(self) -> Ns:
        """Now in whole milliseconds, as the wire can say it."""
        return Ns(self.now_ns - self.now_ns % MS)


def instrument_row(instrument: Instrument) -> Row:
    """One row of GET /v5/market/instruments-info. Limits of size that no tape states are wide."""
    row: Row = {"symbol": instrument.symbol, "status": "Trading", "baseCoin": instrument.base}
    row["quoteCoin"] = instrument.quote
    size = formatter(instrument.lot_size, stripped=True)
    least = size(instrument.min_lots)
    most = _WIDE_QTY if instrument.max_lots is None else size(instrument.max_lots)
    if category(instrument) == "spot":
        row["innovation"], row["marginTrading"] = "0", "none"
        row["lotSizeFilter"] = {
            "basePrecision": instrument.lot_size,
            "quotePrecision": "0.00000001",
            "minOrderQty": least,
            "maxOrderQty": most,
            "minOrderAmt": money(instrument.min_notional),
            "maxOrderAmt": most,
        }
        row["priceFilter"] = {"tickSize": instrument.tick_size}
        return row
    inverse = instrument.contract is Contract.INVERSE
    row |= {
        "contractType": "InversePerpetual" if inverse else "LinearPerpetual",
        "settleCoin": instrument.settled_in,
    }
    row |= {"launchTime": "0", "deliveryTime": "0", "deliveryFeeRate": "", "fundingInterval": 480}
    row["priceScale"] = str(len(instrument.tick_size.partition(".")[2]))
    row["leverageFilter"] = {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"}
    row["priceFilter"] = {
        "minPrice": instrument.tick_size,
        "maxPrice": "1999999.80",
        "tickSize": instrument.tick_size,
    }
    row["lotSizeFilter"] = {
        "maxOrderQty": most,
        "minOrderQty": least,
        "qtyStep": instrument.lot_size,
        "postOnlyMaxOrderQty": most,
        "maxMktOrderQty": most,
        "minNotionalValue": money(instrument.min_notional),
    }
    row |= {"unifiedMarginTrade": True, "isPreListing": False, "preListingInfo": None, "copyTrading": "none"}
    return row


def id_of(space: int, number: int, *, spot: bool) -> str:
    """An order or execution id in the venue's shape: a UUID for futures, a number for spot."""
    return str(space * 10**15 + number) if spot else futures_id(space, number)
