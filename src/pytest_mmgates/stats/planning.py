"""How long an experiment has to be, before it starts.

The anytime rule is planned by the approximation that decides nearly all of its experiments: at n pairs the
mean is normal with standard deviation s / sqrt(n), and it accepts when that mean is above both the floor and
the width of the sequence. `effect` is what the change is believed to bring; it lies above the floor, for at
the floor itself no number of pairs gives more than one chance in two.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from pytest_mmgates.stats.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Need:
    """Pairs for the asked power at an effect."""

    effect_bps: float
    pairs: int | None
    """None: no number of pairs up to the search's end."""


_NORMAL = NormalDist()
_MOST_PAIRS = 1_000_000


def power(n: int, *, effect_bps: float, floor_bps: float, deviation_bps: float, sequence: Sequence) -> float:
    """Chance that the rule would accept at look n alone: a little below that of all looks up to n."""
    line = max(floor_bps, deviation_bps * sequence.width(n))
    return _NORMAL.cdf((effect_bps - line) * math.sqrt(n) / deviation_bps)


def pairs_needed(
    *, effect_bps: float, floor_bps: float, deviation_bps: float, alpha: float, asked: float = 0.8
) -> Need:
    """Least n at which a sequence tuned to n accepts with the asked power. `deviation_bps`: of one pair's
    difference. Raises ValueError for a deviation that is not above 0.
    """
    if not deviation_bps > 0:
        raise ValueError(f"deviation was {deviation_bps} bps, expected > 0")

    def enough(n: int) -> bool:
        reached = power(
            n,
            effect_bps=effect_bps,
            floor_bps=floor_bps,
            deviation_bps=deviation_bps,
            sequence=Sequence.tuned(alpha, n),
        )
        return reached >= asked

    low, high = 1, 2
    while not enough(high):
        low, high = high, high * 2
        if high > _MOST_PAIRS:
            return Need(effect_bps, None)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return Need(effect_bps, high)
