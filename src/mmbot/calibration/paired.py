"""One thing against another over the same time: differences by block, and how sure their mean is.

A net per weight is a ratio of sums, and blocks differ in weight, so its error is that of leaving out one
block of time after the other, of both sides at once (jackknife of clustered data; Quenouille, Biometrika 43,
1956; Shao and Tu, "The Jackknife and Bootstrap", 1995), and its interval Student's t. What both sides share,
the market of a block, falls out of the difference.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from mmbot.calibration.spread_need import Fills, Floats, Interval
from mmbot.units import BPS, SECOND

_CONFIDENCE = 0.975
"""Of each end."""
_HOUR_NS = 3_600 * SECOND


def left_out(blocks: int, figure: Callable[[Floats], float]) -> Interval:
    """A figure of all blocks and its 95 % interval. `figure` takes how often each block counts, 0 or 1. NaN
    is no figure, and gives an interval without ends.
    """
    every = np.ones(blocks)
    value = figure(every)
    if blocks < 2:  # noqa: PLR2004 - nothing to leave out
        return Interval(value, -math.inf, math.inf)
    without = np.array([figure(every - one) for one in np.eye(blocks)])
    error = math.sqrt(float(np.var(without)) * (blocks - 1))
    if not math.isfinite(error):
        return Interval(value, -math.inf, math.inf)
    reach = float(student.ppf(_CONFIDENCE, blocks - 1)) * error
    return Interval(value, value - reach, value + reach)


class Block(NamedTuple):
    """One stretch of time under both. Net in bps by weight, None without fills; earned a whole in settlement
    currency.
    """

    start_ns: int
    old_fills: int
    new_fills: int
    old_net_bps: float | None
    new_net_bps: float | None
    old_earned: float
    new_earned: float


@dataclass(frozen=True, slots=True)
class Compared:
    """New less old."""

    blocks: tuple[Block, ...]
    net_bps: Interval
    earned_per_hour: Interval
    """Settlement currency."""
    old_fills: int
    new_fills: int
    old_net_bps: float
    new_net_bps: float


def compare(old: Fills, new: Fills, within: tuple[int, int], block_ns: int) -> Compared:
    """Over a stretch of time, cut at whole blocks; the rest of a block at its end is left out."""
    from_ns, to_ns = within
    count = (to_ns - from_ns) // block_ns
    end_ns = from_ns + count * block_ns
    sums = [_sums(one.within(from_ns, end_ns), from_ns, count, block_ns) for one in (old, new)]
    (old_weight, old_net, old_fills), (new_weight, new_net, new_fills) = sums

    def net_bps(times: Floats) -> float:
        new_bps = _bps(float(new_net @ times), float(new_weight @ times))
        return new_bps - _bps(float(old_net @ times), float(old_weight @ times))

    def earned(times: Floats) -> float:
        return float((new_net - old_net) @ times / times.sum()) * _HOUR_NS / block_ns

    return Compared(
        blocks=tuple(
            Block(
                start_ns=from_ns + at * block_ns,
                old_fills=int(old_fills[at]),
                new_fills=int(new_fills[at]),
                old_net_bps=_bps(float(old_net[at]), float(old_weight[at])) if old_fills[at] else None,
                new_net_bps=_bps(float(new_net[at]), float(new_weight[at])) if new_fills[at] else None,
                old_earned=float(old_net[at]),
                new_earned=float(new_net[at]),
            )
            for at in range(count)
        ),
        net_bps=left_out(count, net_bps),
        earned_per_hour=left_out(count, earned),
        old_fills=int(old_fills.sum()),
        new_fills=int(new_fills.sum()),
        old_net_bps=_bps(float(old_net.sum()), float(old_weight.sum())),
        new_net_bps=_bps(float(new_net.sum()), float(new_weight.sum())),
    )


def _sums(fills: Fills, from_ns: int, count: int, block_ns: int) -> tuple[Floats, Floats, Floats]:
    """Weight, net in settlement currency, and fills of each block."""
    block = (fills.ts_ns - from_ns) // block_ns
    net = fills.net_bps * fills.weight / BPS

    def summed(values: Floats) -> Floats:
        return np.bincount(block, weights=values, minlength=count).astype(np.float64)

    return summed(fills.weight), summed(net), summed(np.ones(len(fills)))


def _bps(net: float, weight: float) -> float:
    """NaN without weight."""
    return BPS * net / weight if weight else math.nan
