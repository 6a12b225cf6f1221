"""`mmbot all --virtual` on a recording that is too little for all of it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.system.workflow_claims import believed, checked

from mmbot.ops.workflow import TASKS

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_blocked_steps_say_why_and_the_others_what_their_rows_say(
    tmp_path: Path,
) -> None:
    """On a day of market, of which an A/B has none left. Every artifact that people know is there."""
    data = ROOT.parent / "shared/data"
    if not data.is_dir():
        pytest.skip("captures are not here: no ../shared/data")
    for name in ("config.yaml", "config.soak_overrides.yaml", "pyproject.toml", "conftest.py"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("gates", "scenarios", "experiments", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests").mkdir()
    script = Path(sys.executable).with_name("mmbot")
    command = [script, "all", "--virtual", "--scenario", "nexo-24h", "--show-blocked", f"--data={data}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path)
        _holds(Path("artifacts/virtual/nexo-24h"))


def _holds(out: Path) -> None:
    claims = list(checked(out))
    stands = {task.name: believed(task, out) for task in TASKS}
    verdicts = [record.verdict for record in stands.values()]
    assert verdicts == ["PASS", "PASS", "INCONCLUSIVE", *["NO_DATA"] * (len(TASKS) - 3)]
    assert "fills in 1h, asked for 100" in str(stands["soak"].reason), "too thin a market to judge who took"
    for task in TASKS[3:]:
        assert stands[task.name].reason == "blocked by soak, which is not accepted"
        assert json.loads((out / task.evidence).read_bytes())["verdict"] == "NO_DATA"
    assert [claim.partition(":")[0] for claim in claims[-2:]] == ["shadow", "soak"]
    assert all("SYNTHETIC" not in record.label for record in stands.values())
    assert not (out / "reports/FINISH_LINE_COMPLETE.md").exists()
