"""Real things, built shortly: instruments, settings, books, engines, markets, run requests."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from mmbot.book.l2 import L2Book
from mmbot.book.market import PlainMarket
from mmbot.book.measures import PricedView
from mmbot.config.settings import Settings, load_settings
from mmbot.engine.engine import Engine
from mmbot.model.events import BookDelta, BookSnapshot, Confirmed, Fill, Level, MarketEvent, Trade
from mmbot.model.instrument import Contract, Fees, Instrument, Side
from mmbot.model.records import FillRow, TickRow
from mmbot.recording.builder import ColumnsBuilder
from mmbot.recording.columns import Columns
from mmbot.runtime.assemble import build_engine, feature_settings, plain_markets
from mmbot.runtime.run import RunRequest
from mmbot.units import MS, SECOND, Lots, Ns, Ticks

Command = Callable[..., tuple[int, str, str]]
"""The console script: arguments in; exit code, stdout and stderr out."""
REPO = Path(__file__).parents[2]
START_NS = 1_767_225_600 * SECOND
"""2026-01-01T00:00:00Z."""


def linear(**changes: Any) -> Instrument:
    """A perpetual with a tick of 0.01 and a lot of 0.01; maker 2 bps, taker 5.5 bps."""
    facts: dict[str, Any] = {
        "venue": "bybit_linear",
        "symbol": "SYNTHUSDT",
        "base": "SYNTH",
        "quote": "USDT",
        "tick_size": "0.01",
        "lot_size": "0.01",
        "min_notional": 5.0,
        "fees": Fees("test", 2.0, 5.5),
    }
    return Instrument(**facts | changes)


def inverse(**changes: Any) -> Instrument:
    """COIN-M ETHUSD_PERP: contracts of 10 USD, settled in ETH."""
    facts: dict[str, Any] = {
        "venue": "binance_coinm",
        "symbol": "ETHUSD_PERP",
        "base": "ETH",
        "quote": "USD",
        "tick_size": "0.01",
        "lot_size": "1",
        "min_notional": 10.0,
        "fees": Fees("test", 2.0, 5.0),
        "contract": Contract.INVERSE,
        "contract_value": 10.0,
    }
    return Instrument(**facts | changes)


KEY = linear().key


@cache
def _shipped() -> Settings:
    return load_settings([REPO / "config.yaml"])


def shipped_settings(**sections: Mapping[str, Any]) -> Settings:
    """config.yaml with some values of some sections changed: `shipped_settings(emit={"levels": 3})`."""
    loaded = _shipped()
    changed = {name: msgspec.structs.replace(getattr(loaded, name), **new) for name, new in sections.items()}
    return msgspec.structs.replace(loaded, **changed)


def book(bids: list[Level], asks: list[Level]) -> L2Book:
    built = L2Book()
    built.replace(bids, asks)
    return built


def view(bid: int, ask: int, bid_lots: int = 100, ask_lots: int = 100, depth_lots: int = 0) -> PricedView:
    return PricedView(bid, ask, bid_lots, ask_lots, depth_lots or bid_lots + ask_lots)


def snapshot(
    bids: list[Level], asks: list[Level], *, ns: int = START_NS, symbol: str = KEY, update_id: int = 0
) -> BookSnapshot:
    return BookSnapshot(symbol, Ns(ns), Ns(ns), bids, asks, update_id)


def delta(
    bids: list[Level], asks: list[Level], *, ns: int = START_NS, symbol: str = KEY, update_id: int = 0
) -> BookDelta:
    return BookDelta(symbol, Ns(ns), Ns(ns), bids, asks, update_id)


def trade(taker: Side, tick: int, lots: int, *, ns: int = START_NS, symbol: str = KEY) -> Trade:
    return Trade(symbol, Ns(ns), Ns(ns), taker, Ticks(tick), Lots(lots))


def confirmed(ns: int, symbol: str = KEY) -> Confirmed:
    return Confirmed(symbol, Ns(ns))


def fill(
    side: Side,
    tick: int,
    lots: int,
    *,
    client_id: str = "mmA-1",
    maker: bool = True,
    mid_x2: int | None = None,
    ns: int = START_NS,
    symbol: str = KEY,
) -> Fill:
    return Fill(symbol, client_id, 1, Ns(ns), Ns(ns), side, Ticks(tick), Lots(lots), maker, mid_x2)


def tick_row(**changes: Any) -> TickRow:
    facts: dict[str, Any] = {
        "ts_ns": START_NS,
        "symbol": KEY,
        "seq": 1,
        "cache": "hit",
        "age_ns": 0,
        "fetch_md_ns": 5,
        "spread_ns": 1,
        "guards_ns": 1,
        "inventory_ns": 1,
        "queue_aware_ns": 1,
        "emit_ns": 2,
        "tick_total_ns": 11,
        "wait_ns": 0,
        "deadline_miss": False,
        "guard": "NONE",
        "reasons": (),
        "mid": 100.0,
        "bid": None,
        "ask": None,
        "half_spread_bps": None,
        "position": 0.0,
        "position_quote": 0.0,
    }
    return TickRow(**facts | changes)


def fill_row(**changes: Any) -> FillRow:
    """Bought at 99.90 with the mid at 100.00."""
    facts: dict[str, Any] = {
        "ts_ns": START_NS,
        "recv_ns": START_NS,
        "symbol": KEY,
        "fill_id": 1,
        "client_id": "mmA-1",
        "side": "buy",
        "price": 99.9,
        "qty": 1.0,
        "liquidity": "maker",
        "fee": 0.02,
        "order_price": 99.9,
        "mid": 100.0,
    }
    return FillRow(**facts | changes)


class HandStopwatch:
    """A stopwatch moved by hand: it shows the sum of the steps, one step a reading, the last one for ever."""

    def __init__(self, *steps_ns: int) -> None:
        self._steps = list(steps_ns)
        self._shown = 0

    def __call__(self) -> int:
        step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        self._shown += step
        return self._shown


def engine_of(settings: Settings, *instruments: Instrument, clock: Callable[[], int] | None = None) -> Engine:
    traded = instruments or (linear(),)
    markets = plain_markets(settings, traded)
    return build_engine(settings, traded, markets, arm="A", clock=clock or HandStopwatch(1_000))


def market_of(**sections: Mapping[str, Any]) -> PlainMarket:
    """A plain market under the shipped settings, with some changed."""
    settings = shipped_settings(**sections)
    return PlainMarket(settings.md_cache, feature_settings(settings))


MARKET: dict[str, Any] = {"symbol": KEY, "duration_s": 20.0, "depth_levels": 20, "trades_per_s": 20.0}


def scenario_file(folder: Path, name: str = "short", **changes: Any) -> Path:
    """A synthetic scenario of some seconds, as a file; JSON is YAML."""
    facts = msgspec.to_builtins(linear())
    scenario: dict[str, Any] = {
        "title": "some seconds of a synthetic market",
        "kind": "synthetic",
        "duration": "15s",
        "seed": 1,
        "market": {"seed": 7, "start_ns": START_NS, "instrument": facts, "settings": MARKET},
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(scenario | changes), indent=1))
    return path


def recorded_file(
    folder: Path, feeds: list[tuple[Instrument, str]], name: str = "taped", **changes: Any
) -> Path:
    """A scenario over captures, as a file; the clocks of venue and recorder are not one."""
    specs = [
        {"instrument": msgspec.to_builtins(instrument), "files": [file], "exchange_clock": "unsynchronised"}
        for instrument, file in feeds
    ]
    facts: dict[str, Any] = {
        "title": "captures made by hand",
        "duration": "1h",
        "feeds": specs,
        "market": None,
    }
    return scenario_file(folder, name, **facts | {"kind": "recorded"} | changes)


def run_request(folder: Path, run_id: str = "run", **changes: Any) -> RunRequest:
    """A run of the short synthetic scenario under `folder`."""
    if not (folder / "scenarios" / "short.yaml").is_file():
        scenario_file(folder / "scenarios")
    facts: dict[str, Any] = {
        "scenario": "short",
        "scenarios": folder / "scenarios",
        "config": [REPO / "config.yaml"],
        "data": None,
        "run_id": run_id,
        "directory": folder / run_id,
    }
    return RunRequest(**facts | changes)


def columns_of_events(events: Iterable[MarketEvent]) -> Columns:
    """Columns of events, each a frame of its own; the maps outlive the folder."""
    with TemporaryDirectory() as folder:
        builder = ColumnsBuilder(Path(folder))
        for event in events:
            builder.add([event])
        builder.finish()
        return Columns.load(Path(folder))


def ms(count: float) -> int:
    """Nanoseconds after START_NS."""
    return START_NS + round(count * MS)


NEXO = linear(venue="binance_spot", symbol="NEXOUSDT", base="NEXO", tick_size="0.001", lot_size="0.01")
USDM = linear(venue="binance_usdm", symbol="BTCUSDT", base="BTC", tick_size="0.1", lot_size="0.001")
WireLevels = list[list[str]]


def wire_stream(name: str, **data: Any) -> bytes:
    """A Binance combined-stream frame, as recorded."""
    return msgspec.json.encode({"stream": name, "data": data})


def wire_snapshot(last_id: int, bids: WireLevels, asks: WireLevels, **extra: Any) -> bytes:
    """A Binance REST depth reply, bare."""
    return msgspec.json.encode({"lastUpdateId": last_id, "bids": bids, "asks": asks, **extra})


def wire_depth(
    first_id: int, last_id: int, bids: WireLevels, asks: WireLevels, *, symbol: str = "NEXOUSDT", **extra: Any
) -> bytes:
    """A Binance depthUpdate; `pu=` makes it a futures one."""
    facts = {"e": "depthUpdate", "E": START_NS // MS, "s": symbol, "U": first_id, "u": last_id}
    return wire_stream(f"{symbol.lower()}@depth@100ms", **facts, b=bids, a=asks, **extra)


def wire_trade(
    price: str, quantity: str, *, sold: bool, symbol: str = "NEXOUSDT", kind: str = "trade", **extra: Any
) -> bytes:
    facts = {"e": kind, "s": symbol, "p": price, "q": quantity, "T": START_NS // MS, "m": sold}
    return wire_stream(f"{symbol.lower()}@{kind}", **facts, **extra)


def capture(path: Path, frames: list[tuple[int, bytes]]) -> Path:
    """A raw recording as it lies in a data folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(b"%d %s\n" % frame for frame in frames))
    return path
