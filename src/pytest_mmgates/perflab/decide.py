"""The sequential rule: PASS, FAIL, or look again after more rounds.

Wald's test in units of information (1 / se^2) around a line inside the limit. With h = log(1 + limit) and the
line at L = 0.6 h, w = (e - L) h / se^2 is the log likelihood ratio of "h above" to "as far below". The
standard errors are inflated by factors that were measured on identical code, and never believed to be below a
floor. It is not a proven always-valid sequence: its error rates are the measured ones.

The limit is what is surely caught, not what is surely tolerated: two thirds of it fail more often than not.
"""

import math
from dataclasses import dataclass
from typing import Literal

from pytest_mmgates.perflab.estimate import Estimate

Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]

ALPHA = 0.01
"""False alarms of a whole gate on identical code; shared by its stages."""
BETA = 0.05
"""Misses of a stage that is slower by its limit."""
LINE = 0.6
FACTORS = (1.4, 1.6)
"""On the standard errors of line and tail."""
FLOOR = 0.0025
FIRST_LOOK, EVERY, MOST_ROUNDS = 8, 4, 40
LEAST_ROUNDS = 4
"""Below, a last look decides nothing."""
_ONE_SIDED_95 = 1.645


@dataclass(frozen=True, slots=True)
class Errors:
    """Standard errors as they are believed."""

    line: float
    tail: float


def believed(found: Estimate) -> Errors:
    return Errors(max(found.line_se * FACTORS[0], FLOOR), max(found.tail_se * FACTORS[1], FLOOR))


def decide(found: Estimate, limit: float, stages: int, *, last: bool) -> Outcome | None:
    """One look at one of so many stages; None: go on. A last look always decides."""
    h = math.log1p(limit)
    line = LINE * h
    se = believed(found)
    up, down = math.log((1.0 - BETA) / (ALPHA / stages)), math.log(BETA)
    w_line = (found.line - line) * h / se.line**2
    w_tail = (found.tail - line) * h / se.tail**2
    if w_line > up or w_tail > up:
        return "FAIL"
    if w_line < down and found.tail + _ONE_SIDED_95 * se.tail < h:
        return "PASS"
    if not last:
        return None
    passed = found.line + _ONE_SIDED_95 * se.line < h and found.tail < line
    return "PASS" if passed else "INCONCLUSIVE"
