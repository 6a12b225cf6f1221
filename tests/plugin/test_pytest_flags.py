"""The plugin beside pytest's own flags and plugins."""

import json
import xml.etree.ElementTree as ET

import pytest


def test_two_workers_share_one_run(project):
    project.scenario("other")
    result = project.run(
        "-m", "shadow", "-n", "2", "--mmgates-scenario", "all", "--strict-markers", "-W", "error"
    )
    result.assert_outcomes(passed=8)
    assert sorted(request["scenario"] for request in project.requests()) == ["demo", "other"]
    assert project.verdict("shadow")["scenario"] == "demo"
    assert project.verdict("shadow.other")["verdict"] == "PASS"
    result.stdout.fnmatch_lines(["PASS (SYNTHETIC)  shadow  other *", "wrote artifacts/verdicts/shadow.json"])


def test_two_workers_repeat_one_failure(project):
    project.scenario("demo", fail="middle")
    result = project.run("-m", "shadow", "-n", "2")
    result.assert_outcomes(errors=4)
    assert len(project.requests()) == 1
    assert str(result.stdout).count("\ncaptures/abc.zst:17: corrupt frame") == 4
    assert project.verdict()["reason"] == "captures/abc.zst:17: corrupt frame"


def test_two_workers_repeat_a_bug_with_its_traceback(project):
    project.scenario("demo", fail="bug")
    result = project.run("-m", "shadow", "-n", "2")
    result.assert_outcomes(errors=4)
    assert len(project.requests()) == 1
    assert str(result.stdout).count("ZeroDivisionError: a bug of the bot") >= 4
    assert project.verdict()["reason"] == "ZeroDivisionError: a bug of the bot"


def test_a_collection_error_in_workers_is_reported_once(project):
    project.gate("shadow", "fetch_md.p95", "fetch_mdd.p95")
    result = project.run("-m", "shadow", "-n", "2")
    result.assert_outcomes(errors=1)
    assert project.requests() == []
    assert project.written() == []


@pytest.mark.parametrize("flag", ["--co", "--setup-plan"])
def test_nothing_runs_and_nothing_is_written(project, flag):
    result = project.run("-m", "shadow", flag, "-W", "error")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*test_shadow*demo-fetch_md.p95*"])
    assert project.requests() == []
    assert not project.artifact("").exists()


def test_without_the_plugin_collection_is_clean(project):
    project.shipped_scenarios()
    project.test("def test_unit(): pass\n")
    result = project.run("-p", "no:mmgates", "-W", "error", "--strict-markers", "--strict-config")
    result.assert_outcomes(passed=1)


def test_without_autoload_the_plugin_is_named(project, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    project.run("-p", "mmgates", "-m", "shadow", "-W", "error").assert_outcomes(passed=4)


def test_without_a_terminal_artifacts_are_written(project):
    assert project.run("-p", "no:terminal", "-m", "shadow").ret == 0
    assert project.verdict()["verdict"] == "PASS"


def test_last_failed_runs_the_red_rule_and_judges_the_whole_gate(project):
    project.scenario("demo", fetch_ms=40)
    project.run("-m", "shadow").assert_outcomes(passed=3, failed=1)
    project.run("-m", "shadow", "--lf").assert_outcomes(failed=1)
    verdicts = {rule["rule"]: rule["verdict"] for rule in project.verdict()["rules"]}
    assert verdicts == {
        "md_cache.hit_ratio >= 0.7": "PASS",
        "fetch_md.p95 <= 35ms": "FAIL",
        "tick_total.p95 <= 150ms": "PASS",
        "deadline_miss.ratio < 2%": "PASS",
    }


def test_stopping_at_the_first_failure_judges_the_whole_gate(project):
    project.scenario("demo", hits=0.1, misses=0.5)
    project.run("-m", "shadow", "-x").assert_outcomes(failed=1)
    assert [rule["verdict"] for rule in project.verdict()["rules"]] == ["FAIL", "PASS", "PASS", "FAIL"]


@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["here", "xdist"])
def test_one_green_rule_of_a_red_gate_is_said_to_be_one(project, workers):
    project.scenario("demo", hits=0.1)
    result = project.run("-m", "shadow", "-k", "fetch_md", *workers)
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["gate shadow on demo is FAIL (SYNTHETIC) as a whole; only the selected tests passed*"]
    )
    assert project.verdict()["verdict"] == "FAIL"


def test_junit_carries_each_fact_as_a_scalar(project):
    project.run("-m", "shadow", "--junitxml", "out.xml", "-k", "fetch_md", "-o", "junit_family=xunit1")
    cases = ET.parse(project.path / "out.xml").iter("testcase")  # noqa: S314 - written by pytest just now
    facts = {node.get("name"): node.get("value") for case in cases for node in case.iter("property")}
    assert facts["mmgate.rule"] == "fetch_md.p95 <= 35ms"
    assert facts["mmgate.label"] == "PASS (SYNTHETIC)"
    assert facts["mmgate.value"] == "4.0"
    assert facts["mmgate.unit"] == "ms"
    assert facts["mmgate.scenario"] == "demo"


def test_quiet_is_one_line_per_gate(project):
    result = project.run("-m", "shadow", "-q")
    lines = result.stdout.lines
    start = next(index for index, line in enumerate(lines) if "release gates" in line)
    assert lines[start + 1] == "PASS (SYNTHETIC) shadow on demo"
    assert "passed" in lines[start + 2]


def test_inline_rules_stand_in_the_table(project):
    project.test(
        "import pytest\n@pytest.mark.shadow\ndef test_inventory(shadow_run, gate):\n"
        "    verdict = gate(shadow_run, 'inventory.abs_p99_quote <= 500')\n    assert verdict.value == 100\n"
        "    gate(shadow_run, 'fills.count > 1000')\n"
    )
    for workers in ([], ["-n", "1"]):
        result = project.run("-m", "shadow", *workers)
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            [
                "FAIL (SYNTHETIC) *fills.count > 1000 *40 *",
                "PASS (SYNTHETIC) *inventory.abs_p99_quote <= 500 *100 *",
            ]
        )
    assert project.verdict()["verdict"] == "PASS"


def test_a_narrow_terminal_loses_nothing(project, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    result = project.run("-m", "shadow")
    result.stdout.fnmatch_lines(["PASS (SYNTHETIC)  shadow  demo *fetch_md.p95 <= 35ms *3601"])


def test_failing_items_keep_an_older_good_run_out_of_the_way(project):
    project.run("-m", "shadow")
    runs = project.artifact("runs")
    before = json.loads((runs / "shadow-demo" / "manifest.json").read_text())["run_id"]
    project.scenario("demo", fail="middle")
    project.run("-m", "shadow").assert_outcomes(errors=4)
    assert json.loads((runs / "shadow-demo" / "manifest.json").read_text())["run_id"] == before
    assert sorted(path.name for path in runs.iterdir()) == [
        "shadow-demo",
        "shadow-demo.failed",
        "shadow-demo.lock",
        "shadow-demo.outcome.json",
    ]
    assert project.verdict()["label"] == "NO_DATA"
