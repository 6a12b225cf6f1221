"""The shipped stop rules halt the shipped engine on a cause that arises in it, with its quotes pulled.

The hour is the demo's, ticked once a second to keep the tests short. A cause is a setting: a book that is
never fresh and a venue that is slow to resend it, a time to live that no market meets, a venue that answers
later than anybody waits.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from mmbot.runtime.run import Run, RunRequest
from pytest_mmgates import RunLog, Verdict
from pytest_mmgates.gatefile import Gate, read_gate
from pytest_mmgates.judge import judge
from pytest_mmgates.loader import keep_watch, load
from pytest_mmgates.playing import HaltNotes, WatchJudge
from pytest_mmgates.rows import EventRow, read_markets
from pytest_mmgates.sut import drive
from pytest_mmgates.watch.watch import Watch

ROOT = Path(__file__).parents[2]
MINUTE_NS = 60_000_000_000
GATE = read_gate(ROOT / "gates" / "soak.yaml")


@dataclass(frozen=True)
class Cause:
    """Settings that make a rule fire, and within how many minutes: of the run's start, or of the breaker's
    first opening.
    """

    settings: str
    least_min: float
    most_min: float


CAUSES = {
    "deadline_miss.ratio": Cause(
        "md_cache: {ttl_ms: 10, fresh_ms_for_pricing: 10, invalidate_on_ws_gap_ms: 10}\n"
        "sim: {resync: {model: constant, median_ms: 400, sigma: 0}}\n",
        3,
        4,
    ),
    "md_cache.hit_ratio": Cause("md_cache: {ttl_ms: 2}\n", 35, 36),
    "breaker.open_time": Cause(
        "sim: {entry: {model: constant, median_ms: 3000, sigma: 0}}\nbreaker: {min_samples: 2}\n"
        "guards: {hard_latency_ms: 10000}\n",  # or the guard would pull the quotes before the breaker opens
        5,
        6.5,
    ),
}


def played(folder: Path, settings: str) -> RunLog:
    """A watched run, as the plugin plays one."""
    override, directory = folder / "cause.yaml", folder / "run"
    override.write_text("pipeline: {tick_interval_ms: 1000}\n" + settings, encoding="utf-8")
    run = Run(
        RunRequest(
            scenario="demo",
            scenarios=ROOT / "scenarios",
            config=[ROOT / "config.yaml", ROOT / "config.soak_overrides.yaml", override],
            data=None,
            run_id="r1",
            directory=directory,
        )
    )
    watch = Watch(GATE.stop, GATE.warn, lambda: read_markets(directory), lambda _: None)
    drive(lambda _: run, {}, WatchJudge(GATE, watch, HaltNotes(folder, None)))
    watch.finish()
    keep_watch(directory, watch.records)
    return load(directory)


def verdicts(gate: Gate, log: RunLog) -> dict[str, Verdict]:
    return {
        rule.rule.split("[")[0]: rule.verdict for rule in judge(gate, log).rules if rule.section == "stop"
    }


def events(log: RunLog, kind: str) -> list[int]:
    """When they happened."""
    [path] = log.directory.glob("events_*.jsonl")
    rows = [msgspec.json.decode(line, type=EventRow) for line in path.read_bytes().splitlines()]
    return [row.ts_ns for row in rows if row.kind == kind]


def began_ns(log: RunLog) -> int:
    return (events(log, "breaker") or [log.manifest.started_ns])[0]


def halted_ns(log: RunLog) -> int:
    [at_ns] = events(log, "halt")
    return at_ns


@pytest.mark.parametrize("metric", CAUSES)
def test_a_cause_halts_the_engine_in_time_and_pulls_its_quotes(tmp_path: Path, metric: str) -> None:
    cause = CAUSES[metric]

    log = played(tmp_path, cause.settings)

    manifest = log.manifest
    assert manifest.status == "halted"
    assert (manifest.reason or "").startswith(f"stop rule {metric}[")
    assert cause.least_min <= (halted_ns(log) - began_ns(log)) / MINUTE_NS <= cause.most_min
    assert verdicts(GATE, log) == {
        rule.metric: Verdict.FAIL if rule.metric == metric else Verdict.NO_DATA for rule in GATE.stop
    }
    _, resting = log.samples.series("resting_orders")
    assert resting[-1] == 0


def test_untouched_the_engine_is_never_halted(tmp_path: Path) -> None:
    log = played(tmp_path, "")

    assert log.manifest.status == "complete"
    assert [record.fired for record in log.watched] == [None] * len(log.watched)
    judged = {record.rule.split("[")[0]: record.judged for record in log.watched if record.section == "stop"}
    assert judged["deadline_miss.ratio"] > 300
    assert judged["breaker.open_time"] > 300
