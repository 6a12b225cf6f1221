"""`pytest -m soak` over the shipped repository: what it starts from is said before it plays, as it is."""

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = ("config.yaml", "config.soak_overrides.yaml", "pyproject.toml", "conftest.py")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What a soak reads, in a folder of its own; evidence of a minute, and a tick a second."""
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "tests").mkdir()
    shutil.copytree(ROOT / "gates", tmp_path / "gates")
    shutil.copytree(ROOT / "scenarios", tmp_path / "scenarios", ignore=shutil.ignore_patterns("__pycache__"))
    overrides = tmp_path / "config.soak_overrides.yaml"
    overrides.write_text(
        overrides.read_text().replace("pipeline:\n", "pipeline:\n  tick_interval_ms: 1000\n"),
        encoding="utf-8",
    )
    return tmp_path


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def mmbot(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = Path(sys.executable).with_name("mmbot")
    return subprocess.run([script, *arguments], cwd=project, capture_output=True, text=True, check=False)


def report(project: Path, name: str) -> str:
    return (project / "artifacts" / "reports" / name).read_text(encoding="utf-8")


def test_a_soak_that_nothing_went_before_says_so_and_plays(project: Path) -> None:
    files = ("--config", "config.yaml", "--config-override", "config.soak_overrides.yaml")
    done = mmbot(project, "run", *files, "--mode", "soak", "--duration", "0.05", "--scenario", "demo")
    assert done.returncode == 1
    reason = "duration is 3m, asked for >= 24h; ticks is 180, asked for >= 10000"
    assert done.stdout.endswith(f"soak: NO_DATA (SYNTHETIC): {reason} (artifacts/verdicts/soak.json)\n")
    assert report(project, "SOAK_START.md").startswith("# Soak: NOT READY\n")
    assert "- status page: none: `--mmgates-status-port PORT` shows" in report(project, "SOAK_START.md")
    assert "| NOT KNOWN | prep verdict | never run | PASS |" in report(project, "PRE_SOAK_REPORT.md")
    manifest = (project / "artifacts/runs/soak-demo/manifest.json").read_text(encoding="utf-8")
    assert '"max_position_quote": 2500' in manifest  # config.soak_overrides.yaml has the last word


def test_a_soak_says_what_it_starts_from(project: Path) -> None:
    assert run(project, "-m", "prep").returncode == 0
    shadowed = run(project, "-m", "shadow", "--mmgates-config=config.yaml")
    assert shadowed.returncode == 0, shadowed.stdout
    run(project, "-m", "soak", "--mmgates-duration", "2m", "--mmgates-status-port", "0")

    start, ready = report(project, "SOAK_START.md"), report(project, "PRE_SOAK_REPORT.md")
    assert start.startswith("# Soak: ready\n")
    assert "pytest -m soak --mmgates-scenario demo --mmgates-duration 2m" in start
    assert re.search(r"\| ready \| prep verdict \| PASS, \d min ago \| PASS \|", ready)
    assert re.search(r"\| ready \| shadow verdict \| PASS \(SYNTHETIC\), \d min ago \| PASS \|", ready)
    assert re.search(r"\| ready \| disk \| .+ GB free \| 0\.0 GB: 120 ticks of \d{3,4} bytes, as ", ready)
    assert "| ready | directory | artifacts: writable | writable |" in ready
    assert f"- pytest {pytest.__version__}\n- python {platform.python_version()}\n" in ready
    assert "- status page: on a free port, which `artifacts/running/*.json` names" in start
    assert "NOT" not in ready
    for line in (project / "gates/soak.yaml").read_text(encoding="utf-8").splitlines():
        if "[" in line and line.startswith("  - "):
            assert line.removeprefix("  - ") in start
    checklist = report(project, "SOAK_DASHBOARD_CHECKLIST.md")
    assert "- [ ] metrics: on a free port" in checklist
    assert "- [ ] dashboard: none: ops/grafana/mmbot.json is not there" in checklist
    assert "| stop | deadline_miss.ratio | `deadline_miss` in pipeline_ticks |" in checklist


def test_another_configuration_than_the_prepared_one_is_not_ready(project: Path) -> None:
    assert run(project, "-m", "prep", "--mmgates-config=config.yaml").returncode == 0
    run(project, "-m", "soak", "--mmgates-duration", "2m")
    assert "| NOT READY | configuration | sha256 " in report(project, "PRE_SOAK_REPORT.md")


def test_what_the_start_cannot_read_is_one_line_and_no_run(project: Path) -> None:
    (project / "artifacts" / "verdicts").mkdir(parents=True)
    (project / "artifacts" / "verdicts" / "prep.json").write_text("{", encoding="utf-8")
    done = run(project, "-m", "soak")
    assert done.returncode == 1
    assert "verdicts/prep.json: cannot be read: " in done.stdout
    assert "Traceback" not in done.stdout
    assert not (project / "artifacts" / "runs").exists()
