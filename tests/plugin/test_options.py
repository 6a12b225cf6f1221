"""Each option and ini key."""

import json
import shutil

import pytest

PLAIN = """
import pytest

@pytest.mark.shadow
def test_one(shadow_run):
    pass
"""


def only_request(project):
    [request] = project.requests()
    return request


def test_seed_config_data_and_duration_reach_the_bot(project):
    (project.path / "captures").mkdir()
    for name in ("base.yaml", "over.yaml"):
        (project.path / name).write_text("")
    project.run(
        *("-m", "shadow", "--mmgates-seed", "11", "--mmgates-duration", "90m", "--mmgates-data", "captures"),
        *("--mmgates-config", "base.yaml", "--mmgates-config", "over.yaml"),
    ).assert_outcomes(passed=4)
    request = only_request(project)
    assert (request["seed"], request["duration_s"]) == (11, 5400)
    assert request["data_dir"] == str(project.path / "captures")
    assert request["config"] == [str(project.path / "base.yaml"), str(project.path / "over.yaml")]
    rerun = project.artifact("md_cache/shadow_report.md").read_text().splitlines()[-1]
    assert rerun == (
        "Run it again: `pytest -m shadow --mmgates-scenario demo --mmgates-duration 90m"
        " --mmgates-data=captures --mmgates-seed 11 --mmgates-config=base.yaml --mmgates-config=over.yaml`"
    )


def test_all_of_a_recording_is_infinity(project):
    project.run("-m", "shadow", "--mmgates-duration", "all")
    assert only_request(project)["duration_s"] == float("inf")


def test_captures_beside_the_project_are_found(project):
    beside = project.path.parent / "shared" / "data"
    project.run("-m", "shadow")
    beside.mkdir(parents=True)
    project.run("-m", "shadow")
    shutil.rmtree(beside.parent)
    assert [request["data_dir"] for request in project.requests()] == [None, str(beside)]


def test_out_dir(project):
    project.run("-m", "shadow", "--mmgates-out", "elsewhere/deep").assert_outcomes(passed=4)
    assert project.written("elsewhere/deep")[-1] == "verdicts/shadow.json"
    assert not project.artifact("").exists()


def test_scenarios_are_selected_by_name_each_once(project):
    project.scenario("other")
    project.test(PLAIN)
    result = project.run(
        "-m", "shadow", "-v", *["--mmgates-scenario", "other", "--mmgates-scenario", "demo"] * 2
    )
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*test_one?other? PASSED*", "*test_one?demo? PASSED*"])
    assert project.verdict()["scenario"] == "other"


def test_all_begins_with_the_default_scenario(project):
    project.scenario("another")
    project.test(PLAIN)
    project.run("-m", "shadow", "--mmgates-scenario", "all").assert_outcomes(passed=2)
    assert [request["scenario"] for request in project.requests()] == ["demo", "another"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["--mmgates-scenario", "nope"],
            "--mmgates-scenario: no scenario 'nope' in scenarios: there is demo",
        ),
        (["--mmgates-data", "nope"], "--mmgates-data: no directory *nope"),
        (["--mmgates-config", "nope.yaml"], "--mmgates-config: no file *nope.yaml"),
        (["--mmgates-duration", "60"], "--mmgates-duration: '60' is not a duration such as *, or 'all'"),
    ],
)
@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["here", "xdist"])
def test_what_was_asked_for_and_is_not_there_is_one_error(project, args, message, workers):
    result = project.run("-m", "shadow", *args, *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
    assert [line for line in result.stderr.lines if line] == [result.stderr.lines[0]]
    assert project.requests() == []
    assert not project.artifact("").exists()


def test_all_of_no_scenarios_is_an_error(project):
    (project.path / "scenarios" / "demo.yaml").unlink()
    result = project.run("-m", "shadow", "--mmgates-scenario", "all")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --mmgates-scenario all: no scenario in scenarios"])


def test_a_default_scenario_that_is_not_there_is_an_error_of_collection(project):
    (project.path / "scenarios" / "demo.yaml").unlink()
    result = project.run("-m", "shadow")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ["test_gates.py::test_shadow: no scenario 'demo' in scenarios: there is none"]
    )


def test_ini_keys(project):
    (project.path / "g").mkdir()
    (project.path / "gates" / "shadow.yaml").rename(project.path / "g" / "shadow.yaml")
    project.scenario("mine")
    (project.path / "scenarios").rename(project.path / "s")
    (project.path / "scenarios").mkdir()
    (project.path / "scenarios" / "mine.yaml").write_text(json.dumps({}))
    ini = "mmgates_sut = foreign_bot:open_run\nmmgates_gates = g\nmmgates_scenarios = s\n"
    project.ini(f"[pytest]\npythonpath = .\n{ini}mmgates_default_scenario = mine\n")
    project.run("-m", "shadow").assert_outcomes(passed=4)
    assert only_request(project)["scenario"] == "mine"


@pytest.mark.parametrize(
    ("sut", "message"),
    [
        ("", "ini mmgates_sut = '': expected package.module:callable"),
        ("foreign_bot", "ini mmgates_sut = 'foreign_bot': expected package.module:callable"),
        ("absent_bot:open_run", "ini mmgates_sut = 'absent_bot:open_run': No module named 'absent_bot'"),
        (
            "foreign_bot:START_NS",
            "ini mmgates_sut = 'foreign_bot:START_NS': foreign_bot has no callable 'START_NS'",
        ),
        ("builtins:len", "the system under test returned int: expected an iterable with halt(reason)"),
    ],
)
def test_a_system_under_test_that_cannot_be_opened_is_one_line(project, sut, message):
    project.ini(f"[pytest]\npythonpath = .\nmmgates_sut = {sut}\n")
    project.test(PLAIN)
    result = project.run("-m", "shadow")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_help_shows_one_group(project):
    lines = project.run("--help").stdout.str()
    assert "market-making release gates:" in lines
    for option in ("scenario", "data", "out", "duration", "config", "seed"):
        assert f"--mmgates-{option}" in lines


def reports(project):
    return [name for name in project.written() if not name.endswith(".json")]


def test_report_formats(project):
    """What was asked for is written; an older page in another format goes, so no PASS stays beside a FAIL."""
    project.run("-m", "shadow", "--mmgates-report", "html").assert_outcomes(passed=4)
    assert reports(project) == ["md_cache/shadow_report.html"]
    page = project.artifact("md_cache/shadow_report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert page.index("PASS (SYNTHETIC)") < page.index("<table")
    assert page.count("<figure") > 5
    project.scenario("demo", misses=0.5)
    project.run("-m", "shadow").assert_outcomes(passed=3, failed=1)
    assert reports(project) == ["md_cache/shadow_report.md"]
    assert project.verdict()["verdict"] == "FAIL"


def test_report_formats_of_the_project(project):
    project.ini("[pytest]\npythonpath = .\nmmgates_sut = foreign_bot:open_run\nmmgates_report = html, md\n")
    project.run("-m", "shadow").assert_outcomes(passed=4)
    assert reports(project) == ["md_cache/shadow_report.html", "md_cache/shadow_report.md"]


@pytest.mark.parametrize("asked", ["pdf", "html,,md", ""])
def test_a_format_that_there_is_not_is_an_error_of_use(project, asked):
    result = project.run("-m", "shadow", f"--mmgates-report={asked}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --mmgates-report: found '*', expected some of html, md, json"])
    assert project.requests() == []
