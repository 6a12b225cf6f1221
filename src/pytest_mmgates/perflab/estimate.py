"""How much dearer is the candidate, and how sure is that? Pure statistics of paired rounds.

A round is a fresh process of each side. Rows of `a` (baseline) and `b` (candidate) are rounds, columns are
ticks, values the denoised cost of that tick in that round. Two statistics of one pair of rows, both logs of a
ratio:

* `line`: a robust (Huber) straight line through log(b/a) of the ticks against p95(ref)/ref - 1, at the tick
  whose cost is the reference profile's p95; the plain median where the profile is flat (p95 < 1.15 median).
  It sees every change that is smooth in a tick's cost, with the precision of all ticks.
* `tail`: log ratio of the mean order statistics between 92 % and 98 %. It sees what moves p95 alone.

Each is estimated twice, from the per-tick minima over all rounds (which shrug off contention) and as the
Hodges-Lehmann centre of the rounds' own statistics (in which drift of the machine's speed cancels); the
estimate is the mean. Rounds are the unit of replication: identical code in two processes differs, for both
lie elsewhere in memory, and no number of ticks averages that out. The standard error is the rms of the
estimate over random swaps of the two sides within rounds, the candidate first divided by the change found.

The reference profile is the geometric mean of both sides' minima: found here, and the same after any swap, so
that its noise does not lean to a side.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SWAPS = 100
FLAT = 1.15
_TAIL = (0.92, 0.98)
_HUBER, _OUTLIER, _MAD = 1.345, 4.7, 1.4826
_FITS = 5
_EPSILON = 1e-9


class Estimate(NamedTuple):
    """Log ratios candidate / baseline and their standard errors, before any inflation."""

    line: float
    tail: float
    line_se: float
    tail_se: float


def reference(a: Floats, b: Floats) -> Floats:
    """Cost of each tick, of both sides alike. Shapes [rounds, ticks] -> [ticks]."""
    profile: Floats = np.sqrt(a.min(axis=0) * b.min(axis=0))
    return profile


def line_at_p95(log_ratios: Floats, profile: Floats) -> Floats:
    """Shapes [rows, ticks], [ticks] -> [rows]."""
    level: Floats = np.median(log_ratios, axis=1)
    p95 = np.quantile(profile, 0.95)
    if p95 < FLAT * np.median(profile):
        return level
    x = p95 / profile - 1.0
    slope = np.zeros_like(level)
    for _ in range(_FITS):
        residual = np.abs(log_ratios - level[:, None] - slope[:, None] * x)
        scaled = residual / (_MAD * np.median(residual, axis=1, keepdims=True) + _EPSILON)
        weight = np.where(scaled > _OUTLIER, 0.0, 1.0 / np.maximum(1.0, scaled / _HUBER))
        total, sum_x = weight.sum(axis=1), weight @ x
        weighted = weight * log_ratios
        sum_y = weighted.sum(axis=1)
        spread = weight @ (x * x) - sum_x * sum_x / total
        slope = np.where(spread > _EPSILON, (weighted @ x - sum_x * sum_y / total) / (spread + _EPSILON), 0.0)
        level = (sum_y - slope * sum_x) / total
    return level


def tail_mean(costs: Floats) -> Floats:
    """Mean of the order statistics around p95. Shapes [rows, ticks] -> [rows]."""
    ticks = costs.shape[1]
    first = int(_TAIL[0] * ticks)
    stop = max(int(_TAIL[1] * ticks), first + 1)
    mean: Floats = np.sort(costs, axis=1)[:, first:stop].mean(axis=1)
    return mean


def statistics(a: Floats, b: Floats, profile: Floats) -> Floats:
    """Line and tail of each row. Shapes [rows, ticks] -> [rows, 2]."""
    return np.stack([line_at_p95(np.log(b / a), profile), np.log(tail_mean(b) / tail_mean(a))], axis=1)


def hodges_lehmann(values: Floats) -> Floats:
    """Median of all pairwise means, each with itself included. Shapes [rows, rounds] -> [rows]."""
    i, j = np.triu_indices(values.shape[1])
    centre: Floats = np.median((values[:, i] + values[:, j]) / 2.0, axis=1)
    return centre


def estimate(a: Floats, b: Floats, rng: np.random.Generator) -> Estimate:
    """Shapes [rounds, ticks], positive. `rng` draws the swaps."""
    profile = reference(a, b)
    own = statistics(a, b, profile)
    pooled = statistics(a.min(axis=0)[None], b.min(axis=0)[None], profile)[0]
    change = (pooled + hodges_lehmann(own.T)) / 2.0
    swapped = rng.integers(2, size=(SWAPS, len(a)), dtype=np.bool_)
    level = b * np.exp(-change[0])
    least_a = np.stack([np.where(row[:, None], level, a).min(axis=0) for row in swapped])
    least_b = np.stack([np.where(row[:, None], a, level).min(axis=0) for row in swapped])
    sign = np.where(swapped, -1.0, 1.0)
    centres = np.stack([hodges_lehmann(sign * (own[:, k] - change[k])) for k in range(2)], axis=1)
    null = (centres + statistics(least_a, least_b, profile)) / 2.0
    line_se, tail_se = np.sqrt((null * null).mean(axis=0))
    return Estimate(float(change[0]), float(change[1]), float(line_se), float(tail_se))
