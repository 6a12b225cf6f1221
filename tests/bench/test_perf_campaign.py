"""Planted slowdowns are real edits that decide nothing, and every beginning of the plan is a fair sample."""

import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.bench.perf_campaign import KINDS, ROOT, TAPE, plan, wilson
from tests.bench.plants import STAGES, copied, plant, plant_tail

from pytest_mmgates.perflab import Code
from pytest_mmgates.perflab.rounds import Pairs, cores


def test_plants_cost_and_decide_nothing(tmp_path: Path):
    base, planted = copied(ROOT, tmp_path / "base"), copied(ROOT, tmp_path / "planted")
    for stage in STAGES:
        plant(planted, stage, 40.0)
    plant_tail(planted, "emit", [0], 10)
    python = Path(sys.executable)
    pairs = Pairs(Code("base", base, python), Code("planted", planted, python), {**TAPE, "ticks": 60}, 1)
    assert pairs.play(0, cores()[0]).changed_ticks == 0
    before, after = pairs.count()
    for column, stage in enumerate(STAGES):
        assert after["bytecodes"][column] > before["bytecodes"][column], stage


def test_the_plan_is_mixed_from_the_beginning():
    gates = plan()
    assert Counter(gate.kind for gate in gates) == KINDS
    assert [gate.number for gate in gates] == list(range(sum(KINDS.values())))
    early = Counter(gate.kind for gate in gates[: len(gates) // 2])
    assert all(early[kind] == pytest.approx(count / 2, abs=1) for kind, count in KINDS.items())
    assert {stage for gate in gates if gate.kind == "+3" for stage in gate.candidate} == set(STAGES)


def test_limits_of_a_share_are_those_of_wilson():
    assert wilson(0, 27) == pytest.approx((0.0, 0.1246), abs=1e-3)
    assert wilson(78, 78) == pytest.approx((0.9531, 1.0), abs=1e-3)
