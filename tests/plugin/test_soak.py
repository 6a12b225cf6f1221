"""`pytest -m soak`: a run that is watched while it plays, halted when it must be, and published."""

import json
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEST = """
import pytest

@pytest.mark.soak
def test_soak(soak_run, rule, gate):
    gate(soak_run, rule)
"""
INI = """
[pytest]
pythonpath = .
mmgates_sut = soak_bot:open_run
mmgates_parts = soak_bot:parts
"""


@pytest.fixture
def soak(project):
    """A project whose bot soaks, under the shipped gate."""
    shutil.copy(ROOT / "tests" / "plugin" / "soak_bot.py", project.path)
    shutil.copy(ROOT / "tests" / "pytest_mmgates" / "streams.py", project.path)
    project.ini(INI)
    project.test(TEST)
    return project


def scenario(soak, **settings):
    soak.scenario("demo", **{"hours": 3, "kind": "recorded", **settings})


def rules(soak):
    """Verdict and reason by the beginning of the rule's text."""
    found = soak.verdict("soak")["rules"]
    return {rule["rule"].split("[")[0].split(" ")[0] + f" {rule['section']}": rule for rule in found}


def manifest(soak, below="runs/soak-demo"):
    return json.loads(soak.artifact(f"{below}/manifest.json").read_text())


CAUSES = {  # levels, and from which hour on
    "deadline_miss.ratio": ({"miss": 0.20}, 0.2),
    "md_cache.hit_ratio": ({"hit": 0.20}, 0.2),
    "taker_share": ({"taker": 1.0}, 0.9),
    "memory.slope": ({"leak_mb_per_h": 120}, 0),
    "breaker.open_time": ({"open_share": 1}, 0.2),
}


@pytest.mark.parametrize("metric", CAUSES)
def test_a_stop_rule_halts_the_run_and_says_why_everywhere(soak, metric):
    levels, from_h = CAUSES[metric]
    scenario(soak, hours=3.2, ill=levels, from_h=from_h)
    result = soak.run("-m", "soak", "-W", "error", "--strict-markers")
    result.assert_outcomes(failed=9)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    halted = manifest(soak)
    assert halted["status"] == "halted"
    assert halted["reason"].startswith(f"stop rule {metric}[")
    assert halted["counts"]["ticks"] < 3.2 * 3600
    verdict = soak.verdict("soak")
    assert (verdict["verdict"], verdict["reason"]) == ("FAIL", f"the run is halted: {halted['reason']}")
    fired = rules(soak).pop(f"{metric} stop")
    assert fired["verdict"] == "FAIL"
    assert halted["reason"].endswith(fired["reason"])
    others = [rule for rule in verdict["rules"] if rule["verdict"] != "FAIL"]
    assert {rule["verdict"] for rule in others} == {"NO_DATA"}
    assert halted["reason"] in soak.artifact("reports/SOAK_REPORT.md").read_text()
    assert manifest(soak, "edge/feeds")["reason"] == halted["reason"]
    result.stdout.fnmatch_lines([f"FAIL {metric}*"])


def test_a_healthy_run_passes_every_rule(soak):
    gate = soak.path / "gates" / "soak.yaml"
    gate.write_text(gate.read_text().replace('">= 24h"', '">= 3h"').replace("<= 5MB/h", "<= 20MB/h"))
    scenario(soak, hours=3.2, ill={"leak_mb_per_h": 0, "miss": 0.008}, from_h=0)
    soak.run("-m", "soak", "-W", "error").assert_outcomes(passed=9)
    assert soak.verdict("soak")["label"] == "PASS"


@pytest.mark.stats
def test_a_healthy_day_passes_and_is_published(soak):
    scenario(soak, hours=24.1, ill={"leak_mb_per_h": 0, "miss": 0.008}, from_h=0)
    soak.run("-m", "soak", "-W", "error").assert_outcomes(passed=9)
    verdict = soak.verdict("soak")
    assert (verdict["verdict"], verdict["label"]) == ("PASS", "PASS")
    assert {rule["section"] for rule in verdict["rules"]} == {"require", "stop"}
    watched = rules(soak)["deadline_miss.ratio stop"]
    assert watched["reason"].endswith("looks, 0 without data")
    feeds = soak.artifact("edge/feeds")
    names = {path.name for path in feeds.iterdir()}
    days = ("20260101", "20260102")
    assert names == {"manifest.json"} | {
        f"{f}_{day}.jsonl" for f in ("fills", "pipeline_ticks") for day in days
    }
    run = soak.artifact("runs/soak-demo")
    for path in feeds.glob("*.jsonl"):
        assert path.read_bytes() == (run / path.name).read_bytes()
        assert path.samefile(run / path.name)


def test_a_run_too_short_is_no_data_whatever_was_watched(soak):
    scenario(soak, hours=2)
    soak.run("-m", "soak").assert_outcomes(failed=9)
    assert soak.verdict("soak")["reason"].startswith("duration is 120m, asked for >= 24h")
    assert manifest(soak)["status"] == "complete"


def test_too_few_fills_decide_nothing(soak):
    gate = soak.path / "gates" / "soak.yaml"
    gate.write_text(gate.read_text().replace('">= 24h"', '">= 2h"'))
    scenario(soak, hours=3, ill={"fills_per_h": 50.0}, from_h=0)
    soak.run("-m", "soak", "-k", "stop-taker").assert_outcomes(failed=1)
    taker = rules(soak)["taker_share stop"]
    assert taker["verdict"] == "INCONCLUSIVE"
    assert taker["reason"] == f"never more than {taker['n']} fills in 1h, asked for 100"
    assert 40 < taker["n"] < 100


def test_progress_is_told_before_it_fires_where_somebody_reads(soak):
    scenario(soak, ill={"miss": 0.09}, from_h=1)
    quiet = soak.run("-m", "soak")
    quiet.stdout.no_fnmatch_line("*: since *")
    told = soak.run("-m", "soak", "-v")
    told.stdout.fnmatch_lines(
        [
            "deadline_miss.ratio?5m? *% > 5%: since 02:30 of 10:00",
            "deadline_miss.ratio?5m? *% > 5%: since 05:00 of 10:00",
            "deadline_miss.ratio?5m? *% > 5%: since 07:30 of 10:00",
            "stop: deadline_miss.ratio?5m? *% > 5% for 10m (n 300) at 2026-01-01T01:*Z",
        ]
    )


TELLS = """

def watched(self, rules):
    with Path("told.jsonl").open("a") as file:
        file.write(json.dumps(rules) + "\\n")

Run.watched = watched
"""


def test_a_run_that_listens_is_told_what_its_rules_say(soak):
    bot = soak.path / "soak_bot.py"
    bot.write_text(bot.read_text() + TELLS)
    scenario(soak, ill={"miss": 0.09}, from_h=1)
    soak.run("-m", "soak", "--mmgates-status-port", "8765")
    told = [json.loads(line) for line in (soak.path / "told.jsonl").read_text().splitlines()]
    assert len(told[0]) == 10  # each line of stop and warn
    assert told[0][0] == {
        "rule": "deadline_miss.ratio[5m] > 5% for 10m clear 4%, n >= 300, fast [2m] > 15% for 1m, n >= 120",
        "section": "stop",
        "says": None,
        "fired": False,
    }
    says = [rules[0]["says"] for rules in told]
    assert any(re.fullmatch(r"\d\.\d+%", said or "") for said in says)
    assert any(re.fullmatch(r"\d+(\.\d+)?%, > 5% since 08:40 of 10:00", said or "") for said in says)
    assert [rules[0]["fired"] for rules in told].index(True) == len(told) - 1
    assert ", fired 1x, first deadline_miss.ratio[5m] " in says[-1]
    (request,) = soak.requests()
    assert (request["status_port"], Path(request["running_dir"])) == (8765, soak.artifact("running"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("65536",), "was 65536, expected 0 to 65535"),
        (("-1",), "was -1, expected 0 to 65535"),
        (("0", "-n", "2"), "shows one run at a time, expected no -n"),
    ],
)
def test_a_status_port_that_cannot_be_is_a_usage_error(soak, arguments, message):
    result = soak.run("-m", "soak", "--mmgates-status-port", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --mmgates-status-port: {message}"])
    assert soak.requests() == []


def test_a_warning_halts_nothing_and_is_told(soak):
    gate = soak.path / "gates" / "soak.yaml"
    gate.write_text(gate.read_text().replace('">= 24h"', '">= 3h"'))
    scenario(soak, hours=4, ill={"miss": 0.03}, from_h=1)
    result = soak.run("-m", "soak", "-k", "stop-deadline")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["warning on demo, * times, first deadline_miss.ratio?5m? *% > 2% for 10m *"])
    warnings = soak.verdict("soak")["warnings"]
    assert [warning["rule"].split("[")[0] for warning in warnings] == ["deadline_miss.ratio"]
    assert "- warning, " in soak.artifact("reports/SOAK_REPORT.md").read_text()
    assert manifest(soak)["status"] == "complete"


def test_a_bot_that_does_not_halt_fails_all_the_same(soak):
    scenario(soak, ill={"open_share": 1}, from_h=1, deaf=True)
    soak.run("-m", "soak").assert_outcomes(failed=9)
    assert manifest(soak)["status"] == "complete"
    assert rules(soak)["breaker.open_time stop"]["verdict"] == "FAIL"
    assert soak.verdict("soak")["verdict"] == "FAIL"


def test_a_part_that_is_halted_ends_the_run_for_all(soak):
    parts = {"ONE": {}, "TWO": {"ill": {"open_share": 1}, "from_h": 1}, "SIX": {}}
    scenario(soak, hours=1.5, parts=list(parts), of_part=parts)
    soak.run("-m", "soak").assert_outcomes(failed=9)
    played = [json.loads(line)["part"] for line in (soak.path / "requests.jsonl").read_text().splitlines()]
    assert played == ["ONE", "TWO"]
    whole = manifest(soak)
    assert (whole["status"], [part["name"] for part in whole["parts"]]) == ("halted", ["ONE", "TWO"])
    fired = rules(soak)["breaker.open_time stop"]
    assert fired["verdict"] == "FAIL"
    assert fired["reason"].startswith("part TWO: breaker.open_time[6m] ")
    published = soak.artifact("edge/feeds/pipeline_ticks_20260101.jsonl").read_bytes().splitlines()
    assert len(published) == whole["counts"]["ticks"]
    times = [json.loads(line)["ts_ns"] for line in published]
    assert times == sorted(times)


def test_a_part_whose_worker_was_killed_over_its_halt_is_played_again(soak):
    """Its note is there, its rows are not: it halts by its own rule once more, and no other part is begun."""
    ill = {"ill": {"open_share": 1}, "from_h": 0.3}
    scenario(soak, hours=1, parts=["ONE", "TWO"], of_part={"TWO": ill})
    bot = soak.path / "soak_bot.py"
    dies = "        self.directory.mkdir(parents=True)\n        note(self)\n"
    text = bot.read_text().replace("        self.directory.mkdir(parents=True)\n", dies)
    bot.write_text(f"{text}\n\n{LEAVES_A_NOTE}")
    soak.run("-m", "soak").assert_outcomes(failed=9)
    assert [part["name"] for part in manifest(soak)["parts"]] == ["ONE", "TWO"]
    assert rules(soak)["breaker.open_time stop"]["reason"].startswith("part TWO: breaker.open_time[6m] ")
    assert manifest(soak, "runs/soak-demo/parts/TWO")["counts"]["ticks"] > 1000


LEAVES_A_NOTE = """
def note(run):
    if run.request["part"] == "TWO":
        (run.directory.parent / "TWO.halt.txt").write_text("stop rule of a worker that was killed")
"""


def test_two_workers_stop_together(soak):
    ill = {"ill": {"open_share": 1}, "from_h": 0.5}
    scenario(soak, hours=3, parts=["ONE", "TWO"], of_part={"ONE": ill, "TWO": ill})
    soak.run("-m", "soak", "-n", "2").assert_outcomes(failed=9)
    whole = manifest(soak)
    assert whole["status"] == "halted"
    assert whole["counts"]["ticks"] < 2 * 3 * 3600
    assert rules(soak)["breaker.open_time stop"]["verdict"] == "FAIL"


@pytest.mark.slow
@pytest.mark.usefixtures("dask")
@pytest.mark.parametrize("shards", [[], ["--mmgates-shards", "shards"]])
def test_a_part_that_is_halted_on_a_cluster_ends_the_run_for_all(soak, shards):
    parts = {"ONE": {}, "TWO": {"ill": {"open_share": 1}, "from_h": 1}, "SIX": {}}
    scenario(soak, hours=1.5, parts=list(parts), of_part=parts)
    result = soak.run("-m", "soak", "-v", "--mmgates-cluster", "local:1", *shards)
    result.assert_outcomes(failed=9)
    result.stdout.fnmatch_lines(["TWO: stop: breaker.open_time[[]6m[]] *"])
    played = [json.loads(line)["part"] for line in (soak.path / "requests.jsonl").read_text().splitlines()]
    whole = manifest(soak)
    assert (whole["status"], [part["name"] for part in whole["parts"]]) == ("halted", ["ONE", "TWO"])
    assert played[:2] == ["ONE", "TWO"]
    verdict = soak.verdict("soak")
    assert verdict["verdict"] == "FAIL"
    assert rules(soak)["breaker.open_time stop"]["reason"].startswith("part TWO: breaker.open_time[6m] ")
    assert soak.artifact("edge/feeds").exists() is not bool(shards)
    if shards:
        result.stdout.fnmatch_lines(
            ["rows of soak on demo are in *: no charts, and edge/feeds is not replaced"]
        )


def test_rows_that_cannot_be_read_halt_the_run(soak):
    bot = soak.path / "soak_bot.py"
    bot.write_text(
        bot.read_text().replace(
            "yield feed, lines", "yield feed, lines if self.counts['ticks'] < 500 else b'{'"
        )
    )
    scenario(soak)
    result = soak.run("-m", "soak")
    result.assert_outcomes(errors=9)
    result.stdout.fnmatch_lines(["feed pipeline_ticks: corrupt row: *"])
    failed = json.loads(next(soak.path.glob("artifacts/runs/soak-demo.failed/manifest.json")).read_text())
    assert failed["reason"].startswith("rows cannot be judged: feed pipeline_ticks: corrupt row")


def test_a_gate_of_another_name_cannot_stop_a_run(soak):
    soak.gate("other", "require:", "stop:\n  - deadline_miss.ratio[5m] > 5%\nrequire:")
    soak.test(TEST.replace("mark.soak", "mark.soak(gate='other')"))
    scenario(soak)
    result = soak.run("-m", "soak")
    result.stdout.fnmatch_lines(
        ["*gate other has stop or warn rules: a soak run is watched by gates/soak.yaml"]
    )
    assert soak.requests() == []


def test_a_step_has_files_of_its_own(soak):
    scenario(soak, hours=0.1)
    for name in ("base.yaml", "over.yaml", "mine.yaml"):
        (soak.path / name).write_text("")
    soak.ini(f"{INI}mmgates_config = soak: base.yaml over.yaml\n")
    soak.run("-m", "soak")
    soak.run("-m", "soak", "--mmgates-config", "mine.yaml")
    names = [[Path(path).name for path in request["config"]] for request in soak.requests()]
    assert names == [["base.yaml", "over.yaml"], ["mine.yaml"]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("soak base.yaml", "found 'soak base.yaml': expected STEP: FILE..., each step at most once"),
        ("sock: base.yaml", "found 'sock: base.yaml': expected STEP: FILE..."),
        ("soak:", "found 'soak:': expected STEP: FILE..."),
        ("soak: absent.yaml", "soak: no file */absent.yaml"),
    ],
)
def test_a_wrong_line_of_step_configuration_is_a_usage_error(soak, line, message):
    soak.ini(f"{INI}mmgates_config = {line}\n")
    result = soak.run("-m", "soak")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: ini mmgates_config: {message}*"])
