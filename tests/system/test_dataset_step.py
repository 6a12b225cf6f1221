"""`mmbot dataset` over the shipped repository: from feeds to a verdict, with the bot's own door."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.mmbot.builders import shipped_settings
from tests.mmbot.ops.feeds import bought, run_of, ticks, trace

ROOT = Path(__file__).parents[2]
TICK_S = 4


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What the step reads, in a folder of its own, and 13 hours that a soak published."""
    for name in ("pyproject.toml", "conftest.py"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("gates", "scenarios"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests").mkdir()
    (tmp_path / "config.yaml").touch()
    (tmp_path / "config.soak_overrides.yaml").touch()
    rows = ticks(13 * 3_600 / TICK_S / 10)
    start_ns = rows[0].ts_ns
    for number, row in enumerate(rows):
        row.ts_ns = start_ns + number * TICK_S * 1_000_000_000
    config = msgspec.to_builtins(shipped_settings(pipeline={"tick_interval_ms": TICK_S * 1_000.0}))
    told = [trace(number * 600.0, volatility_score=0.5) for number in range(78)]
    run_of(
        tmp_path / "artifacts/edge/feeds",
        [*rows, *told, bought(4_000.0)],
        config=config,
        data={"kind": "synthetic", "sha256": "d" * 64, "injected": []},
    )
    return tmp_path


def dataset(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = Path(sys.executable).with_name("mmbot")
    command = [script, "dataset", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_thirteen_hours_pass_with_a_warning_and_a_wrong_range_leaves_no_pass(project: Path) -> None:
    made = dataset(project, "--from", "2026-01-01T00:00:00Z", "--interval", "10m")
    assert made.returncode == 0, made.stdout
    assert "warning on feeds, 1 times, first dataset.duration < 24h: was 13h" in made.stdout
    verdict = project / "artifacts/verdicts/dataset.json"
    told = json.loads(verdict.read_bytes())
    assert (told["label"], told["dataset"]) == ("PASS (SYNTHETIC)", "calib_20260101_20260101.json")
    content = json.loads((project / "artifacts/edge/datasets" / told["dataset"]).read_bytes())
    assert (content["data_kind"], content["interval_s"], content["filters"]["intervals"]) == (
        "synthetic",
        600,
        78,
    )
    assert (project / "artifacts/edge/reports/calib_summary_20260101_20260101.md").is_file()

    wrong = dataset(project, "--from", "2026-01-02T00:00:00Z")
    assert wrong.returncode == 1
    assert "found no tick in 2026-01-02T00:00:00Z to" in wrong.stdout
    assert json.loads(verdict.read_bytes())["verdict"] == "NO_DATA"
