"""What an arm leaves to the next at a switch, and whether the wash-out was long enough for it.

Two looks, because each alone misses what the other sees:

`sensitivity`: the estimate after one wash-out beside that after two. If they differ by more than one standard
error of the first, the wash-out was too short. It sees any carry-over, but little of it: what is left of a
constant of 40 min after 15 is a fraction of the effect, where one standard error is a third of it. By
simulation it says so in one experiment in eight (docs/experiments.md).

`Memory`: orders are cancelled at a switch, so what one arm leaves the other is its inventory. The position
two wash-outs after the switch, regressed on that at the switch over all blocks, is the share still there.
A wash-out has to be 1.5 time constants, after which e^-1.5 = 22 % is left; here after twice the time, so more
than that is left only of a constant above 4/3 of the wash-out. The position is measured exactly and its
memory is no small difference of two noisy means: it finds a constant of 40 min nearly always, and seldom one
of 10. It does not see what is carried over without inventory.
"""

import math
from dataclasses import dataclass

from pytest_mmgates.stats.sequence import Floats

CONSTANTS = 1.5
"""Time constants that a wash-out has to be."""
STILL_THERE = math.exp(-CONSTANTS)
LEAST_BLOCKS = 24


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Estimates in bps after one and after two wash-outs; `se_bps` of the first."""

    once_bps: float
    twice_bps: float
    se_bps: float

    @property
    def too_short(self) -> bool:
        return abs(self.twice_bps - self.once_bps) > self.se_bps


def sensitivity(once: Floats, twice: Floats) -> Sensitivity | None:
    """Of the differences of the same pairs, (n,) each; None for fewer than two."""
    if len(once) < 2:  # noqa: PLR2004 - a standard error needs two
        return None
    se = float(once.std(ddof=1)) / math.sqrt(len(once))
    return Sensitivity(float(once.mean()), float(twice.mean()), se)


@dataclass(frozen=True, slots=True)
class Memory:
    """The share of an inherited position that is there two wash-outs after a switch, over `blocks`."""

    share: float
    se: float
    blocks: int

    @property
    def too_short(self) -> bool:
        """By half a standard error, so that few blocks do not say so by chance."""
        return self.share - self.se / 2 > STILL_THERE


def memory(before: Floats, after: Floats) -> Memory | None:
    """Least squares of positions two wash-outs after a switch on those at it, (n,) each; None for fewer than
    24 blocks, or where there was never anything to inherit.
    """
    if len(before) < LEAST_BLOCKS:
        return None
    centred = before - before.mean()
    squares = float(centred @ centred)
    if not squares:
        return None
    share = float(centred @ after) / squares
    left = (after - after.mean()) - share * centred
    variance = float(left @ left) / (len(before) - 2) / squares
    return Memory(share, math.sqrt(variance), len(before))
