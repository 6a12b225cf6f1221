"""Sums of floats that round nothing, so that it does not matter how the rows were split.

Every float is a whole number of 2**-1074, the smallest float there is. A sum in these units is a Python int:
adding two is exact, in any order, and the quotient of two is the float nearest to the true quotient.
"""

from pytest_mmgates.tally.histogram import Floats

_UNIT_BITS = 1074


def exact_sum(values: Floats) -> int:
    """Of finite values, in units of 2**-1074."""
    ratios = map(float.as_integer_ratio, values.tolist())
    return sum(top << (_UNIT_BITS + 1 - bottom.bit_length()) for top, bottom in ratios)
