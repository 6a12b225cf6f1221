"""The nightly soak: its shell steps, run as they stand, over a market of minutes."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PATH = ROOT / ".github" / "workflows" / "nightly-soak.yml"
WORKFLOW: dict[str, Any] = yaml.safe_load(PATH.read_text(encoding="utf-8"))
JOB: dict[str, Any] = WORKFLOW["jobs"]["soak"]
STEPS: dict[str, dict[str, Any]] = {step["name"]: step for step in JOB["steps"]}
SYMBOL = "SYNTH02USDT"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What is checked out, with three minutes of market and a tick a second."""
    for name in ("config.yaml", "config.soak_overrides.yaml", "pyproject.toml", "conftest.py"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "tests").mkdir()
    shutil.copytree(ROOT / "gates", tmp_path / "gates")
    shutil.copytree(ROOT / "scenarios", tmp_path / "scenarios", ignore=shutil.ignore_patterns("__pycache__"))
    edit(
        tmp_path / "scenarios" / f"{WORKFLOW['env']['SOAK_SCENARIO']}.yaml",
        "duration_s: 259210",
        "duration_s: 190",
    )
    edit(tmp_path / "config.soak_overrides.yaml", "pipeline:\n", "pipeline:\n  tick_interval_ms: 1000\n")
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def step(project: Path, name: str, **changed: str) -> "subprocess.CompletedProcess[str]":
    """As a runner does it: the text in a file, by `bash -e`; only declared variables are changed."""
    declared = {**WORKFLOW["env"], **JOB["env"]}
    assert set(changed) <= set(declared)
    script = project / "step.sh"
    script.write_text(STEPS[name]["run"], encoding="utf-8")
    environment: Mapping[str, str] = {
        **os.environ,
        **declared,
        "SOAK_SYMBOL": SYMBOL,
        "GITHUB_STEP_SUMMARY": str(project / "summary.md"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        **changed,
    }
    command = ["bash", "-e", str(script)]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def summary(project: Path) -> str:
    text = (project / "summary.md").read_text(encoding="utf-8")
    (project / "summary.md").unlink()
    return text


def test_a_shard_is_played_judged_told_and_kept(project: Path) -> None:
    played = step(project, "Soak", SOAK_DURATION="2m")
    assert played.returncode == 1, played.stdout  # two minutes are no soak
    assert "duration is 2m, asked for >= 24h" in played.stdout
    verdict = yaml.safe_load((project / "artifacts/verdicts/soak.json").read_text(encoding="utf-8"))
    assert [part["name"] for part in verdict["parts"]] == [SYMBOL]

    report = (project / "artifacts/reports/SOAK_REPORT.md").read_text(encoding="utf-8")
    assert step(project, "Summary").returncode == 0
    assert summary(project) == report
    assert step(project, "Summary", SUMMARY_BYTES="600").returncode == 0
    cut = summary(project)
    assert len(cut.encode()) <= 600
    kept, _, said = cut.rpartition("\n\n")
    assert report.startswith(kept)
    assert said == "Cut here: the whole report is among the artifacts.\n"

    for pattern in STEPS["Keep"]["with"]["path"].split():
        assert list(project.glob(pattern)), pattern


def test_a_soak_that_ended_before_its_verdict_says_so(project: Path) -> None:
    assert step(project, "Summary").returncode == 0
    assert summary(project) == f"No report of {SYMBOL}: the soak ended before it was judged.\n"


def test_the_shards_are_the_parts_of_the_scenario() -> None:
    path = ROOT / "scenarios" / f"{WORKFLOW['env']['SOAK_SCENARIO']}.yaml"
    scenario = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert scenario["parts"] == ["symbol"]
    assert JOB["strategy"]["matrix"]["symbol"] == list(scenario["market"]["symbols"])


def test_nothing_foreign_runs_but_what_is_pinned_and_nothing_may_be_written() -> None:
    lines = [line for line in PATH.read_text(encoding="utf-8").splitlines() if "uses:" in line]
    assert lines
    assert all(re.search(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+$", line) for line in lines)
    assert (WORKFLOW["permissions"], JOB["permissions"]) == ({}, {"contents": "read"})
    assert JOB["timeout-minutes"] <= 60
