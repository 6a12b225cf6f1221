"""The page on the workflow says what the table of the workflow says."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmbot.cli import app
from mmbot.config.strict_yaml import load
from mmbot.ops.evidence import State, age_text
from mmbot.ops.walk import CONFIG, TEMPLATE
from mmbot.ops.workflow import TASKS, Task, step_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/workflow.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def row(task: Task) -> str:
    judged = "its own checks" if task.gate is None else f"`{task.gate}`"
    leaves = ", ".join(f"`{pattern}`" for pattern in task.artifacts)
    good = "its code" if task.good_for_ns is None else age_text(task.good_for_ns)
    return f"| {step_of(task).number} | `{task.name}` | {judged} | {leaves} | {good} |"


def test_its_table_is_the_table() -> None:
    assert re.findall(r"^\| \d \| .*", PAGE, re.MULTILINE) == [row(task) for task in TASKS]


def test_every_state_is_explained() -> None:
    table = PAGE.split("From then on a step")[1].split("Only the first is green")[0]
    assert re.findall(r"^\| ([a-z ]+) \| ", table, re.MULTILINE) == ["stands at", *map(str, State)]


@pytest.mark.parametrize("page", [PAGE, README], ids=["page", "readme"])
def test_its_commands_have_these_options(page: str) -> None:
    found = re.findall(r"mmbot (status|next|all)((?: [^ `#\n]+)*)", page)
    assert {name for name, _ in found} == {"status", "next", "all"}
    for name, words in found:
        told = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).stdout
        for option in re.findall(r"--[a-z-]+\b", words.partition(" -- ")[0]):
            assert option in told, f"mmbot {name} {option}"


def test_the_plan_of_the_candidate_is_made_of_files_that_are_there() -> None:
    plan = load(ROOT / TEMPLATE).data
    assert f"`{TEMPLATE}`" in PAGE
    assert [*map(Path, plan["config"])] == [*CONFIG]
    overlay, nudge = plan["arms"]["B"]
    assert overlay == "artifacts/edge/calibrated_weights.yaml"
    assert (ROOT / nudge).is_file()
    assert f"`{nudge}`" in PAGE
