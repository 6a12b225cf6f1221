"""The table of the workflow names what is there: the plugin's steps, the gate files, the artifacts' names."""

from pathlib import Path

import pytest

from mmbot.ops.workflow import TASKS, WORKFLOW, Task, arguments, played, step_of, task_named
from pytest_mmgates.gatefile import read_gate
from pytest_mmgates.options import add_options
from pytest_mmgates.steps import STEPS

ROOT = Path(__file__).parents[2]
OF_THE_NOTE = {
    "prep": ["release/FEATURE_FLAGS_SNAPSHOT.json", "reports/PREP_LOG.md"],
    "shadow": ["baseline/stage_budgets.json", "md_cache/shadow_report.md"],
    "soak": [
        "reports/SOAK_START.md",
        "reports/PRE_SOAK_REPORT.md",
        "reports/SOAK_DASHBOARD_CHECKLIST.md",
        "edge/feeds/fills_20250115.jsonl",
        "edge/feeds/pipeline_ticks_20250115.jsonl",
    ],
    "dataset": [
        "edge/datasets/calib_20250115_20250117.json",
        "edge/reports/calib_summary_20250115_20250117.md",
    ],
    "ab.100": ["edge/reports/ab_run_online_20250120_101500.md"],
    "lock": [
        "baseline/stage_budgets.locked.json",
        "reports/BASELINE_LOCK_REPORT.md",
        "reports/CI_GATES_STATUS.md",
        "docs/FEATURE_FLAGS_REGISTRY.md",
    ],
    "daily": ["reports/daily/2025-01-20.md", "reports/ALERT_RULES.md"],
}
"""Every artifact that people know by name, by the step that leaves it."""


def test_the_steps_are_seven_and_each_is_a_marker():
    assert [step.number for step in WORKFLOW] == [1, 2, 3, 4, 5, 6, 7]
    assert [step.marker for step in WORKFLOW] == ["prep", "shadow", "soak", "dataset", "ab", "lock", "daily"]
    assert {step.marker for step in WORKFLOW} < STEPS.keys()
    assert all(task.step == step.marker and step_of(task) is step for step in WORKFLOW for task in step.tasks)


@pytest.mark.parametrize("name", OF_THE_NOTE)
def test_an_artifact_is_found_by_its_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    task = task_named(name)
    assert task is not None
    for artifact in OF_THE_NOTE[name]:
        path = tmp_path / artifact if artifact.startswith("docs/") else tmp_path / "artifacts" / artifact
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = dict(task.found(Path("artifacts")))
    assert all(len(files) == 1 for files in found.values())
    assert len(found) == len(OF_THE_NOTE[name])


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_gate_of_the_table_is_a_gate(task: Task):
    if task.gate is None or not (ROOT / task.gate).is_file():
        assert task.step in ("prep", "daily")
        return
    assert read_gate(ROOT / task.gate, shown_as=task.gate).name == Path(task.gate).stem


def test_what_a_session_is_told_the_plugin_knows():
    parser = pytest.Parser(_ispytest=True)
    add_options(parser)
    known = {name for option in parser._anonymous.options for name in option.names()}
    known |= {name for group in parser._groups for option in group.options for name in option.names()}
    for task in TASKS:
        words = arguments(task, Path("out"), "demo")
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, task.name


@pytest.mark.parametrize(
    ("name", "scenario", "expected"),
    [
        ("prep", "demo-14d", "demo-14d"),
        ("shadow", "demo-14d", "demo-14d@shadow"),
        ("soak", "demo-14d", "demo-14d@soak"),
        ("lock", "demo-14d", "demo-14d@shadow"),
        ("shadow", "demo", "demo"),
        ("dataset", "demo-14d", None),
        ("ab.50", "demo-14d", None),
        ("daily", "demo-14d", None),
    ],
)
def test_a_session_plays_its_stretch_of_a_scenario(name: str, scenario: str, expected: str | None):
    task = task_named(name)
    assert task is not None
    assert played(task, scenario, ROOT / "scenarios") == expected
