"""Instructions by stage: counted by valgrind where it is there, and what follows from counts."""

import math
import shutil
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.pytest_mmgates.perflab.conftest import TAPE, Written

from pytest_mmgates.perflab import PerfError, worker
from pytest_mmgates.perflab.counted import compare_counted, held_against
from pytest_mmgates.perflab.evidence import second_opinion
from pytest_mmgates.perflab.instructions import (
    PASSES,
    VALGRIND,
    Instructions,
    _by_stage,
    conditions,
    count_instructions,
    differing,
)

needs_valgrind = pytest.mark.skipif(shutil.which(VALGRIND) is None, reason=f"{VALGRIND} is not installed")
SHORT = {**TAPE, "ticks": 6}
LIMITS = {"place": 0.03, "tick_total": 0.10}
COUNTS = {"price": [900] * 40, "place": [2_000] * 40, "tick_total": [2_900] * 40}
PROFILE = Instructions({}, "tape", COUNTS, 1.0)


def dearer(by, *, stage="place", ticks=40):
    """The profile, with the last so many ticks of one stage dearer."""
    counts = [round(count * by) if at >= 40 - ticks else count for at, count in enumerate([2_000] * 40)]
    return replace(PROFILE, counts={**PROFILE.counts, stage: counts})


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_a_difference_of_marks_names_the_spans_within(spans: list[int]):
    clock = worker.Marks()
    readings = [clock() for _ in range(sum(spans) + 1)]
    edges = [sum(spans[:index]) for index in range(len(spans) + 1)]
    every_second = list(pairwise(edges))[::2]
    bits = sum(readings[b] - readings[a] for a, b in every_second)
    within = [span for a, b in every_second for span in range(a, b)]
    assert [span for span in range(sum(spans)) if bits >> span & 1] == within


@given(st.integers(1, 2_000))
def test_some_ticks_of_any_tape_are_marked_and_none_is_made_up(ticks: int):
    marked = worker._marked_ticks(ticks)
    assert 1 <= len(marked) <= 40
    assert 0 <= marked.start <= marked[-1] < min(ticks, 300)


TOLD = {
    "stages": ["price", "place", "tick_total"],
    "alone": 3,
    "readings": [3, 4],
    "spans": [[0b01, 0b10, 0b11], [0b001, 0b110, 0b111]],
}
"""Two ticks, the second with a reading more within `place`."""


def dumps(*passes):
    """Of callgrind: before a mark, what ran since the one before. 100 is a reading, 7_777 what is outside."""
    alone = [7_777, 100, 130]
    rows = []
    for first, second in passes:
        rows += alone + [7_777] + [100 + one for one in first] + [7_777] + [100 + one for one in second]
    return [*rows, 7_777]


def test_what_lies_between_marks_goes_to_its_stage_and_the_least_of_the_passes_counts(written: Written):
    usual = ([10, 20], [11, 21, 22])
    passes = [usual] * (PASSES - 2) + [([9, 25], [11, 50, 22]), ([12, 17], [14, 21, 30])]
    found = _by_stage(written("code"), TOLD, dumps(*passes))
    assert found.tolist() == [[9, 17, 29], [11, 43, 54]]
    assert repr(found.tolist()[0]) == "[9, 17, 29]"  # whole numbers: a lock keeps their text


def test_counts_that_do_not_fit_what_was_played_are_refused(written: Written):
    totals = dumps(*[([10, 20], [11, 21, 22])] * PASSES)
    code = written("code")
    with pytest.raises(
        PerfError, match=r"wrote 59 counts, expected 61: does its code call getppid, or fork\?"
    ):
        _by_stage(code, TOLD, totals[:-2])
    for bits in (0, -2, 0b1000):
        spans = [[0b01, 0b10, 0b11], [bits, 0b110, 0b111]]
        with pytest.raises(PerfError, match="price is no difference of readings of the tape's clock"):
            _by_stage(code, {**TOLD, "spans": spans}, totals)


@needs_valgrind
def test_one_turn_of_a_loop_costs_the_same_instructions_at_every_tick(written: Written):
    """The tape's first stage turns once more at every tick, its second always as often."""
    found = count_instructions(written("before"), SHORT)
    price, place, total = (found.counts[stage] for stage in ("price", "place", "tick_total"))
    turn = price[1] - price[0]
    assert 10 < turn < 1_000
    assert [b - a for a, b in pairwise(price)] == [turn] * (len(price) - 1)
    assert len(set(place)) == 1
    assert total == [a + b for a, b in zip(price, place, strict=True)]


@needs_valgrind
@pytest.mark.slow
def test_the_same_code_passes_and_more_work_fails_by_as_much_as_it_is(written: Written):
    before = count_instructions(written("before"), TAPE)
    elsewhere = compare_counted(before, written("before-in-a-longer-folder"), TAPE, limits=LIMITS)
    assert {one.outcome for one in elsewhere.stages} == {"PASS"}
    assert max(abs(one.change) for one in elsewhere.stages) < 0.0015
    more = compare_counted(before, written("more", work=440), TAPE, limits=LIMITS)
    price, place, total = more.stages
    assert (price.outcome, price.gated_in) == (total.outcome, "tick_total")
    assert place.outcome == "FAIL"
    assert 0.10 < place.change < 0.20  # 40 of 400 turns; those above 256 make a number each
    assert more.provisional
    assert more.evidence["instructions"]["place"][1] > more.evidence["instructions"]["place"][0]


@needs_valgrind
def test_a_profile_of_other_conditions_is_not_compared(written: Written):
    code = written("before", first="raise OSError")  # it is refused before anything is played
    here = conditions(code)
    assert set(here) == {"interpreter", "libc", "machine", "numpy", "valgrind", "pins"}
    other = replace(PROFILE, conditions={**here, "valgrind": "valgrind-1.0"})
    with pytest.raises(PerfError, match=r"cannot be compared: valgrind was valgrind-1\.0, is valgrind-"):
        compare_counted(other, code, TAPE, limits=LIMITS)


@pytest.mark.parametrize("name", ["interpreter", "libc", "machine", "numpy", "valgrind", "pins"])
def test_any_condition_that_changed_or_is_new_differs(name: str):
    here = dict.fromkeys(("interpreter", "libc", "machine", "numpy", "valgrind", "pins"), "this")
    assert differing(here, dict(here)) == ""
    assert differing({**here, name: "that"}, here) == f"{name} was that, is this"
    assert differing({key: here[key] for key in here if key != name}, here) == f"{name} was None, is this"


@needs_valgrind
@pytest.mark.slow
def test_code_that_does_not_run_is_one_line(written: Written):
    with pytest.raises(PerfError, match=r"^after \(.*/after\): ValueError: no book$"):
        count_instructions(written("after", first="raise ValueError('no book')"), SHORT)


def test_without_valgrind_nothing_is_counted(written: Written, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PerfError, match=r"^valgrind is not installed: instructions cannot be counted$"):
        count_instructions(written("before"), SHORT)


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (dearer(0.9), "PASS"),
        (dearer(1.0), "PASS"),
        (dearer(1.0045), "PASS"),
        (dearer(1.006), "INCONCLUSIVE"),
        (dearer(1.0495), "INCONCLUSIVE"),
        (dearer(1.0505), "FAIL"),
        (dearer(1.0095, ticks=4), "PASS"),
        (dearer(1.0105, ticks=4), "INCONCLUSIVE"),
        (dearer(1.049, ticks=4), "INCONCLUSIVE"),
        (dearer(1.06, ticks=4), "FAIL"),
    ],
)
def test_half_a_per_cent_passes_and_five_thirds_of_the_limit_fail(found: Instructions, outcome: str):
    price, place, total = held_against(PROFILE, found, LIMITS)
    assert (place.outcome, total.outcome) == (outcome, "PASS")
    assert (price.outcome, price.gated_in) == ("PASS", "tick_total")
    assert place.note == "provisional: instructions, not time"
    assert math.isinf(place.high)


def test_the_line_follows_the_limit():
    total = {"tick_total": [round(2_900 * 1.12)] * 40}
    found = replace(PROFILE, counts={**PROFILE.counts, **total})
    assert held_against(PROFILE, found, LIMITS)[2].outcome == "INCONCLUSIVE"
    assert held_against(PROFILE, found, {**LIMITS, "tick_total": 0.06})[2].outcome == "FAIL"


@pytest.mark.parametrize(
    ("found", "limits", "message"),
    [
        (replace(PROFILE, sha256="another"), LIMITS, "were counted on tape tape, is another"),
        (replace(PROFILE, counts={"place": [1]}), LIMITS, "were counted of ticks"),
        (PROFILE, {**LIMITS, "emit": 0.03}, "limit for stage 'emit': the tape has price, place, tick_total"),
        (PROFILE, {"place": 0.03}, "limits name place, expected tick_total among them"),
    ],
)
def test_counts_of_something_else_are_refused(found: Instructions, limits: dict[str, float], message: str):
    with pytest.raises(PerfError, match=message):
        held_against(PROFILE, found, limits)


SAME = {"bytecodes": (70.0, 70.0), "blocks": (5.0, 5.0)}


@pytest.mark.parametrize(
    ("outcome", "counts", "text"),
    [
        ("FAIL", {}, ""),
        ("FAIL", SAME, "not a bytecode or memory block more: code in C, layout or cache"),
        ("FAIL", {**SAME, "bytecodes": (70.0, 71.0)}, ""),
        ("PASS", SAME, ""),
        ("INCONCLUSIVE", SAME, ""),
        (
            "FAIL",
            {**SAME, "instructions": (1e6, 1.001e6)},
            "instructions +0.10%: layout or cache effect, not work",
        ),
        ("FAIL", {"blocks": (5.0, 6.0), "instructions": (1e6, 1e6)}, "instructions +0.00%"),
        ("FAIL", {**SAME, "instructions": (1e6, 1.03e6)}, "instructions +3.00%"),
        ("INCONCLUSIVE", {**SAME, "instructions": (1e6, 1e6)}, "instructions +0.00%: leans PASS"),
        ("INCONCLUSIVE", {**SAME, "instructions": (1e6, 0.99e6)}, "instructions -1.00%"),
        ("PASS", {**SAME, "instructions": (1e6, 1e6)}, "instructions +0.00%"),
    ],
)
def test_counts_give_a_second_opinion(outcome, counts, text: str):
    assert second_opinion(outcome, counts) == text
