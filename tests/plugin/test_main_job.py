"""The main job: `pytest -m shadow`."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
OWN_NAMES = ["baseline/stage_budgets.json", "md_cache/shadow_report.md", "verdicts/shadow.json"]
OF_THE_STEPS = ["reports/FINISH_LINE_REPORT.md", "workflow/shadow.json"]
"""Beside them, of the shipped steps: what the step's own folder keeps of a session."""


def test_four_rules_pass_and_every_artifact_is_written(project):
    result = project.run("-m", "shadow", "--strict-markers", "-W", "error", "-v")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        [
            "*test_shadow?demo-md_cache.hit_ratio? PASSED*",
            "*test_shadow?demo-fetch_md.p95? PASSED*",
            "*test_shadow?demo-tick_total.p95? PASSED*",
            "*test_shadow?demo-deadline_miss.ratio? PASSED*",
            "*- release gates -*",
            "verdict *gate *scenario *rule *value *measured *modelled *n *reason",
            "PASS (SYNTHETIC)  shadow  demo *fetch_md.p95 <= 35ms *4ms *4ms *0ms *3601",
            "wrote artifacts/verdicts/shadow.json",
        ]
    )
    assert project.written() == OWN_NAMES
    assert project.verdict()["label"] == "PASS (SYNTHETIC)"
    assert project.verdict()["data_kind"] == "synthetic"


def test_the_bot_runs_once_for_all_rules(project):
    project.run("-m", "shadow").assert_outcomes(passed=4)
    [request] = project.requests()
    assert request["step"] == "shadow"
    assert request["scenario"] == "demo"
    assert request["duration_s"] is request["seed"] is None
    assert request["config"] == []
    runs = project.artifact("runs")
    assert sorted(path.name for path in runs.iterdir()) == [
        "shadow-demo",
        "shadow-demo.lock",
        "shadow-demo.outcome.json",
    ]
    assert json.loads((runs / "shadow-demo" / "manifest.json").read_text())["run_id"] == request["run_id"]


def test_a_red_rule_fails_its_own_item_with_one_line(project):
    project.scenario("demo", fetch_ms=40, kind="recorded")
    result = project.run("-m", "shadow")
    result.assert_outcomes(passed=3, failed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "FAIL fetch_md.p95 <= 35ms: value 40ms (measured 40ms, modelled 0ms, n 3601) *",
            "FAIL *shadow *demo *fetch_md.p95 <= 35ms *40ms *",
            "PASS *",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    assert project.verdict()["verdict"] == "FAIL"


def test_each_session_runs_anew(project):
    project.run("-m", "shadow")
    project.scenario("demo", hits=0.1)
    project.run("-m", "shadow").assert_outcomes(passed=3, failed=1)
    assert len({request["run_id"] for request in project.requests()}) == 2


def test_captures_have_a_gate_of_their_own(project):
    project.shipped_scenarios()
    result = project.run("-m", "shadow", "--mmgates-scenario", "btcusdt-8m", "-W", "error")
    result.assert_outcomes(passed=5, failed=4)
    result.stdout.fnmatch_lines(["NO_DATA fetch_md.p95 <= 35ms: duration is 8m, asked for >= 60m; *"])
    assert project.verdict("capture")["label"] == "PASS"
    assert project.verdict("shadow")["label"] == "NO_DATA"
    assert len(project.requests()) == 1


def test_only_the_first_selected_scenario_writes_the_workflow_names(project):
    project.shipped_scenarios()
    result = project.run("-m", "shadow", "--mmgates-scenario", "all", "-k", "hit_ratio")
    result.assert_outcomes(passed=3, failed=2)
    assert [request["scenario"] for request in project.requests()] == ["demo", "btcusdt-8m", "eth-3venues"]
    assert project.verdict("shadow")["scenario"] == "demo"
    others = [
        f"{stem}.{name}" for stem in ("capture", "shadow") for name in ("btcusdt-8m.json", "eth-3venues.json")
    ]
    assert project.written() == sorted(
        [
            *OWN_NAMES,
            *OF_THE_STEPS,
            *(f"verdicts/{name}" for name in others),
            *(f"baseline/stage_budgets.{name}.json" for name in ("btcusdt-8m", "eth-3venues")),
            *(f"md_cache/shadow_report.{name}.md" for name in ("btcusdt-8m", "eth-3venues")),
        ]
    )


def test_a_bare_run_collects_nothing_of_a_step(project):
    project.shipped_scenarios()
    project.test("def test_unit(): pass\n")
    result = project.run("-W", "error")
    result.assert_outcomes(passed=1, deselected=9)
    assert project.requests() == []
    assert not project.artifact("").exists()


def test_the_function_in_the_guide_works(project):
    guide = (ROOT / "docs" / "writing-gates.md").read_text()
    [text] = [text for text in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "inventory" in text]
    project.test(text)
    project.scenario("nexo-24h", kind="recorded")
    project.run("-m", "shadow", "--strict-markers", "-W", "error").assert_outcomes(passed=1)
    assert [request["duration_s"] for request in project.requests()] == [3600]
