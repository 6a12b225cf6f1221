"""The replay stage with the real bot: two arms of one plan on the demo market, from pytest to the report."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAN = """
name: two-arms
title: Two arms on the demo market
scenario: demo
config: [config.yaml]
arms: {A: [], B: [%s]}
clusters: {all: ["bybit_linear:SYNTHUSDT"]}
switch: apart
block: 2m
washout: 30s
seed: 1
stages:
  replay: {duration: 50m, pairs: 24}
  "10": {duration: 24h, pairs: 20}
  "50": {duration: 24h, pairs: 24}
  "100": {duration: 72h, pairs: 0}
max_pairs: 336
metric: net_bps
floor_bps: 0.2
effect_bps: 0.3
confidence: 0.975
gate: gates/ab.yaml
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The repository's own step and gate, which here asks for 50 minutes and 28 blocks of two."""
    for name in ("conftest.py", "config.yaml", "config.soak_overrides.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "scenarios").mkdir()
    for name in ("demo.yaml", "test_5_ab.py"):
        shutil.copy(ROOT / "scenarios" / name, tmp_path / "scenarios")
    (tmp_path / "tests").mkdir()
    (tmp_path / "gates").mkdir()
    text = (ROOT / "gates" / "ab.yaml").read_text().replace(">= 24h", ">= 50m")
    (tmp_path / "gates" / "ab.yaml").write_text(text.replace("[6h]", "[10m]").replace("[1h]", "[2m]"))
    (tmp_path / "experiments").mkdir()
    return tmp_path


def played(project: Path, overrides: str) -> dict:
    """The verdict on an arm B with these overrides."""
    (project / "experiments" / "b.b.yaml").write_text(overrides)
    (project / "experiments" / "two-arms.yaml").write_text(PLAN % "experiments/b.b.yaml")
    command = [sys.executable, "-m", "pytest", "-m", "ab", "-q", "-n", "0"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    path = project / "artifacts" / "verdicts" / "ab.json"
    assert path.is_file(), done.stdout + done.stderr
    return json.loads(path.read_text())


@pytest.mark.slow
def test_two_equal_arms_are_equal_to_the_last_fill(project: Path) -> None:
    """What our own pipeline makes of no change at all: exactly nothing, and never an acceptance."""
    verdict = played(project, "spread: {base_bps: 3.0}\n")
    digests: dict[str, set[str]] = {}
    for run in verdict["runs"]:
        digests.setdefault(run["variant"], set()).add(run["config_sha256"])
    assert all(len(hashes) == 1 for hashes in digests.values())
    assert verdict["decision"] == "FUTILE"
    [accept] = [rule for rule in verdict["rules"] if rule["section"] == "accept"]
    assert (accept["value"], accept["verdict"]) == (0.0, "FAIL")


@pytest.mark.slow
def test_another_spread_is_another_arm(project: Path) -> None:
    verdict = played(project, "spread: {base_bps: 4.0, min_bps: 3.0}\n")
    assert {run["arm"] for run in verdict["runs"]} == {"A", "B"}
    assert not verdict["void"]
    [accept] = [rule for rule in verdict["rules"] if rule["section"] == "accept"]
    assert accept["value"] != 0.0
    assert accept["data_kind"] == "synthetic"
    [page] = (project / "artifacts" / "edge" / "reports").glob("ab_replay_*.html")
    assert page.read_text().count("<svg") == 4
