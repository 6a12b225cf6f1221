"""The step that is judged by a dataset instead of a run: made once, judged by `gates/dataset.yaml`, and no
rule of it that cannot fail.
"""

import json
import shutil
from pathlib import Path

import pytest
from tests.plugin import dataset_maker

from pytest_mmgates.dataset import read_dataset
from pytest_mmgates.errors import GateError, RunlogError
from pytest_mmgates.gatefile import read_gate
from pytest_mmgates.judge import judge
from pytest_mmgates.verdict import Verdict

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GATE = ROOT / "gates" / "dataset.yaml"

MUTATIONS = {"dataset.not_finite": {"value": float("nan")}, "dataset.filtered": {"dropped": 29}}


def judged(tmp_path, **settings):
    path = tmp_path / "calib.json"
    path.write_text(json.dumps(dataset_maker.content(**settings)))
    return judge(read_gate(GATE), read_dataset(path))


def outcomes(verdict):
    return {rule.rule.partition(" ")[0]: rule.verdict for rule in verdict.rules}


def test_a_good_day_passes_without_a_warning(tmp_path):
    verdict = judged(tmp_path)
    assert set(outcomes(verdict).values()) == {Verdict.PASS}
    assert verdict.warnings == ()


@pytest.mark.parametrize("metric", [rule.metric for rule in read_gate(GATE).require])
def test_every_rule_has_a_dataset_that_fails_it_and_no_other(tmp_path, metric):
    found = outcomes(judged(tmp_path, **MUTATIONS[metric]))
    assert {name for name, verdict in found.items() if verdict is Verdict.FAIL} == {metric}
    assert set(found.values()) == {Verdict.FAIL, Verdict.PASS}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"hours": 11.99}, "duration is 719.4m, asked for >= 12h"),
        ({"ticks": 9_998}, "ticks is 9998, asked for >= 10000"),
    ],
)
def test_too_little_of_it_decides_nothing(tmp_path, settings, reason):
    verdict = judged(tmp_path, **settings)
    assert set(outcomes(verdict).values()) == {Verdict.NO_DATA}
    assert verdict.reason == reason


@pytest.mark.parametrize(
    ("settings", "warnings"),
    [
        ({"hours": 23.9}, ["dataset.duration < 24h: was 23.9h"]),
        ({"hours": 12.0}, ["dataset.duration < 24h: was 12h"]),
        ({"fills": 0}, ["dataset.fills < 100: was 0"]),
    ],
)
def test_a_warning_is_told_and_changes_no_verdict(tmp_path, settings, warnings):
    verdict = judged(tmp_path, **settings)
    assert verdict.verdict is Verdict.PASS
    assert [record.fired.why for record in verdict.warnings] == warnings


def test_infinity_counts_and_a_symbol_may_be_selected(tmp_path):
    path = tmp_path / "calib.json"
    content = dataset_maker.content(dropped=12)
    content["intervals"][0]["mid"] = float("-inf")
    content["filters"]["dropped"] = [
        one for one in content["filters"]["dropped"] if one["symbol"] == "venue:BBB"
    ]
    path.write_text(json.dumps(content))
    dataset = read_dataset(path)
    assert dataset.not_finite(None)[0] == dataset.not_finite("venue:AAA")[0] == 1
    assert dataset.not_finite("venue:BBB")[0] == 0
    assert (dataset.counts("venue:AAA"), dataset.counts("venue:BBB")) == ((276, 0), (276, 12))
    assert dataset.columns["mid"][1] == 1.5


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("schema", 2, "Invalid enum value 2 - at `$.schema`"),
        ("data_kind", "guessed", "Invalid enum value 'guessed'"),
        ("coverage", [], "coverage was empty"),
        ("intervals", [{"fills": 1}], "intervals[0] has no symbol"),
        ("intervals", [{"symbol": "a"}], "intervals[0] has no count of fills"),
    ],
)
def test_what_is_no_dataset_is_refused(tmp_path, key, value, message):
    path = tmp_path / "calib.json"
    path.write_text(json.dumps(dataset_maker.content() | {key: value}))
    with pytest.raises(RunlogError) as raised:
        read_dataset(path)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "dataset.filtered < 10%",
            "fetch_md.p95 <= 35ms",
            "fetch_md.p95 is of a run, dataset.not_finite of a dataset",
        ),
        (
            "dataset.duration < 24h",
            "fills.count < 1",
            "fills.count is of a run, and this gate judges a dataset",
        ),
        ("warn:", "stop:", "a dataset is not watched: it has no `stop` rules"),
    ],
)
def test_a_gate_judges_a_dataset_or_a_run(tmp_path, old, new, message):
    text = GATE.read_text()
    assert old in text
    (tmp_path / "dataset.yaml").write_text(text.replace(old, new))
    with pytest.raises(GateError) as raised:
        read_gate(tmp_path / "dataset.yaml")
    assert message in str(raised.value)


@pytest.fixture
def workflow(project):
    """The shipped scenario test over the foreign maker."""
    shutil.copy(HERE / "dataset_maker.py", project.path)
    (project.path / "test_gates.py").unlink()
    shutil.copy(ROOT / "scenarios" / "test_4_dataset.py", project.path)
    text = (project.path / "pytest.ini").read_text()
    project.ini(f"{text}mmgates_dataset = dataset_maker:make\n")

    def told(**settings):
        (project.path / "dataset.json").write_text(json.dumps(settings))
        return project

    return told


def test_it_is_made_once_with_what_was_asked_for_and_judged_rule_by_rule(workflow):
    project = workflow(hours=13)
    result = project.run(
        "-m", "dataset", "-v", "--mmgates-from", "2025-01-15T00:00:00Z", "--mmgates-interval", "5m",
        "--mmgates-feeds=feeds", "--mmgates-feeds=s3://bucket/feeds",
    )  # fmt: skip
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "*test_dataset?feeds-dataset.not_finite? PASSED*",
            "warning on feeds, 1 times, first dataset.duration < 24h: was 13h",
        ]
    )
    (request,) = map(json.loads, (project.path / "dataset-requests.jsonl").read_text().splitlines())
    assert request == {
        "from": "2025-01-15T00:00:00Z",
        "to": None,
        "interval_s": 300.0,
        "feeds": [str(project.path / "feeds"), "s3://bucket/feeds"],
        "out_dir": str(project.path / "artifacts"),
    }
    verdict = project.verdict("dataset")
    assert (verdict["verdict"], verdict["dataset"]) == ("PASS", "calib_20250115_20250116.json")
    assert verdict["runs"] == [{"run_id": "r", "run_digest": "d", "config_sha256": "c", "data_sha256": "s"}]
    assert len(verdict["warnings"]) == 1


def test_what_the_last_soak_published_is_read_where_nothing_is_named(workflow):
    project = workflow()
    project.run("-m", "dataset", "--mmgates-report=html").assert_outcomes(passed=2)
    (request,) = map(json.loads, (project.path / "dataset-requests.jsonl").read_text().splitlines())
    assert request["feeds"] == [str(project.path / "artifacts/edge/feeds")]
    assert request["interval_s"] is None
    [page] = project.artifact("edge/reports").glob("calib_summary_*.html")
    assert "What it covers" in page.read_text()
    assert "dataset.not_finite == 0" in page.read_text()


@pytest.mark.parametrize(
    ("told", "message"),
    [({"error": "feeds: found no tick"}, "feeds: found no tick"), ({"bug": "oh"}, "ValueError: oh")],
)
def test_feeds_that_make_none_leave_no_older_pass(workflow, told, message):
    workflow().run("-m", "dataset").assert_outcomes(passed=2)
    project = workflow(**told)
    result = project.run("-m", "dataset")
    assert result.ret == 1
    assert message in result.stdout.str()
    verdict = project.verdict("dataset")
    assert (verdict["verdict"], verdict["reason"]) == ("NO_DATA", message)


@pytest.mark.parametrize(
    ("door", "message"),
    [
        ("dataset_maker:make_nothing", "ini mmgates_dataset: returned NoneType, expected a path as text"),
        ("", "ini mmgates_dataset = '': expected package.module:callable"),
    ],
)
def test_a_door_that_keeps_no_protocol_is_named(workflow, door, message):
    project = workflow()
    project.ini(f"[pytest]\npythonpath = .\nmmgates_sut = foreign_bot:open_run\nmmgates_dataset = {door}\n")
    result = project.run("-m", "dataset")
    assert message in result.stdout.str()
    assert result.ret == 1


def test_an_interval_that_is_no_time_is_an_error_of_use(workflow):
    result = workflow().run("-m", "dataset", "--mmgates-interval", "all")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--mmgates-interval: 'all' is not a duration such as*"])


@pytest.mark.slow
def test_workers_make_it_once(workflow):
    project = workflow()
    result = project.pytester.runpytest_subprocess("-p", "no:asyncio", "-m", "dataset", "-n", "2")
    result.assert_outcomes(passed=2)
    assert len((project.path / "dataset-requests.jsonl").read_text().splitlines()) == 1
