"""Pieces of a replay in one run and in CPU time: their ratios count. Nothing is asserted about time."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.bench.compare import FLOOR
from tests.bench.conftest import present
from tests.bench.workload import Asked, cpu_time, load
from tests.mmbot.builders import REPO, run_request, tick_row

from mmbot.book.market import EventMarket
from mmbot.clock import stopwatch
from mmbot.runtime.assemble import fed_markets, plain_markets
from mmbot.runtime.run import EngineKind, Run

pytest.importorskip("pytest_benchmark")
pytestmark = pytest.mark.bench

Benchmark = Any


def asked(tape: Path, variant: str) -> Asked:
    return Asked(columns=tape, tick_ms=1000, repeat=1, order_lots=1, variant=variant, fills=False)


@pytest.mark.benchmark(group="reference hour, 1 s ticks", timer=cpu_time)
@pytest.mark.parametrize("variant", ["no_strategy", "every_tick", "quiet_band"])
def test_kernel(tape: Path, benchmark: Benchmark, variant: str) -> None:
    from tests.bench.kernel_replay import VARIANTS  # noqa: PLC0415 (loads numba)

    columns, what = load(tape), asked(tape, variant)
    outcome = benchmark.pedantic(VARIANTS[variant], (columns, what), rounds=5, warmup_rounds=1)

    benchmark.extra_info["ns_per_event"] = benchmark.stats.stats.median * 1e9 / len(columns["kind"])
    assert outcome.ticks > 2000


@pytest.mark.benchmark(group="reference hour, 1 s ticks", timer=cpu_time)
def test_c_floor(tape: Path, tmp_path: Path, benchmark: Benchmark) -> None:
    present(FLOOR)
    from tests.bench.peers.c_floor import compiled, replay  # noqa: PLC0415 (needs cc)

    play, columns, what = compiled(tmp_path), load(tape), asked(tape, "floor")
    _, outcome = benchmark.pedantic(replay, (play, columns, what), rounds=5, warmup_rounds=1)

    benchmark.extra_info["ns_per_event"] = benchmark.stats.stats.median * 1e9 / len(columns["kind"])
    assert outcome.ticks > 3500


@pytest.mark.benchmark(group="demo scenario, 5 minutes, rows written", timer=cpu_time)
@pytest.mark.parametrize("engine", [EngineKind.PLAIN, EngineKind.COMPILED])
def test_scenario(tmp_path: Path, benchmark: Benchmark, engine: EngineKind) -> None:
    numbers = itertools.count()

    def opened() -> tuple[tuple[Run], dict[str, Any]]:
        request = run_request(
            tmp_path,
            f"run-{next(numbers)}",
            scenario="demo",
            scenarios=REPO / "scenarios",
            duration_s=300.0,
            engine=engine,
        )
        return (Run(request),), {}

    def play(run: Run) -> int:
        return sum(len(lines) for _, lines in run)

    assert benchmark.pedantic(play, setup=opened, rounds=5, warmup_rounds=1) > 0


@pytest.mark.benchmark(group="demo scenario, events fed one by one", timer=cpu_time)
@pytest.mark.parametrize("markets", [plain_markets, fed_markets])
def test_feeding(
    tmp_path: Path, benchmark: Benchmark, markets: Callable[..., dict[str, EventMarket]]
) -> None:
    run = Run(run_request(tmp_path, scenario="demo", scenarios=REPO / "scenarios"))
    feed = run.tape.feeds[0]
    events = list(itertools.islice(feed.events(), 50_000))

    def fed() -> EventMarket:
        market = markets(run.settings, [feed.instrument])[feed.instrument.key]
        for event in events:
            market.apply(event)
        return market

    assert benchmark.pedantic(fed, rounds=5, warmup_rounds=1).updates > 10_000
    benchmark.extra_info["ns_per_event"] = benchmark.stats.stats.median * 1e9 / len(events)


@pytest.mark.benchmark(group="4096 rows of a tick as JSON", timer=cpu_time)
def test_rows(benchmark: Benchmark) -> None:
    rows = [tick_row(seq=number) for number in range(4096)]

    assert len(benchmark(msgspec.json.Encoder().encode_lines, rows).splitlines()) == 4096


def _untimed(_: Callable[[], int]) -> int:
    return sum((0, 0, 0, 0, 0, 0, 0))


def _timed(clock: Callable[[], int]) -> int:
    """As the pipeline reads it: seven readings around six stages."""
    t0, t1, t2, t3, t4, t5, t6 = clock(), clock(), clock(), clock(), clock(), clock(), clock()
    return sum((t1 - t0, t2 - t1, t3 - t2, t4 - t3, t5 - t4, t6 - t5, t6 - t0))


@pytest.mark.benchmark(group="stopwatch of six stages")
@pytest.mark.parametrize("reading", [_untimed, _timed])
def test_stopwatch(benchmark: Benchmark, reading: Callable[[Callable[[], int]], int]) -> None:
    assert benchmark(reading, stopwatch) >= 0
