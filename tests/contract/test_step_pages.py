"""Steps that play no run have the page that the others have: what the bot found, by the plugin's template."""

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from tests.mmbot.builders import REPO
from tests.mmbot.ops.test_red_button import GOOD


@pytest.fixture(scope="module")
def steps() -> ModuleType:
    """What the scenarios share, where bot and plugin meet."""
    spec = importlib.util.spec_from_file_location("steps", REPO / "scenarios/conftest.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_a_rehearsal_that_failed_says_on_top_what_did(steps: ModuleType):
    page = steps.rehearsal_page(replace(GOOD, to_last_order_s=None))
    assert "FAIL (SYNTHETIC)" in page
    assert "last order in time" in page.split("<table")[0]
    assert "never" in page
    assert "0.400 s" in page


def test_a_rehearsal_that_held_says_under_what_load(steps: ModuleType):
    top = steps.rehearsal_page(GOOD).split("<table")[0]
    assert "PASS (SYNTHETIC)" in top
    assert "5 busy symbols with 20 orders open, 83 book updates a second at least" in top


@pytest.mark.parametrize(
    ("step", "arguments", "page", "said"),
    [
        (
            "sim",
            ["--mmgates-seed=3"],
            "SIM_REPORT.html",
            ["INCONCLUSIVE (SYNTHETIC)", "1 seeds, 0 broke a promise"],
        ),
        ("prep", [], "PREP_LOG.html", ["snapshot", "config.yaml"]),
    ],
)
def test_a_page_is_written_where_it_is_asked_for(
    tmp_path: Path, step: str, arguments: list[str], page: str, said: list[str]
):
    asked = [f"--mmgates-out={tmp_path}", "--mmgates-report=html,md", *arguments]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "scenarios",
        "-m",
        step,
        *asked,
    ]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    text = (tmp_path / "reports" / page).read_text(encoding="utf-8")
    assert all(one in text for one in said)
    assert f"-m {step}" in text
