"""Each shadow gate fails on the real engine when its cause is injected, and is NO_DATA without its data.

The bot that runs is the shipped one. A cause is injected where it would arise: a stage that takes longer on
the stopwatch, a time to live that the market cannot meet. The hour is the demo's, ticked once a second to
keep the tests short.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mmbot.clock import stopwatch
from mmbot.runtime.run import Run, RunRequest
from mmbot.units import MS
from pytest_mmgates import RunLog, Verdict
from pytest_mmgates.errors import RunlogError
from pytest_mmgates.gatefile import Gate, read_gate
from pytest_mmgates.judge import GateVerdict, judge
from pytest_mmgates.loader import load

ROOT = Path(__file__).parents[2]


class HeldStopwatch:
    """The real stopwatch, plus what a test adds to it: time passes for the pipeline and for nobody else."""

    def __init__(self) -> None:
        self.added_ns = 0

    def __call__(self) -> int:
        return stopwatch() + self.added_ns


class Slowed:
    """A stage that takes longer on every n-th call; everything else is the stage itself."""

    def __init__(self, stage: Callable[..., object], clock: HeldStopwatch, ms: float, every: int) -> None:
        self._stage, self._clock, self._ns, self._every = stage, clock, int(ms * MS), every
        self._calls = 0

    def __call__(self, *args: object, **kwargs: object) -> object:
        self._calls += 1
        if self._calls % self._every == 0:
            self._clock.added_ns += self._ns
        return self._stage(*args, **kwargs)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stage, name)


@dataclass
class Bench:
    """Makes runs of the demo and judges them by the shipped gate."""

    folder: Path
    gate: Gate

    def run(
        self, name: str, overrides: str = "", duration_s: float | None = None
    ) -> tuple[Run, HeldStopwatch]:
        override = self.folder / f"{name}.yaml"
        override.write_text("pipeline: {tick_interval_ms: 1000}\n" + overrides, encoding="utf-8")
        clock = HeldStopwatch()
        request = RunRequest(
            scenario="demo",
            scenarios=ROOT / "scenarios",
            config=[ROOT / "config.yaml", override],
            data=None,
            run_id=name,
            directory=self.folder / name,
            duration_s=duration_s,
        )
        return Run(request, clock), clock

    def slow(self, run: Run, clock: HeldStopwatch, stage: str, ms: float, every: int = 1) -> None:
        for bot in run.engine.bots.values():
            stages = bot._pipeline._stages
            setattr(stages, stage, Slowed(getattr(stages, stage), clock, ms, every))

    def judged(self, run: Run) -> GateVerdict:
        for _ in run:
            pass
        return judge(self.gate, self.log(run))

    def log(self, run: Run) -> RunLog:
        return load(run._request.directory)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, read_gate(ROOT / "gates/shadow.yaml"))


def verdicts(gate: GateVerdict) -> dict[str, Verdict]:
    return {rule.rule.split()[0]: rule.verdict for rule in gate.rules}


PASSED = {
    "md_cache.hit_ratio": Verdict.PASS,
    "fetch_md.p95": Verdict.PASS,
    "tick_total.p95": Verdict.PASS,
    "deadline_miss.ratio": Verdict.PASS,
}


def test_untouched_the_run_passes_and_says_synthetic(bench: Bench) -> None:
    run, _ = bench.run("untouched")

    judged = bench.judged(run)

    assert verdicts(judged) == PASSED
    assert judged.label == "PASS (SYNTHETIC)"


def test_a_slow_fetch_fails_the_fetch_gate_alone(bench: Bench) -> None:
    run, clock = bench.run("slow-fetch")
    bench.slow(run, clock, "fetch_md", ms=40, every=10)

    assert verdicts(bench.judged(run)) == PASSED | {"fetch_md.p95": Verdict.FAIL}


def test_a_slow_stage_fails_the_tick_gate_alone(bench: Bench) -> None:
    run, clock = bench.run("slow-spread")
    bench.slow(run, clock, "spread", ms=160, every=10)

    assert verdicts(bench.judged(run)) == PASSED | {"tick_total.p95": Verdict.FAIL}


def test_missed_deadlines_fail_the_deadline_gate_alone(bench: Bench) -> None:
    run, clock = bench.run("late")
    bench.slow(run, clock, "emit", ms=250, every=40)

    assert verdicts(bench.judged(run)) == PASSED | {"deadline_miss.ratio": Verdict.FAIL}


def test_a_starved_cache_fails_the_hit_gate_alone(bench: Bench) -> None:
    run, _ = bench.run("starved", "md_cache: {ttl_ms: 20}\n")

    assert verdicts(bench.judged(run)) == PASSED | {"md_cache.hit_ratio": Verdict.FAIL}


def test_a_market_that_falls_silent_costs_waits_that_are_modelled(bench: Bench) -> None:
    """Silence longer than the bound makes misses; each waits for a snapshot, drawn from the resync model."""
    silence = "md_cache: {ttl_ms: 10, fresh_ms_for_pricing: 10, invalidate_on_ws_gap_ms: 10}\n"
    slow = "sim: {resync: {model: constant, median_ms: 180, sigma: 0}}\n"
    run, _ = bench.run("silent", silence + slow)

    judged = bench.judged(run)
    fetch = next(rule for rule in judged.rules if rule.rule.startswith("fetch_md.p95"))
    ticks = bench.log(run).ticks

    assert fetch.verdict is Verdict.FAIL
    assert fetch.modelled is not None
    assert fetch.modelled > 0.5 * (fetch.value or 0.0)
    assert ticks.wait_ns.max() >= 180 * MS


def test_too_short_a_run_is_no_data(bench: Bench) -> None:
    run, _ = bench.run("short", duration_s=1800)

    assert set(verdicts(bench.judged(run)).values()) == {Verdict.NO_DATA}


def test_the_wrong_kind_of_data_is_no_data(bench: Bench) -> None:
    run, _ = bench.run("kind")
    for _ in run:
        pass
    release = replace(bench.gate, evidence=replace(bench.gate.evidence, source=("recorded", "live")))

    assert set(verdicts(judge(release, bench.log(run))).values()) == {Verdict.NO_DATA}


def test_rows_that_vanished_are_refused(bench: Bench) -> None:
    run, _ = bench.run("vanished")
    for _ in run:
        pass
    for feed in run._request.directory.glob("pipeline_ticks_*.jsonl"):
        feed.write_bytes(b"")

    with pytest.raises(RunlogError, match="counts 3600 ticks, the files hold 0"):
        bench.log(run)
