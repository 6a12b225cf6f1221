"""A project of its own for each test: a foreign bot, scenario and gate files, and pytest run in it."""

import json
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

HERE = Path(__file__).parent
SHIPPED = HERE.parents[1] / "gates"

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
        for name in ("shadow", "capture"):
            self.gate(name, (SHIPPED / f"{name}.yaml").read_text())
        (self.path / "foreign_bot.py").write_text((HERE / "foreign_bot.py").read_text())
        (self.path / "pytest.ini").write_text(INI)
        self.scenario("demo")
        self.test(GATED)

    def test(self, text):
        (self.path / "test_gates.py").write_text(text)

    def scenario(self, name, **settings):
        (self.path / "scenarios").mkdir(exist_ok=True)
        (self.path / "scenarios" / f"{name}.yaml").write_text(json.dumps(settings))

    def gate(self, name, text):
        (self.path / "gates").mkdir(exist_ok=True)
        (self.path / "gates" / f"{name}.yaml").write_text(text)

    def run(self, *args):
        return self.pytester.runpytest_inprocess("-p", "no:asyncio", *args)

    def run_apart(self, *args):
        return self.pytester.runpytest_subprocess("-p", "no:asyncio", *args)

    def requests(self):
        """What the bot was asked for, run by run."""
        path = self.path / "requests.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def artifact(self, name):
        return self.path / "artifacts" / name

    def verdict(self, name="shadow"):
        return json.loads(self.artifact(f"verdicts/{name}.json").read_text())

    def written(self):
        """Every file under the output directory except the runs themselves."""
        root = self.path / "artifacts"
        files = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
        return sorted(name for name in files if not name.startswith("runs/"))


@pytest.fixture
def project(pytester):
    return Project(pytester)
