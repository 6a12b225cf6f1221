"""The sequential rule at its edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mmgates.perflab.decide import FACTORS, FLOOR, LINE, believed, decide
from pytest_mmgates.perflab.estimate import Estimate

LIMIT, STAGES = 0.03, 7
ERRORS = st.floats(1e-4, 0.05)
CHANGES = st.floats(-0.1, 0.1)


def look(line: float, tail: float, se: float, *, last: bool = False) -> str | None:
    return decide(Estimate(line, tail, se, se), LIMIT, STAGES, last=last)


@pytest.mark.parametrize(
    ("line", "tail", "se", "outcome"),
    [
        (0.0, 0.0, 0.001, "PASS"),
        (np.log1p(0.03), np.log1p(0.03), 0.001, "FAIL"),
        (0.0, np.log1p(0.10), 0.001, "FAIL"),  # the tail alone
        (0.0, 0.024, 0.004, None),  # the tail could still be beyond the limit
        (0.018, 0.018, 0.001, None),  # on the line
        (0.0, 0.0, 0.02, None),
        (-0.05, -0.05, 0.001, "PASS"),
    ],
)
def test_a_look(line: float, tail: float, se: float, outcome: str | None):
    assert look(line, tail, se) == outcome


@pytest.mark.parametrize(
    ("line", "tail", "se", "outcome"),
    [
        (0.015, 0.015, 0.004, "PASS"),  # 95 % sure to be below the limit
        (0.015, 0.025, 0.004, "INCONCLUSIVE"),
        (0.021, 0.0, 0.006, "INCONCLUSIVE"),
    ],
)
def test_the_last_look_decides_by_what_is_known(line: float, tail: float, se: float, outcome: str):
    assert look(line, tail, se) is None
    assert look(line, tail, se, last=True) == outcome


@given(line=CHANGES, tail=CHANGES, se=ERRORS, last=st.booleans())
def test_slower_is_never_judged_better(line: float, tail: float, se: float, *, last: bool):
    order = {"PASS": 0, None: 1, "INCONCLUSIVE": 1, "FAIL": 2}
    here, slower = look(line, tail, se, last=last), look(line + 0.01, tail + 0.01, se, last=last)
    assert order[slower] >= order[here]


@given(CHANGES, CHANGES, ERRORS)
def test_a_last_look_decides_and_keeps_what_a_look_decides(line: float, tail: float, se: float):
    earlier, final = look(line, tail, se), look(line, tail, se, last=True)
    assert final is not None
    assert earlier in (None, final)


@given(ERRORS, ERRORS)
def test_no_error_is_believed_below_the_floor(line_se: float, tail_se: float):
    se = believed(Estimate(0.0, 0.0, line_se, tail_se))
    assert (se.line, se.tail) == (max(FACTORS[0] * line_se, FLOOR), max(FACTORS[1] * tail_se, FLOOR))


def test_a_larger_limit_moves_the_line():
    found = Estimate(np.log1p(0.05), np.log1p(0.05), 0.001, 0.001)
    assert decide(found, 0.03, STAGES, last=False) == "FAIL"
    assert decide(found, 0.10, STAGES, last=False) == "PASS"
    assert LINE * np.log1p(0.10) > found.line
