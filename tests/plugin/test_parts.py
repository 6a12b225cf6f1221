"""Runs in parts: who plays them changes nothing, and nobody's failure is lost."""

import json
import os

import pytest

PARTS = ["ONE", "TWO", "SIX"]


@pytest.fixture
def parted(project):
    """A project whose bot names the parts of a scenario."""
    project.ini(
        "[pytest]\npythonpath = .\nmmgates_sut = foreign_bot:open_run\nmmgates_parts = foreign_bot:parts\n"
    )
    project.scenario("demo", parts=PARTS)
    return project


def played(project):
    return [request["part"] for request in project.requests()]


def manifest(project, below="runs/shadow-demo"):
    return json.loads(project.artifact(f"{below}/manifest.json").read_text())


def facts(content):
    """A verdict without the name of its session."""
    return {key: value for key, value in content.items() if key != "run_id"}


def test_one_process_plays_every_part_in_order(parted):
    parted.run("-m", "shadow", "-W", "error").assert_outcomes(passed=4)
    assert played(parted) == PARTS
    assert len({request["run_id"] for request in parted.requests()}) == 1
    root = parted.artifact("runs/shadow-demo")
    assert sorted(path.name for path in root.iterdir()) == ["manifest.json", "parts"]
    assert sorted(path.name for path in (root / "parts").iterdir()) == sorted(PARTS)
    for name in PARTS:
        assert {"manifest.json", "tally.json"} < {path.name for path in (root / "parts" / name).iterdir()}


def test_the_manifest_of_the_whole_adds_up_its_parts(parted):
    parted.run("-m", "shadow")
    whole, part = manifest(parted), manifest(parted, "runs/shadow-demo/parts/TWO")
    assert (whole["status"], whole["reason"]) == ("complete", None)
    assert whole["counts"] == {name: 3 * count for name, count in part["counts"].items()}
    assert [entry["name"] for entry in whole["parts"]] == PARTS
    assert [feed["symbol"] for feed in whole["data"]["feeds"]] == PARTS
    assert whole["run_digest"] not in (None, part["run_digest"])
    assert whole["models"] == part["models"]


@pytest.mark.usefixtures("dask")
def test_the_number_of_workers_changes_no_verdict(parted):
    parted.scenario("demo", parts=PARTS, of_part={"TWO": {"fetch_ms": 7.3, "hits": 0.71, "fills": 11}})
    outcomes = []
    for workers in ([], ["-n", "2"], ["--mmgates-cluster", "local:2"]):
        parted.run("-m", "shadow", *workers).assert_outcomes(passed=4)
        names = ("verdicts/shadow.json", "baseline/stage_budgets.json")
        outcomes.append([facts(json.loads(parted.artifact(name).read_text())) for name in names])
        outcomes[-1].append(manifest(parted)["run_digest"])
    assert len(parted.requests()) == 3 * len(PARTS)
    assert outcomes[0] == outcomes[1] == outcomes[2]
    verdict = outcomes[0][0]
    assert [part["name"] for part in verdict["parts"]] == PARTS
    assert {rule["n"] for rule in verdict["rules"]} == {3 * 3601}
    assert verdict["quantiles"] == {"never_below_exact": True, "relative_error_at_most": 1 / 2048}


def test_two_workers_both_play(parted):
    """Two parts wait for each other in the middle: one worker alone would never end."""
    os.mkfifo(parted.path / "meeting")
    parted.scenario("demo", parts=PARTS, of_part={"ONE": {"meet": "r"}, "TWO": {"meet": "w"}})
    result = parted.pytester.runpytest_subprocess("-p", "no:asyncio", "-m", "shadow", "-n", "2", timeout=60)
    result.assert_outcomes(passed=4)
    assert sorted(played(parted)) == sorted(PARTS)
    pids = {request["part"]: request["pid"] for request in parted.requests()}
    assert pids["ONE"] != pids["TWO"]


def test_the_part_of_a_killed_worker_is_played_again(parted):
    parted.scenario("demo", parts=PARTS, of_part={"TWO": {"die": True}})
    result = parted.run("-m", "shadow", "-n", "2")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*worker 'gw?' crashed while running*"])
    assert played(parted).count("TWO") == 2
    assert parted.verdict()["label"] == "PASS (SYNTHETIC)"
    assert manifest(parted)["status"] == "complete"


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["here", "xdist"])
def test_a_part_that_failed_ends_the_run_and_is_not_repeated(parted, workers):
    parted.scenario("demo", parts=PARTS, of_part={"TWO": {"fail": "middle"}})
    result = parted.run("-m", "shadow", *workers)
    result.assert_outcomes(errors=4)
    assert str(result.stdout).count("\npart TWO: captures/abc.zst:17: corrupt frame") == 4
    result.stdout.no_fnmatch_line("*Traceback*")
    assert played(parted).count("TWO") == 1
    assert parted.verdict()["reason"] == "part TWO: captures/abc.zst:17: corrupt frame"
    assert not parted.artifact("runs/shadow-demo").exists()
    assert parted.artifact("runs/shadow-demo.failed/parts/TWO").is_dir()


def test_after_a_failure_no_other_part_begins(parted):
    parted.scenario("demo", parts=PARTS, of_part={"ONE": {"fail": "middle"}})
    parted.run("-m", "shadow").assert_outcomes(errors=4)
    assert played(parted) == ["ONE"]


def test_a_bug_in_a_part_keeps_its_traceback(parted):
    parted.scenario("demo", parts=PARTS, of_part={"TWO": {"fail": "bug"}})
    result = parted.run("-m", "shadow")
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(["Traceback *", "ZeroDivisionError: a bug of the bot"])
    assert parted.verdict()["reason"] == "part TWO: ZeroDivisionError: a bug of the bot"


def test_rows_of_a_part_that_cannot_be_believed_are_named_where_they_lie(parted):
    parted.scenario("demo", parts=PARTS, of_part={"SIX": {"corrupt": ["fills", 2]}})
    parted.run("-m", "shadow").assert_outcomes(errors=4)
    place, _, reason = parted.verdict()["reason"].removeprefix("part SIX: ").partition(":3: ")
    assert reason.startswith("corrupt row")
    assert place == str(parted.artifact("runs/shadow-demo.failed/parts/SIX/fills_20231114.jsonl"))
    assert parted.artifact("runs/shadow-demo.failed/parts/SIX/fills_20231114.jsonl").is_file()


def test_a_failed_run_leaves_the_older_good_one(parted):
    parted.run("-m", "shadow").assert_outcomes(passed=4)
    before = manifest(parted)["run_id"]
    parted.scenario("demo", parts=PARTS, of_part={"TWO": {"fail": "open"}})
    parted.run("-m", "shadow").assert_outcomes(errors=4)
    assert manifest(parted)["run_id"] == before


def test_a_halted_part_halts_the_whole(parted):
    parted.scenario("demo", parts=PARTS, of_part={"TWO": {"status": "halted", "reason": "red button"}})
    result = parted.run("-m", "shadow")
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["NO_DATA (SYNTHETIC) *: the run is halted: part TWO: red button *"])
    assert (manifest(parted)["status"], len(played(parted))) == ("halted", 3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"minutes": 59}, "duration is 59m, asked for >= 60m"),
        ({"stop_after": 0.5}, "duration is 60m, of which ticks span 30m, asked for >= 60m"),
    ],
)
def test_the_duration_is_that_of_the_shortest_symbol(parted, changes, reason):
    parted.scenario("demo", parts=PARTS, of_part={"SIX": changes})
    parted.run("-m", "shadow").assert_outcomes(failed=4)
    assert parted.verdict()["reason"] == reason


def test_parts_on_data_of_two_kinds_are_no_run(parted):
    parted.scenario("demo", parts=PARTS, of_part={"TWO": {"kind": "recorded"}})
    result = parted.run("-m", "shadow")
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(["part TWO: data kind was recorded, expected synthetic as in part ONE"])


def test_rules_select_the_symbol_of_a_part(parted):
    parted.scenario("demo", parts=PARTS, of_part={"TWO": {"fetch_ms": 9}})
    parted.test(
        "import pytest\n@pytest.mark.shadow\ndef test_each(shadow_run, gate):\n"
        """    assert gate(shadow_run, 'fetch_md.max{symbol="paper:TWO"} <= 10ms').value == 9\n"""
        """    assert gate(shadow_run, 'fetch_md.max{symbol="paper:ONE"} <= 10ms').value == 4\n"""
        "    assert gate(shadow_run, 'fetch_md.max <= 10ms').value == 9\n"
        "    assert gate(shadow_run, 'fetch_md.p50 <= 10ms').value == 4\n"
    )
    parted.run("-m", "shadow", "-W", "error").assert_outcomes(passed=1)


def test_columns_are_those_of_the_parts(parted):
    parted.test(
        "import pytest\nfrom pytest_mmgates.errors import RunlogError\n"
        "@pytest.mark.shadow\ndef test_columns(shadow_run):\n"
        "    assert [len(part.ticks) for part in shadow_run.parts] == [3601, 3601, 3601]\n"
        "    assert [part.symbols for part in shadow_run.parts] == "
        "[('paper:ONE',), ('paper:TWO',), ('paper:SIX',)]\n"
        "    with pytest.raises(RunlogError, match='in 3 parts has no columns of its own'):\n"
        "        shadow_run.fills\n"
    )
    parted.run("-m", "shadow", "-W", "error").assert_outcomes(passed=1)


def test_the_report_says_in_how_many_parts(parted):
    parted.run("-m", "shadow")
    report = parted.artifact("md_cache/shadow_report.md").read_text()
    assert "- played in 3 parts, each a run by itself: ONE, TWO, SIX\n" in report


def test_a_scenario_without_parts_is_played_whole(parted):
    parted.scenario("demo")
    parted.run("-m", "shadow", "-n", "2").assert_outcomes(passed=4)
    assert played(parted) == [None]
    assert parted.verdict()["parts"] == []


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        (["ONE", "../two"], "ini mmgates_parts: returned '../two', expected names of folders, each once"),
        (["ONE", "ONE"], "ini mmgates_parts: returned 'ONE', expected names of folders, each once"),
        ("ONE", "ini mmgates_parts: returned str, expected a list of names"),
    ],
)
def test_parts_that_are_no_names_are_one_line(parted, parts, line):
    parted.scenario("demo", parts=parts)
    result = parted.run("-m", "shadow")
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines([line])
    assert parted.requests() == []
    assert parted.verdict()["reason"] == line


def test_a_callable_of_parts_that_is_not_there_is_one_line(parted):
    parted.ini(
        "[pytest]\npythonpath = .\nmmgates_sut = foreign_bot:open_run\nmmgates_parts = foreign_bot:pieces\n"
    )
    result = parted.run("-m", "shadow", "-n", "2")
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(
        ["ini mmgates_parts = 'foreign_bot:pieces': foreign_bot has no callable 'pieces'"]
    )


def test_only_the_parts_that_were_asked_for_are_played_and_judged(parted):
    asked = ("--mmgates-part", "SIX", "--mmgates-part", "ONE")
    parted.run("-m", "shadow", *asked).assert_outcomes(passed=4)
    assert played(parted) == ["ONE", "SIX"]
    assert [part["name"] for part in parted.verdict()["parts"]] == ["ONE", "SIX"]
    assert (
        manifest(parted)["counts"]["ticks"]
        == 2 * manifest(parted, "runs/shadow-demo/parts/ONE")["counts"]["ticks"]
    )
    again = "pytest -m shadow --mmgates-scenario demo --mmgates-part SIX --mmgates-part ONE"
    assert again in parted.artifact("md_cache/shadow_report.md").read_text()


@pytest.mark.parametrize(("parts", "there"), [(PARTS, "ONE, TWO, SIX"), ([], "none")])
def test_a_part_that_is_not_there_is_one_line_and_no_run(parted, parts, there):
    parted.scenario("demo", parts=parts)
    result = parted.run("-m", "shadow", "--mmgates-part", "TEN")
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines([f"*--mmgates-part: no part 'TEN' in demo: there is {there}"])
    assert parted.requests() == []
