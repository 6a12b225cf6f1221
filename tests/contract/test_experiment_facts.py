"""The facts of a plan as the bot makes them are those that the gates read, and the shipped plan is whole."""

from pathlib import Path

import msgspec
import pytest
from tests.mmbot.experiment.plans import written

from mmbot.config.calibrated import Window, sealed
from mmbot.errors import ConfigError
from mmbot.experiment.plan import Stage, load_experiment
from mmbot.experiment.switchback import Schedule
from mmbot.sut import open_experiment
from mmbot.units import SECOND
from pytest_mmgates.errors import ExperimentError
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


def test_rules_of_two_confidences_are_refused(tmp_path: Path):
    found = facts(PLANS[0], "replay", tmp_path)
    gate = ROOT / found.gate
    accept = "delta(slippage_bps) <= 0bps by sequence("
    other = tmp_path / gate.name
    other.write_text(gate.read_text().replace(accept + "0.975", accept + "0.99"))
    with pytest.raises(ExperimentError, match=r"confidence of `delta\(slip.+ was 0.99, expected 0.975 of"):
        check_gate(found, read_gate(other), gate)


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


def test_data_that_the_candidate_was_calibrated_on_is_no_evidence(tmp_path: Path):
    window = Window("d" * 64, START_NS, START_NS + HOUR, ["bybit_linear:SYNTH01USDT"])
    facts_of_seal = {
        **dict.fromkeys(("made_by", "reason", "dataset", "dataset_sha256", "config_sha256"), "x"),
        "outcome": "new",
        "data_kind": "synthetic",
        "window": msgspec.to_builtins(window),
        "window_sha256": window.sha256,
        "intervals": {},
    }
    overlay = tmp_path / "calibrated_weights.yaml"
    overlay.write_bytes(msgspec.json.encode(sealed(facts_of_seal, {"spread": {"base_bps": 4.0}})))
    shipped = {"scenario": "demo-14d", "gate": "gates/ab.yaml", "arms": {"A": [], "B": [str(overlay)]}}
    (tmp_path / "wider.yaml").write_bytes(msgspec.json.encode(written(**shipped)))
    found = facts(tmp_path / "wider.yaml", "replay", tmp_path)
    assert [(seen.sha256, seen.from_ns, seen.to_ns) for seen in found.seen] == [
        ("d" * 64, START_NS, START_NS + HOUR)
    ]


@pytest.mark.parametrize(("scenario", "played"), [("soak-72h", "soak-72h"), ("demo-14d", "demo-14d@50")])
def test_a_stage_plays_its_own_stretch_where_the_scenario_has_one(tmp_path: Path, scenario: str, played: str):
    path = tmp_path / "wider.yaml"
    wider = {"A": [], "B": ["experiments/wider-spread.b.yaml"]}
    shipped = written(scenario=scenario, gate="gates/ab.yaml", arms=wider)
    path.write_bytes(msgspec.json.encode(shipped))
    found = facts(path, "50", tmp_path, start_ns=START_NS, until_ns=START_NS + HOUR)
    assert found.scenario == played


def test_facts_that_are_kept_are_read_back(tmp_path: Path):
    found = facts(PLANS[0], "50", tmp_path, start_ns=START_NS, until_ns=START_NS + 4 * HOUR)
    keep_facts(tmp_path, found)
    assert read_facts(tmp_path) == found


def test_a_stage_that_is_none_is_one_line(tmp_path: Path):
    with pytest.raises(ConfigError, match="stage was '20', expected one of replay, 10, 50, 100"):
        facts(PLANS[0], "20", tmp_path)
    with pytest.raises(ConfigError, match="stage 50: start_ns and until_ns were absent"):
        facts(PLANS[0], "50", tmp_path)
