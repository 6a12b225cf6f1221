"""The step that is judged by an experiment: both arms played under every set of models, one item a rule."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from pytest_mmgates.cli import main

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

INI = """
[pytest]
pythonpath = .
mmgates_sut = experiment_bot:open_run
mmgates_experiment = experiment_bot:open_experiment
"""
TEST = """
import pytest

@pytest.mark.ab
def test_ab(ab_experiment, rule, gate):
    gate(ab_experiment, rule)
"""
PASSING = 5
"""Rules of the shipped gate."""


@pytest.fixture
def lab(project):
    """A project with one plan and a bot that plays it; `lab(gain_bps=...)` sets what it does, and runs it."""
    project.ini(INI)
    project.test(TEST)
    shutil.copy(HERE / "experiment_bot.py", project.path)
    (project.path / "experiments").mkdir()
    (project.path / "experiments" / "wider.yaml").write_text("name: wider\n")
    (project.path / "experiments" / "wider.b.yaml").write_text("spread: {}\n")
    path = project.path / "gates" / "ab.yaml"
    text = path.read_text()
    for least in (300, 150, 120):  # a tick every 10 seconds
        text = text.replace(f"n >= {least}", f"n >= {least // 10}")
    text = text.replace("[6h]", "[2h]").replace(">= 24h", ">= 4h").replace(">= 10000", ">= 1000")
    path.write_text(text)

    def play(*arguments, **settings):
        (project.path / "experiment.json").write_text(json.dumps(settings))
        return project.run("-m", "ab", *arguments)

    play.project = project
    return play


@pytest.fixture
def mmgates(monkeypatch, capsys):
    """The console script in this process, in the project: exit code, stdout, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mmgates", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


def rules(lab):
    return {rule["rule"].split(" ")[0].split("[")[0]: rule for rule in lab.project.verdict("ab")["rules"]}


def reports(lab):
    return sorted(path.name for path in lab.project.artifact("edge/reports").iterdir())


def test_a_better_candidate_passes_and_is_reported_and_judged_again(lab, mmgates):
    lab().assert_outcomes(passed=PASSING)
    verdict = lab.project.verdict("ab")
    assert (verdict["label"], verdict["stage"], verdict["decision"]) == ("PASS", "replay", "ACCEPT")
    assert [(run["variant"], run["arm"]) for run in verdict["runs"]] == [
        ("near", "A"), ("near", "B"), ("far", "A"), ("far", "B"),
    ]  # fmt: skip
    assert rules(lab)["delta(net_bps)"]["mark"] == "MODELLED"
    assert rules(lab)["delta(net_bps)"]["value"] == pytest.approx(0.5, abs=0.01)
    asked = lab.project.requests()
    assert [(one["arm"], Path(one["config"][-1]).stem) for one in asked] == [
        ("A", "near"), ("B", "near"), ("A", "far"), ("B", "far"),
    ]  # fmt: skip
    whole = {(one["step"], one["scenario"], one["seed"], one["part"]) for one in asked}
    assert whole == {("ab", "demo", 3, None)}
    assert len({one["plan_hash"] for one in asked}) == 1
    assert reports(lab) == ["ab_replay_20231115_030000.html", "ab_replay_20231115_030000.md"]
    text = (lab.project.artifact("edge/reports") / reports(lab)[1]).read_text()
    assert "go on to 10 % live" in text
    page = (lab.project.artifact("edge/reports") / reports(lab)[0]).read_text()
    assert "A &lt;wider&gt; spread &amp; more" in page
    assert page.count('<svg class="chart"') == 2
    code, out, _ = mmgates("judge", "artifacts/runs/ab-wider")
    assert code == 0
    assert out.splitlines()[-1].startswith("PASS: ACCEPT: the lower bound is above 0")
    edited = lab.project.path / "artifacts/runs/ab-wider/experiment.json"
    edited.write_text(edited.read_text().replace('"plan": "name', '"plan": "game'))
    code, _, err = mmgates("judge", "artifacts/runs/ab-wider")
    assert code == 2
    assert "the plan was edited" in err


@pytest.mark.slow
@pytest.mark.usefixtures("dask")
def test_arms_that_are_played_on_a_cluster_decide_the_same(lab):
    """Their rows are fetched from the shared place: blocks are read from them."""
    for name in ("base", "near", "far"):
        (lab.project.path / f"{name}.yaml").write_text("{}\n")
    lab().assert_outcomes(passed=PASSING)
    here = lab.project.verdict("ab")
    shutil.rmtree(lab.project.path / "artifacts")
    lab("--mmgates-cluster", "local:2", "--mmgates-shards", "shards").assert_outcomes(passed=PASSING)
    there = lab.project.verdict("ab")
    assert there["runs"] == [
        {**run, "run_id": theirs["run_id"]} if "run_id" in run else run
        for run, theirs in zip(here["runs"], there["runs"], strict=True)
    ]
    assert there["rules"] == here["rules"]
    assert len(lab.project.requests()) == 8
    folders = list(lab.project.artifact("runs/ab-wider/parts").iterdir())
    assert not any((folder / "rows_elsewhere.txt").exists() for folder in folders)


@pytest.mark.parametrize(
    ("settings", "verdict", "reason"),
    [
        ({"gain_bps": {"near": 0.5, "far": 0.0}}, "INCONCLUSIVE", "near ACCEPT, far FUTILE"),
        ({"flip": True}, "NO_DATA", "flipped labels: fill at"),
        ({"edit": True}, "NO_DATA", "the plan was edited: run ab-wider-"),
    ],
)
def test_what_is_not_better_does_not_pass(lab, settings, verdict, reason):
    result = lab("-k", "accept", **settings)
    result.assert_outcomes(failed=1, deselected=PASSING - 1)
    assert rules(lab)["delta(net_bps)"]["verdict"] == verdict
    assert reason in rules(lab)["delta(net_bps)"]["reason"]


def test_a_candidate_that_is_not_safe_ends_the_experiment(lab):
    result = lab(misses=0.5)
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] == PASSING
    found = rules(lab)
    assert found["B.deadline_miss.ratio"]["verdict"] == "FAIL"
    assert found["delta(net_bps)"]["verdict"] == "NO_DATA"
    assert "of arm B (near) is halted: stop rule deadline_miss.ratio" in found["delta(net_bps)"]["reason"]
    assert len(lab.project.requests()) == 2


@pytest.mark.slow
def test_two_workers_play_it_together_to_the_same_verdict(lab):
    lab()
    alone = lab.project.verdict("ab")
    lab("-n", "2").assert_outcomes(passed=PASSING)
    shared = lab.project.verdict("ab")
    assert [rule["value"] for rule in shared["rules"]] == [rule["value"] for rule in alone["rules"]]
    assert len(lab.project.requests()) == 8


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (["--mmgates-experiment", "other"], {}, "*no experiment 'other' in experiments: there is wider"),
        ([], {"floor_bps": 0.1}, "plan wider: floor_bps was 0.1, expected 0.2 of gates/ab.yaml"),
        ([], {"gate": "gates/b.yaml"}, "plan wider: its gate is gates/b.yaml, and this is gates/ab.yaml"),
    ],
)
def test_what_was_not_planned_is_not_played(lab, arguments, settings, message):
    result = lab(*arguments, **settings)
    result.stdout.fnmatch_lines([message])
    assert not lab.project.requests()


def test_of_several_plans_one_is_named(lab):
    (lab.project.path / "experiments" / "bold.yaml").write_text("name: bold\n")
    lab().stdout.fnmatch_lines(
        ["*--mmgates-experiment: no experiment '' in experiments: there is bold, wider"]
    )
    lab("--mmgates-experiment", "bold", "--collect-only").stdout.fnmatch_lines(["*bold-accept-net_bps*"])


@pytest.mark.parametrize("plans", [[], ["bold", "wider"]], ids=["none", "several"])
def test_whoever_asks_for_another_step_is_not_asked_for_a_plan(lab, plans):
    folder = lab.project.path / "experiments"
    for path in folder.glob("*.yaml"):
        path.unlink()
    for name in plans:
        (folder / f"{name}.yaml").write_text(f"name: {name}\n")
    assert lab.project.run("-m", "shadow", "--collect-only").ret == pytest.ExitCode.NO_TESTS_COLLECTED
