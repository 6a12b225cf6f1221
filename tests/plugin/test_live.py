"""`--mmgates-live`: what the bot is asked for, and what cannot be asked for."""

import json

import pytest

PLAIN = """
import pytest

@pytest.mark.shadow
def test_one(shadow_run):
    assert shadow_run.manifest.scenario == "bybit"
"""


@pytest.fixture
def live_project(project):
    (project.path / "scenarios" / "live").mkdir()
    (project.path / "scenarios" / "live" / "bybit.yaml").write_text(json.dumps({"minutes": 60}))
    project.test(PLAIN)
    return project


def test_a_live_run_is_asked_for_by_name_host_and_duration(live_project):
    result = live_project.run(
        *("-m", "shadow", "--mmgates-live", "bybit", "--mmgates-host", "http://127.0.0.1:1"),
        *("--mmgates-duration", "90m"),
    )
    result.assert_outcomes(passed=1)
    (request,) = live_project.requests()
    assert (request["scenario"], request["live"], request["host"]) == ("bybit", True, "http://127.0.0.1:1")
    assert request["duration_s"] == 5400.0
    report = live_project.artifact("md_cache/shadow_report.md").read_text()
    again = "--mmgates-live bybit --mmgates-host http://127.0.0.1:1 --mmgates-duration 90m`"
    assert f"Run it again: `pytest -m shadow {again}" in report


def test_the_host_is_the_scenarios_own_unless_named(live_project):
    live_project.run("-m", "shadow", "--mmgates-live", "bybit").assert_outcomes(passed=1)
    (request,) = live_project.requests()
    assert (request["live"], request["host"]) == (True, None)


def test_a_test_that_names_its_scenario_keeps_it(live_project):
    live_project.test(PLAIN.replace(".shadow", ".shadow(scenario='demo')").replace('"bybit"', '"demo"'))
    live_project.run("-m", "shadow", "--mmgates-live", "bybit").assert_outcomes(passed=1)
    (request,) = live_project.requests()
    assert (request["scenario"], request["live"], request["host"]) == ("demo", False, None)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["--mmgates-live", "kraken"],
            "--mmgates-live: no live scenario 'kraken' in scenarios/live: there is bybit",
        ),
        (["--mmgates-host", "testnet"], "--mmgates-host: is of --mmgates-live, which was not given"),
        (
            ["--mmgates-live", "bybit", "--mmgates-scenario", "demo"],
            "--mmgates-live: stands for the scenario, expected no --mmgates-scenario",
        ),
        (
            ["--mmgates-live", "bybit", "--mmgates-duration", "all"],
            "--mmgates-duration: 'all' of a live market has no end, expected a time",
        ),
    ],
)
def test_what_cannot_be_is_one_error(live_project, args, message):
    result = live_project.run("-m", "shadow", *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
    assert live_project.requests() == []


def test_a_live_scenario_has_a_name_of_its_own(live_project):
    live_project.scenario("bybit")
    result = live_project.run("-m", "shadow", "--mmgates-live", "bybit")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --mmgates-live: 'bybit' is a scenario that is not live, too"])
