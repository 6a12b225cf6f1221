"""A stored profile fails what is much dearer, and passes nothing."""

import math

import pytest
from tests.pytest_mmgates.perflab.conftest import TAPE, Written

from pytest_mmgates.perflab import PerfError, least, with_itself
from pytest_mmgates.perflab.stored import OTHER_MACHINE, SAME_MACHINE, compare_stored, fingerprint


def test_on_the_same_machine_only_much_dearer_code_gets_a_verdict(written: Written):
    before = written("before")
    played = with_itself(before, TAPE, 2, 1)
    profile = {stage: least(played, column).tolist() for column, stage in enumerate(played[0].stages)}
    slow = compare_stored(profile, fingerprint(), written("slow", work=1_200), TAPE, seed=1, rounds=2)
    assert (slow.outcome, slow.rung) == ("FAIL", SAME_MACHINE)
    assert slow.stages[1].change > 1.0
    generous = {stage: [3.0 * cost for cost in costs] for stage, costs in profile.items()}
    fast = compare_stored(generous, fingerprint(), before, TAPE, seed=1, rounds=2)
    assert {one.outcome for one in fast.stages} == {"INCONCLUSIVE"}
    with pytest.raises(PerfError, match="stored profile of price: has 3 ticks, expected 40"):
        compare_stored({**profile, "price": [1.0] * 3}, fingerprint(), before, TAPE, seed=1, rounds=2)


def test_on_another_machine_there_is_no_verdict_and_nothing_is_run(written: Written):
    found = compare_stored(
        {"price": [1.0]}, "elsewhere", written("gone", first="raise OSError"), TAPE, seed=1
    )
    assert (found.outcome, found.rung, found.rounds) == ("INCONCLUSIVE", OTHER_MACHINE, 0)
    assert math.isnan(found.stages[0].change)
    assert "lock anew" in found.stages[0].note
