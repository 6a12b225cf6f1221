"""`mmbot prep` and `pytest -m prep` over the shipped repository, from the command line to the way back."""

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from mmbot.ops.prep import CHECKS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What prep reads, in a folder of its own."""
    for name in ("config.yaml", "config.soak_overrides.yaml", "pyproject.toml", "conftest.py"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "tests").mkdir()
    shutil.copytree(ROOT / "gates", tmp_path / "gates")
    shutil.copytree(ROOT / "scenarios", tmp_path / "scenarios", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def mmbot(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = Path(sys.executable).with_name("mmbot")
    return subprocess.run([script, *arguments], cwd=project, capture_output=True, text=True, check=False)


def stands(project: Path) -> tuple[str, str | None]:
    """Of prep, and why, as `mmbot status` reads it from the session's record."""
    found = msgspec.json.decode(mmbot(project, "status", "--json").stdout)
    prep = found["steps"][0]["tasks"][0]
    return prep["state"], prep["why"]


def test_a_release_is_prepared_and_rolled_back(project: Path):
    before = (project / "config.yaml").read_bytes()
    prepared = mmbot(project, "prep")
    assert prepared.returncode == 0, prepared.stdout
    assert f"{len(CHECKS)} passed" in prepared.stdout
    assert stands(project) == ("accepted", None)
    (project / "config.yaml").write_bytes(
        before.replace(b"queue_aware:\n  enabled: true", b"queue_aware:\n  enabled: off", 1)
    )
    assert stands(project) == ("stale", "config.yaml has changed since")
    back = mmbot(project, "rollback", "--values", "new")
    assert (back.returncode, back.stderr) == (0, "")
    assert "-  enabled: off" in back.stdout
    assert (project / "config.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [("gates/bad.yaml", "gate: bad\n", "gates/bad.yaml:1"), ("out", "", "cannot be written")],
)
def test_what_cannot_be_read_or_written_is_one_line(project: Path, path: str, text: str, expected: str):
    (project / path).write_text(text)
    done = mmbot(project, "prep", "--out", "out")
    assert done.returncode == 1
    assert expected in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_gate_that_asks_for_more_than_can_be_earned_is_red_with_its_place(project: Path):
    gate = project / "gates" / "shadow.yaml"
    gate.write_text(gate.read_text() + "  - net_bps >= 29bps\n")
    line = len(gate.read_text().splitlines())
    done = mmbot(project, "prep", "--config", "config.yaml", "--out", "elsewhere")
    assert done.returncode == 1
    expected = f"FAIL gates: gates/shadow.yaml:{line}: net_bps >= 29bps: demo earns at most spread.max_bps 30"
    assert expected in done.stdout
    verdict = msgspec.json.decode((project / "elsewhere" / "verdicts" / "prep.json").read_bytes())
    assert verdict["verdict"] == "FAIL"
    assert not (project / "elsewhere" / "release").exists()
