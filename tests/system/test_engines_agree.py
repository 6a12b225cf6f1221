"""The kernel and ordinary Python play the same run: every order, fill, tick and event, to the last digit.

Markets here are made to be unpleasant: a few price levels, gaps, crossed books, snapshots in the middle,
silences, trades that eat and pass our orders. Only measured durations may differ, so the stopwatch stands
still.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from tests.mmbot.builders import columns_of_events

from mmbot.config.settings import Settings, load_settings
from mmbot.model.commands import Command
from mmbot.model.events import BookDelta, BookSnapshot, BookTrouble, Confirmed, MarketEvent, Trade, Trouble
from mmbot.model.instrument import Contract, Fees, Instrument, Side
from mmbot.model.records import EventRow, FillRow, Row, SampleRow
from mmbot.runtime.assemble import build_engine, feature_settings, plain_markets
from mmbot.runtime.compiled_world import CompiledWorld
from mmbot.runtime.plain_world import PlainWorld
from mmbot.runtime.replay import Replay, Times
from mmbot.runtime.run import EngineKind, Run, RunRequest
from mmbot.runtime.tape import Tape, TapeFeed
from mmbot.sim.market import MarketSettings, SyntheticMarket
from mmbot.units import MS, SECOND, Lots, Ns, Ticks

ROOT = Path(__file__).parents[2]
START = 1_700_000_000 * SECOND
KEY = "bybit_linear:XUSDT"
PLAYED_S = {
    "demo": 1200.0,
    "nexo-like": 1200.0,
    "btc-like": 1200.0,
    "nexo-24h": 1200.0,
    "btcusdt-8m": 470.0,
    "eth-3venues": 340.0,
}
"""How much of each scenario: the last two are no longer."""


def instrument(symbol: str = "XUSDT", contract: Contract = Contract.LINEAR) -> Instrument:
    fees = Fees("test", 1.0, 5.0)
    return Instrument("bybit_linear", symbol, "X", "USDT", "0.1", "0.01", 1.0, fees, contract, 1.0)


@dataclass
class Played:
    """All rows of a run, its digest, when each request was sent, and where each working order stood in its
    queue, second by second.
    """

    rows: list[Row]
    digest: str
    sent_ns: list[int]
    queues: list[dict[str, int | None]]
    amends: int
    skipped_ticks: int = 0


def play(
    tape: Tape,
    chosen: Settings,
    *,
    compiled: bool,
    shell: type[Replay] = Replay,
    sample_ns: int = SECOND,
    believed: list[Instrument] | None = None,
) -> Played:
    """`believed`: what the bot takes the instruments for, if not for what the venue trades."""
    instruments = believed or [feed.instrument for feed in tape.feeds]
    still: Callable[[], int] = lambda: 0  # noqa: E731
    if compiled:
        features = feature_settings(chosen)
        world = CompiledWorld(tape.feeds, chosen.md_cache, features, chosen.sim, 3)
        engine = build_engine(chosen, instruments, world.markets, arm="A", clock=still)
    else:
        engine = build_engine(chosen, instruments, plain_markets(chosen, instruments), arm="A", clock=still)
    times = Times(
        first_ns=max(feed.columns.meta.first_ns for feed in tape.feeds),
        tape_end_ns=tape.last_ns,
        tick_ns=round(chosen.pipeline.tick_interval_ms * MS),
        sample_ns=sample_ns,
        duration_ns=None,
    )
    make = (
        (lambda on_fill: world.attach(engine, on_fill))
        if compiled
        else (lambda on_fill: PlainWorld(tape, engine, chosen.sim, 3, on_fill))
    )
    queues: list[dict[str, int | None]] = []

    def each_second() -> int:
        for bot in engine.bots.values():
            working = [order.client_id for order in bot._blotter.slots.values()]
            queues.append({name: bot.market.ahead_lots(name) for name in working})
        return 0

    replay = shell(engine, times, make, each_second)
    send, sent_ns = replay._world.send, list[int]()

    def noting_send(now_ns: int, command: Command) -> None:
        sent_ns.append(now_ns)
        send(now_ns, command)

    replay._world.send = noting_send
    rows = sorted((row for batch in replay.run() for row in batch), key=_kind_and_time)
    return Played(rows, replay.digest, sent_ns, queues, replay.counts.amends, replay.counts.skipped_ticks)


def _kind_and_time(row: Row) -> tuple[str, int, str]:
    """Rows of one kind keep their order within a symbol; kinds are files of their own."""
    return type(row).__name__, row.ts_ns, row.symbol or ""


def configured(**changes: dict[str, object]) -> Settings:
    """The shipped configuration, made to trade in a narrow market, with changes on top."""
    shipped = msgspec.to_builtins(load_settings([ROOT / "config.yaml"]))
    narrow: dict[str, dict[str, object]] = {
        "spread": {
            "base_bps": 8.0,
            "min_bps": 1.0,
            "slew_bps_per_s": 100.0,
            "volatility_reference_bps": 50.0,
        },
        "trace": {"sample_rate": 0.3},
        "guards": {"soft_volatility_bps": 1e6, "hard_volatility_bps": 1e7, "recovery_s": 0.0},
        "emit": {"order_notional_quote": 50.0},
        "fetch_md": {"microprice_refit_ticks": 7},
        "queue_aware": {"max_eta_s": 0.1, "max_reprice_bps": 100.0, "min_edge_bps": -100.0},
    }
    for layer in (narrow, changes):
        for section, values in layer.items():
            shipped[section] = {**shipped[section], **values}
    return msgspec.convert(shipped, Settings)


LOW, HIGH = 990, 1010
sizes = st.integers(0, 400)
levels = st.dictionaries(st.integers(LOW, HIGH), sizes, max_size=4).map(lambda side: sorted(side.items()))
full = st.dictionaries(st.integers(1, 10), st.integers(1, 400), min_size=1, max_size=10)


@st.composite
def streams(draw: st.DrawFn, symbol: str = KEY) -> list[MarketEvent]:
    """A market of one symbol; times rise, venue stamps wander around them."""
    now = START + draw(st.integers(0, 50)) * MS

    def snapshot() -> BookSnapshot:
        middle = draw(st.integers(LOW + 3, HIGH - 3))
        bids = sorted(
            (middle - distance, lots) for distance, lots in draw(full).items() if middle - distance >= LOW
        )
        asks = sorted(
            (middle + distance, lots) for distance, lots in draw(full).items() if middle + distance <= HIGH
        )
        return BookSnapshot(symbol, Ns(now), Ns(now), bids, asks)

    events: list[MarketEvent] = [snapshot()]
    for _ in range(draw(st.integers(20, 60))):
        now += draw(st.sampled_from([0, 1, 7, 40, 100, 260, 900])) * MS
        exch = Ns(now - draw(st.integers(-20, 60)) * MS)
        kind = draw(st.sampled_from("ddddddttttttcsg"))
        if kind == "d":
            events.append(BookDelta(symbol, exch, Ns(now), draw(levels), draw(levels)))
        elif kind == "t":
            side = draw(st.sampled_from(Side))
            tick, lots = Ticks(draw(st.integers(LOW, HIGH))), Lots(draw(st.integers(1, 300)))
            events.append(Trade(symbol, exch, Ns(now), side, tick, lots))
        elif kind == "c":
            events.append(Confirmed(symbol, Ns(now)))
        elif kind == "s":
            events.append(snapshot())
        else:
            trouble = draw(st.sampled_from([Trouble.GAP, Trouble.DUPLICATE]))
            events.append(BookTrouble(symbol, exch, Ns(now), trouble, "planted"))
    events.append(Confirmed(symbol, Ns(now + 3 * SECOND)))
    return events


def feed(events: list[MarketEvent], key: Instrument, *, exchange_clock: bool) -> TapeFeed:
    return TapeFeed(key, columns_of_events(events), ["planted"], "0" * 64, exchange_clock)


models = st.fixed_dictionaries(
    {
        "queue": st.sampled_from([{"model": "risk_averse"}, {"model": "power", "power": 2.0}]),
        "market_data": st.sampled_from([0, 5, 30]).map(lambda ms: {"model": "constant", "median_ms": ms}),
        "entry": st.sampled_from(
            [{"model": "constant", "median_ms": 0}, {"model": "lognormal", "median_ms": 8, "sigma": 1}]
        ),
        "response": st.sampled_from(
            [{"model": "constant", "median_ms": 3}, {"model": "lognormal", "median_ms": 8, "sigma": 1}]
        ),
        "resync": st.sampled_from(
            [{"model": "constant", "median_ms": 60}, {"model": "lognormal", "median_ms": 60, "sigma": 1}]
        ),
    }
)
caches = st.fixed_dictionaries(
    {
        "ttl_ms": st.sampled_from([1, 50, 250]),
        "fresh_ms_for_pricing": st.sampled_from([50, 300]),
        "invalidate_on_ws_gap_ms": st.sampled_from([300, 1000]),
        "stale_ok": st.booleans(),
        "refresh_retry_ms": st.sampled_from([50, 1000]),
    }
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(streams(), models, caches, st.integers(1, 3), st.booleans(), st.booleans(), st.booleans())
def test_any_market_and_any_models_give_the_same_rows(
    events: list[MarketEvent],
    sim: dict[str, object],
    cache: dict[str, object],
    levels: int,
    exchange_clock: bool,  # noqa: FBT001
    amend: bool,  # noqa: FBT001
    taking: bool,  # noqa: FBT001
) -> None:
    chosen = configured(
        sim=sim,
        md_cache=cache,
        emit={"order_notional_quote": 50.0, "levels": levels},
        async_batch={"amend": amend},
        aligner={"post_only": not taking},
        taker_cap={"max_taker_share_pct": 100.0},
    )
    tape = Tape("synthetic", [feed(events, instrument(), exchange_clock=exchange_clock)])

    plain, compiled = (play(tape, chosen, compiled=kind) for kind in (False, True))

    assert compiled == plain


@pytest.mark.parametrize("queue", [{"model": "risk_averse"}, {"model": "power", "power": 2.0}])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("taking", [False, True])
def test_a_lively_market_moves_queues_alike(seed: int, queue: dict[str, object], taking: bool) -> None:  # noqa: FBT001
    """Two minutes at the touch of a busy market: hundreds of fills, most of them after waiting in a queue."""
    market = MarketSettings(
        symbol=KEY, duration_s=120.0, depth_levels=10, trades_per_s=20.0, trade_lots_log_mean=3.0
    )
    events = list(SyntheticMarket(market, seed, Ns(START)).events())
    chosen = configured(
        spread={"base_bps": 0.5, "min_bps": 0.1, "slew_bps_per_s": 100.0, "volatility_reference_bps": 50.0},
        emit={"order_notional_quote": 200.0, "levels": 2},
        inventory={"max_position_quote": 1e6},
        limits={"max_position_quote": 1e6},
        queue_aware={"max_eta_s": 2.0, "max_reprice_bps": 100.0, "min_edge_bps": -100.0},
        sim={"queue": queue},
        aligner={"post_only": not taking},
        taker_cap={"max_taker_share_pct": 100.0},
    )
    tape = Tape("synthetic", [feed(events, instrument(), exchange_clock=True)])

    plain, compiled = (play(tape, chosen, compiled=kind) for kind in (False, True))

    fills = [row for row in plain.rows if isinstance(row, FillRow)]
    assert len(fills) > 100
    assert any(row.liquidity == "taker" for row in fills) is taking
    assert compiled == plain


@pytest.mark.parametrize("queue", [{"model": "risk_averse"}, {"model": "power", "power": 2.0}])
@pytest.mark.parametrize("taking", [False, True])
def test_amended_orders_keep_and_lose_their_places_alike(queue: dict[str, object], taking: bool) -> None:  # noqa: FBT001
    """Orders that follow a busy market, shrink while a guard is soft, and lose races on a slow line."""
    market = MarketSettings(
        symbol=KEY, duration_s=120.0, depth_levels=10, trades_per_s=20.0, trade_lots_log_mean=3.0
    )
    events = list(SyntheticMarket(market, 2, Ns(START)).events())
    chosen = configured(
        spread={"base_bps": 0.5, "min_bps": 0.1, "slew_bps_per_s": 100.0, "volatility_reference_bps": 50.0},
        emit={"order_notional_quote": 200.0, "levels": 2},
        inventory={"max_position_quote": 1e6},
        limits={"max_position_quote": 1e6},
        queue_aware={"max_eta_s": 2.0, "max_reprice_bps": 100.0, "min_edge_bps": -100.0},
        guards={
            "soft_volatility_bps": 1.0, "hard_volatility_bps": 1e7, "soft_widen_ratio": 1.0, "recovery_s": 0.0
        },
        sim={"queue": queue, "entry": {"model": "lognormal", "median_ms": 20, "sigma": 1}},
        aligner={"post_only": not taking},
        async_batch={"amend": True},
        taker_cap={"max_taker_share_pct": 100.0},
    )  # fmt: skip
    tape = Tape("synthetic", [feed(events, instrument(), exchange_clock=True)])

    plain, compiled = (play(tape, chosen, compiled=kind) for kind in (False, True))

    assert compiled == plain
    assert plain.amends > 100
    assert sum(isinstance(row, FillRow) for row in plain.rows) > 30
    assert {row.kind for row in plain.rows if isinstance(row, EventRow)} >= {"amend_reject"}


@pytest.mark.parametrize("bounds", [{"min_lots": 10**6}, {"max_lots": 1}])
def test_a_venue_that_takes_other_sizes_than_we_believe_rejects_alike(bounds: dict[str, int]) -> None:
    market = MarketSettings(symbol=KEY, duration_s=5.0, depth_levels=10)
    events = list(SyntheticMarket(market, 1, Ns(START)).events())
    strict = msgspec.structs.replace(instrument(), **bounds)
    tape = Tape("synthetic", [feed(events, strict, exchange_clock=True)])

    plain, compiled = (
        play(tape, configured(), compiled=kind, believed=[instrument()]) for kind in (False, True)
    )

    told = [
        row.detail["reason"] for row in plain.rows if isinstance(row, EventRow) and row.kind == "order_reject"
    ]
    assert set(told) == {"size is not one that the venue takes"}
    assert compiled == plain


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(streams(), streams("bybit_linear:YUSDT"))
def test_two_symbols_do_not_disturb_each_other(one: list[MarketEvent], two: list[MarketEvent]) -> None:
    chosen = configured()
    inverse = instrument("YUSDT", Contract.INVERSE)
    feeds = [feed(one, instrument(), exchange_clock=True), feed(two, inverse, exchange_clock=False)]

    plain, compiled = (play(Tape("synthetic", feeds), chosen, compiled=kind) for kind in (False, True))

    assert compiled == plain


@pytest.mark.parametrize("scenario", PLAYED_S)
def test_every_scenario_gives_the_same_digest(scenario: str, tmp_path: Path) -> None:
    data = ROOT.parent / "shared/data"
    if scenario in ("nexo-24h", "btcusdt-8m", "eth-3venues") and not data.is_dir():
        pytest.skip("captures are not here: no ../shared/data")
    digests = {}
    for kind in (EngineKind.PLAIN, EngineKind.COMPILED):
        request = RunRequest(
            scenario=scenario,
            scenarios=ROOT / "scenarios",
            config=[ROOT / "config.yaml"],
            data=data,
            run_id="x",
            directory=tmp_path / kind,
            duration_s=PLAYED_S[scenario],
            engine=kind,
        )
        run = Run(request)
        for _ in run:
            pass
        digests[kind] = (run.digest, run.counts)

    assert digests[EngineKind.PLAIN] == digests[EngineKind.COMPILED]
    assert digests[EngineKind.PLAIN][1].orders > 0


def test_more_orders_than_the_kernel_holds_end_the_run_and_nothing_is_overwritten() -> None:
    market = MarketSettings(symbol=KEY, duration_s=5.0, depth_levels=10)
    tape = Tape(
        "synthetic",
        [feed(list(SyntheticMarket(market, 1, Ns(START)).events()), instrument(), exchange_clock=True)],
    )
    chosen = configured(
        emit={"order_notional_quote": 10.0, "levels": 40},
        limits={"max_position_quote": 1e6},
        throttle={"messages_per_s": 1000},
        async_batch={"max_orders": 100},
    )

    assert play(tape, chosen, compiled=False).rows
    with pytest.raises(RuntimeError, match="more than 64 orders"):
        play(tape, chosen, compiled=True)


def test_the_random_markets_do_make_trades_rejects_and_resyncs() -> None:
    """A comparison of runs in which nothing happens would prove nothing."""
    missing = {
        "FillRow",
        "order_reject",
        "resync_request",
        "resync_done",
        "crossed",
        "gap",
        "duplicate",
    }

    def collect(events: list[MarketEvent]) -> None:
        tape = Tape("synthetic", [feed(events, instrument(), exchange_clock=True)])
        for row in play(tape, configured(), compiled=True).rows:
            if not isinstance(row, SampleRow):
                missing.discard(getattr(row, "kind", type(row).__name__))

    for number in range(10):
        fifty = settings(max_examples=50, deadline=None, database=None)(given(streams())(collect))
        seed(number)(fifty)()
        if not missing:
            break

    assert not missing
