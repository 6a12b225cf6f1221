"""`--mmgates-resume`: what a session left is gone on with, and judged as if it had never been interrupted."""

import json
import shutil
from pathlib import Path

import pytest
import zstandard

ROOT = Path(__file__).parents[2]
TEST = """
import pytest

@pytest.mark.soak
def test_soak(soak_run, rule, gate):
    gate(soak_run, rule)
"""
INI = "[pytest]\npythonpath = .\nmmgates_sut = soak_bot:open_run\nmmgates_parts = soak_bot:parts\n"
MISSES = {"ill": {"miss": 0.08}, "from_h": 0.5}
"""A stop rule that holds for ten minutes begins to hold soon after half an hour."""


@pytest.fixture
def soak(project):
    """A project whose bot soaks for an hour, under the shipped gate."""
    shutil.copy(ROOT / "tests" / "plugin" / "soak_bot.py", project.path)
    shutil.copy(ROOT / "tests" / "pytest_mmgates" / "streams.py", project.path)
    project.ini(INI)
    project.test(TEST)
    project.scenario("demo", hours=1, kind="recorded")
    return project


def died(soak, *arguments):
    """Play until the bot is interrupted."""
    command = ("-p", "no:asyncio", "-m", "soak", *arguments)
    result = soak.pytester.runpytest_inprocess(*command, no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED


def resumed(soak, *arguments):
    return soak.run("-m", "soak", "--mmgates-resume", *arguments)


def facts(soak):
    """What the gate said, and what the watch saw, but for the session's name."""
    verdict = soak.verdict("soak")
    watched = json.loads(soak.artifact("runs/soak-demo/watch.json").read_text())
    return {key: value for key, value in verdict.items() if key != "run_id"}, watched


def unbroken(soak, **settings):
    """The same without an end in between."""
    soak.scenario("demo", hours=1, kind="recorded", **settings)
    soak.run("-m", "soak")
    found = facts(soak)
    shutil.rmtree(soak.path / "artifacts")
    (soak.path / "requests.jsonl").unlink()
    return found


@pytest.mark.parametrize("ill", [{}, MISSES], ids=["well", "ill"])
def test_an_interrupted_run_is_watched_and_judged_as_if_it_had_not_been(soak, ill):
    expected = unbroken(soak, **ill)
    soak.scenario("demo", hours=1, kind="recorded", **ill, dies_at_h=0.64)
    died(soak)
    assert not soak.artifact("verdicts/soak.json").exists()
    resumed(soak)
    first, second = soak.requests()
    assert (first["resume"], second["resume"]) == (False, True)
    assert {**first, "resume": True} == second
    assert facts(soak) == expected
    fired = [record["fired"] for record in expected[1] if record["section"] == "stop" and record["fired"]]
    assert [one["by"] for one in fired] == (["slow"] if ill else [])


def test_nothing_to_resume_is_one_line_and_no_run(soak):
    result = resumed(soak)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --mmgates-resume: *artifacts/runs: holds no run that was interrupted*"]
    )
    soak.run("-m", "soak")
    assert resumed(soak).ret == pytest.ExitCode.USAGE_ERROR
    assert len(soak.requests()) == 1


def test_without_the_option_a_session_begins_anew(soak):
    soak.scenario("demo", hours=1, kind="recorded", dies_at_h=0.64)
    died(soak)
    soak.run("-m", "soak")
    assert [request["resume"] for request in soak.requests()] == [False, False]
    assert soak.requests()[0]["run_id"] != soak.requests()[1]["run_id"]


@pytest.mark.parametrize(
    "workers",
    [pytest.param([], id="alone"), pytest.param(["-n", "2"], id="xdist", marks=pytest.mark.slow)],
)
def test_parts_that_were_played_are_not_played_again(soak, workers):
    parts = {"parts": ["ONE", "TWO", "SIX"]}
    expected = unbroken_parts(soak, parts)
    soak.scenario("demo", hours=1, kind="recorded", **parts, of_part={"TWO": {"dies_at_h": 0.64}})
    died(soak)
    resumed(soak, *workers)
    asked = [(request["part"], request["resume"]) for request in soak.requests()]
    assert sorted(asked) == sorted([("ONE", False), ("TWO", False), ("TWO", True), ("SIX", False)])
    assert len({request["run_id"] for request in soak.requests()}) == 1
    found = {rule["rule"]: rule["verdict"] for rule in soak.verdict("soak")["rules"]}
    assert found == expected
    whole = json.loads(soak.artifact("runs/soak-demo/manifest.json").read_text())
    assert [resume["part"] for resume in whole["resumes"]] == ["TWO"]


def unbroken_parts(soak, parts):
    soak.scenario("demo", hours=1, kind="recorded", **parts)
    soak.run("-m", "soak")
    found = {rule["rule"]: rule["verdict"] for rule in soak.verdict("soak")["rules"]}
    shutil.rmtree(soak.path / "artifacts")
    (soak.path / "requests.jsonl").unlink()
    return found


def test_a_run_that_failed_for_want_of_room_goes_on_when_there_is_some(soak):
    soak.scenario("demo", hours=1, kind="recorded", fails_at_h=0.64)
    soak.run("-m", "soak")
    assert soak.verdict("soak")["verdict"] == "NO_DATA"
    assert soak.artifact("runs/soak-demo.failed/checkpoint.bin").is_file()
    resumed(soak)
    assert [request["resume"] for request in soak.requests()] == [False, True]
    assert soak.artifact("runs/soak-demo/tally.json").is_file()
    assert not soak.artifact("runs/soak-demo.failed").exists()


WHO = {
    "alone": ([], "", "SIGTERM"),
    "alone, Ctrl-C": ([], "SIGINT", "SIGINT"),
    "a worker": (["-n", "2"], "", "SIGTERM"),
    "a worker, Ctrl-C": (["-n", "2"], "SIGINT", "SIGINT"),
    "the controller": (["-n", "2"], "parent", "SIGTERM"),
    "the controller, Ctrl-C": (["-n", "2"], "parent SIGINT", "SIGTERM"),
}
SLOW = ("a worker", "a worker, Ctrl-C", "the controller", "the controller, Ctrl-C")


def ended(soak, workers):
    """In a process of its own where it has workers: a signal to their parent must meet no other session."""
    run = soak.pytester.runpytest_subprocess if workers else soak.pytester.runpytest_inprocess
    return run("-p", "no:asyncio", "-m", "soak", *workers)


@pytest.mark.parametrize(
    ("workers", "tells", "said"),
    [
        pytest.param(*who, id=name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name, who in WHO.items()
    ],
)
def test_who_is_told_to_end_leaves_a_run_that_can_be_resumed_and_says_so(soak, workers, tells, said):
    """No worker plays it again, no older verdict stays."""
    older = soak.artifact("verdicts/soak.json")
    older.parent.mkdir(parents=True)
    older.write_text('{"verdict": "PASS"}')
    soak.scenario("demo", hours=1, kind="recorded", told_at_h=0.64, tells=tells)
    result = ended(soak, workers)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    aborted = f"ABORTED by {said}: run soak-demo-*is halted; --mmgates-resume goes on with it"
    result.stdout.fnmatch_lines([f"*{aborted}*"])
    assert [request["resume"] for request in soak.requests()] == [False]
    verdict = soak.verdict("soak")
    assert {rule["verdict"] for rule in verdict["rules"]} == {verdict["verdict"]} == {"NO_DATA"}
    assert verdict["reason"].startswith(f"ABORTED by {said}: run soak-demo-")
    assert verdict["reason"] in soak.artifact("reports/SOAK_REPORT.md").read_text()
    [left] = soak.artifact("runs").glob("soak-demo.partial-*")
    manifest = json.loads((left / "manifest.json").read_text())
    assert (manifest["status"], manifest["reason"]) == ("halted", said)
    resumed(soak)
    found = json.loads(soak.artifact("runs/soak-demo/manifest.json").read_text())
    assert (found["status"], found["reason"]) == ("complete", None)
    ticks = soak.artifact("runs/soak-demo/pipeline_ticks_20260101.jsonl").read_bytes()
    assert ticks.count(b"\n") == 3600
    assert soak.verdict("soak")["run_id"] == manifest["run_id"]


@pytest.mark.parametrize(
    "workers",
    [pytest.param([], id="alone"), pytest.param(["-n", "2"], id="xdist", marks=pytest.mark.slow)],
)
def test_parts_that_are_in_play_elsewhere_end_too(soak, workers):
    soak.scenario(
        "demo", hours=1, kind="recorded", parts=["ONE", "TWO"], of_part={"TWO": {"told_at_h": 0.64}}
    )
    result = ended(soak, workers)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert soak.verdict("soak")["reason"].startswith("ABORTED by ")
    resumed(soak, *workers)
    assert soak.verdict("soak")["reason"].startswith("duration is 60m")
    asked = [(request["part"], request["resume"]) for request in soak.requests()]
    assert asked.count(("TWO", False)) == asked.count(("TWO", True)) == 1
    assert asked.count(("ONE", False)) == 1
    assert not list(soak.artifact("runs").glob("**/*.abort.txt"))


def test_a_run_that_had_ended_is_read_and_not_played_again(soak):
    soak.run("-m", "soak")
    expected = facts(soak)
    runs = soak.artifact("runs")
    session = json.loads((runs / "soak-demo.outcome.json").read_text())["run_id"][-8:]
    (runs / "soak-demo.outcome.json").unlink()
    for name in ("tally.json", "watch.json"):
        (runs / "soak-demo" / name).unlink()
    (runs / "soak-demo").rename(runs / f"soak-demo.partial-{session}")
    shutil.rmtree(soak.artifact("verdicts"))
    resumed(soak)
    assert len(soak.requests()) == 1
    assert facts(soak)[0] == expected[0]


def test_a_run_that_was_not_judged_yet_is_judged(soak):
    soak.run("-m", "soak")
    expected = facts(soak)
    shutil.rmtree(soak.artifact("verdicts"))
    soak.artifact("runs/soak-demo.outcome.json").unlink()
    resumed(soak)
    assert len(soak.requests()) == 1
    assert facts(soak) == expected


HOUR = """gate: soak
evidence: {duration: ">= 60m", ticks: ">= 3000", source: [recorded, live]}
owner: trading-infra
runbook: docs/runbooks/soak.md
require:
  - deadline_miss.ratio < 5%
stop:
  - deadline_miss.ratio[5m] > 5% for 10m, n >= 60
"""


def interrupted_live(soak, *, hours, out_m):
    """A soak of a live market that died after half an hour and went on so many minutes later."""
    (soak.path / "gates" / "soak.yaml").write_text(HOUR)
    soak.scenario("demo", hours=hours, kind="recorded", out_m=out_m, dies_at_h=0.5)
    died(soak)
    return resumed(soak)


@pytest.mark.parametrize(
    ("hours", "verdict"), [(64.5 / 60, "PASS"), (1.0, "NO_DATA"), (63.9 / 60, "NO_DATA")]
)
def test_an_outage_is_no_evidence_and_is_named(soak, hours, verdict):
    """Sixty minutes from the first tick to the last are not enough where four of them were not played."""
    result = interrupted_live(soak, hours=hours, out_m=4)
    found = soak.verdict("soak")
    assert found["verdict"] == verdict
    assert {rule["verdict"] for rule in found["rules"]} == {verdict}
    (outage,) = found["outages"]
    assert (outage["until_ns"] - outage["from_ns"]) / 1e9 == outage["length_s"]
    assert 4 * 60 <= outage["length_s"] < 4 * 60 + 10
    assert (
        f"{outage['from']} to {outage['until']} (04:0" in soak.artifact("reports/SOAK_REPORT.md").read_text()
    )
    result.stdout.fnmatch_lines([f"outage of demo, {outage['from']} to *: no part of the duration"])
    evidence = {line["name"]: line["found"] for line in found["evidence"]}
    assert ", not counting 4.017m without a process" in evidence["duration"]


def test_an_outage_longer_than_a_rule_may_be_without_data_stops_nothing(soak):
    interrupted_live(soak, hours=1.2, out_m=6)
    found = soak.verdict("soak")
    assert found["verdict"] == "PASS"
    (watched,) = (rule for rule in found["rules"] if rule["section"] == "stop")
    assert watched["verdict"] == "PASS"


def test_days_that_are_left_only_compressed_are_read_the_same(soak):
    soak.run("-m", "soak")
    expected = facts(soak)
    runs = soak.artifact("runs")
    session = json.loads((runs / "soak-demo.outcome.json").read_text())["run_id"][-8:]
    (runs / "soak-demo.outcome.json").unlink()
    for path in (runs / "soak-demo").glob("*.jsonl"):
        path.with_name(f"{path.name}.zst").write_bytes(zstandard.compress(path.read_bytes()))
        path.unlink()
    (runs / "soak-demo").rename(runs / f"soak-demo.partial-{session}")
    feeds = {path.name: path.read_bytes() for path in soak.artifact("edge/feeds").glob("*.jsonl")}
    resumed(soak)
    assert facts(soak) == expected
    assert {path.name: path.read_bytes() for path in soak.artifact("edge/feeds").glob("*.jsonl")} == feeds
