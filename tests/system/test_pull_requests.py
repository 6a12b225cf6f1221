"""Pull requests on a copy of this repository, end to end: the real bot, its shadow run, its lock, its tape.

Where stage times decide, the comparison gets as long as it takes: a busy machine plays few rounds a minute.
Minutes of work: `pytest -m slow tests/system/test_pull_requests.py`.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = ("src", "gates", "scenarios", "docs", "config.yaml", "config.soak_overrides.yaml", "pyproject.toml")
PIPELINE = "src/mmbot/engine/pipeline.py"
GUARDS = "        level = guards(now_ns,"
SPREAD = "half_spread_bps = stages.spread(now_ns, volatility_bps, market.liquidity_score, vitals)"

AS_LONG_AS_IT_TAKES = "30m"
PASSED = ("PASS", "PROVISIONAL")

pytestmark = pytest.mark.slow


class Copy:
    """The repository as it is now, under a history of its own. A change is a branch from `locked`."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, path / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, path / name)
        shutil.rmtree(path / "gates" / "baselines", ignore_errors=True)
        (path / "conftest.py").write_text("")
        (path / ".gitignore").write_text("/artifacts/\n__pycache__/\n.pytest_cache/\n")
        self.git("init", "--quiet")
        self.commit()

    def without_history(self, path):
        """The same files beside it, without the commits and without the archive that were locked."""
        left_out = shutil.ignore_patterns(".git", "*.source.tar.xz", "artifacts")
        shutil.copytree(self.path, path, ignore=left_out)
        other = object.__new__(Copy)
        other.path = path
        other.git("init", "--quiet")
        other.commit()
        other.git("branch", "locked")
        return other

    def git(self, *arguments):
        who = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org")
        command = ["git", "-C", str(self.path), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "x")

    def pytest(self, *arguments):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(self.path / "src"), str(self.path)])}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        return subprocess.run(
            command, cwd=self.path, env=environment, capture_output=True, text=True, check=False
        )

    def judged(self, *edits, compare="1s"):
        """A change of `(file, old, new)` on its own branch, held against the baseline."""
        self.git("checkout", "--quiet", "-B", "change", "locked")
        for file, old, new in edits:
            path = self.path / file
            assert path.read_text().count(old) == 1, (file, old)
            path.write_text(path.read_text().replace(old, new))
        if edits:
            self.commit()
        done = self.pytest("-m", "ci", "--mmgates-base", "locked", "-o", f"mmgates_compare={compare}")
        verdict = json.loads((self.path / "artifacts" / "verdicts" / "ci.json").read_text())
        return done, verdict, {rule["rule"]: rule["verdict"] for rule in verdict["rules"]}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Played and locked: the proof is part of it."""
    made = Copy(tmp_path_factory.mktemp("pull-requests") / "repository")
    for arguments in (("-m", "shadow"), ("-m", "lock", "--mmgates-lock")):
        done = made.pytest(*arguments)
        assert done.returncode == 0, done.stdout[-2000:]
    made.commit()
    made.git("branch", "locked")
    return made


def test_a_clean_change_passes(copy):
    comment = (PIPELINE, GUARDS, f"        # what may be quoted at all\n{GUARDS}")
    done, verdict, rules = copy.judged(comment, compare=AS_LONG_AS_IT_TAKES)
    assert set(rules.values()) == {"PASS"}, done.stdout[-3000:]
    assert done.returncode == 0
    assert verdict["comparison"]["edits"] == []
    assert len(verdict["comparison"]["latency"]["stages"]) == 7


def test_a_slowed_stage_fails_and_decides_the_same(copy):
    slowed = (PIPELINE, GUARDS, f"        for _ in range(30):\n            pass\n{GUARDS}")
    done, verdict, rules = copy.judged(slowed, compare=AS_LONG_AS_IT_TAKES)
    assert done.returncode == 1
    assert rules["regress(guards.p95) <= 3%"] == "FAIL", done.stdout[-3000:]
    assert rules["same(decisions)"] == "PASS"
    guards = next(one for one in verdict["comparison"]["latency"]["stages"] if one["stage"] == "guards")
    assert guards["low"] > 0.03


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_where_the_baseline_is_lost_its_instructions_decide_provisionally(copy, tmp_path):
    lost = copy.without_history(tmp_path / "lost")
    assert set(stage_times(lost)) == {PASSED}
    slowed = (PIPELINE, GUARDS, f"        for _ in range(30):\n            pass\n{GUARDS}")
    fetch_md, spread, guards, *_ = stage_times(lost, slowed)
    assert (fetch_md, spread, guards) == (PASSED, PASSED, ("FAIL", "PROVISIONAL"))


def stage_times(repository, *edits):
    """Verdict and mark of each rule on stage times; the decisions have nothing to be compared with."""
    _, verdict, rules = repository.judged(*edits)
    assert rules["same(decisions)"] == "NO_DATA"
    return [(rule["verdict"], rule["mark"]) for rule in verdict["rules"] if "regress" in rule["rule"]]


def test_a_change_that_quotes_otherwise_is_shown_in_figures(copy):
    done, verdict, rules = copy.judged((PIPELINE, SPREAD, f"{SPREAD} * 1.2"))
    assert done.returncode == 1
    assert rules["same(decisions)"] == "FAIL"
    figures = {one["name"]: one for one in verdict["comparison"]["behaviour"]["figures"]}
    assert figures["gross_bps"]["candidate"] > figures["gross_bps"]["baseline"]
    report = (copy.path / "artifacts" / "reports" / "PULL_REQUEST_REPORT.md").read_text()
    assert f"old: {verdict['comparison']['behaviour']['baseline']}" in report


def test_a_loosened_threshold_stands_on_top_and_changes_nothing(copy):
    loose = ("gates/ci.yaml", "regress(guards.p95) <= 3%", "regress(guards.p95) <= 300%")
    done, verdict, rules = copy.judged(loose)
    edit = "ci.yaml: `regress(guards.p95) <= 3%` became `regress(guards.p95) <= 300%`"
    assert verdict["comparison"]["edits"] == [edit]
    assert f"this change edits gates: {edit}" in done.stdout
    assert {"regress(guards.p95) <= 3%", "regress(guards.p95) <= 300%"} <= set(rules)


def test_a_deleted_gate_stands_on_top_and_is_judged_all_the_same(copy):
    _, verdict, rules = copy.judged(
        ("gates/ci.yaml", "  - same(decisions)\n", ""), (PIPELINE, SPREAD, f"{SPREAD} * 1.2")
    )
    assert verdict["comparison"]["edits"] == ["ci.yaml: `same(decisions)` was deleted"]
    assert rules["same(decisions)"] == "FAIL"
