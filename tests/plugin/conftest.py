"""A project of its own for each test: a foreign bot, scenario and gate files, and pytest run in it."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

INI = """
[pytest]
pythonpath = .
mmgates_sut = foreign_bot:open_run
"""

GATED = """
import pytest

@pytest.mark.shadow
def test_shadow(shadow_run, rule, gate):
    gate(shadow_run, rule)
"""


class Project:
    """A directory with a bot under gates. pytest-asyncio, where installed, warns about its settings: it stays
    out.
    """

    def __init__(self, pytester):
        self.pytester = pytester
        self.path = pytester.path
        shutil.copytree(ROOT / "gates", self.path / "gates", ignore=shutil.ignore_patterns("baselines"))
        shutil.copy(HERE / "foreign_bot.py", self.path)
        self.ini(INI)
        self.scenario("demo")
        self.test(GATED)

    def ini(self, text):
        (self.path / "pytest.ini").write_text(text)

    def test(self, text):
        (self.path / "test_gates.py").write_text(text)

    def scenario(self, name, **settings):
        (self.path / "scenarios").mkdir(exist_ok=True)
        (self.path / "scenarios" / f"{name}.yaml").write_text(json.dumps(settings))

    def gate(self, name, old="", new=""):
        """Edit a shipped gate file, or begin another from `shadow`."""
        text = (ROOT / "gates" / "shadow.yaml").read_text().replace("gate: shadow", f"gate: {name}")
        assert old in text
        (self.path / "gates" / f"{name}.yaml").write_text(text.replace(old, new))

    def shipped_scenarios(self):
        """The repository's own scenario tests instead of `test_gates.py`, under its own strictness."""
        (self.path / "test_gates.py").unlink()
        shutil.copy(ROOT / "conftest.py", self.path)
        for name in ("test_2_shadow.py", "conftest.py"):
            shutil.copy(ROOT / "scenarios" / name, self.path / "scenarios")
        self.scenario("btcusdt-8m", minutes=8, tick_ms=250, kind="recorded")
        self.scenario("eth-3venues", minutes=6, tick_ms=250, kind="recorded")
        strict = (
            "addopts = --import-mode=importlib --strict-markers --strict-config\nfilterwarnings = error\n"
        )
        self.ini(f"{INI}mmgates_parts = foreign_bot:parts\n{strict}")

    def run(self, *args):
        return self.pytester.runpytest_inprocess("-p", "no:asyncio", *args)

    def requests(self):
        """What the bot was asked for, run by run."""
        path = self.path / "requests.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def artifact(self, name):
        return self.path / "artifacts" / name

    def verdict(self, name="shadow"):
        return json.loads(self.artifact(f"verdicts/{name}.json").read_text())

    def written(self, out="artifacts"):
        """Every file under the output directory except the runs themselves and their history."""
        root = self.path / out
        files = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
        return sorted(name for name in files if not name.startswith("runs/") and name != "history.sqlite")


@pytest.fixture(scope="session")
def dask():
    """Imported before pytester remembers what was: with it comes a finder of installed packages in place of
    Python's own, and without either none would be found.
    """
    return pytest.importorskip("distributed")


@pytest.fixture
def project(pytester):
    return Project(pytester)


STEPS = """
import pytest

@pytest.mark.shadow
def test_shadow(shadow_run, rule, gate):
    gate(shadow_run, rule)

@pytest.mark.lock
def test_lock(locked_baseline):
    assert locked_baseline.status == "locked"

@pytest.mark.ci
def test_ci(ci_run, rule, gate):
    gate(ci_run, rule)
"""

SOURCE = """mmgates_source =
    foreign_bot.py
    tuning.json
    scenarios
"""

CI = """gate: ci
evidence: {duration: ">= 60m", ticks: ">= 100", source: [recorded, synthetic]}
owner: trading-infra
runbook: docs/baselines.md
require:
  - md_cache.hit_ratio >= 60%
  - deadline_miss.ratio <= 2%
regress:
  - same(decisions)
"""


class Repository:
    """The plugin tests' project, in git: `change` is an edit of the bot's own code."""

    def __init__(self, project):
        self.project = project
        self.path = project.path
        project.ini(INI + SOURCE)
        project.test(STEPS)
        (self.path / "gates" / "ci.yaml").write_text(CI)
        project.gate("shadow", ">= 3000", ">= 100")
        project.scenario("demo", tick_ms=20_000)
        (self.path / ".gitignore").write_text("artifacts\n__pycache__\nrequests.jsonl\n")
        self.change()
        self.git("init", "--quiet")
        self.commit()

    def git(self, *arguments):
        who = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org")
        command = ["git", "-C", str(self.path), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "x")

    def change(self, **settings):
        (self.path / "tuning.json").write_text(json.dumps(settings))

    def run(self, *arguments):
        return self.project.run(*arguments)

    def locked(self):
        """Play, lock, commit."""
        self.run("-m", "shadow").assert_outcomes(passed=4)
        self.run("-m", "lock", "--mmgates-lock").assert_outcomes(passed=1)
        self.commit()
        return self

    @property
    def lock(self):
        return self.path / "gates" / "baselines" / "demo.locked.json"


@pytest.fixture
def repository(project):
    return Repository(project)
