"""The facts of a plan as the bot makes them are those that the gates read, and the shipped plan is whole."""

from pathlib import Path

import pytest

from mmbot.errors import ConfigError
from mmbot.experiment.plan import Stage, load_experiment
from mmbot.experiment.switchback import Schedule
from mmbot.sut import open_experiment
from mmbot.units import SECOND
from pytest_mmgates.experiment.facts import Facts, facts_of, keep_facts, read_facts
from pytest_mmgates.experiment.making import check_gate
from pytest_mmgates.experiment.planner import read_plan
from pytest_mmgates.gatefile import read_gate

ROOT = Path(__file__).parents[2]
PLANS = sorted(path for path in (ROOT / "experiments").glob("*.yaml") if "." not in path.stem)
START_NS = 1_767_225_600 * SECOND
HOUR = 3_600 * SECOND


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def facts(path: Path, stage: str, out: Path, **more: int) -> Facts:
    return facts_of(open_experiment({"plan": str(path), "stage": stage, "out_dir": str(out), **more}))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_shipped_plan_asks_what_its_gate_asks(path: Path, tmp_path: Path):
    found = facts(path, "replay", tmp_path)
    gate = ROOT / found.gate
    check_gate(found, read_gate(gate), gate)
    assert found.name == read_plan(path).name == path.stem
    assert (found.block_ns, found.washout_ns) == (read_plan(path).block_ns, read_plan(path).washout_ns)


def test_a_replay_plays_both_arms_under_four_models(tmp_path: Path):
    found = facts(PLANS[0], "replay", tmp_path)
    variants = [f"{queue}-{times}x" for queue in ("risk_averse", "power") for times in (1, 2)]
    assert [(run.variant, run.arm) for run in found.runs] == [
        (name, arm) for name in variants for arm in "AB"
    ]
    assert {Path(run.config[-1]) for run in found.runs} == {tmp_path / f"{name}.yaml" for name in variants}
    assert not found.blocks


@pytest.mark.parametrize("stage", ["10", "50", "100"])
def test_a_live_stage_has_the_blocks_of_its_schedule(tmp_path: Path, stage: str):
    found = facts(PLANS[0], stage, tmp_path, start_ns=START_NS, until_ns=START_NS + 20 * HOUR)
    plan = load_experiment(PLANS[0], ROOT / "scenarios").plan
    schedule = Schedule(plan, Stage(stage), START_NS)
    assert len(found.blocks) == 20 * len(plan.clusters)
    for block in found.blocks:
        drawn = schedule.block(block.cluster, block.index)
        assert (block.arm, block.pair, block.analysed_ns) == (drawn.arm, drawn.pair, drawn.analysed_ns)
    assert not found.runs


def test_facts_that_are_kept_are_read_back(tmp_path: Path):
    found = facts(PLANS[0], "50", tmp_path, start_ns=START_NS, until_ns=START_NS + 4 * HOUR)
    keep_facts(tmp_path, found)
    assert read_facts(tmp_path) == found


def test_a_stage_that_is_none_is_one_line(tmp_path: Path):
    with pytest.raises(ConfigError, match="stage was '20', expected one of replay, 10, 50, 100"):
        facts(PLANS[0], "20", tmp_path)
    with pytest.raises(ConfigError, match="stage 50: start_ns and until_ns were absent"):
        facts(PLANS[0], "50", tmp_path)
