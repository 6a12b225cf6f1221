"""What counts say of a verdict on time: a text beside it, never another verdict."""

from collections.abc import Mapping

from pytest_mmgates.perflab.decide import Outcome

UNCHANGED = 0.005
"""Of instructions: the same code elsewhere differs by a tenth of it."""


def second_opinion(outcome: Outcome, counts: Mapping[str, tuple[float, float]]) -> str:
    """Of one stage: what was counted -> baseline and candidate. Empty where there is nothing to say.

    Bytecodes and memory blocks are exact, but say nothing of work done in C; instructions do.
    """
    same = all(a == b for what, (a, b) in counts.items() if what != "instructions")
    if "instructions" not in counts:
        if outcome == "FAIL" and counts and same:
            return "not a bytecode or memory block more: code in C, layout or cache"
        return ""
    a, b = counts["instructions"]
    change = b / a - 1.0
    said = f"instructions {change:+.2%}"
    if abs(change) > UNCHANGED:
        return said
    if outcome == "FAIL" and same:
        return f"{said}: layout or cache effect, not work"
    return f"{said}: leans PASS" if outcome == "INCONCLUSIVE" else said
