"""No gate that cannot fail: for every rule shipped, a run that makes it FAIL and runs that make it NO_DATA.

Each mutation injects the cause (a slowed stage, a starved cache, missed deadlines, a broken feed) into an
otherwise good run and must turn its own rule red and no other. Stop rules have theirs in `test_watch.py`,
rules that compare in `pytest_mmgates/baseline/test_comparison.py`.
"""

import functools
import importlib.util
import json
from pathlib import Path

import pytest

from pytest_mmgates.gatefile import read_gate
from pytest_mmgates.judge import judge
from pytest_mmgates.loader import load
from pytest_mmgates.verdict import Verdict

HERE = Path(__file__).parent
GATES = HERE.parents[1] / "gates"

GOOD = {
    "shadow": {"minutes": 60, "tick_ms": 1000, "kind": "recorded"},
    "ci": {"minutes": 60, "tick_ms": 1000, "kind": "recorded"},
    "capture": {"minutes": 6, "tick_ms": 250, "kind": "recorded"},
    "soak": {"minutes": 24 * 60, "tick_ms": 5000, "kind": "recorded"},
}

CAUSES = {
    "md_cache.hit_ratio": {"hits": 0.55},  # the cache starved
    "fetch_md.p95": {"wait_ms": 40},  # resyncs that take too long
    "tick_total.p95": {"stage_ms": 31},  # the stages slowed
    "deadline_miss.ratio": {"misses": 0.03},  # deadlines missed
    "memory.slope": {"leak_mb_per_h": 6},
    "book.gaps": {"gaps": 1},
    "book.crossed": {"crossed": 1},
}

MISSING = {
    "md_cache.hit_ratio": {"lose_feed": "pipeline_ticks"},
    "fetch_md.p95": {"lose_feed": "pipeline_ticks"},
    "tick_total.p95": {"lose_feed": "pipeline_ticks"},
    "deadline_miss.ratio": {"lose_feed": "pipeline_ticks"},
    "memory.slope": {"lose_feed": "samples"},
    "book.gaps": {"lose_feed": "events"},
    "book.crossed": {"lose_feed": "events"},
}

SHIPPED = [read_gate(path) for path in sorted(GATES.glob("*.yaml"))]
OF_RUNS = [gate for gate in SHIPPED if gate.source == "run"]
"""Those of datasets have theirs in `test_dataset.py`."""
CASES = [(gate.name, rule.metric) for gate in OF_RUNS for rule in gate.require]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """`verdicts(gate, **settings)`: what the shipped gate says of a good run so changed, by metric."""
    bot = load_bot()

    @functools.cache
    def make(gate, settings):
        changes = dict(settings)
        lost = changes.pop("lose_feed", None)
        directory = tmp_path_factory.mktemp("mutation") / "run"
        bot.write_run(directory, {**GOOD[gate], **changes})
        if lost:
            lose(directory, lost)
        verdict = judge(read_gate(GATES / f"{gate}.yaml"), load(directory))
        return {read_metric(rule.rule): rule for rule in verdict.rules if rule.section == "require"}

    return lambda gate, **settings: make(gate, tuple(sorted(settings.items())))


def load_bot():
    spec = importlib.util.spec_from_file_location("foreign_bot", HERE / "foreign_bot.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_metric(text):
    return text.split(" ")[0].split("{")[0]


def lose(directory, feed):
    """A feed that was never written, and a manifest that does not claim its rows."""
    (directory / f"{feed}_20231114.jsonl").unlink()
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    if feed == "pipeline_ticks":
        manifest["counts"]["ticks"] = 0
    path.write_text(json.dumps(manifest))


def test_every_shipped_rule_has_a_mutation():
    metrics = {metric for _, metric in CASES}
    assert metrics == set(CAUSES) == set(MISSING)
    assert {gate for gate, _ in CASES} == set(GOOD)


@pytest.mark.parametrize("gate", GOOD)
def test_the_good_run_passes(verdicts, gate):
    assert {rule.verdict for rule in verdicts(gate).values()} == {Verdict.PASS}


@pytest.mark.parametrize(("gate", "metric"), CASES)
def test_the_injected_cause_turns_its_own_rule_red(verdicts, gate, metric):
    found = verdicts(gate, **CAUSES[metric])
    assert {name for name, rule in found.items() if rule.verdict is Verdict.FAIL} == {metric}
    assert {rule.verdict for name, rule in found.items() if name != metric} == {Verdict.PASS}
    assert found[metric].margin is None or found[metric].margin < 0


@pytest.mark.parametrize(("gate", "metric"), CASES)
def test_missing_rows_are_no_data(verdicts, gate, metric):
    assert verdicts(gate, **MISSING[metric])[metric].verdict is Verdict.NO_DATA


@pytest.mark.parametrize(("gate", "metric"), CASES)
def test_too_short_a_run_is_no_data(verdicts, gate, metric):
    found = verdicts(gate, minutes=GOOD[gate]["minutes"] / 2, tick_ms=GOOD[gate]["tick_ms"] // 2)[metric]
    assert (found.verdict, found.value) == (Verdict.NO_DATA, None)
    assert found.reason.startswith("duration is ")


@pytest.mark.parametrize(("gate", "metric"), CASES)
def test_too_few_ticks_are_no_data(verdicts, gate, metric):
    assert verdicts(gate, tick_ms=2 * GOOD[gate]["tick_ms"])[metric].reason.startswith("ticks is ")


@pytest.mark.parametrize(("gate", "metric"), CASES)
def test_a_run_that_did_not_end_is_no_data(verdicts, gate, metric):
    assert verdicts(gate, status="failed", reason="x")[metric].reason == "the run is failed: x"


@pytest.mark.parametrize("metric", [metric for gate, metric in CASES if gate == "capture"])
def test_synthetic_data_are_no_evidence_for_a_capture(verdicts, metric):
    found = verdicts("capture", kind="synthetic")[metric]
    assert (found.label, found.value) == ("NO_DATA (SYNTHETIC)", None)


@pytest.mark.parametrize("metric", [metric for gate, metric in CASES if gate == "shadow"])
def test_a_pass_on_synthetic_data_says_so(verdicts, metric):
    assert verdicts("shadow", kind="synthetic")[metric].label == "PASS (SYNTHETIC)"


def test_a_slowed_stage_is_found_by_the_whole_job(project):
    project.scenario("demo", stage_ms=31)
    result = project.run("-m", "shadow")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["FAIL (SYNTHETIC) tick_total.p95 <= 150ms: value 159ms *"])
