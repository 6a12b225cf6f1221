"""Markers: registered, deselected unless asked for, and strict about their arguments."""

import pytest

from pytest_mmgates.steps import STEPS


@pytest.mark.parametrize("step", sorted(STEPS))
def test_a_step_runs_only_when_asked_for(project, step):
    project.test(f"import pytest\n@pytest.mark.{step}\ndef test_one(): pass\ndef test_unit(): pass\n")
    strict = ("--strict-markers", "-W", "error")
    project.run(*strict).assert_outcomes(passed=1, deselected=1)
    project.run("-m", step, *strict).assert_outcomes(passed=1, deselected=1)
    project.run("-m", f"not {step}", *strict).assert_outcomes(passed=1, deselected=1)


def test_expressions_are_left_to_pytest(project):
    project.test(
        "import pytest\n"
        "@pytest.mark.sim\ndef test_sim(): pass\n"
        "@pytest.mark.bench\ndef test_bench(): pass\n"
        "@pytest.mark.sim\n@pytest.mark.bench\ndef test_both(): pass\n"
        "def test_unit(): pass\n"
    )
    project.run("-m", "sim or bench").assert_outcomes(passed=3, deselected=1)
    project.run("-m", "sim and not bench").assert_outcomes(passed=1, deselected=3)
    project.run("-m", "not sim").assert_outcomes(passed=1, deselected=3)


def test_markers_are_listed(project):
    listed = project.run("--markers").stdout.str()
    for step in STEPS:
        assert f"@pytest.mark.{step}(" in listed


def gated(mark, args="shadow_run, gate", body="gate(shadow_run, 'ticks.count > 0')"):
    return f"import pytest\n@pytest.mark.{mark}\ndef test_one({args}):\n    {body}\n"


def test_scenario_pins_one_whatever_is_selected(project):
    project.scenario("pinned")
    project.test(gated("shadow(scenario='pinned')"))
    project.run("-m", "shadow").assert_outcomes(passed=1)
    assert [request["scenario"] for request in project.requests()] == ["pinned"]
    assert project.verdict("shadow.pinned")["scenario"] == "pinned"


def test_scenarios_limits_to_those_selected(project):
    project.scenario("a")
    project.scenario("b")
    project.test(gated("shadow(scenarios=('a', 'b'))"))
    project.run("-m", "shadow").assert_outcomes(passed=0, deselected=1)
    project.run("-m", "shadow", "--mmgates-scenario", "b").assert_outcomes(passed=1)
    assert [request["scenario"] for request in project.requests()] == ["b"]


def test_duration_makes_a_run_of_its_own(project):
    project.test(
        gated("shadow(duration='90m')") + "@pytest.mark.shadow\ndef test_two(shadow_run, rule, gate):\n"
        "    gate(shadow_run, rule)\n"
    )
    project.run("-m", "shadow").assert_outcomes(passed=5)
    assert sorted(request["duration_s"] or 0 for request in project.requests()) == [0, 5400]
    assert project.verdict("shadow")["run_id"] != project.verdict("shadow.demo-90m")["run_id"]


def test_gate_names_the_file_whose_evidence_applies(project):
    project.gate("long", ">= 60m", ">= 2h")
    project.test(gated("shadow(gate='long')"))
    result = project.run("-m", "shadow")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["NO_DATA (SYNTHETIC) ticks.count > 0: duration is 60m, asked for >= 2h *"])
    assert project.verdict("long")["verdict"] == "NO_DATA"


def test_the_scenario_fixture_is_the_name(project):
    project.scenario("a")
    project.test(gated("shadow", "scenario", "assert scenario in ('a', 'demo')"))
    project.run("-m", "shadow", "--mmgates-scenario", "all").assert_outcomes(passed=2)
    project.test(gated("prep", "scenario", "assert scenario == 'demo'"))
    project.gate("prep")
    project.run("-m", "prep").assert_outcomes(passed=1)
    project.test(gated("shadow", "scenario, shadow_run", "assert scenario == shadow_run.manifest.scenario"))
    project.run("-m", "shadow").assert_outcomes(passed=1)


def test_rules_of_one_metric_have_ids_of_their_own(project):
    project.gate("shadow", "  - fetch_md.p95 <= 35ms", "  - fetch_md.p95 <= 35ms\n  - fetch_md.p95 > 1us")
    result = project.run("-m", "shadow", "--co", "-q")
    result.stdout.fnmatch_lines(
        ["*demo-fetch_md.p95<=35ms?", "*demo-fetch_md.p95>1us?", "*demo-tick_total.p95?"]
    )


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("shadow('demo')", "marker shadow takes no positional argument, found 'demo'"),
        (
            "shadow(scenari='demo')",
            "marker shadow has no argument 'scenari': expected scenario, scenarios, *",
        ),
        ("shadow(scenario='nope')", "no scenario 'nope' in scenarios: there is demo"),
        ("shadow(scenarios=('demo', 'nope'))", "no scenario 'nope' in scenarios: there is demo"),
        ("shadow(scenarios='demo')", "marker shadow: scenarios is 'demo', expected a tuple of texts"),
        ("shadow(scenario='demo', scenarios=('demo',))", "marker shadow: scenario pins one, *"),
        ("shadow(duration='60')", "marker shadow: duration: '60' is not a duration such as *"),
        ("shadow(duration=60)", "marker shadow: duration is 60, expected text"),
        ("shadow(gate='')", "marker shadow: gate is '', expected text"),
        ("prep", "uses shadow_run without the marker of a step, such as @pytest.mark.shadow"),
    ],
)
def test_a_wrong_marker_is_an_error_of_collection(project, mark, message):
    project.test(gated(mark))
    result = project.run("-m", "shadow")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"test_gates.py::test_one: {message}"])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert project.requests() == []


def test_a_run_without_any_marker_is_an_error_of_collection(project):
    project.test("def test_one(shadow_run): pass\n")
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*test_one: uses shadow_run without the marker of a step*"])


def test_a_fixture_asked_for_by_name_is_refused(project):
    project.test(gated("shadow", "request", "request.getfixturevalue('shadow_run')"))
    result = project.run("-m", "shadow")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*shadow_run: name it as an argument of a test with the marker of a step"])
