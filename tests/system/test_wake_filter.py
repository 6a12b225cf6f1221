"""The wake filter leaves out ticks and nothing else: orders, fills, events and the ticks kept are equal."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.system.test_engines_agree import (
    KEY,
    PLAYED_S,
    ROOT,
    START,
    Played,
    configured,
    feed,
    instrument,
    models,
    play,
    streams,
)

from mmbot.config.settings import Settings
from mmbot.errors import ConfigError
from mmbot.model.events import BookDelta, BookSnapshot, MarketEvent
from mmbot.model.instrument import Contract
from mmbot.model.records import EventRow, FillRow, Row, TickRow, TraceRow
from mmbot.runtime.filtered import FilteredReplay
from mmbot.runtime.run import EngineKind, Run, RunRequest
from mmbot.runtime.tape import Tape
from mmbot.sim.market import MarketSettings, SyntheticMarket
from mmbot.units import MS, SECOND, Ns

SPREADS = st.fixed_dictionaries(
    {
        "base_bps": st.sampled_from([15.0, 40.0]),
        "min_bps": st.just(1.0),
        "max_bps": st.just(200.0),
        "slew_bps_per_s": st.sampled_from([1.0, 100.0]),
        "volatility_reference_bps": st.sampled_from([5.0, 1e5]),
        "liquidity_weight_bps": st.sampled_from([0.0, 1.5, 30.0]),
        "liquidity_fast_halflife_s": st.sampled_from([0.5, 5.0]),
        "latency_reference_ms": st.sampled_from([5.0, 50.0]),
        "drawdown_reference_quote": st.sampled_from([0.5, 10.0]),
        "cool_off_s": st.sampled_from([0.0, 2.0]),
    }
)
SPIKES = st.fixed_dictionaries(
    {"move_bps": st.sampled_from([15.0, 60.0, 300.0]), "hold_ms": st.sampled_from([100.0, 900.0])}
)
ALIGNERS = st.fixed_dictionaries(
    {"hold_bps": st.sampled_from([0.3, 15.0, 60.0]), "lead_bps": st.sampled_from([0.0, 12.0, 25.0])}
)
CALM = {"ttl_ms": 3000, "fresh_ms_for_pricing": 3000, "invalidate_on_ws_gap_ms": 4000}
"""A cache for markets that pause."""
FAIR_VALUES = st.sampled_from(["mid", "weighted_mid", "microprice"])


def with_and_without(tape: Tape, chosen: Settings, sample_ns: int = 5 * SECOND) -> tuple[Played, Played]:
    """The same run with every tick, and filtered."""
    every = play(tape, chosen, compiled=True, sample_ns=sample_ns)
    return every, play(tape, chosen, compiled=True, shell=FilteredReplay, sample_ns=sample_ns)


def assert_nothing_else_is_missing(every: Played, filtered: Played) -> None:
    assert filtered.digest == every.digest
    assert filtered.queues == every.queues
    ticks = [row for row in every.rows if isinstance(row, TickRow)]
    kept = [row for row in filtered.rows if isinstance(row, TickRow)]
    assert [row for row in filtered.rows if not isinstance(row, TickRow | TraceRow)] == [
        row for row in every.rows if not isinstance(row, TickRow | TraceRow)
    ]
    traced = [row for row in every.rows if isinstance(row, TraceRow)]
    assert [row for row in filtered.rows if isinstance(row, TraceRow)] == [
        row for row in traced if (row.symbol, row.seq) in {(tick.symbol, tick.seq) for tick in kept}
    ]
    by_number = {(row.symbol, row.seq): row for row in ticks}
    assert all(row == by_number[row.symbol, row.seq] for row in kept)
    assert len(kept) + filtered.skipped_ticks == len(ticks)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(streams(), models, SPREADS, ALIGNERS, FAIR_VALUES, SPIKES, st.booleans())
def test_any_market_trades_the_same(
    events: list[MarketEvent],
    sim: dict[str, object],
    spread: dict[str, object],
    aligner: dict[str, object],
    fair_value: str,
    fast_cancel: dict[str, object],
    amend: bool,  # noqa: FBT001
) -> None:
    chosen = configured(
        async_batch={"amend": amend},
        sim=sim,
        spread=spread,
        aligner=aligner,
        fetch_md={"fair_value": fair_value, "microprice_refit_ticks": 7},
        md_cache=CALM,
        fast_cancel=fast_cancel,
        vitals={"latency_halflife_s": 0.5, "drawdown_window_s": 3},
    )
    tape = Tape("synthetic", [feed(events, instrument(), exchange_clock=True)])

    assert_nothing_else_is_missing(*with_and_without(tape, chosen))


def test_the_random_markets_do_let_it_sleep() -> None:
    """A comparison of runs in which every tick is played would prove nothing."""
    slept: list[int] = []

    @settings(max_examples=80, deadline=None, database=None, derandomize=True)
    @given(streams(), SPREADS, ALIGNERS, SPIKES)
    def collect(
        events: list[MarketEvent],
        spread: dict[str, object],
        aligner: dict[str, object],
        fast_cancel: dict[str, object],
    ) -> None:
        tape = Tape("synthetic", [feed(events, instrument(), exchange_clock=True)])
        chosen = configured(spread=spread, aligner=aligner, md_cache=CALM, fast_cancel=fast_cancel)
        slept.append(play(tape, chosen, compiled=True, shell=FilteredReplay, sample_ns=SECOND).skipped_ticks)

    collect()

    assert sum(ticks > 0 for ticks in slept) >= 5


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(streams(), streams("bybit_linear:YUSDT"), SPREADS, ALIGNERS)
def test_each_of_two_symbols_sleeps_by_itself(
    one: list[MarketEvent], two: list[MarketEvent], spread: dict[str, object], aligner: dict[str, object]
) -> None:
    inverse = instrument("YUSDT", Contract.INVERSE)
    feeds = [feed(one, instrument(), exchange_clock=True), feed(two, inverse, exchange_clock=False)]

    assert_nothing_else_is_missing(
        *with_and_without(Tape("synthetic", feeds), configured(spread=spread, aligner=aligner, md_cache=CALM))
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("fair_value", ["mid", "weighted_mid", "microprice"])
@pytest.mark.parametrize("drawdown_reference_quote", [10.0, 0.01])
def test_a_market_that_trades_sleeps_often_and_misses_nothing(
    seed: int, fair_value: str, drawdown_reference_quote: float
) -> None:
    """Two minutes with fills, a position that skews, a spread that moves with liquidity, and with losses;
    of every other market with amends.
    """
    amend = seed % 2 == 1
    market = MarketSettings(
        symbol=KEY, duration_s=120.0, depth_levels=10, trades_per_s=8.0, trade_lots_log_mean=3.0
    )
    chosen = configured(
        spread={
            "base_bps": 2.0, "min_bps": 0.5, "slew_bps_per_s": 2.0, "volatility_reference_bps": 50.0,
            "liquidity_weight_bps": 1.5, "drawdown_reference_quote": drawdown_reference_quote,
        },
        async_batch={"amend": amend},
        vitals={"drawdown_window_s": 5},
        aligner={"hold_bps": 0.5, "lead_bps": 0.5},
        emit={"order_notional_quote": 50.0},
        inventory={"max_position_quote": 300.0, "dead_band_ratio": 0.1, "max_skew_bps": 1.0},
        limits={"max_position_quote": 1e6},
        fetch_md={"fair_value": fair_value, "microprice_refit_ticks": 100},
        queue_aware={"max_eta_s": 20.0, "max_reprice_bps": 1.5, "min_edge_bps": 1.0},
    )  # fmt: skip
    events = list(SyntheticMarket(market, seed, Ns(START)).events())
    tape = Tape("synthetic", [feed(events, instrument(), exchange_clock=True)])

    every, filtered = with_and_without(tape, chosen)

    assert_nothing_else_is_missing(every, filtered)
    assert (every.amends > 0) is amend
    assert sum(isinstance(row, FillRow) for row in every.rows) > 5
    assert filtered.skipped_ticks > 0


def stepping(mids: list[int]) -> list[MarketEvent]:
    """A book of one tick's spread and ten levels a side, whose best bid moves as told, every 50 ms."""
    now_ns, at = START, mids[0]
    levels = ([(at - step, 100) for step in range(10)], [(at + 1 + step, 100) for step in range(10)])
    events: list[MarketEvent] = [BookSnapshot(KEY, Ns(now_ns), Ns(now_ns), *levels)]
    for to in mids[1:]:
        now_ns += 50 * MS
        before = {at - step for step in range(10)}, {at + 1 + step for step in range(10)}
        after = {to - step for step in range(10)}, {to + 1 + step for step in range(10)}
        changes = [
            [(tick, 0) for tick in sorted(old - new)] + [(tick, 100) for tick in sorted(new)]
            for old, new in zip(before, after, strict=True)
        ]
        events.append(BookDelta(KEY, Ns(now_ns), Ns(now_ns), *changes))
        at = to
    return events


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("jump", "spikes"), [(25, 0), (31, 1)])
def test_a_spike_is_judged_from_the_mid_at_the_last_tick_slept_through(
    sign: int, jump: int, spikes: int
) -> None:
    """The mid drifts within the band, and then leaves it: what counts is how far it went in that tick."""
    drifted = [10_000] * 84 + [10_000 + sign * step for step in range(11)]  # between two marks of the account
    events = stepping([*drifted, drifted[-1], *[drifted[-1] + sign * jump] * 80])
    chosen = configured(
        spread={"base_bps": 40.0, "volatility_reference_bps": 1e5, "max_bps": 100.0},
        aligner={"hold_bps": 60.0, "lead_bps": 25.0},
        fetch_md={"fair_value": "mid", "microprice_refit_ticks": 3000},
        emit={"order_notional_quote": 505.0},
        fast_cancel={"move_bps": 30.0, "hold_ms": 500.0},
    )
    every, filtered = with_and_without(
        Tape("synthetic", [feed(events, instrument(), exchange_clock=True)]), chosen, 60 * SECOND
    )

    assert_nothing_else_is_missing(every, filtered)
    assert filtered.skipped_ticks > 20
    assert sum(isinstance(row, EventRow) and row.kind == "fast_cancel" for row in every.rows) == spikes


FITTED = ("btc-like", "btcusdt-8m")
"""One market, and what was fitted to it: the busiest, and to a filter like the others."""


@pytest.mark.parametrize(
    "scenario",
    [pytest.param(name, marks=pytest.mark.slow) if name in FITTED else name for name in PLAYED_S],
)
def test_every_scenario_trades_the_same(scenario: str, tmp_path: Path) -> None:
    data = ROOT.parent / "shared/data"
    if scenario in ("nexo-24h", "btcusdt-8m", "eth-3venues") and not data.is_dir():
        pytest.skip("captures are not here: no ../shared/data")

    def played(*, wake_filter: bool) -> Run:
        run = Run(request(scenario, tmp_path / str(wake_filter), data, wake_filter=wake_filter))
        for _ in run:
            pass
        return run

    every, filtered = played(wake_filter=False), played(wake_filter=True)

    assert filtered.digest == every.digest
    assert filtered.counts.skipped_ticks > 0
    assert filtered.counts.ticks + filtered.counts.skipped_ticks == every.counts.ticks
    assert filtered.counts.orders == every.counts.orders > 0


def request(scenario: str, directory: Path, data: Path, **more: object) -> RunRequest:
    facts = {
        "scenario": scenario, "scenarios": ROOT / "scenarios", "config": [ROOT / "config.yaml"], "data": data,
        "run_id": "x", "directory": directory, "duration_s": PLAYED_S[scenario],
        "engine": EngineKind.COMPILED,
    }  # fmt: skip
    return RunRequest(**(facts | more))


class _Events:
    """Observes what kinds of events a run told."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def rows(self, rows: Sequence[Row]) -> None:
        self.kinds += [row.kind for row in rows if isinstance(row, EventRow)]


def test_a_halt_ends_a_filtered_run_with_its_quotes_pulled(tmp_path: Path) -> None:
    run = Run(request("nexo-like", tmp_path / "run", tmp_path, wake_filter=True))
    seen = _Events()
    run.observers.append(seen)
    for number, _ in enumerate(run):
        if number == 3:
            run.halt("enough")
    assert seen.kinds[-1] == "halt"
    assert not run.engine.working
    assert run.counts.ticks + run.counts.skipped_ticks < 5_000


def test_a_filtered_run_that_is_finished_is_one_that_was_to_last_so_long(tmp_path: Path) -> None:
    told = Run(request("nexo-like", tmp_path / "told", tmp_path, wake_filter=True))
    for number, _ in enumerate(told):
        if number == 3:
            told.finish("decided")
    manifest = msgspec.json.decode((tmp_path / "told/manifest.json").read_bytes())
    assert (manifest["status"], manifest["reason"]) == ("complete", "decided")
    lasted_s = (manifest["ended_ns"] - manifest["started_ns"]) / SECOND
    short = Run(request("nexo-like", tmp_path / "short", tmp_path, wake_filter=True, duration_s=lasted_s))
    list(short)
    assert told.digest == short.digest
    assert told.counts == short.counts
    assert 0 < told.counts.ticks + told.counts.skipped_ticks < 5_000


def test_the_filter_needs_the_kernel(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="wake filter needs the compiled engine"):
        Run(request("nexo-like", tmp_path, tmp_path, wake_filter=True, engine=EngineKind.PLAIN))
