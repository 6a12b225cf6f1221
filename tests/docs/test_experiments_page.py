"""The page on experiments says what is so."""

import re
from pathlib import Path

import pytest

from mmbot.config.scenario import load_scenario
from mmbot.experiment.plan import Plan, Stage, load_experiment
from pytest_mmgates.armrules import parse_accept, parse_safety
from pytest_mmgates.experiment.planner import POWER
from pytest_mmgates.report import experiment_report
from pytest_mmgates.stats.acceptance import Decision

ROOT = Path(__file__).parents[2]
SHIPPED = [path for path in sorted((ROOT / "experiments").glob("*.yaml")) if "." not in path.stem]
PAGE = (ROOT / "docs/experiments.md").read_text(encoding="utf-8")


def test_its_rules_parse() -> None:
    rules = re.findall(r"^    ((?:delta|B\.|regress).*)$", PAGE, re.MULTILINE)

    assert [str(parse_accept(rules[0])), str(parse_safety(rules[1]))] == rules


def test_every_key_of_a_plan_is_there() -> None:
    table = "".join(re.findall(r"^\| (`.*?) \|", PAGE.split("## Before it starts")[0], re.MULTILINE))

    assert set(Plan.__struct_fields__) - {"name", "title", "metric"} <= set(re.findall(r"`(\w+)`", table))
    assert all(f"`{stage}`" in PAGE for stage in Stage)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_plan_can_be_rehearsed_and_traded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The market that the exchange of a rehearsal plays has the symbols that the live scenario trades."""
    monkeypatch.chdir(ROOT)
    plan = load_experiment(path, Path("scenarios"), live=True).plan
    served, _ = load_scenario(plan.scenario, Path("scenarios"))
    traded, _ = load_scenario(plan.live or "", Path("scenarios/live"))
    assert traded.live is not None
    assert [instrument.symbol for instrument in served.instruments] == list(traded.live.symbols)


def test_every_way_out_is_there() -> None:
    assert re.findall(r"^\| ([A-Z_]+) \| ", PAGE, re.MULTILINE) == [str(decision) for decision in Decision]


def test_its_figures_are_those_of_the_code() -> None:
    assert f"power of {POWER:.0%}".replace("%", " %") in PAGE
    assert "a quarter of the way nearer to its lower bound" in " ".join(PAGE.split())
    assert experiment_report.DEVIATIONS[0].split(".")[0] == "The note accepts at an estimate of +0"
