"""Runs whose rows differ over time, and the page of each."""

import pytest

from pytest_mmgates.gatefile import parse_gate
from pytest_mmgates.judge import judge
from pytest_mmgates.loader import load
from pytest_mmgates.parts import write_whole_manifest
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.report.run_page import run_page

GATE = """gate: shadow
evidence: {duration: ">= 1s", ticks: ">= 1", source: [recorded, live, synthetic]}
owner: trading-infra
runbook: docs/runbooks/latency.md
require:
  - tick_total.p95 <= 150ms
  - fetch_md.max <= 35ms
  - md_cache.hit_ratio >= 0.70
  - deadline_miss.ratio < 2%
"""


@pytest.fixture
def gate():
    return parse_gate(GATE, file="gates/shadow.yaml", name="shadow")


@pytest.fixture
def write_drawn(foreign_bot):
    """Write a run whose tick rows went through `change(minute, row)`."""

    def write(directory, change=lambda _minute, _row: None, trace=(), **settings):
        settings = {**foreign_bot.SETTINGS, **settings}
        feeds = {
            "pipeline_ticks": foreign_bot.ticks(settings),
            "fills": foreign_bot.fills(settings),
            "samples": foreign_bot.samples(settings),
            "events": foreign_bot.events(settings),
            **({"trace": list(trace)} if trace else {}),
        }
        for row in feeds["pipeline_ticks"]:
            change((row["ts_ns"] - foreign_bot.START_NS) / 60e9, row)
        counts = {"ticks": len(feeds["pipeline_ticks"]), "fills": len(feeds["fills"])}
        manifest = {**foreign_bot.manifest_of(settings, counts), "run_id": "r1", "scenario": "demo"}
        foreign_bot.write_feeds(directory, feeds, {**manifest, "step": "shadow"})

    return write


@pytest.fixture
def drawn_run(write_drawn, tmp_path):
    """`drawn_run(change, minutes=60)`: such a run, loaded."""

    def make(*changes, **settings):
        directory = tmp_path / f"drawn{len(list(tmp_path.iterdir()))}"
        write_drawn(directory, *changes, **settings)
        return load(directory)

    return make


@pytest.fixture
def drawn_parts(write_drawn, tmp_path):
    """A run in as many parts, each a symbol; the last went through the change."""

    def make(count, change):
        directory = tmp_path / "whole"
        names = [f"SYM{number}" for number in range(count)]
        for name in names:
            last = [change] if name == names[-1] else []
            write_drawn(directory / "parts" / name, *last, symbol=name, tick_ms=3_000)
        write_whole_manifest(directory, names)
        return load(directory)

    return make


@pytest.fixture
def page_of(gate):
    def page(run, **changes):
        rerun = "pytest -m shadow --mmgates-scenario demo"
        facts = {"step": "shadow", "name": "demo", "scenario": "demo", "rerun": rerun, "failure": None}
        return run_page(RunResult(log=run, verdicts=[judge(gate, run)], **{**facts, **changes}))

    return page
