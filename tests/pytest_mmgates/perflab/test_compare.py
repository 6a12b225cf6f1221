"""Two codes in real processes: the slower stage is named, what cannot be compared is refused in one line."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.pytest_mmgates.perflab.conftest import TAPE, Written

from pytest_mmgates.perflab import Code, Gate, PerfError, compare, least, proof_of, prove
from pytest_mmgates.perflab.decide import FIRST_LOOK, MOST_ROUNDS
from pytest_mmgates.perflab.rounds import Pairs, Round, cores

LIMITS = {"place": 0.5, "tick_total": 20.0}


def test_the_slower_stage_fails_and_the_others_pass(written: Written):
    found = compare(
        written("before"), written("after", work=1_200), TAPE, limits=LIMITS, budget_s=300.0, seed=3
    )
    price, place, total = found.stages
    assert (place.stage, place.outcome, found.outcome) == ("place", "FAIL", "FAIL")
    assert 1.5 < place.change < 5.0
    assert place.low < place.change < place.high
    assert total.outcome == "PASS"
    assert (price.outcome, price.gated_in, price.note) == ("PASS", "tick_total", "gated within tick_total")
    assert abs(price.change) < 0.5
    assert FIRST_LOOK <= found.rounds <= MOST_ROUNDS
    counted = found.evidence["bytecodes"]
    assert counted["price"][0] == counted["price"][1] > 0
    assert counted["place"][1] - counted["place"][0] == 40 * 3 * 800  # three bytecodes a turn


def test_other_decisions_are_told(written: Written):
    done = Pairs(written("before"), written("after", outputs=30), TAPE, 4).play(0, cores()[0])
    assert (done.changed_ticks, done.baseline.shape, done.stages[0]) == (10, (40, 3), "price")
    gate = Gate(done.stages, LIMITS, 1)
    for _ in range(FIRST_LOOK):
        gate.add(done)
    assert gate.verdicts()[1].note == "decides otherwise on 10 ticks"


def test_no_time_is_no_verdict(written: Written):
    found = compare(written("before"), written("after"), TAPE, limits=LIMITS, budget_s=0.0, seed=1)
    assert found.outcome == "INCONCLUSIVE"
    assert {one.outcome for one in found.stages} == {"INCONCLUSIVE"}
    assert "expected at least" in found.stages[1].note
    assert math.isnan(found.stages[0].change)


@pytest.mark.parametrize(
    ("how", "tape", "message"),
    [
        ({"first": "raise ValueError('no book')"}, {}, r"after \(.*/after\): ValueError: no book"),
        ({"first": "print('hello'); raise SystemExit('gone')"}, {}, r"after \(.*/after\): gone"),
        (
            {"first": "request['sha256'] = 'another'"},
            {},
            "sha256 of the tape: after had another, expected none",
        ),
        ({}, {"door": "foreign:open_run"}, "has no open_run: this code has no latency tape"),
        ({}, {"door": "json:loads"}, "json was found at .*, expected within"),
        ({}, {"door": "nowhere:open_tape"}, "No module named 'nowhere'"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    written: Written, how: dict[str, Any], tape: dict[str, Any], message: str
):
    pairs = Pairs(written("before"), written("after", **how), {**TAPE, **tape}, 1)
    with pytest.raises(PerfError, match=message):
        pairs.play(0, cores()[0])


def test_a_request_names_its_door_and_an_interpreter_that_is_there(written: Written, tmp_path: Path):
    code = written("before")
    with pytest.raises(PerfError, match=r"tape request had keys \['ticks'\], expected 'door'"):
        Pairs(code, code, {"ticks": 3}, 1)
    with pytest.raises(PerfError, match=r"lost: .*/python: No such file"):
        Pairs(code, Code("lost", tmp_path, tmp_path / "python"), TAPE, 1).count()


def rounds_of(change: float, *, noise: float, seed: int) -> list[Round]:
    """Rounds of two stages, the first slower by that much on the candidate's side."""
    rng = np.random.default_rng(seed)
    ticks = 1_000.0 * np.exp(rng.normal(0.0, 0.3, (300, 1)))
    slower = np.array([1.0 + change, 1.0])
    return [
        Round(
            stages=("place", "tick_total"),
            sha256="",
            kind="synthetic",
            baseline=ticks * np.exp(rng.normal(0.0, noise, (1, 2))),
            candidate=ticks * slower * np.exp(rng.normal(0.0, noise, (1, 2))),
            changed_ticks=0,
            baseline_led=True,
            core=0,
            began_s=0.0,
            seconds=1.0,
        )
        for _ in range(MOST_ROUNDS)
    ]


def test_identical_code_is_a_proof_and_code_that_differs_from_itself_is_refused():
    played = rounds_of(0.0, noise=0.01, seed=2)[:24]
    proof = proof_of("locked", played, 1, 9.0)
    assert (proof.rounds, proof.seconds, set(proof.profile)) == (24, 9.0, {"place", "tick_total"})
    assert 0.0 < proof.z_rms <= 1.0
    assert min(proof.factors) > 0.0
    assert proof.profile["place"] == least(played, 0).tolist()
    assert min(proof.errors.values()) >= proof.floor
    with pytest.raises(PerfError, match=r"locked compared with itself: errors were \d+\.\d+ times"):
        proof_of("locked", rounds_of(0.05, noise=0.01, seed=2)[:24], 1, 9.0)


def test_a_proof_has_the_rounds_of_a_first_look(written: Written):
    with pytest.raises(PerfError, match="rounds was 7, expected at least 8"):
        prove(written("locked"), TAPE, rounds=7, seed=1)


def test_a_gate_ends_when_nothing_is_open_and_what_is_decided_stays():
    gate = Gate(("place", "tick_total"), {"place": 0.03, "tick_total": 0.10}, 1)
    ends = [gate.add(done) for done in rounds_of(0.06, noise=0.01, seed=1)]
    assert ends.index(True) + 1 >= FIRST_LOOK
    place, total = gate.verdicts()
    assert (place.outcome, total.outcome, gate.outcome) == ("FAIL", "PASS", "FAIL")
    assert place.rounds <= ends.index(True) + 1


def test_gates_on_identical_rounds_pass_and_slow_ones_fail():
    def outcomes(change: float) -> list[str]:
        found = []
        for seed in range(12):
            gate = Gate(("place", "tick_total"), {"place": 0.03, "tick_total": 0.10}, seed)
            for done in rounds_of(change, noise=0.01, seed=seed):
                if gate.add(done):
                    break
            found.append(gate.verdicts()[0].outcome)
        return found

    assert outcomes(0.0).count("PASS") >= 11
    assert outcomes(0.04).count("FAIL") >= 11


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"speed": 0.03, "tick_total": 0.1}, "limit for stage 'speed': the tape has place, tick_total"),
        ({"place": 0.03}, "limits name place, expected tick_total among them"),
    ],
)
def test_limits_are_of_stages_that_are_there(limits: dict[str, float], message: str):
    with pytest.raises(PerfError, match=message):
        Gate(("place", "tick_total"), limits, 1)


def test_who_starts_and_where_blocks_begin_is_drawn_from_the_seed():
    """So that a comparison can be repeated."""
    draws = [np.random.default_rng((7, index)).integers(2) for index in range(20)]
    assert set(draws) == {0, 1}
    assert len(list(itertools.groupby(draws))) > 3
