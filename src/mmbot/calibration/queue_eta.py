"""How long an order at the touch really waits, against the queue ETA that `queue_aware` predicts.

ETA e says that the queue in front is gone in e seconds at the present rate of trading. If an order that
waits fills at a rate of `speed / e`, it is filled in the next w seconds with probability
1 - exp(-speed * w / e): speed 1 is a prediction that is right on average, 0.5 one that promises twice as
much. Orders that were moved or pulled before they filled count for as long as they waited (grouped survival
data with a complementary log-log link; Prentice and Gloeckler, Biometrics 34, 1978).

`speed` is the most likely one; its interval leaves out one block of time after the other. The law must hold
along the ETA: by stretches of it, each that saw 10 fills has a speed within a factor of 2 of the whole.

Recommended: `max_eta_s` is meant as a wait, so where predictions are off by a factor, it is set off by the
same. `min_edge_bps` and `max_reprice_bps` are prices, not times: nothing here says anything of them.

Left out: orders behind the touch (the queue in front of them is not all that has to go), orders with nobody
in front (an ETA of 0 predicts nothing), and those without an ETA, since nothing traded.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from mmbot.calibration.paired import left_out
from mmbot.calibration.spread_need import Floats, Interval, Ints
from mmbot.errors import CalibrationError

LEAST_FILLS, LEAST_BLOCKS = 40, 8
_LEAST_OF_A_STRETCH = 10
_WORST_FACTOR = 2.0
_STRETCHES_S = (0.0, 5.0, 20.0, 60.0, math.inf)
_SPEEDS = (1e-6, 1e6)


class Waits(NamedTuple):
    """Orders at the touch from one look at them to the next: a row a look and side."""

    ts_ns: Ints
    eta_s: Floats
    waited_s: Floats
    """Until the next look."""
    filled: npt.NDArray[np.bool_]
    """In the meantime."""


class Stretch(NamedTuple):
    """Looks with an ETA above `above_s`, up to `upto_s`. `speed` NaN without a fill."""

    above_s: float
    upto_s: float
    looks: int
    fills: int
    speed: float


class Speed(NamedTuple):
    """What was measured."""

    speed: Interval
    looks: int
    fills: int
    blocks: int
    stretches: tuple[Stretch, ...]

    @property
    def off(self) -> bool:
        """Predictions are off, and not by luck."""
        return not self.speed.low <= 1.0 <= self.speed.high

    def max_eta_s(self, configured_s: float) -> float:
        """The ETA at which the wait is what was configured, to two digits."""
        return float(f"{configured_s * self.speed.value:.2g}")


def measure(waits: Waits, block_ns: int) -> Speed:
    """Raises CalibrationError where fills are too few, or where the law does not hold."""
    known = np.isfinite(waits.eta_s) & (waits.eta_s > 0) & (waits.waited_s > 0)
    share, filled = waits.waited_s[known] / waits.eta_s[known], waits.filled[known]
    _, block = np.unique(waits.ts_ns[known] // block_ns, return_inverse=True)
    fills, blocks = int(filled.sum()), int(block.max()) + 1 if len(block) else 0
    if fills < LEAST_FILLS or blocks < LEAST_BLOCKS:
        raise CalibrationError(
            f"not enough evidence: {fills} fills of orders at the touch with an ETA, in {blocks} blocks,"
            f" expected {LEAST_FILLS} in {LEAST_BLOCKS}"
        )

    def speed(times: Floats) -> float:
        counted = times[block] > 0
        return _most_likely(share[counted], filled[counted])

    whole = left_out(blocks, speed)
    stretches = tuple(_stretches(waits.eta_s[known], share, filled))
    for one in stretches:
        ratio = one.speed / whole.value
        if one.fills >= _LEAST_OF_A_STRETCH and not 1 / _WORST_FACTOR <= ratio <= _WORST_FACTOR:
            raise CalibrationError(
                f"ETA and wait are not proportional: from {one.above_s:g} to {one.upto_s:g} s orders fill"
                f" {one.speed:.3g} times as fast as predicted, of all {whole.value:.3g} times; expected a"
                f" factor of {_WORST_FACTOR:g} at most"
            )
    return Speed(whole, len(share), fills, blocks, stretches)


def _stretches(eta_s: Floats, share: Floats, filled: npt.NDArray[np.bool_]) -> list[Stretch]:
    found = []
    for above_s, upto_s in pairwise(_STRETCHES_S):
        here = (eta_s > above_s) & (eta_s <= upto_s)
        fills = int(filled[here].sum())
        speed = _most_likely(share[here], filled[here])
        found.append(Stretch(above_s, upto_s, int(here.sum()), fills, speed))
    return found


def _most_likely(share: Floats, filled: npt.NDArray[np.bool_]) -> float:
    """Where the slope of the log likelihood is 0; NaN without fills, or with nothing else."""
    waiting = float(share[~filled].sum())
    if not filled.any() or waiting == 0.0:
        return math.nan
    of_fills = share[filled]

    def slope(speed: float) -> float:
        return float((of_fills / np.expm1(np.minimum(speed * of_fills, 700.0))).sum()) - waiting

    return float(brentq(slope, *_SPEEDS))
