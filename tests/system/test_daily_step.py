"""`mmbot daily` over the shipped repository: from the rows of a run to report, page and verdict."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.mmbot.builders import shipped_settings
from tests.mmbot.ops.feeds import bought, run_of, ticks

from mmbot.model.records import Row
from mmbot.units import SECOND

ROOT = Path(__file__).parents[2]
TICK_S = 20
DAY_TICKS = 86_400 // TICK_S


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What the step reads, in a folder of its own."""
    for name in ("pyproject.toml", "conftest.py", "config.yaml", "config.soak_overrides.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("gates", "scenarios"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests").mkdir()
    return tmp_path


def days(project: Path, count: int, slow_from: int | None = None, **changes: Any) -> Path:
    """A run of that many whole days with a tick every 20 s; from one of them on its ticks are late."""
    rows = ticks(count * DAY_TICKS / 10, tick_total_ns=200_000)
    start_ns = rows[0].ts_ns
    for number, row in enumerate(rows):
        row.ts_ns = start_ns + number * TICK_S * SECOND
        row.tick_total_ns += number % 97 * 100
        if slow_from is not None and number >= slow_from * DAY_TICKS:
            row.tick_total_ns *= 3
    fills = [
        bought(day * 86_400.0 + after, 2 * day + number, side=side, price=price)
        for day in range(count)
        for number, (after, side, price) in enumerate([(100.0, "buy", 99.9), (200.0, "sell", 100.2)], 1)
    ]
    for row in rows:
        booked = (fill for fill in fills if fill.recv_ns <= row.ts_ns)
        row.position = round(sum(fill.qty if fill.side == "buy" else -fill.qty for fill in booked), 2)
    written: list[Row] = sorted([*rows, *fills], key=lambda row: row.ts_ns)
    return run_of(
        project / "artifacts/runs/soak",
        written,
        config=msgspec.to_builtins(shipped_settings(pipeline={"tick_interval_ms": TICK_S * 1_000.0})),
        mode="replay",
        data={"kind": "synthetic", "sha256": "d" * 64, "injected": []},
        **changes,
    )


def daily(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = Path(sys.executable).with_name("mmbot")
    return subprocess.run(
        [script, "daily", *arguments], cwd=project, capture_output=True, text=True, check=False
    )


def told(project: Path, day: str) -> tuple[dict[str, Any], str]:
    verdict = json.loads((project / "artifacts/verdicts/daily.json").read_bytes())
    return verdict, (project / f"artifacts/reports/daily/{day}.md").read_text()


@pytest.mark.slow
def test_a_planted_regression_shows_up_and_wrong_days_leave_no_pass(project: Path) -> None:
    days(project, 9, slow_from=8)
    good = daily(project, "--date", "2026-01-08")
    assert good.returncode == 0, good.stdout
    verdict, report = told(project, "2026-01-08")
    assert (verdict["label"], verdict["day"], verdict["mode"]) == ("PASS (SYNTHETIC)", "2026-01-08", "replay")
    assert "Nothing: no rule is broken, no warning holds, no figure moved for the worse." in report
    assert "# Alert rules" in (project / "artifacts/reports/ALERT_RULES.md").read_text()

    slow = daily(project, "--date", "2026-01-09")
    assert slow.returncode == 0, slow.stdout
    verdict, report = told(project, "2026-01-09")
    assert "tick_total p95 moved for the worse" in report
    assert "docs/runbooks/latency.md" in report
    assert [record["rule"] for record in verdict["warnings"]] == ["daily.moved_worse > 0"]

    nobody = daily(project, "--date", "2026-02-01")
    assert nobody.returncode == 1
    verdict, report = told(project, "2026-02-01")
    assert verdict["verdict"] == "NO_DATA"
    assert "**NO_DATA.** no run has rows of 2026-02-01" in report

    for wrong, why in (("2999-01-01", "2999-01-01 is not over"), ("today", "expected a day such as")):
        refused = daily(project, "--date", wrong)
        assert refused.returncode == 1
        assert f"--date: {why}" in refused.stdout or f"was {wrong!r}, {why}" in refused.stdout
        assert json.loads((project / "artifacts/verdicts/daily.json").read_bytes())["verdict"] == "NO_DATA"


@pytest.mark.slow
def test_a_day_with_a_gap_fails_by_its_coverage_and_names_the_gap(project: Path) -> None:
    folder = days(project, 1)
    path = folder / "pipeline_ticks_20260101.jsonl"
    rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(rows[:2000] + rows[2100:]))
    done = daily(project, "--date", "2026-01-01")
    assert done.returncode == 1
    _, report = told(project, "2026-01-01")
    assert "daily.coverage >= 99% is broken" in report
    assert (
        "no tick of bybit_linear:SYNTHUSDT from 2026-01-01T11:06:20Z to 2026-01-01T11:40:00Z, 2020 s"
        in report
    )
